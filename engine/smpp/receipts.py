"""Delivery receipts: deliver_sm or data_sm to a `Receipt`, and message ids to the keys they are matched by.

Reads optional parameters and the text dialects of real message centres; decides nothing about messages and
stores nothing. Called by intake for every deliver_sm and data_sm, and by the sender for the ids of responses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from engine.smpp.pdu import DataSm, DeliverSm, Tag, tlv
from engine.smpp.text import UDHI, parse_udh, user_data

TYPE_MASK: Final = 0x3C
"""Message type in esm_class (SMPP 3.4 section 5.2.12)."""
RECEIPT: Final = 0x04
INTERMEDIATE: Final = 0x20

_UCS2: Final = 0x08


class MessageState(StrEnum):
    """What a message centre says became of a message (SMPP 3.4 section 5.2.28, and two of 5.0)."""

    SCHEDULED = "scheduled"
    ENROUTE = "enroute"
    DELIVERED = "delivered"
    EXPIRED = "expired"
    DELETED = "deleted"
    UNDELIVERABLE = "undeliverable"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    SKIPPED = "skipped"


STATE_RANK: Final[dict[MessageState, int]] = {
    MessageState.SCHEDULED: 0,
    MessageState.ENROUTE: 1,
    MessageState.ACCEPTED: 2,  # the next hop took it: not delivered (row D11)
    MessageState.UNKNOWN: 3,  # may still be overtaken by a real answer
    MessageState.SKIPPED: 4,
    MessageState.DELETED: 4,
    MessageState.EXPIRED: 4,
    MessageState.REJECTED: 4,
    MessageState.UNDELIVERABLE: 4,
    MessageState.DELIVERED: 5,
}
"""A report changes a part's state only to a higher rank: order of arrival does not matter (rows D9, D10)."""

FINAL_STATES: Final = frozenset(state for state, rank in STATE_RANK.items() if rank >= 4)


class Receipt(NamedTuple):
    """One report about one part. `smsc_id` may be empty, `err` and `stat` are as received.

    `network_error` is (network type, code); `submitted` and `done` are the message centre's own digits in an
    unknown zone, for people to read and never for ordering (row D15). `ids` are all ids to look up, the one
    of the optional parameter first where it and the text differ (row D5). `flags` name what was odd.
    """

    smsc_id: str
    state: MessageState
    final: bool
    err: str = ""
    stat: str = ""
    network_error: tuple[int, int] | None = None
    submitted: str = ""
    done: str = ""
    flags: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


_BY_VALUE: Final = (
    MessageState.SCHEDULED,
    MessageState.ENROUTE,
    MessageState.DELIVERED,
    MessageState.EXPIRED,
    MessageState.DELETED,
    MessageState.UNDELIVERABLE,
    MessageState.ACCEPTED,
    MessageState.UNKNOWN,
    MessageState.REJECTED,
    MessageState.SKIPPED,
)

_VALUE_OF: Final = {state: bytes((value,)) for value, state in enumerate(_BY_VALUE)}

_BY_STAT: Final[dict[bytes, MessageState]] = {
    stat: state
    for state, stats in {
        MessageState.SCHEDULED: b"SCHEDLD SCHEDULED",
        MessageState.ENROUTE: b"ENROUTE BUFFERD BUFFRED BUFFERED ACKED",
        MessageState.DELIVERED: b"DELIVRD DELIVERD DELIVERED",
        MessageState.EXPIRED: b"EXPIRED",
        MessageState.DELETED: b"DELETED",
        MessageState.UNDELIVERABLE: b"UNDELIV UNDELIVRD UNDELIVERED UNDELIVERABLE FAILED",
        MessageState.ACCEPTED: b"ACCEPTD ACCEPTED",
        MessageState.UNKNOWN: b"UNKNOWN",
        MessageState.REJECTED: b"REJECTD REJECTED NACK",
        MessageState.SKIPPED: b"SKIPPED",
    }.items()
    for stat in stats.split()
}

# The text of SMPP 3.4 appendix B as nearly every message centre writes it: one match, no tokenizer.
_APPENDIX_B: Final = re.compile(
    rb"id:([!-~]{1,65}) sub:[0-9]{1,3} dlvrd:[0-9]{1,3} submit date:([0-9]{10,14}) done date:([0-9]{10,14})"
    rb" stat:([A-Z]{4,9}) err:([0-9A-Za-z]{0,10})(?: [Tt]ext:.*)?",
    re.DOTALL,
)
_APPENDIX_B_NAMES: Final = (b"id", b"submitdate", b"donedate", b"stat", b"err")

# A field's name, at the start or after something that ends a value, then its value up to the next blank.
_FIELD: Final = re.compile(
    rb"(?:^|(?<=[\s,;|\"']))(id|sub|dlvrd|submit[ _]?date|done[ _]?date|stat|err|text) ?[:=]",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(rb" ?([^\s,;|]{0,65})")

# `00,0210021543,0210021500,,447887123456,10110200000000,<ref>`: code, done, submitted, …, reference.
_COMMAS: Final = re.compile(rb"([0-9]{2}),([0-9]{10,14}),([0-9]{10,14}),([^,]*),([^,]*),([^,]*),([!-~]{1,65})\s*")

_Fields = dict[bytes, bytes]


def read_receipt(pdu: DeliverSm | DataSm, *, text_only: bool = False) -> Receipt | None:
    """What `pdu` reports, or None if it is a message from a handset; never raises.

    The message type in esm_class decides; then an id and a state in the optional parameters, which no handset
    can write; a text that looks like a receipt only with `text_only`, for accounts that send no better
    (row D8). What is marked as a receipt is one even if nothing in it can be read. An intermediate
    notification never has a final state.
    """
    kind = pdu.esm_class & TYPE_MASK
    if kind == RECEIPT:
        plain = _plainly(pdu)
        if plain is not None:
            return plain
        return _read(pdu, _fields_of(pdu), intermediate=False)
    if kind == INTERMEDIATE:
        return _read(pdu, _fields_of(pdu), intermediate=True)
    if kind == 0:
        if tlv(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID) is not None and tlv(pdu.tlvs, Tag.MESSAGE_STATE) is not None:
            return _read(pdu, _fields_of(pdu), intermediate=False)
        if text_only:
            fields = _fields_of(pdu)
            if fields.get(b"id") and b"stat" in fields:
                return _read(pdu, fields, intermediate=False, odd=("text_only",))
    return None


def _plainly(pdu: DeliverSm | DataSm) -> Receipt | None:
    """The receipt as most are: the text of appendix B, and parameters that say the same or nothing; else None."""
    if pdu.esm_class & UDHI or not isinstance(pdu, DeliverSm):
        return None
    match = _APPENDIX_B.fullmatch(pdu.short_message)
    if match is None:
        return None
    octets, submitted, done, stat, err = match.groups()
    state = _BY_STAT.get(stat)
    if state is None:
        return None
    for tag, value in pdu.tlvs:
        if tag == Tag.RECEIPTED_MESSAGE_ID:
            if value != octets and value != octets + b"\0":
                return None
        elif tag != Tag.MESSAGE_STATE or value != _VALUE_OF[state]:
            return None
    smsc_id = octets.decode()
    final = state in FINAL_STATES
    return Receipt(
        smsc_id, state, final, err.decode(), stat.decode(), None, submitted.decode(), done.decode(), (), (smsc_id,)
    )


def _plain_text(octets: bytes, data_coding: int) -> bytes:
    """Receipt texts are ASCII; some centres write them in UCS-2 like the message they report on."""
    if data_coding == _UCS2 or octets[:1] == b"\0":
        return octets.decode("utf-16-be", "replace").encode("latin-1", "replace")
    return octets


def _fields_of(pdu: DeliverSm | DataSm) -> _Fields:
    octets, _ = user_data(pdu)
    _, body, _ = parse_udh(octets, pdu.esm_class)
    text = _plain_text(body, pdu.data_coding)
    match = _APPENDIX_B.fullmatch(text)
    if match is not None:
        return dict(zip(_APPENDIX_B_NAMES, match.groups(), strict=True))
    commas = _COMMAS.fullmatch(text.strip(b"\0 "))
    if commas is not None:
        return {
            b"id": commas[7],
            b"err": commas[1],
            b"submitdate": commas[3],
            b"donedate": commas[2],
            b"commas": commas[1],
        }
    return {name: value for name, value, _, _ in _tokens(text)}


def _tokens(text: bytes) -> list[tuple[bytes, bytes, int, int]]:
    """(name, value, start, end) of each field, left to right; the first of a name counts (row D7).

    Everything after `text:` is the message that is reported on, and its words are not fields. A `text:`
    before any id or state belongs to prose in front of the receipt.
    """
    found: dict[bytes, tuple[bytes, bytes, int, int]] = {}
    at = 0
    while (label := _FIELD.search(text, at)) is not None:
        name = label[1].lower().translate(None, b" _")
        at = label.end()
        if name == b"text":
            if b"id" in found or b"stat" in found:
                break
            continue
        following = _FIELD.match(text, at + 1) if text[at : at + 1] == b" " else None
        value = None if following is not None else _VALUE.match(text, at)
        octets = b"" if value is None else value[1].rstrip(b"\0")
        if value is not None:
            at = value.end()
        if name not in found:
            found[name] = name, octets, label.start(1), at
    return list(found.values())


def _read(pdu: DeliverSm | DataSm, fields: _Fields, *, intermediate: bool, odd: tuple[str, ...] = ()) -> Receipt:
    flags = list(odd)
    text_id = _printable(fields.get(b"id", b""))
    told_id = _printable((tlv(pdu.tlvs, Tag.RECEIPTED_MESSAGE_ID) or b"").partition(b"\0")[0])
    ids = tuple(dict.fromkeys(filter(None, (told_id, text_id))))
    if len(ids) > 1:
        flags.append("ids_differ")
    elif not ids:
        flags.append("no_id")

    stat = fields.get(b"stat", b"")
    if stat:
        text_state = _BY_STAT.get(stat.upper())
        if text_state is None:
            flags.append("unknown_stat")
    else:
        # In the comma form the code 00 is success; the others are not published.
        text_state = MessageState.DELIVERED if fields.get(b"commas") == b"00" else None
    told_state = _told_state(pdu, flags)
    if told_state and text_state and told_state is not text_state:
        flags.append("states_differ")
    state = told_state or text_state
    if state is None:
        state = MessageState.UNKNOWN
        flags.append("no_state")
    if intermediate:
        flags.append("intermediate")
        if state in FINAL_STATES:
            state = MessageState.ENROUTE
    return Receipt(
        ids[0] if ids else "",
        state,
        state in FINAL_STATES,
        _printable(fields.get(b"err", b"")),
        _printable(stat),
        _network_error(pdu),
        _digits(fields.get(b"submitdate", b"")),
        _digits(fields.get(b"donedate", b"")),
        tuple(flags),
        ids,
    )


def _told_state(pdu: DeliverSm | DataSm, flags: list[str]) -> MessageState | None:
    octets = tlv(pdu.tlvs, Tag.MESSAGE_STATE)
    if not octets:
        return None
    if octets[-1] < len(_BY_VALUE):
        return _BY_VALUE[octets[-1]]
    flags.append("unknown_message_state")
    return None


def _network_error(pdu: DeliverSm | DataSm) -> tuple[int, int] | None:
    octets = tlv(pdu.tlvs, Tag.NETWORK_ERROR_CODE)
    if octets is None or len(octets) != 3:
        return None
    return octets[0], int.from_bytes(octets[1:], "big")


def _printable(octets: bytes) -> str:
    text = octets.decode("latin-1").strip()
    return text if text.isprintable() else "".join(filter(str.isprintable, text))


def _digits(octets: bytes) -> str:
    return octets.decode() if octets.isdigit() and len(octets) <= 14 else ""


def final_state(states: Iterable[MessageState]) -> MessageState:
    """Where a part stands after these reports, in order of arrival: the highest rank, of equals the first.

    Raises ValueError for no report at all.
    """
    return max(states, key=STATE_RANK.__getitem__)


def scrub_text(octets: bytes, data_coding: int = 0) -> bytes:
    """The fields of a receipt's text and nothing else, to be stored in place of it.

    The message's own words are cut wherever they stand: behind `text:`, behind the last field without a
    label, or before the first. The comma form loses its phone number. UCS-2 becomes ASCII.
    """
    text = _plain_text(octets, data_coding)
    match = _APPENDIX_B.fullmatch(text)
    if match is not None:
        return text[: match.end(5)]
    commas = _COMMAS.fullmatch(text.strip(b"\0 "))
    if commas is not None:
        return b",".join((*commas.group(1, 2, 3, 4), b"", *commas.group(6, 7)))
    return b" ".join([text[start:end] for _, _, start, end in _tokens(text)])


class IdStyle(StrEnum):
    """How an account writes the id in the response and in the receipt."""

    PLAIN = "plain"
    HEX_SUBMIT_DEC_RECEIPT = "hex_submit_dec_receipt"
    DEC_SUBMIT_HEX_RECEIPT = "dec_submit_hex_receipt"
    ANY = "any"


_HEX_DIGITS: Final = frozenset("0123456789abcdef")
_DECIMAL_DIGITS: Final = frozenset("0123456789")
_LONGEST_ID: Final = 80  # 65 in the specification; a longer one is compared as text


def submit_keys(smsc_id: str, style: IdStyle = IdStyle.PLAIN) -> tuple[str, ...]:
    """Keys to store with a part whose response carried `smsc_id`; unique within one operator account.

    `plain` has one key: case folded, leading zeros gone. The other styles compare values of any size, so ids
    beyond 63 bits stay apart (row D3); an id that is no number keeps its plain key. No id, no key.
    """
    return _keys(smsc_id, style, of_receipt=False)


def receipt_keys(receipt_id: str, style: IdStyle = IdStyle.PLAIN) -> tuple[str, ...]:
    """Keys to look a receipt's id up by, the likeliest first; any of them may be a stored one."""
    return _keys(receipt_id, style, of_receipt=True)


def _keys(message_id: str, style: IdStyle, *, of_receipt: bool) -> tuple[str, ...]:
    folded = message_id.strip().lower()
    if not folded:
        return ()
    plain = folded.lstrip("0") or "0"
    if style is IdStyle.PLAIN:
        return (plain,)
    hexadecimal = _value(folded, 16)
    decimal = _value(folded, 10)
    # A key of a value has a space, which no id has.
    if style is not IdStyle.ANY:
        in_hex = (style is IdStyle.HEX_SUBMIT_DEC_RECEIPT) is not of_receipt
        # Letters give hexadecimal away even on the side where decimal is expected.
        value = hexadecimal if in_hex or decimal is None else decimal
        return (plain if value is None else f"n {value}",)
    # "x" is a response in hexadecimal with its receipt in decimal, "d" the other way round.
    keys = [plain]
    if hexadecimal is not None:
        keys.append(f"{'d' if of_receipt else 'x'} {hexadecimal}")
    if decimal is not None:
        keys.append(f"{'x' if of_receipt else 'd'} {decimal}")
    return tuple(keys)


def _value(folded: str, base: int) -> int | None:
    digits = _HEX_DIGITS if base == 16 else _DECIMAL_DIGITS
    return int(folded, base) if len(folded) <= _LONGEST_ID and digits.issuperset(folded) else None
