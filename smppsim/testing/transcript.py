"""The PDU log as lines for people: when, on which session, which way, what.

Pure. `testing` shows it when a test fails.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine.smpp.pdu import Pdu, Tlv, command_name, commands, status_name, tag_name
from smppsim.pdulog import IN, LoggedPdu

_LATEST: Final = 40
_LONGEST_VALUE: Final = 100
_LONGEST_NUMBER: Final = 4


def transcript(log: Iterable[LoggedPdu], now: float, latest: int = _LATEST) -> str:
    """The latest PDUs, oldest first, their times in seconds before `now`; `<-` is what the simulator got."""
    rows = list(log)
    lines = [line(row, now) for row in rows[-latest:]]
    if len(rows) > latest:
        lines.insert(0, f"  … {len(rows) - latest} earlier ones")
    return "\n".join(lines or ["  nothing has come in or gone out"])


def line(row: LoggedPdu, now: float) -> str:
    """One PDU."""
    start = f"{row.at - now:+10.3f} s  #{row.session} {'<-' if row.direction == IN else '->'} "
    pdu = row.pdu
    if row.command_id is None or pdu is None:
        return f"{start}malformed: {_shown(row.frame)}"
    header = row.header
    words = [command_name(header.command_id), str(header.sequence_number)]
    if header.command_id & commands.RESPONSE:
        words.append(status_name(header.command_status))
    return start + " ".join([*words, *_fields(pdu)])


def _fields(pdu: Pdu) -> list[str]:
    """`name=value` of every field that is not as it is by default."""
    defaults = pdu._field_defaults
    said = [(name, value) for name, value in pdu._asdict().items() if name != "tlvs" and value != defaults.get(name)]
    tlvs: tuple[Tlv, ...] = pdu.tlvs
    shown = [f"{name}={_shown(value)}" for name, value in said]
    return shown + [f"{tag_name(tag)}={_parameter(value)}" for tag, value in tlvs]


def _parameter(value: bytes) -> str:
    """A C-string or a longer text as text, a number in hex."""
    if value.endswith(b"\0") or len(value) > _LONGEST_NUMBER:
        return _shown(value.removesuffix(b"\0"))
    return f"0x{value.hex()}"


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode() if value.isascii() and value.decode().isprintable() else f"0x{value.hex()}"
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
