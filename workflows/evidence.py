"""The chain of evidence of one case: entries in canonical JSON, each bound to the one before, and what a break means.

Pure: no keys but those handed in, no clock, no rows. `engine.evidence` stores what is made here, the verifiers examine
it; formats and verdicts are described in docs/signing.md.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

import rfc8785

VERSION: Final = 1
CLOSED: Final = "closed"
LOG: Final = "sceau.evidence"
ROOT_LABEL: Final = b"sceau.root.1\0"
MANIFEST_LABEL: Final = b"sceau.manifest.1\0"
_COMMITMENT: Final = "commitment"


class Verdict(StrEnum):
    """What a verifier says of a bundle; all but the first two are breaks."""

    VALID = "valid"
    UNANCHORED = "unanchored"
    ALTERED = "altered"
    INSERTED = "inserted"
    REMOVED = "removed"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"


class Link(NamedTuple):
    """One entry as it is stored: its octets as text, and their SHA-256 in hex."""

    content: str
    hash: str


@dataclass(frozen=True, slots=True)
class Break:
    """What is wrong with a chain, and at which entry (None: with something beside it)."""

    verdict: Verdict
    seq: int | None
    why: str


def canonical(value: Any) -> bytes:
    """Return a JSON value as RFC 8785 writes it; raises `ValueError` for what has no such form."""
    return rfc8785.dumps(value)


def digest(octets: bytes) -> str:
    """Return the SHA-256 of octets, in hex."""
    return hashlib.sha256(octets).hexdigest()


def link(
    application: str,
    case: str,
    seq: int,
    prev: str,
    at: str,
    kind: str,
    body: Mapping[str, Any],
    stated: Sequence[str] = (),
) -> Link:
    """Return the entry `seq` (from 0) that follows the one with hash `prev`; `stated` names what nobody observed."""
    octets = canonical(
        {
            "v": VERSION,
            "application": application,
            "case": case,
            "seq": seq,
            "prev": prev,
            "at": at,
            "kind": kind,
            "body": dict(body),
            "stated": sorted(stated),
        }
    )
    return Link(octets.decode(), digest(octets))


def leaf(application: str, case: str, count: int, head: str, *, closed: bool) -> bytes:
    """Return the octets of a log's leaf: the head of one chain at one length."""
    return canonical(
        {"v": VERSION, "application": application, "case": case, "count": count, "head": head, "closed": closed}
    )


def root(application: str, size: int, root_hash: bytes, at: str) -> bytes:
    """Return the octets of a log's root, which are signed and time-stamped."""
    return canonical(
        {"v": VERSION, "log": LOG, "application": application, "size": size, "root": root_hash.hex(), "at": at}
    )


# Commitments: the chain holds a keyed hash of a value, the value and its salt are kept elsewhere.


def commitment(value: Any, salt: bytes) -> str:
    """Return HMAC-SHA256 under the salt (32 octets) of a value's canonical JSON, in hex."""
    return hmac.digest(salt, canonical(value), "sha256").hex()


def committed(value: Any, salt: bytes) -> dict[str, str]:
    """Return what stands in an entry's body in place of the value."""
    return {_COMMITMENT: commitment(value, salt)}


def commitments_in(value: Any) -> set[str]:
    """Return every commitment that stands in a body."""
    found: set[str] = set()
    if isinstance(value, dict):
        if value.keys() == {_COMMITMENT} and isinstance(value[_COMMITMENT], str):
            found.add(value[_COMMITMENT])
        else:
            for inner in value.values():
                found |= commitments_in(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= commitments_in(inner)
    return found


# Examining.


def examine(contents: Sequence[bytes], count: int | None = None, head: str | None = None) -> Break | None:
    """Say what is wrong with a chain, or None; `count` and `head` are what its leaf says of it, if that is known.

    Every entry must be canonical, numbered from 0 and bound to the hash of the one before; a closing entry counts those
    before it. A chain that is sound in itself but is not the one the leaf speaks of is told by its length and head.
    """
    entries: list[Mapping[str, Any]] = []
    for place, octets in enumerate(contents):
        entry = _entry(octets)
        if entry is None:
            return Break(Verdict.ALTERED, place, "not an entry in canonical form")
        entries.append(entry)
    if broken := _order(entries, count):
        return broken
    if broken := _links(entries, contents, count):
        return broken
    if count is not None and len(entries) != count:
        verdict = Verdict.TRUNCATED if len(entries) < count else Verdict.INSERTED
        return Break(verdict, min(len(entries), count), f"{len(entries)} entries where the log speaks of {count}")
    last = digest(contents[-1]) if contents else ""
    if head is not None and last != head:
        return Break(Verdict.ALTERED, max(0, len(entries) - 1), "its head is not the one that the log speaks of")
    return None


def _entry(octets: bytes) -> Mapping[str, Any] | None:
    try:
        entry = json.loads(octets)
        sound = (
            isinstance(entry, dict)
            and entry.keys() == {"v", "application", "case", "seq", "prev", "at", "kind", "body", "stated"}
            and entry["v"] == VERSION
            and type(entry["seq"]) is int
            and isinstance(entry["body"], dict)
            and canonical(entry) == octets
        )
    except (ValueError, RecursionError, TypeError, OverflowError):
        return None
    return entry if sound else None


def _order(entries: Sequence[Mapping[str, Any]], count: int | None) -> Break | None:
    numbers = [entry["seq"] for entry in entries]
    if numbers == list(range(len(numbers))):
        return None
    seen: set[int] = set()
    for place, number in enumerate(numbers):
        if number in seen:
            return Break(Verdict.INSERTED, place, f"entry {number} is there twice")
        seen.add(number)
    if sorted(numbers) == list(range(len(numbers))):
        place = next(place for place, number in enumerate(numbers) if number != place)
        return Break(Verdict.REORDERED, place, f"entry {numbers[place]} stands in the place of {place}")
    missing = next(number for number in range(len(numbers) + 1) if number not in seen)
    stray = max(seen) >= (count if count is not None else max(seen) + 1)
    if stray or min(seen) < 0:
        return Break(Verdict.INSERTED, missing, "an entry's number is beyond the chain")
    return Break(Verdict.REMOVED, missing, f"entry {missing} is missing")


def _links(entries: Sequence[Mapping[str, Any]], contents: Sequence[bytes], count: int | None) -> Break | None:
    prev = ""
    for place, entry in enumerate(entries):
        if entry["prev"] != prev:
            return _broken_link(entries, contents, place, count)
        if entry["kind"] == CLOSED and entry["body"].get("count") != place:
            return Break(Verdict.ALTERED, place, "the closing entry counts another number of entries")
        prev = digest(contents[place])
    first = entries[0] if entries else None
    for place, entry in enumerate(entries):
        if first is not None and (entry["case"], entry["application"]) != (first["case"], first["application"]):
            return Break(Verdict.INSERTED, place, "the entry belongs to another case")
    return None


def _broken_link(
    entries: Sequence[Mapping[str, Any]], contents: Sequence[bytes], place: int, count: int | None
) -> Break:
    """Tell what broke the link between two entries that are numbered in order."""
    more = 0 if count is None else len(entries) - count
    wanted = entries[place]["prev"]
    hashes = [digest(octets) for octets in contents]
    if wanted in hashes[:place]:
        # What follows is bound to an earlier entry: those between were put there.
        return Break(Verdict.INSERTED, hashes.index(wanted) + 1, "an entry was put where another followed")
    if more > 0:
        return Break(Verdict.INSERTED, place, "there are more entries than the log speaks of")
    if more < 0:
        return Break(Verdict.REMOVED, place, "there are fewer entries than the log speaks of")
    return Break(Verdict.ALTERED, max(0, place - 1), "the next entry is bound to other octets")
