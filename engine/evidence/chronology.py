"""What the entries of a chain say, as sentences in the reader's language: the chronology of the dossier.

Pure. Words come from `templates/evidence/words.toml`; what it has no sentence for is told by its kind, so that nothing
is left out; what is too long for a page is in the chain alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

Words = Mapping[str, Any]
Entry = Mapping[str, Any]

_DECLARED: Final = frozenset(
    {
        "chain.opened", "request.created", "document.declared", "signer.declared", "signing.created",
        "delivery.created", "recipient.declared",
    }
)  # fmt: skip
"""What the dossier shows in chapters of their own."""
_TEXTS: Final = {"message.queued": "text", "reply.received": "reply"}
_INSTANTS: Final = frozenset({"until", "consent_at", "received_at", "logged_at", "starts_at", "ends_at"})
_SAID: Final = (
    "reason", "until", "consent_at", "ip", "user_agent", "received_at", "from_raw", "sha256",
    "courier", "supervisor", "position", "photo_sha256", "logged_at",
)  # fmt: skip
PEOPLE: Final[Mapping[str, str]] = {
    "signer.declared": "signer",
    "signer.changed": "signer",
    "recipient.declared": "person",
    "delegate.declared": "person",
}
"""Entries that say who somebody is, and the member of each that says of whom it speaks."""


class Told(NamedTuple):
    """One entry: its number, when (RFC 3339), the sentence, and the details that stand below it."""

    seq: int
    at: str
    sentence: str
    details: tuple[str, ...]


@dataclass
class _Cast:
    """Who and what the ids of a chain stand for, learned entry by entry."""

    documents: dict[str, str]
    people: dict[str, str]
    signings: dict[str, tuple[str, str]]
    messages: dict[str, str]


class Chronology:
    """Reads one chain; `openings` are the values of its commitments that may be shown."""

    def __init__(self, entries: Sequence[Entry], openings: Mapping[str, Any], words: Words) -> None:
        self._openings = openings
        self._words = words
        is_delivery = any(entry["kind"] == "delivery.created" for entry in entries)
        self._patterns = {**words["told"], **(words["told_of_delivery"] if is_delivery else {})}
        self._cast = _Cast({}, {}, {}, {})
        self._told = [told for entry in entries if (told := self._tell(entry)) is not None]

    def __iter__(self) -> Iterator[Told]:
        return iter(self._told)

    def name(self, signer: str) -> str:
        """Return what a person is called, with their number; their id where both are erased."""
        return self._cast.people.get(signer) or signer or str(self._words["somebody"])

    def document(self, document: str) -> str:
        """Return what a document is called."""
        return self._cast.documents.get(document, document)

    def door(self, door: str) -> str:
        """Return what a door is called: how a code was entered."""
        return str(self._words["doors"].get(door) or self._words.get(door, door))

    def opened(self, value: Any) -> str:
        """Return what a commitment hides, if it is opened; another value as it is."""
        if isinstance(value, dict) and "commitment" in value:
            opening = self._openings.get(value["commitment"])
            return "" if opening is None else str(opening["value"])
        return "" if value is None else str(value)

    def _tell(self, entry: Entry) -> Told | None:
        kind, body = entry["kind"], entry["body"]
        self._learn(kind, body)
        if kind in _DECLARED:
            return None
        late = f" ({self._words['late']})" if body.get("late") else ""
        return Told(entry["seq"], entry["at"], self._sentence(kind, body) + late, tuple(self._details(entry)))

    def _learn(self, kind: str, body: Mapping[str, Any]) -> None:
        cast = self._cast
        if kind == "document.declared":
            cast.documents[body["document"]] = body["name"]
        elif kind in PEOPLE:
            name, phone = self.opened(body.get("name")), self.opened(body.get("phone"))
            cast.people[body[PEOPLE[kind]]] = f"{name} ({phone})" if name and phone else name or phone
        elif kind == "signing.created":
            cast.signings[body["signing"]] = (body["signer"], body["document"])
        elif kind == "message.queued":
            cast.messages[body["message"]] = body.get("signer") or body["person"]

    def _sentence(self, kind: str, body: Mapping[str, Any]) -> str:
        told, values = self._patterns, self._words["values"]
        pattern = told.get(f"{kind}:{body.get('role')}") or told.get(kind)
        if pattern is None:
            return kind
        signer, document = self._cast.signings.get(body.get("signing", ""), ("", ""))
        signer = (
            body.get("signer") or body.get("person") or signer or self._cast.messages.get(body.get("message", ""), "")
        )
        who = self.opened(body["from"]) if "from" in body else self.name(signer)
        facts = {name: values.get(value, value) for name, value in body.items() if isinstance(value, str | int)}
        facts |= {name: instant(str(body[name])) for name in _INSTANTS & body.keys() if isinstance(body[name], str)}
        facts |= {"who": who or self._words["somebody"], "document": self.document(body.get("document") or document)}
        return str(pattern.format_map(facts))

    def _details(self, entry: Entry) -> Iterator[str]:
        words, kind, body = self._words, entry["kind"], entry["body"]
        if kind in _TEXTS:
            yield f"{words[_TEXTS[kind]]}: {self.opened(body.get('text')) or words['erased']}"
        if isinstance(body.get("code"), dict):
            yield f"{words['code']}: {self.opened(body['code']) or words['erased']}"
        for name in _SAID:
            if said := self.opened(body.get(name)):
                yield f"{words[name]}: {instant(said) if name in _INSTANTS else said}" + (
                    f" ({words['stated']})" if name in entry["stated"] else ""
                )
        if door := body.get("assurance") or body.get("door"):
            yield f"{words['how']}: {self.door(door)}"
        for part in body.get("parts", ()):
            if part.get("smsc_message_id"):
                yield f"{words['message_id']}: {part['smsc_message_id']} ({part['bind']}, {part['command_status']})"
        for one in body.get("receipts", ()):
            received = instant(one["received_at"])
            yield f"{words['receipt']}: {one['smsc_message_id']} {one['stat']} err:{one['err']}, {received}"
        if pdus := self.opened(body.get("pdus")):
            yield f"{words['raw']}: {pdus.strip('[]').replace(chr(39), '')}"


def instant(at: str) -> str:
    """Return an instant (RFC 3339, UTC) as people write it, as exact as it is kept."""
    return at.replace("T", " ").replace("Z", " UTC")
