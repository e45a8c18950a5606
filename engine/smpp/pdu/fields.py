"""The kinds of mandatory field, each able to read and write itself (SMPP 3.4 section 3.1 and 5.2).

Limits count octets as the specification does, the NUL included. `bodies` lays fields out per PDU, `table`
walks the layouts; the hot path does neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from engine.smpp.errors import CodecError, NotEncodable
from engine.smpp.pdu.framing import HEADER_LENGTH, Header
from engine.smpp.pdu.status import Status


class Masked(tuple[Any, ...]):
    """Gives a NamedTuple a repr without octets: addresses, texts and passwords show their size only."""

    __slots__ = ()

    def __repr__(self) -> str:
        names: tuple[str, ...] = getattr(self, "_fields", ())
        shown = ", ".join(f"{name}={_masked(value)}" for name, value in zip(names, self, strict=True))
        return f"{type(self).__name__}({shown})"


def _masked(value: object) -> str:
    if isinstance(value, bytes):
        return f"<{len(value)} octets>"
    if type(value) is tuple:
        return "(" + "".join(f"{_masked(item)}, " for item in value).rstrip() + ")"
    return repr(value)


class _SmeAddress(NamedTuple):
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: bytes = b""


class SmeAddress(Masked, _SmeAddress):
    """One destination of a submit_multi, dest_flag 1 (3.4 section 4.5.1.1)."""

    __slots__ = ()


class _DistributionList(NamedTuple):
    dl_name: bytes = b""


class DistributionList(Masked, _DistributionList):
    """One distribution list of a submit_multi, dest_flag 2 (3.4 section 4.5.1.2)."""

    __slots__ = ()


class _UnsuccessSme(NamedTuple):
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: bytes = b""
    error_status_code: int = 0


class UnsuccessSme(Masked, _UnsuccessSme):
    """One destination that a submit_multi did not reach, and why (3.4 section 4.5.2.1)."""

    __slots__ = ()


class Reader:
    """A position in a frame; `lenient` turns faults into flags (row A7)."""

    __slots__ = ("at", "end", "flags", "frame", "header", "lenient")

    def __init__(self, frame: bytes, header: Header, *, lenient: bool) -> None:
        self.frame = frame
        self.header = header
        self.lenient = lenient
        self.at = HEADER_LENGTH
        self.end = len(frame)
        self.flags: dict[str, None] = {}

    def fault(self, kind: str, name: str, status: int) -> None:
        """A flag in a response, CodecError with `status` in a request."""
        if not self.lenient:
            raise CodecError(f"{kind}: {name}", header=self.header, status=status)
        self.flags[f"{kind}:{name}"] = None

    def octet(self, name: str) -> int:
        """One octet; 0 where a response ends too early."""
        if self.at >= self.end:
            self.fault("truncated", name, Status.ESME_RINVCMDLEN)
            return 0
        self.at += 1
        return self.frame[self.at - 1]

    def octets(self, count: int, name: str, status: int) -> bytes:
        """`count` octets, or what is left of them in a response."""
        if self.end - self.at < count:
            self.fault("truncated", name, status)
        start = self.at
        self.at = min(start + count, self.end)
        return self.frame[start : self.at]

    def c_string(self, limit: int, name: str, status: int) -> bytes:
        """Octets up to a NUL, without it; `limit` counts it."""
        start = self.at
        if start >= self.end:
            self.fault("truncated", name, Status.ESME_RINVCMDLEN)
            return b""
        stop = self.frame.find(0, start, start + limit)
        if stop < 0:
            stop = self.frame.find(0, start)
            if stop < 0:
                self.fault("unterminated", name, status)
                self.at = self.end
                return self.frame[start:]
            self.fault("too_long", name, status)
        self.at = stop + 1
        return self.frame[start:stop]


class Field(Protocol):
    """What a layout is made of."""

    def read(self, reader: Reader, name: str) -> Any:
        """The value at the reader's position, which moves on."""

    def write(self, value: Any, name: str) -> bytes:
        """The octets of `value`; NotEncodable if it does not fit."""


def _write_c_string(value: bytes, limit: int, name: str) -> bytes:
    if len(value) >= limit:
        raise NotEncodable(f"{name} has {len(value)} octets, {limit - 1} fit")
    if 0 in value:
        raise NotEncodable(f"{name} contains a NUL")
    return value + b"\0"


def _write_octet(value: int, name: str) -> bytes:
    if not 0 <= value <= 0xFF:
        raise NotEncodable(f"{name} does not fit one octet")
    return bytes((value,))


@dataclass(frozen=True, slots=True)
class Octet:
    """A one-octet unsigned integer."""

    def read(self, reader: Reader, name: str) -> int:
        return reader.octet(name)

    def write(self, value: int, name: str) -> bytes:
        return _write_octet(value, name)


@dataclass(frozen=True, slots=True)
class CString:
    """A NUL-terminated string of at most `limit` octets; `status` answers a request that breaks it."""

    limit: int
    status: int

    def read(self, reader: Reader, name: str) -> bytes:
        return reader.c_string(self.limit, name, self.status)

    def write(self, value: bytes, name: str) -> bytes:
        return _write_c_string(value, self.limit, name)


@dataclass(frozen=True, slots=True)
class Time:
    """NULL or exactly 16 characters and a NUL (3.4 section 7.1.1); `pdu.times` makes and reads them.

    A shorter one is let in with a flag: no receipt is lost over a field that deliver_sm leaves unused.
    """

    status: int

    def read(self, reader: Reader, name: str) -> bytes:
        value = reader.c_string(17, name, self.status)
        if value and len(value) != 16:
            reader.flags[f"odd_time:{name}"] = None
        return value

    def write(self, value: bytes, name: str) -> bytes:
        if len(value) not in (0, 16):
            raise NotEncodable(f"{name} has {len(value)} octets, not 0 or 16")
        return _write_c_string(value, 17, name)


@dataclass(frozen=True, slots=True)
class ShortMessage:
    """sm_length and 0 to 254 octets of user data (3.4 sections 5.2.21, 5.2.22)."""

    def read(self, reader: Reader, name: str) -> bytes:
        length = reader.octet("sm_length")
        if length > 254:
            reader.fault("too_long", name, Status.ESME_RINVMSGLEN)
        return reader.octets(length, name, Status.ESME_RINVMSGLEN)

    def write(self, value: bytes, name: str) -> bytes:
        if len(value) > 254:
            raise NotEncodable(f"{name} has {len(value)} octets, 254 fit")
        return bytes((len(value),)) + value


_ADDRESS_LIMIT: Final = 21
_SME, _LIST = 1, 2


@dataclass(frozen=True, slots=True)
class Destinations:
    """number_of_dests and 1 to 254 addresses or distribution lists of a submit_multi."""

    def read(self, reader: Reader, name: str) -> tuple[SmeAddress | DistributionList, ...]:
        count = reader.octet("number_of_dests")
        if not 1 <= count <= 254:
            reader.fault("bad_count", "number_of_dests", Status.ESME_RINVNUMDESTS)
        return tuple([self._read_one(reader) for _ in range(count)])

    @staticmethod
    def _read_one(reader: Reader) -> SmeAddress | DistributionList:
        flag = reader.octet("dest_flag")
        if flag == _SME:
            ton, npi = reader.octet("dest_addr_ton"), reader.octet("dest_addr_npi")
            status = Status.ESME_RINVDSTADR
            return SmeAddress(ton, npi, reader.c_string(_ADDRESS_LIMIT, "destination_addr", status))
        if flag == _LIST:
            return DistributionList(reader.c_string(_ADDRESS_LIMIT, "dl_name", Status.ESME_RINVDLNAME))
        raise CodecError("unknown: dest_flag", header=reader.header, status=Status.ESME_RINVDESTFLAG)

    def write(self, value: tuple[SmeAddress | DistributionList, ...], name: str) -> bytes:
        if not 1 <= len(value) <= 254:
            raise NotEncodable(f"{name} has {len(value)} entries, 1 to 254 fit")
        return bytes((len(value),)) + b"".join(map(self._write_one, value))

    @staticmethod
    def _write_one(destination: SmeAddress | DistributionList) -> bytes:
        if isinstance(destination, DistributionList):
            return bytes((_LIST,)) + _write_c_string(destination.dl_name, _ADDRESS_LIMIT, "dl_name")
        return bytes((_SME,)) + _write_address(destination)


@dataclass(frozen=True, slots=True)
class Unsuccessful:
    """no_unsuccess and as many destinations with their error, in a submit_multi_resp."""

    def read(self, reader: Reader, name: str) -> tuple[UnsuccessSme, ...]:
        count = reader.octet("no_unsuccess")
        found = []
        for _ in range(count):
            if reader.at >= reader.end:
                reader.fault("truncated", name, Status.ESME_RINVCMDLEN)
                break
            ton, npi = reader.octet("dest_addr_ton"), reader.octet("dest_addr_npi")
            address = reader.c_string(_ADDRESS_LIMIT, "destination_addr", Status.ESME_RINVDSTADR)
            code = reader.octets(4, "error_status_code", Status.ESME_RINVCMDLEN)
            found.append(UnsuccessSme(ton, npi, address, int.from_bytes(code, "big")))
        return tuple(found)

    def write(self, value: tuple[UnsuccessSme, ...], name: str) -> bytes:
        if len(value) > 255:
            raise NotEncodable(f"{name} has {len(value)} entries, 255 fit")
        return bytes((len(value),)) + b"".join(map(self._write_one, value))

    @staticmethod
    def _write_one(failed: UnsuccessSme) -> bytes:
        if not 0 <= failed.error_status_code <= 0xFFFFFFFF:
            raise NotEncodable("error_status_code does not fit 32 bits")
        return _write_address(failed) + failed.error_status_code.to_bytes(4, "big")


def _write_address(address: SmeAddress | UnsuccessSme) -> bytes:
    return (
        _write_octet(address.dest_addr_ton, "dest_addr_ton")
        + _write_octet(address.dest_addr_npi, "dest_addr_npi")
        + _write_c_string(address.destination_addr, _ADDRESS_LIMIT, "destination_addr")
    )
