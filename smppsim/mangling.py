"""Damaging what goes out: a frame in; octets, pauses and ends to put on the wire in its place.

Sans-IO, by seeded dice: it neither writes nor waits. `injection` adds faults, sessions hand their frames
through while there are any.
"""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.smpp.pdu import HEADER_LENGTH, GenericNack, Header, Tag, commands, encode, is_response, peek
from smppsim.behaviour import Cut
from smppsim.faults import (
    BrokenTlvs,
    Corrupt,
    Dribble,
    ForeignOctets,
    FrameFault,
    Nack,
    ResetMidPdu,
    StopMidPdu,
    Truncate,
    UnknownCommand,
    WrongLength,
    WrongSequence,
)

if TYPE_CHECKING:
    from smppsim.session import Session

_HEADER: Final = struct.Struct(">IIII")
_TLV: Final = struct.Struct(">HH")
_VENDOR_TAG: Final = 0x1400
_MASK: Final = 0xFFFF_FFFF
_HTTP: Final = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TLS: Final = bytes.fromhex("15030100020246")  # fatal alert: protocol_version
_NOISE: Final = 48
_VENDOR: Final = _TLV.pack(_VENDOR_TAG, 2) + b"42"
_TLVS: Final = {
    "overrun": _TLV.pack(_VENDOR_TAG, 0xFFFF) + b"42",
    "half_head": b"\x14\x00\x00",
    "wrong_length": _TLV.pack(Tag.MESSAGE_STATE, 3) + b"\x02\x02\x02",
    "repeated": _VENDOR + _VENDOR,
    "unknown": _VENDOR,
}


class Pause(NamedTuple):
    """Nothing is written for so long."""

    seconds: float


Step = bytes | Pause | Cut
"""What the shell does next: write octets, wait, end the link."""


def damaged(fault: FrameFault, frame: bytes, dice: random.Random) -> bytes:
    """The octets that take a frame's place; the frame itself for a fault of its pace."""
    length, command_id, status, sequence = peek(frame)
    body = frame[HEADER_LENGTH:]
    match fault:
        case WrongLength():
            length = (length + fault.by) & _MASK if fault.length is None else fault.length
            return length.to_bytes(4, "big") + frame[4:]
        case UnknownCommand():
            return _HEADER.pack(length, fault.command_id, status, sequence) + body
        case WrongSequence():
            return _HEADER.pack(length, command_id, status, (sequence + fault.by) & _MASK) + body
        case Nack():
            return encode(GenericNack(), sequence if fault.sequence == "request" else 0, fault.status)
        case BrokenTlvs():
            tail = _TLVS[fault.how]
            return (length + len(tail)).to_bytes(4, "big") + frame[4:] + tail
        case Truncate():
            kept = max(HEADER_LENGTH, length - fault.octets)
            return kept.to_bytes(4, "big") + frame[4:kept]
        case Corrupt():
            octets = bytearray(frame)
            for _ in range(fault.octets):
                octets[dice.randrange(4, length)] = dice.randrange(256)
            return bytes(octets)
        case ForeignOctets():
            return {"http": _HTTP, "tls": _TLS}.get(fault.protocol) or dice.randbytes(_NOISE)
        case _:
            return frame


def paced(fault: FrameFault, octets: bytes) -> list[Step]:
    """How octets reach the wire; in one piece unless the fault is one of pace."""
    match fault:
        case Dribble():
            pieces = [octets[at : at + fault.octets] for at in range(0, len(octets), fault.octets)]
            return [step for piece in pieces for step in (piece, Pause(fault.every_s))]
        case StopMidPdu(pause_s=None):
            return [octets[: fault.after], Cut.black_hole]
        case StopMidPdu(pause_s=pause) if pause is not None:
            return [octets[: fault.after], Pause(pause), octets[fault.after :]]
        case ResetMidPdu():
            return [octets[: fault.after], Cut.reset]
        case _:
            return [octets]


def _concerns(fault: FrameFault, header: Header) -> bool:
    """Whether a frame of ours can suffer this fault."""
    command_id = header.command_id
    if fault.command is not None:
        return command_id == fault.command
    match fault:
        case WrongSequence() | Nack():
            return is_response(command_id)
        case BrokenTlvs():
            return command_id == commands.DELIVER_SM
        case Truncate():
            return header.command_length > HEADER_LENGTH
        case ResetMidPdu():
            return fault.direction == "out"
        case _:
            return True


class _Active:
    """A fault at work and how long it will be."""

    __slots__ = ("fault", "left", "until")

    def __init__(self, fault: FrameFault, now: float) -> None:
        self.fault = fault
        self.left = 1 if fault.times is None and fault.for_s is None else fault.times
        self.until = None if fault.for_s is None else now + fault.for_s

    def over(self, now: float) -> bool:
        return self.left == 0 or (self.until is not None and now >= self.until)

    def strikes(self, session: Session, dice: random.Random) -> bool:
        """Whether this frame of the session is hit; the hit is counted."""
        fault = self.fault
        system_id = session.account.system_id if session.account else None
        if fault.session not in (None, session.number) or fault.account not in (None, system_id):
            return False
        if fault.share < 1 and dice.random() >= fault.share:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class Mangling:
    """The faults at work on one simulator's frames."""

    __slots__ = ("_dice", "active")

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.active: list[_Active] = []
        """Empty on a good day: sessions look here before they ask."""

    def add(self, fault: FrameFault, now: float) -> None:
        """Turn a fault loose."""
        self.active.append(_Active(fault, now))

    def clear(self) -> None:
        """End all faults."""
        self.active.clear()

    def outgoing(self, frame: bytes, session: Session, now: float) -> list[Step]:
        """What goes onto the wire in place of `frame`: one damage and one pace at most, the oldest faults first."""
        header, octets = peek(frame), frame
        damage: FrameFault | None = None
        pace: FrameFault | None = None
        for each in self._current(now):
            fault = each.fault
            of_pace = isinstance(fault, Dribble | StopMidPdu | ResetMidPdu)
            taken = pace if of_pace else damage
            if taken is not None or not _concerns(fault, header) or not each.strikes(session, self._dice):
                continue
            if of_pace:
                pace = fault
            else:
                damage = fault
                octets = damaged(fault, frame, self._dice)
        return [octets] if pace is None else paced(pace, octets)

    def resets(self, arrived: int, session: Session, now: float) -> bool:
        """Whether RST is due, `arrived` octets of an incoming PDU being there."""
        return any(
            isinstance(each.fault, ResetMidPdu)
            and each.fault.direction == "in"
            and arrived >= each.fault.after
            and each.strikes(session, self._dice)
            for each in self._current(now)
        )

    def _current(self, now: float) -> list[_Active]:
        self.active = [each for each in self.active if not each.over(now)]
        return self.active
