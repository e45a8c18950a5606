"""The dossier: a case's evidence as a PDF that a judge can read: who, what, when, how, and a QR code of the head.

Run as a program (`python -m engine.evidence.dossier LANGUAGE`) it reads gathered evidence as JSON and writes the PDF:
`exporting` runs it so, since making it takes a processor for tens of milliseconds. It decides nothing and proves
nothing: the chain does.
"""

import io
import json
import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import segno
from fpdf import FPDF
from fpdf.enums import WrapMode

from engine.evidence.chronology import Chronology, instant

_MARGIN: Final = 18
NICENESS: Final = 10
"""Who downloads a dossier can wait a moment longer; whoever waits for a code cannot."""


def folder() -> Path:
    """Return where words and fonts are: of the installed package, else of the checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_templates" / "evidence"
    return installed if installed.is_dir() else package.parent / "templates" / "evidence"


def render(gathered: Mapping[str, Any], language: str) -> bytes:
    """Return the PDF of what `Gathered.as_json` gives, in fr, en, de, es or it."""
    words = tomllib.loads((folder() / "words.toml").read_text(encoding="utf-8"))[language]
    return _Dossier(gathered, words).made()


class _Dossier:
    def __init__(self, gathered: Mapping[str, Any], words: Mapping[str, Any]) -> None:
        self.gathered = gathered
        self.words = words
        self.entries: Sequence[Mapping[str, Any]] = [one["entry"] for one in gathered["entries"]]
        self.chronology = Chronology(self.entries, gathered["openings"], words)
        self.pdf = FPDF(format="A4")
        for style, name in (("", "DejaVuSans"), ("B", "DejaVuSans-Bold")):
            self.pdf.add_font("DejaVu", style, folder() / "fonts" / f"{name}.ttf")
        self.pdf.set_margins(_MARGIN, _MARGIN)
        self.pdf.set_auto_page_break(auto=True, margin=_MARGIN)

    def made(self) -> bytes:
        words, pdf = self.words, self.pdf
        delivery = next((entry for entry in self.entries if entry["kind"] == "delivery.created"), None)
        title, subtitle = ("title", "subtitle") if delivery is None else ("proof", "proof_subtitle")
        pdf.set_title(words[title])
        pdf.add_page()
        self._line(words[title], 20, bold=True)
        self._line(words[subtitle], 10)
        if delivery is None:
            self._request()
            self._people()
            self._signatures()
        else:
            self._delivery(delivery)
            self._receivers()
            self._handover()
        self._history()
        self._anchors()
        self._head()
        return bytes(pdf.output())

    def _request(self) -> None:
        words = self.words
        created = next(entry for entry in self.entries if entry["kind"] == "request.created")
        self._heading(words["request"])
        self._fact(words["request"], self.gathered["case_id"])
        self._fact(words["created"], instant(created["at"]))
        self._fact(words["expires"], instant(str(created["body"]["expires_at"])))
        self._heading(words["documents"])
        documents: dict[str, tuple[str, bool]] = {}
        for entry in self.entries:
            if entry["kind"] in {"document.declared", "document.changed", "document.uploaded"}:
                body = entry["body"]
                documents[body["document"]] = (body["sha256"], entry["kind"] == "document.uploaded")
        for document, (sha256, observed) in documents.items():
            name = self.chronology.document(document)
            self._fact(name, f"{words['sha256']} {sha256} ({words['observed' if observed else 'stated']})")

    def _people(self) -> None:
        words, opened = self.words, self.chronology.opened
        self._heading(words["signers"])
        for entry in self.entries:
            if entry["kind"] in {"signer.declared", "signer.changed"}:
                body = entry["body"]
                who = [opened(body.get(name)) for name in ("name", "phone", "email")]
                how = f", {words['mode']} {words['mode_' + body['mode']]}" if body["role"] != "copy" else ""
                told = " · ".join(one for one in who if one) or words["erased"]
                self._fact(f"{told} ({words['stated']})", words["role_" + body["role"]] + how)
                self._line(f"{words['consent']} {body['consent']['version']}: {body['consent']['text']}", 8)

    def _signatures(self) -> None:
        words, tell = self.words, self.chronology
        self._heading(words["signatures"])
        for entry in self.entries:
            if entry["kind"] == "signing.signed":
                body = entry["body"]
                self._fact(
                    f"{tell.document(body['document'])}: {words['signed_at']} {instant(entry['at'])} "
                    f"{words['by']} {tell.name(body['signer'])}",
                    f"{words['how']}: {words[body['assurance']]}",
                )
                self._line(f"{words['sha256']} {body['document_sha256']}", 8)
                self._line(f"{words['consent']} {body['consent']['version']}, {body['consent']['sha256']}", 8)

    def _delivery(self, created: Mapping[str, Any]) -> None:
        words, body = self.words, created["body"]
        self._heading(words["delivery"])
        self._fact(words["delivery"], f"{body['title']} · {self.gathered['case_id']}")
        self._fact(words["created"], instant(created["at"]))
        self._fact(words["slot"], f"{instant(body['starts_at'])} – {instant(body['ends_at'])}")
        for name, told in (("parcels", ", ".join(body["parcels"])), ("reference", body["reference"])):
            if told:
                self._fact(words[name], f"{told} ({words['stated']})")

    def _receivers(self) -> None:
        words, opened = self.words, self.chronology.opened
        self._heading(words["receivers"])
        for entry in self.entries:
            if entry["kind"] in {"recipient.declared", "delegate.declared"}:
                who = [opened(entry["body"].get(name)) for name in ("name", "phone")]
                told = " · ".join(one for one in who if one) or words["erased"]
                self._fact(f"{told} ({words['stated']})", words[entry["kind"].partition(".")[0]])

    def _handover(self) -> None:
        words, tell = self.words, self.chronology
        self._heading(words["handover"])
        for entry in self.entries:
            if entry["kind"] == "delivery.confirmed":
                body = entry["body"]
                at = instant(body.get("delivered_at") or entry["at"])
                self._fact(
                    f"{words['handed']} {at} · {tell.name(body['person'])}",
                    f"{words['how']}: {tell.door(body['assurance'])}",
                )

    def _history(self) -> None:
        self._heading(self.words["history"])
        for told in self.chronology:
            self.pdf.ln(1.5)
            self._line(f"{instant(told.at)} · {told.seq}", 8)
            self._line(told.sentence, 9, bold=True)
            self._line("\n".join(told.details), 7)

    def _anchors(self) -> None:
        words = self.words
        self._heading(words["stamps"])
        for anchor in self.gathered["anchors"]:
            leaf, root = json.loads(anchor["leaf"]), json.loads(anchor["root"])
            facts = {"count": leaf["count"], "size": root["size"], "at": instant(root["at"])}
            stamps = [
                words["stamped"].format(at=instant(one["at"]), authority=one["authority"]) for one in anchor["tokens"]
            ]
            self._fact(words["anchored"].format_map(facts), "\n".join(stamps) or words["unstamped"])

    def _head(self) -> None:
        head = self.gathered["head"] or ""
        self._heading(self.words["head"])
        self._line(head, 8)
        image = io.BytesIO()
        segno.make(f"sceau:evidence:{self.gathered['case_id']}:{head}", error="m").save(image, kind="png", scale=6)
        self.pdf.image(image, w=42)
        self._line(self.words["note"], 8)

    def _heading(self, text: str) -> None:
        self.pdf.ln(3)
        self._line(text, 13, bold=True)

    def _fact(self, name: str, value: str) -> None:
        self._line(name, 9, bold=True)
        self._line(value, 9)

    def _line(self, text: str, size: int, *, bold: bool = False) -> None:
        if text:
            self.pdf.set_font("DejaVu", "B" if bold else "", size)
            self.pdf.multi_cell(0, size * 0.55, text, align="L", new_x="LMARGIN", new_y="NEXT", wrapmode=WrapMode.CHAR)


def main() -> None:
    """Read evidence from the standard input, write the PDF to the standard output."""
    os.nice(NICENESS)
    sys.stdout.buffer.write(render(json.loads(sys.stdin.buffer.read()), sys.argv[1]))


if __name__ == "__main__":
    main()
