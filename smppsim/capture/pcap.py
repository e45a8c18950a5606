"""Capture files: pcap to write, pcap and pcapng to read.

It knows files and no packets; `recorder` and `conversations` do.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from smppsim.capture.packets import ETHERNET

_MAGIC: Final = 0xA1B2C3D4
# Octets at the start → byte order and ticks a second.
_FORMATS: Final = {
    struct.pack(order + "I", magic): (order, ticks)
    for order in "<>"
    for magic, ticks in ((_MAGIC, 1_000_000), (0xA1B23C4D, 1_000_000_000))
}
_LONGEST: Final = 0x40000
_SECOND: Final = 1_000_000

_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_ORDERS: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_RESOLUTION: Final = 9  # if_tsresol


class CaptureError(ValueError):
    """This is no capture file."""


class Packet(NamedTuple):
    """One captured packet; `at` in UTC microseconds, 0 if the file does not say."""

    at: int
    link_type: int
    octets: bytes


def file_header() -> bytes:
    """The beginning of a pcap file of Ethernet frames."""
    return struct.pack("<IHHiIII", _MAGIC, 2, 4, 0, 0, _LONGEST, ETHERNET)


def record(at: int, octets: bytes) -> bytes:
    """One packet of a pcap file."""
    return struct.pack("<IIII", *divmod(at, _SECOND), len(octets), len(octets)) + octets


def read(data: bytes) -> Iterator[Packet]:
    """The packets of a pcap or pcapng file; a last one that is cut off is left out. CaptureError if it is neither."""
    if data[:4] in _FORMATS:
        return _read_pcap(data)
    if data[:4] == _SECTION.to_bytes(4, "big"):
        return _read_pcapng(data)
    raise CaptureError("neither pcap nor pcapng")


def _read_pcap(data: bytes) -> Iterator[Packet]:
    order, ticks = _FORMATS[data[:4]]
    if len(data) < 24:
        return
    link_type = struct.unpack_from(order + "I", data, 20)[0] & 0x0FFF_FFFF
    head = struct.Struct(order + "IIII")
    at = 24
    while at + head.size <= len(data):
        seconds, fraction, length, _ = head.unpack_from(data, at)
        at += head.size
        if at + length > len(data):
            return
        yield Packet(seconds * _SECOND + fraction * _SECOND // ticks, link_type, data[at : at + length])
        at += length


class _Interface(NamedTuple):
    link_type: int
    ticks: int


def _read_pcapng(data: bytes) -> Iterator[Packet]:
    order, at = "<", 0
    interfaces: list[_Interface] = []
    while at + 12 <= len(data):
        if data[at : at + 4] == _SECTION.to_bytes(4, "big"):
            order, interfaces = _ORDERS.get(data[at + 8 : at + 12], order), []
        kind, length = struct.unpack_from(order + "II", data, at)
        body = data[at + 8 : at + length - 4]
        if length < 12 or at + length > len(data):
            return
        at += length
        if kind == _INTERFACE:
            interfaces.append(_interface(order, body))
        elif kind == _ENHANCED:
            number, high, low, captured = struct.unpack_from(order + "IIII", body)
            if number < len(interfaces):
                interface = interfaces[number]
                instant = ((high << 32) | low) * _SECOND // interface.ticks
                yield Packet(instant, interface.link_type, body[20 : 20 + captured])
        elif kind == _SIMPLE and interfaces:
            captured = min(struct.unpack_from(order + "I", body)[0], len(body) - 4)
            yield Packet(0, interfaces[0].link_type, body[4 : 4 + captured])


def _interface(order: str, body: bytes) -> _Interface:
    link_type = struct.unpack_from(order + "H", body)[0]
    ticks, at = _SECOND, 8
    while at + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, at)
        if code == _RESOLUTION and length == 1:
            exponent = body[at + 4]
            ticks = 2 ** (exponent & 0x7F) if exponent & 0x80 else 10**exponent
        at += 4 + length + -length % 4
    return _Interface(link_type, ticks)
