"""The dossier: a case's evidence as a PDF that a judge can read: who, what, when, how, and a QR code of the head.

Run as a program (`python -m engine.evidence.dossier LANGUAGE`) it reads gathered evidence as JSON and writes the PDF:
`exporting` runs it so, since making it takes a processor for tens of milliseconds. It decides nothing and proves
nothing: the chain does.
"""

import io
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import segno
from fpdf import FPDF
from fpdf.enums import WrapMode

_MARGIN: Final = 18
_TEXTS: Final = {"message.queued": "text", "reply.received": "reply"}
_QUIET: Final = frozenset(
    {"chain.opened", "request.created", "document.declared", "signer.declared", "signing.created"}
)


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
    def __init__(self, gathered: Mapping[str, Any], words: Mapping[str, str]) -> None:
        self.gathered = gathered
        self.words = words
        self.entries: Sequence[Mapping[str, Any]] = [one["entry"] for one in gathered["entries"]]
        self.openings = gathered["openings"]
        self.pdf = FPDF(format="A4")
        for style, name in (("", "DejaVuSans"), ("B", "DejaVuSans-Bold")):
            self.pdf.add_font("DejaVu", style, folder() / "fonts" / f"{name}.ttf")
        self.pdf.set_margins(_MARGIN, _MARGIN)
        self.pdf.set_auto_page_break(auto=True, margin=_MARGIN)

    def made(self) -> bytes:
        words, pdf = self.words, self.pdf
        pdf.set_title(words["title"])
        pdf.add_page()
        self._line(words["title"], 20, bold=True)
        self._line(words["subtitle"], 10)
        self._request()
        self._signatures()
        self._history()
        self._head()
        return bytes(pdf.output())

    def _request(self) -> None:
        words = self.words
        created = self._first("request.created")
        self._heading(words["request"])
        self._fact(words["request"], self.gathered["case_id"])
        self._fact(words["created"], created["at"])
        self._fact(words["expires"], str(created["body"]["expires_at"]))
        self._heading(words["documents"])
        documents: dict[str, tuple[str, str, bool]] = {}
        for entry in self.entries:
            body = entry["body"]
            if entry["kind"] == "document.declared":
                documents[body["document"]] = (body["name"], body["sha256"], False)
            elif entry["kind"] in {"document.changed", "document.uploaded"}:
                name = documents[body["document"]][0]
                documents[body["document"]] = (name, body["sha256"], entry["kind"] == "document.uploaded")
        for name, sha256, observed in documents.values():
            self._fact(name, f"{words['sha256']} {sha256} ({words['observed' if observed else 'stated']})")
        self._heading(words["signers"])
        for entry in self.entries:
            if entry["kind"] in {"signer.declared", "signer.changed"}:
                body = entry["body"]
                who = [self._open(body.get(name)) for name in ("name", "phone", "email")]
                self._fact(" · ".join(one for one in who if one), f"{words['role']}: {body['role']}")
                self._fact(words["consent"], f"{body['consent']['text']} ({body['consent']['version']})")

    def _signatures(self) -> None:
        words = self.words
        self._heading(words["signatures"])
        names = {
            entry["body"]["signer"]: self._open(entry["body"].get("name")) or entry["body"]["signer"]
            for entry in self.entries
            if entry["kind"] == "signer.declared"
        }
        for entry in self.entries:
            if entry["kind"] == "signing.signed":
                body = entry["body"]
                self._fact(f"{words['signed_at']} {entry['at']}", f"{words['by']} {names[body['signer']]}")
                self._fact(words["sha256"], body["document_sha256"])
                self._fact(words["how"], words[body["assurance"]])

    def _history(self) -> None:
        words = self.words
        self._heading(words["history"])
        for entry in self.entries:
            if entry["kind"] in _QUIET:
                continue
            body, kind = entry["body"], entry["kind"]
            self._line(f"{entry['at']}   {kind}", 8, bold=True)
            told: list[str] = []
            if kind in _TEXTS:
                told.append(f"{words[_TEXTS[kind]]}: {self._open(body.get('text')) or words['erased']}")
            if "code" in body and isinstance(body["code"], dict):
                told.append(f"{words['code']}: {self._open(body['code']) or words['erased']}")
            told += [
                f"{words['message_id']}: {part['smsc_message_id']} ({part['account']}/{part['bind']})"
                for part in body.get("parts", [])
                if part.get("smsc_message_id")
            ]
            plain = {
                name: value
                for name, value in body.items()
                if isinstance(value, str | int) and name not in {"code_seed", "message"}
            }
            told += [
                f"{name}: {value}" + (f" ({words['stated']})" if name in entry["stated"] else "")
                for name, value in plain.items()
            ]
            self._line("\n".join(told), 7)

    def _head(self) -> None:
        head = self.gathered["head"] or ""
        self._heading(self.words["head"])
        self._line(head, 8)
        image = io.BytesIO()
        segno.make(f"sceau:evidence:{self.gathered['case_id']}:{head}", error="m").save(image, kind="png", scale=6)
        self.pdf.image(image, w=42)
        self._line(self.words["note"], 8)

    def _first(self, kind: str) -> Mapping[str, Any]:
        return next(entry for entry in self.entries if entry["kind"] == kind)

    def _open(self, value: Any) -> str:
        """Return what a commitment hides, if the bundle opens it."""
        if isinstance(value, dict) and "commitment" in value:
            opening = self.openings.get(value["commitment"])
            return "" if opening is None else str(opening["value"])
        return str(value or "")

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
    sys.stdout.buffer.write(render(json.loads(sys.stdin.buffer.read()), sys.argv[1]))


if __name__ == "__main__":
    main()
