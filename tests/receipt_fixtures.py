"""Receipts as message centres really write them: seen in public test suites and bug reports, numbers replaced.

Data alone; read by the tests of `receipts`, the simulator and the scenarios.
"""

from __future__ import annotations

from typing import NamedTuple

from engine.smpp.pdu import Tag, Tlv


class ReceiptFixture(NamedTuple):
    """A receipt on the wire and what it says; `smsc_id` and `state` are the words of the Receipt."""

    name: str
    text: bytes
    smsc_id: str
    state: str
    err: str = ""
    flags: tuple[str, ...] = ()
    tlvs: tuple[Tlv, ...] = ()
    ids: tuple[str, ...] | None = None
    submitted: str = ""
    done: str = ""
    data_coding: int = 0
    carrier: str = "deliver_sm"
    """`deliver_sm`, `payload` (deliver_sm with message_payload) or `data_sm`."""


_A, _B = "0809011130", "0809011131"
_DATES = b"submit date:0809011130 done date:0809011131"


def _with_id(message_id: bytes) -> bytes:
    return b"id:" + message_id + b" sub:001 dlvrd:001 " + _DATES + b" stat:DELIVRD err:000 text:hello"


def _told(message_id: bytes, state: int) -> tuple[Tlv, ...]:
    return (Tag.RECEIPTED_MESSAGE_ID, message_id), (Tag.MESSAGE_STATE, bytes((state,)))


# fmt: off
FIXTURES: tuple[ReceiptFixture, ...] = (
    ReceiptFixture("1 appendix B", _with_id(b"0123456789"), "0123456789", "delivered", "000",
                   submitted=_A, done=_B),
    ReceiptFixture("2 capital Text", _with_id(b"0123456789").replace(b"text:", b"Text:"), "0123456789", "delivered",
                   "000", submitted=_A, done=_B),
    ReceiptFixture("3 no text label", _with_id(b"0123456789").replace(b"text:", b""), "0123456789", "delivered",
                   "000", submitted=_A, done=_B),
    ReceiptFixture("4 dates of 12 digits",
                   b"id:0123456789 sub:001 dlvrd:001 submit date:080901113005 done date:080901113109"
                   b" stat:DELIVRD err:000 text:hello",
                   "0123456789", "delivered", "000", submitted="080901113005", done="080901113109"),
    ReceiptFixture("5 dates of 14 digits",
                   b"id:0123456789 sub:001 dlvrd:001 submit date:20110314181534 done date:20110314181741"
                   b" stat:EXPIRED err:001 text:hello",
                   "0123456789", "expired", "001", submitted="20110314181534", done="20110314181741"),
    ReceiptFixture("6 no sub and dlvrd", b"id:0123456789 " + _DATES + b" stat:UNDELIV err:027 text:hello",
                   "0123456789", "undeliverable", "027", submitted=_A, done=_B),
    ReceiptFixture("7 only stat", b"stat:DELIVRD", "", "delivered", flags=("no_id",)),
    ReceiptFixture("8 UUID", _with_id(b"c449ab97-44f7-4b6a-9187-9e49e75e4f40"), "c449ab97-44f7-4b6a-9187-9e49e75e4f40",
                   "delivered", "000", submitted=_A, done=_B),
    ReceiptFixture("8 hex of 32 digits", _with_id(b"c449ab9744f74b6a91879e49e75e4f40"),
                   "c449ab9744f74b6a91879e49e75e4f40", "delivered", "000", submitted=_A, done=_B),
    ReceiptFixture("9 err of hex", _with_id(b"0123456789").replace(b"err:000", b"err:21b"), "0123456789", "delivered",
                   "21b", submitted=_A, done=_B),
    ReceiptFixture("9 err of 4 digits", _with_id(b"0123456789").replace(b"err:000", b"err:0032"), "0123456789",
                   "delivered", "0032", submitted=_A, done=_B),
    ReceiptFixture("9 empty err", _with_id(b"0123456789").replace(b"err:000", b"err:"), "0123456789", "delivered", "",
                   submitted=_A, done=_B),
    ReceiptFixture("10 zero dates, unknown stat",
                   b"id:0123456789 sub:001 dlvrd:000 submit date:0000000000 done date:0000000000"
                   b" stat:BADSTAT err:000 text:hello",
                   "0123456789", "unknown", "000", ("unknown_stat", "no_state"),
                   submitted="0000000000", done="0000000000"),
    ReceiptFixture("11 comma form", b"00,0210021543,0210021500,,33612345601,10110200000000,A1B2C3",
                   "A1B2C3", "delivered", "00", submitted="0210021500", done="0210021543"),
    ReceiptFixture("11 comma form, failed", b"02,0210021543,0210021500,,33612345601,10110200000000,A1B2C3",
                   "A1B2C3", "unknown", "02", ("no_state",), submitted="0210021500", done="0210021543"),
    ReceiptFixture("12 parameters alone", b"", "0123456789", "delivered", tlvs=_told(b"0123456789\0", 2)),
    ReceiptFixture("13 prose first",
                   b"Delivery report for your message to 33612345601: id:0123456789 sub:001 dlvrd:001 " + _DATES
                   + b" stat:DELIVRD err:000 text:hello",
                   "0123456789", "delivered", "000", submitted=_A, done=_B),
    ReceiptFixture("13 prose with the word text", b"Report for text: id:0123456789 stat:DELIVRD err:000 text:hello",
                   "0123456789", "delivered", "000"),
    ReceiptFixture("14 data_sm", _with_id(b"0123456789"), "0123456789", "delivered", "000", carrier="data_sm",
                   submitted=_A, done=_B),
    ReceiptFixture("15 fields in the text", _with_id(b"0123456789") + b" stat:UNDELIV err:999 id:666", "0123456789",
                   "delivered", "000", submitted=_A, done=_B),
    ReceiptFixture("15 fields in the text, no label",
                   _with_id(b"0123456789").replace(b"text:", b"") + b" stat:UNDELIV id:666", "0123456789",
                   "delivered", "000", submitted=_A, done=_B),
    ReceiptFixture("16 decimal id for a hex one", _with_id(b"0972660181"), "0972660181", "delivered", "000",
                   submitted=_A, done=_B),
    ReceiptFixture("17 leading zero lost", _with_id(b"4062581461565934000241"), "4062581461565934000241", "delivered",
                   "000", submitted=_A, done=_B),
    ReceiptFixture("18 id beyond 63 bits", _with_id(b"9308878062554710043"), "9308878062554710043", "delivered", "000",
                   submitted=_A, done=_B),
    ReceiptFixture("19 zeros lost from hex", _with_id(b"B8BE19"), "B8BE19", "delivered", "000", submitted=_A, done=_B),
    ReceiptFixture("20 hex in the other case", _with_id(b"39f99dd5"), "39f99dd5", "delivered", "000",
                   submitted=_A, done=_B),
    ReceiptFixture("in message_payload", _with_id(b"0123456789"), "0123456789", "delivered", "000", carrier="payload",
                   submitted=_A, done=_B),
    ReceiptFixture("err:nul", _with_id(b"0123456789").replace(b"err:000", b"err:nul"), "0123456789", "delivered",
                   "nul", submitted=_A, done=_B),
    ReceiptFixture("no text", b"id:0123456789 sub:001 dlvrd:000 " + _DATES + b" stat:REJECTD err:008",
                   "0123456789", "rejected", "008", submitted=_A, done=_B),
    ReceiptFixture("empty text", b"id:0123456789 sub:001 dlvrd:000 " + _DATES + b" stat:DELETED err:000 text:",
                   "0123456789", "deleted", "000", submitted=_A, done=_B),
    ReceiptFixture("no dates", b"id:0123456789 sub:001 dlvrd:001 stat:DELIVRD err:000 text:hello", "0123456789",
                   "delivered", "000"),
    ReceiptFixture("empty dates",
                   b"id:0123456789 sub:001 dlvrd:001 submit date: done date: stat:DELIVRD err:000 text:hello",
                   "0123456789", "delivered", "000"),
    ReceiptFixture("blank after each colon",
                   b"id: 0123456789 sub: 001 dlvrd: 001 submit date: 0809011130 done date: 0809011131 stat: DELIVRD"
                   b" err: 000 text: hello", "0123456789", "delivered", "000", submitted=_A, done=_B),
    ReceiptFixture("capitals", _with_id(b"0123456789").replace(b"id:", b"ID:").replace(b"stat:", b"Stat:"),
                   "0123456789", "delivered", "000", submitted=_A, done=_B),
    ReceiptFixture("lower-case stat", _with_id(b"0123456789").replace(b"DELIVRD", b"delivrd"), "0123456789",
                   "delivered", "000", submitted=_A, done=_B),
    ReceiptFixture("full words", b"id:0123456789 stat:UNDELIVERABLE err:1", "0123456789", "undeliverable", "1"),
    ReceiptFixture("failed", b"id:0123456789 stat:FAILED err:1", "0123456789", "undeliverable", "1"),
    ReceiptFixture("ACCEPTD is not delivered", b"id:0123456789 stat:ACCEPTD err:000", "0123456789", "accepted", "000"),
    ReceiptFixture("buffered", b"id:0123456789 stat:BUFFERD err:000", "0123456789", "enroute", "000"),
    ReceiptFixture("nack", b"id:0123456789 stat:NACK err:000", "0123456789", "rejected", "000"),
    ReceiptFixture("lines for blanks", _with_id(b"0123456789").replace(b" stat", b"\r\nstat"), "0123456789",
                   "delivered", "000", submitted=_A, done=_B),
    ReceiptFixture("NUL at the end", b"id:0123456789 stat:DELIVRD err:000\0", "0123456789", "delivered", "000"),
    ReceiptFixture("text in UCS-2", _with_id(b"0123456789").decode().encode("utf-16-be"), "0123456789", "delivered",
                   "000", submitted=_A, done=_B, data_coding=8),
    ReceiptFixture("octets beyond ASCII in the text", _with_id(b"0123456789") + b" \xe9\x00\xff", "0123456789",
                   "delivered", "000", submitted=_A, done=_B),
    ReceiptFixture("parameter without NUL", b"", "0123456789", "undeliverable", tlvs=_told(b"0123456789", 5)),
    ReceiptFixture("parameter and text agree", _with_id(b"0123456789"), "0123456789", "delivered", "000",
                   tlvs=_told(b"0123456789\0", 2), submitted=_A, done=_B),
    ReceiptFixture("ids differ", _with_id(b"0972660181"), "39f99dd5", "delivered", "000", ("ids_differ",),
                   tlvs=_told(b"39f99dd5\0", 2), ids=("39f99dd5", "0972660181"), submitted=_A, done=_B),
    ReceiptFixture("states differ", _with_id(b"0123456789"), "0123456789", "expired", "000", ("states_differ",),
                   tlvs=_told(b"0123456789\0", 3), submitted=_A, done=_B),
    ReceiptFixture("state of no meaning", _with_id(b"0123456789"), "0123456789", "delivered", "000",
                   ("unknown_message_state",), tlvs=_told(b"0123456789\0", 77), submitted=_A, done=_B),
    ReceiptFixture("vendor parameter", _with_id(b"0123456789"), "0123456789", "delivered", "000",
                   tlvs=((0x1400, b"\x01\x02"),), submitted=_A, done=_B),
    ReceiptFixture("nothing to read", b"\x00\x01\x02", "", "unknown", "", ("no_id", "no_state")),
    ReceiptFixture("nothing at all", b"", "", "unknown", "", ("no_id", "no_state")),
)
# fmt: on
