"""The last PDUs of every session, in a ring of bounded length.

It keeps octets as they were on the wire, passwords of binds apart, and decodes only when read. Written by the
sessions, read by tests and the control API.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from engine.smpp.errors import CodecError
from engine.smpp.pdu import Header, Pdu, command_name, commands, decode, encode, peek, status_name

IN, OUT = "in", "out"


class LoggedPdu(NamedTuple):
    """One frame. `at` is the shell's monotonic clock in seconds, `direction` is seen from the simulator."""

    at: float
    session: int
    direction: str
    frame: bytes

    @property
    def header(self) -> Header:
        """FramingError if there are not even 16 octets."""
        return peek(self.frame)

    @property
    def pdu(self) -> Pdu | None:
        """The decoded body, None if it is malformed."""
        try:
            return decode(self.frame)[1]
        except CodecError:
            return None

    def as_json(self) -> dict[str, object]:
        """What the control API shows; octet strings in hex, save printable ones."""
        row: dict[str, object] = {"at": self.at, "session": self.session, "direction": self.direction}
        if len(self.frame) >= 16:
            header = self.header
            row |= {
                "command": command_name(header.command_id),
                "status": status_name(header.command_status),
                "sequence": header.sequence_number,
            }
        pdu = self.pdu
        row["fields"] = None if pdu is None else _fields(pdu)
        row["hex"] = self.frame.hex()
        return row


def _fields(pdu: Pdu) -> dict[str, object]:
    fields = {name: _shown(getattr(pdu, name)) for name in pdu._fields if name != "tlvs"}
    fields["tlvs"] = {f"0x{tag:04X}": value.hex() for tag, value in pdu.tlvs}
    return fields


def _shown(value: object) -> object:
    if isinstance(value, bytes):
        printable = value.isascii() and value.decode("ascii").isprintable()
        return value.decode("ascii") if printable else {"hex": value.hex()}
    if isinstance(value, tuple):
        return [_shown(item) for item in value]
    return value


class PduLog:
    """The ring. `PduLog(0)` keeps nothing."""

    __slots__ = ("_ring", "add")

    def __init__(self, length: int) -> None:
        self._ring: deque[LoggedPdu | tuple[float, int, str, bytes]] = deque(maxlen=length)
        self.add: Callable[[LoggedPdu | tuple[float, int, str, bytes]], None] = self._ring.append
        """Append `(at, session, direction, frame)`; the hot path hands in a bare tuple."""

    def __len__(self) -> int:
        return len(self._ring)

    def __iter__(self) -> Iterator[LoggedPdu]:
        for row in tuple(self._ring):
            yield LoggedPdu._make(row)

    def listen(self, listener: Callable[[LoggedPdu], object]) -> None:
        """Hand every frame to `listener` as well from now on, as it is logged; nobody else pays for it."""
        before = self.add

        def add(row: LoggedPdu | tuple[float, int, str, bytes]) -> None:
            before(row)
            listener(LoggedPdu._make(row))

        self.add = add

    def clear(self) -> None:
        """Forget everything."""
        self._ring.clear()


def without_password(frame: bytes) -> bytes:
    """A bind or outbind with its password starred out; any other frame, or a malformed bind, cut to its header."""
    try:
        header, pdu = decode(frame)
    except CodecError:
        return frame[:16]
    if header.command_id in commands.BINDS or header.command_id == commands.OUTBIND:
        masked = pdu._replace(password=b"*" * 8)  # type: ignore[call-arg]  # a bind or outbind has one
        return encode(masked, header.sequence_number, header.command_status)
    return frame
