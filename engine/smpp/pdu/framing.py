"""Octets to frames: the 16-octet header and the buffer that cuts a stream into whole PDUs (SMPP 3.4 3.2).

It never looks past the header and never reserves memory from a length it has not checked. The session and
the simulator feed it whatever the socket gives.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from engine.smpp.errors import FramingError
from engine.smpp.pdu.status import Status

HEADER_LENGTH: Final = 16
MAX_COMMAND_LENGTH: Final = 70_000
"""A message_payload may approach 64 KiB; nothing legal is longer than this."""

_HEADER = struct.Struct(">IIII")
_LENGTH = struct.Struct(">I")


class Header(NamedTuple):
    """The four 32-bit unsigned fields that open every PDU (3.4 section 3.2)."""

    command_length: int
    command_id: int
    command_status: int
    sequence_number: int


def pack_header(command_length: int, command_id: int, status: int, sequence: int) -> bytes:
    """16 octets; `struct.error` for a number outside 32 bits."""
    return _HEADER.pack(command_length, command_id, status, sequence)


def peek(frame: bytes) -> Header:
    """The header alone, without judging the body. FramingError under 16 octets."""
    try:
        return tuple.__new__(Header, _HEADER.unpack_from(frame))
    except struct.error:
        raise FramingError(f"{len(frame)} octets are no PDU header", status=Status.ESME_RINVCMDLEN) from None


class FrameBuffer:
    """Cuts a stream into frames, however it is chunked.

    After a FramingError the stream cannot be trusted again and every further `feed` raises.
    """

    __slots__ = ("_broken", "_max_length", "_missing", "_pending")

    def __init__(self, max_length: int = MAX_COMMAND_LENGTH) -> None:
        self._max_length = max_length
        self._pending = bytearray()
        self._missing = 4  # octets without which nothing more can be said
        self._broken = False

    @property
    def pending(self) -> int:
        """Octets held of an unfinished frame."""
        return len(self._pending)

    def feed(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """The frames completed by `data`, in order; FramingError as soon as a command_length is not ours.

        The legal range is 16 to `max_length` octets. Frames before the fault are on the error's `frames`.
        """
        if self._broken:
            raise FramingError("the stream was lost before", status=Status.ESME_RINVCMDLEN)
        if self._pending:
            self._pending += data
            if len(data) < self._missing:
                self._missing -= len(data)
                return []
            data = bytes(self._pending)
            self._pending.clear()
        elif not isinstance(data, bytes):
            data = bytes(data)
        return self._cut(data)

    def _cut(self, data: bytes) -> list[bytes]:
        frames: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= 4:
            (length,) = _LENGTH.unpack_from(data, at)
            if not HEADER_LENGTH <= length <= self._max_length:
                self._broken = True
                raise FramingError(
                    f"command_length {length} is outside {HEADER_LENGTH} to {self._max_length}",
                    status=Status.ESME_RINVCMDLEN,
                    frames=frames,
                )
            stop = at + length
            if stop > end:
                self._missing = stop - end
                break
            frames.append(data[at:stop])
            at = stop
        else:
            self._missing = 4 - (end - at)
        if at < end:
            self._pending += data[at:]
        return frames
