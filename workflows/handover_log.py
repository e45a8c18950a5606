"""The log that a courier's device keeps while it has no network: how it is read, and how each entry is adjudicated.

Pure: signatures are checked by a function that is handed in, codes compared by another. Every entry holds the hash of
the one before, and a commitment in place of what was typed, so that a stored log tells no code. The format is
described in docs/handover-offline.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from workflows.base import Refused, Step, Verdict
from workflows.handover_case import DeliveryCase, Door, attempts_remaining
from workflows.handover_confirming import Spent, check, conflict, spend
from workflows.handover_events import Entry
from workflows.handover_telling import Moved, checked, unchanged

ENTRY_LABEL: Final = b"sceau.handover.entry.1\0"
HEAD_LABEL: Final = b"sceau.handover.head.1\0"
ENTRIES_MOST: Final = 1_000
_LONGEST: Final = 2_048
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_SALT: Final = re.compile(r"[0-9a-f]{32}")
_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_POSITION: Final = re.compile(r"-?[0-9]{1,2}(?:\.[0-9]{1,7})?,-?[0-9]{1,3}(?:\.[0-9]{1,7})?")
_LATEST: Final = 4_102_444_800_000  # the year 2100, in milliseconds
_DOORS: Final = {"code": Door.OFFLINE_CODE, "qr": Door.OFFLINE_QR}
_CONFLICTS: Final = frozenset({"already_delivered", "returned", "canceled", "expired", "attempt_failed"})


class BadLog(Exception):
    """A log that cannot be taken at `seq`: `code` is `log_malformed`, `log_signature`, `log_gap` or `log_forked`."""

    def __init__(self, code: str, seq: int) -> None:
        super().__init__(f"{code} at {seq}")
        self.code = code
        self.seq = seq


class Head(NamedTuple):
    """The end of a device's log: the number of its last entry (0: none) and that entry's hash (hex)."""

    seq: int
    hash: str


class SignedText(NamedTuple):
    """A text as the device signed it: canonical JSON, and an Ed25519 signature in base64url."""

    content: str
    signature: str


class Opening(NamedTuple):
    """What an entry's commitment hides: 16 octets of salt in hex, and what was typed or scanned."""

    salt: str
    value: str


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry; `at_ms` is the device's clock in milliseconds since 1970, `position` may be empty."""

    seq: int
    prev: str
    at_ms: int
    delivery: str
    courier: str
    door: Door
    commitment: str
    position: str
    hash: str


@dataclass(frozen=True, slots=True)
class StatedHead:
    """What a device says of its log when it sends it: where it ends, and what its clock says."""

    head: Head
    sent_at_ms: int


Verify = Callable[[bytes, str], bool]  # octets, signature


def read_head(signed: SignedText, device: str, verify: Verify) -> StatedHead:
    """Return the head that a device states; raises `BadLog`."""
    facts = _signed(signed, HEAD_LABEL, 0, verify)
    if facts.keys() != {"v", "device", "seq", "hash", "sent_at"} or facts["v"] != 1 or facts["device"] != device:
        raise BadLog("log_malformed", 0)
    seq, sent_at = facts["seq"], facts["sent_at"]
    sound = _matches(_HASH, facts["hash"]) if seq else facts["hash"] == ""
    if not (_is_count(seq) and _is_instant(sent_at) and sound):
        raise BadLog("log_malformed", 0)
    return StatedHead(Head(seq, facts["hash"]), sent_at)


def span_of(given: Sequence[SignedText]) -> tuple[int, int]:
    """Return the numbers of the first and the last of these entries, as far as they can be read; (1, 0) for none."""
    found: list[int] = []
    for signed in given:
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            seq = json.loads(signed.content)["seq"]
            found += [seq] if _is_count(seq) else []
    return (min(found), max(found)) if found else (1, 0)


def read_entries(
    given: Sequence[SignedText], device: str, after: Head, known: Mapping[int, str], verify: Verify
) -> list[Logged]:
    """Return the entries that are new after `after`; those of `known` hashes are repeats, and so are earlier ones that
    were erased since. Raises `BadLog`.
    """
    fresh: list[Logged] = []
    for signed in given:
        entry = _entry(signed, device, after.seq + 1, verify)
        if entry.seq <= after.seq:
            if known.get(entry.seq, entry.hash) != entry.hash:
                raise BadLog("log_forked", entry.seq)
            continue
        if entry.seq != after.seq + 1:
            raise BadLog("log_gap", after.seq + 1)
        if entry.prev != after.hash:
            raise BadLog("log_forked", entry.seq)
        fresh.append(entry)
        after = Head(entry.seq, entry.hash)
    return fresh


def end_of(after: Head, fresh: Sequence[Logged], stated: StatedHead) -> Head:
    """Return where the log ends with its new entries; raises `BadLog` if the device's head contradicts it."""
    end = Head(fresh[-1].seq, fresh[-1].hash) if fresh else after
    if stated.head.seq < end.seq or (stated.head.seq == end.seq and stated.head.hash != end.hash):
        raise BadLog("log_forked", stated.head.seq)
    return end


def content_hash(content: str) -> str:
    """Return the hash of an entry: the SHA-256 of its octets, hex."""
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()


def _entry(signed: SignedText, device: str, near: int, verify: Verify) -> Logged:
    facts = _signed(signed, ENTRY_LABEL, near, verify)
    wanted = {"v", "device", "seq", "prev", "at", "delivery", "courier", "door", "commitment", "position"}
    if facts.keys() != wanted or facts["v"] != 1 or facts["device"] != device or not _is_count(facts["seq"]):
        raise BadLog("log_malformed", near)
    seq, door = facts["seq"], _DOORS.get(facts["door"]) if isinstance(facts["door"], str) else None
    sound = (
        seq > 0
        and door is not None
        and _is_instant(facts["at"])
        and (facts["prev"] == "" if seq == 1 else _matches(_HASH, facts["prev"]))
        and _matches(_ID, facts["delivery"])
        and _matches(_ID, facts["courier"])
        and _matches(_HASH, facts["commitment"])
        and (facts["position"] == "" or _matches(_POSITION, facts["position"]))
    )
    if not sound:
        raise BadLog("log_malformed", seq)
    assert door is not None
    return Logged(
        seq, facts["prev"], facts["at"], facts["delivery"], facts["courier"], door, facts["commitment"],
        facts["position"], content_hash(signed.content),
    )  # fmt: skip


def _signed(signed: SignedText, label: bytes, near: int, verify: Verify) -> dict[str, Any]:
    if len(signed.content) > _LONGEST:
        raise BadLog("log_malformed", near)
    try:
        facts = json.loads(signed.content)
        octets = signed.content.encode()
    except (ValueError, RecursionError):
        raise BadLog("log_malformed", near) from None
    if not isinstance(facts, dict):
        raise BadLog("log_malformed", near)
    if not verify(label + octets, signed.signature):
        raise BadLog("log_signature", near)
    return facts


def _matches(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= 2**31


def _is_instant(value: object) -> bool:
    return type(value) is int and 0 <= value <= _LATEST


def opens(entry: Logged, opening: Opening) -> bool:
    """Tell whether an opening is the one that the entry committed to: HMAC-SHA256 under the salt, hex."""
    if not _SALT.fullmatch(opening.salt):
        return False
    made = hmac.digest(bytes.fromhex(opening.salt), opening.value.encode("utf-8", "replace"), "sha256").hex()
    return hmac.compare_digest(made, entry.commitment)


def corrected(entry: Logged, stated: StatedHead, now: int) -> int:
    """Return when an entry was made by our clock, in microseconds: the device's is off by what it says now; never
    later than now.
    """
    return min(now, max(0, now - (stated.sent_at_ms - entry.at_ms) * 1_000))


def adjudicate(case: DeliveryCase, verdict: Verdict, entry: Entry, now: int) -> tuple[Moved, str]:
    """Return what an entry does to its delivery, and the result to tell: `confirmed`, `wrong`, `superseded`,
    `bad_format`, `conflict` or the reason of a refusal, which spends nothing.
    """
    spent = spend(case, entry, now)
    if isinstance(spent, Spent):
        step = check(spent.case, verdict, entry, now)
        assert step.answer is not None
        return step, _RESULTS.get(step.answer.code, step.answer.code)
    refused = spent if isinstance(spent, Refused) else spent.answer
    assert refused is not None
    step = spent if isinstance(spent, Step) else unchanged(case)
    if refused.code not in _CONFLICTS or verdict not in _TELLING or not attempts_remaining(step.case):
        return step, refused.code
    # What a right code contradicts is worth knowing, so that guessing at it costs what guessing always costs.
    if verdict is Verdict.WRONG:
        tried = replace(step.case, attempts=step.case.attempts + 1)
        return Step(tried, (*step.effects, checked(tried, "wrong", entry, reason=refused.code))), refused.code
    noted = conflict(step.case, refused.code, entry)
    return replace(noted, effects=(*step.effects, *noted.effects)), "conflict"


_TELLING: Final = frozenset({Verdict.RIGHT, Verdict.WRONG})
_RESULTS: Final = {"code_mismatch": "wrong"}
