"""Examines the chain of evidence of one case: its order, its links, and the values that were opened beside it.

It is a part of the program that verifies bundles without Sceau, and shares no code with what seals.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_ENTRY: Final = {"v", "application", "case", "seq", "prev", "at", "kind", "body", "stated"}


@dataclass(slots=True)
class Finding:
    """The verdict, where (an entry's number or a member's name), why, and what was checked on the way."""

    verdict: str
    where: str = ""
    why: str = ""
    checked: list[str] = field(default_factory=list)


class Broken(Exception):
    """It is not what was sealed; `finding` says how and where."""

    def __init__(self, verdict: str, where: object, why: str) -> None:
        self.finding = Finding(verdict, str(where), why)


def chain(contents: Sequence[bytes], leaf: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the entries of a chain, given its octets and the latest leaf that speaks of it; raises `Broken`."""
    entries = [_entry(octets, place) for place, octets in enumerate(contents)]
    count = None if leaf is None else int(leaf["count"])
    numbers = [entry["seq"] for entry in entries]
    seen: set[int] = set()
    for place, number in enumerate(numbers):
        if number in seen:
            raise Broken("inserted", place, f"entry {number} is there twice")
        seen.add(number)
    if numbers != list(range(len(numbers))):
        if sorted(numbers) == list(range(len(numbers))):
            place = next(place for place, number in enumerate(numbers) if number != place)
            raise Broken("reordered", place, f"entry {numbers[place]} stands in the place of {place}")
        missing = next(number for number in range(len(numbers) + 1) if number not in seen)
        raise Broken("removed", missing, f"entry {missing} is missing")
    _links(entries, contents, count)
    return entries


def _links(entries: Sequence[Mapping[str, Any]], contents: Sequence[bytes], count: int | None) -> None:
    hashes = [hashlib.sha256(octets).hexdigest() for octets in contents]
    for place, entry in enumerate(entries):
        wanted = hashes[place - 1] if place else ""
        if entry["prev"] != wanted:
            if entry["prev"] in hashes[:place]:
                where = hashes.index(entry["prev"]) + 1
                raise Broken("inserted", where, "an entry was put where another followed")
            if count is not None and len(entries) != count:
                verdict = "inserted" if len(entries) > count else "removed"
                raise Broken(verdict, place, f"{len(entries)} entries where the log speaks of {count}")
            raise Broken("altered", max(0, place - 1), "the next entry is bound to other octets")
        if entry["kind"] == "closed" and entry["body"].get("count") != place:
            raise Broken("altered", place, "the closing entry counts another number of entries")
        if (entry["case"], entry["application"]) != (entries[0]["case"], entries[0]["application"]):
            raise Broken("inserted", place, "the entry belongs to another case")


def _entry(octets: bytes, place: int) -> dict[str, Any]:
    try:
        entry = json.loads(octets)
        sound = (
            isinstance(entry, dict)
            and entry.keys() == _ENTRY
            and entry["v"] == 1
            and type(entry["seq"]) is int
            and isinstance(entry["body"], dict)
            and canonical(entry) == octets
        )
    except (ValueError, RecursionError, TypeError):
        sound = False
    if not sound:
        raise Broken("altered", place, "not an entry in canonical form")
    return entry  # type: ignore[no-any-return]


def canonical(value: Any) -> bytes:
    """Return a JSON value as RFC 8785 writes it; bundles have no fractions, and no integer of 2^53 or more."""
    for inner in _values(value):
        if isinstance(inner, float) or (isinstance(inner, int) and abs(inner) >= 2**53):
            raise ValueError("a number that no bundle has")
    written = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    # RFC 8785 orders keys by their UTF-16 units: by code points it is the same, unless some are beyond U+FFFF.
    if not written.isascii() and max(written) > "\uffff":
        written = json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":"))
    return written.encode("utf-8")


def _values(value: Any) -> Iterator[Any]:
    """Give a JSON value and all that is in it, however deep."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        yield inner
        if isinstance(inner, dict):
            waiting += inner.values()
        elif isinstance(inner, list):
            waiting += inner


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
    return [_ordered(inner) for inner in value] if isinstance(value, list) else value


def check_openings(entries: Sequence[Mapping[str, Any]], openings: Any) -> None:
    """Check that each opened value is one that the chain committed to; raises `Broken`."""
    known = _commitments([entry["body"] for entry in entries])
    given: dict[str, Any] = openings if isinstance(openings, dict) else {"": None}
    for commitment, opening in given.items():
        salt = b""
        try:
            salt = bytes.fromhex(opening["salt"])
            made = hmac.digest(salt, canonical(opening["value"]), "sha256").hex()
        except (ValueError, TypeError, KeyError, RecursionError):
            made = ""
        if made != commitment or len(salt) != 32 or commitment not in known:
            raise Broken("altered", "openings.json", "a value is not what the chain committed to")


def _commitments(bodies: Sequence[Any]) -> set[str]:
    found: set[str] = set()
    waiting = list(bodies)
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and value.keys() == {"commitment"}:
            found |= {one for one in value.values() if isinstance(one, str)}
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return found
