"""The phones at the other end: inboxes with long messages joined, the code in a text, replies cut into PDUs.

They wait for nothing and route nothing: `submission` puts parts in, tests and the control API read them, the
simulator sends what `write_reply` makes. Everything kept is bounded, oldest out.
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter, deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from engine.smpp.pdu import DeliverSm, SubmitSm
from engine.smpp.text import Alphabet, Concat, Concatenation, MoPart, concat_of, join, read_part, segment, user_data
from smppsim.behaviour import Link

_WEBOTP: Final = re.compile(r"^@\S+ #(\S+)$", re.MULTILINE)
_DIGITS: Final = re.compile(r"(?<![\w+])(?:\d{3}[ -]\d{3}|\d{4}[ -]\d{4}|\d{4,10})(?!\w)")
_INTERNATIONAL: Final = (1, 1)
_SHORT: Final = (3, 0)
_SHORT_DIGITS: Final = 6
_SLACK: Final = 1000  # evicting in batches keeps a full inbox as cheap as an empty one
_RECENT: Final = 1000
"""Parts of one handset among which the siblings of a new one are sought."""


class Part(NamedTuple):
    """One PDU as it reached a handset; `wall` in UTC microseconds."""

    account: str
    pdu: SubmitSm
    message_id: bytes
    wall: int


class InboxMessage(NamedTuple):
    """What a person reads, of one part or several. `received` is the last part's instant, UTC microseconds."""

    source: str
    destination: str
    text: str
    received: int
    parts: int
    total: int
    duplicates: int
    """Parts that came once more."""
    data_coding: int
    account: str
    message_ids: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether no part is missing."""
        return self.parts == self.total


def handset_key(number: str) -> bytes:
    """How a number is filed: its characters without `+`, spaces and punctuation of numbers."""
    return re.sub(r"[+\s().-]", "", number).encode("latin-1", "replace")


def number_pattern(glob: str) -> re.Pattern[bytes]:
    """A pattern over the digits of addresses: `*` any, `?` one, `[1-3]` a set; `+` is ignored."""
    return re.compile(fnmatch.translate(glob.removeprefix("+")).encode("latin-1"))


def code_in(text: str) -> str | None:
    """The one-time code a person would copy: the WebOTP line's, else the first lone run of 4 to 10 digits."""
    webotp = _WEBOTP.search(text)
    if webotp:
        return webotp[1]
    digits = _DIGITS.search(text)
    return re.sub(r"[ -]", "", digits[0]) if digits else None


class Handsets:
    """Every inbox, the last `bound` parts of all together."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._parts: dict[bytes, list[Part]] = {}
        self._order: deque[bytes] = deque()
        self.alphabets: dict[str, str] = {}
        """What data_coding 0 means, by account."""

    def receive(self, account: str, pdu: SubmitSm, message_id: bytes, wall: int) -> None:
        """A part arrives."""
        number = pdu.destination_addr
        if number[:1] == b"+":
            number = number[1:]
        part = Part(account, pdu, message_id, wall)
        inbox = self._parts.get(number)
        if inbox is None:
            self._parts[number] = [part]
        else:
            inbox.append(part)
        self._order.append(number)
        if len(self._order) > self._bound + _SLACK:
            self._evict()

    def _evict(self) -> None:
        oldest = Counter(self._order.popleft() for _ in range(_SLACK))
        for number, count in oldest.items():
            inbox = self._parts[number]
            del inbox[:count]
            if not inbox:
                del self._parts[number]

    def clear(self) -> None:
        """Empty every inbox."""
        self._parts.clear()
        self._order.clear()

    def numbers(self) -> list[str]:
        """The handsets that got something, `+` and digits."""
        return [f"+{number.decode('latin-1')}" for number in self._parts]

    def parts(self, number: str) -> list[Part]:
        """What reached a handset, PDU by PDU."""
        return list(self._parts.get(handset_key(number), ()))

    def messages(self, number: str) -> list[InboxMessage]:
        """The inbox, long messages joined, in the order of their first parts."""
        return [group.message(self.alphabets) for group in _grouped(self._parts.get(handset_key(number), ()))]

    def completed(self, key: bytes) -> InboxMessage | None:
        """The message that the latest part made complete; None if parts are missing or it came once more."""
        inbox = self._parts[key]
        newest = inbox[-1]
        recent = inbox[-1:] if concat_of(newest.pdu) is None else inbox[-_RECENT:]
        groups = (group for group in _grouped(recent) if group.complete and group.latest is newest)
        return next((group.message(self.alphabets) for group in groups), None)

    def deliveries(self) -> Counter[tuple[str, str]]:
        """How often each (number, text) was really delivered: complete messages only."""
        counts: Counter[tuple[str, str]] = Counter()
        for number in self.numbers():
            counts.update((number, message.text) for message in self.messages(number) if message.complete)
        return counts


def _grouped(parts: Sequence[Part]) -> list[_Group]:
    """The messages that `parts` belong to, in the order of their first parts."""
    groups: list[_Group] = []
    unfinished: dict[tuple[bytes, Concat], _Group] = {}
    for part in parts:
        concat = concat_of(part.pdu)
        if concat is None:
            groups.append(_Group(1, {1: part}))
            continue
        key = (part.pdu.source_addr, concat._replace(sequence=0))
        group = unfinished.get(key)
        if group is None or (group.complete and not group.repeats(concat.sequence, part)):
            group = unfinished[key] = _Group(concat.total, {})
            groups.append(group)
        group.add(concat.sequence, part)
    return groups


class _Group:
    """The parts of one message."""

    def __init__(self, total: int, parts: dict[int, Part]) -> None:
        self._total = total
        self._parts = parts
        self._duplicates = 0

    @property
    def complete(self) -> bool:
        return len(self._parts) == self._total

    @property
    def latest(self) -> Part:
        return next(reversed(self._parts.values()))

    def repeats(self, sequence: int, part: Part) -> bool:
        return user_data(self._parts[sequence].pdu) == user_data(part.pdu)

    def add(self, sequence: int, part: Part) -> None:
        if sequence in self._parts:
            self._duplicates += 1
        else:
            self._parts[sequence] = part

    def message(self, alphabets: dict[str, str]) -> InboxMessage:
        ordered = [self._parts[sequence] for sequence in sorted(self._parts)]
        first = ordered[0]
        read: list[MoPart] = [read_part(part.pdu)[0] for part in ordered]
        alphabet = Alphabet(alphabets.get(first.account, Alphabet.GSM7))
        joined = join(read, total=self._total, default=alphabet)
        return InboxMessage(
            first.pdu.source_addr.decode("latin-1"),
            first.pdu.destination_addr.decode("latin-1"),
            joined.text,
            max(part.wall for part in ordered),
            len(ordered),
            self._total,
            self._duplicates,
            first.pdu.data_coding,
            first.account,
            tuple(part.message_id.decode("latin-1") for part in ordered),
        )


def write_reply(
    text: str,
    *,
    source: str,
    destination: str,
    link: Link,
    reference: int,
    source_form: tuple[int, int] = _INTERNATIONAL,
    destination_form: tuple[int, int] | None = None,
) -> list[DeliverSm]:
    """The deliver_sm of a reply, one or several as the account's link cuts them.

    `source_form` and `destination_form` are TON and NPI; a destination of up to six digits is taken for a
    short code. TooManyParts above ten parts.
    """
    if destination_form is None:
        destination_form = _SHORT if len(destination) <= _SHORT_DIGITS else _INTERNATIONAL
    segments = segment(
        text,
        default_alphabet=Alphabet(link.alphabet),
        concatenation=Concatenation(link.concatenation),
        reference=reference & 0xFF if link.concatenation == "udh8" else reference,
    )
    return [
        DeliverSm(
            source_addr_ton=source_form[0],
            source_addr_npi=source_form[1],
            source_addr=source.encode("latin-1"),
            dest_addr_ton=destination_form[0],
            dest_addr_npi=destination_form[1],
            destination_addr=destination.encode("latin-1"),
            esm_class=part.esm_class_bits,
            data_coding=segments.data_coding,
            short_message=part.short_message,
            tlvs=part.tlvs,
        )
        for part in segments.parts
    ]
