"""TCP segments in their wrappings: Ethernet, IPv4 and IPv6 to write, four more link layers to read.

It keeps no state; `recorder` numbers the segments that it builds, `conversations` puts read ones in order.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final, NamedTuple

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

# Link types, https://www.tcpdump.org/linktypes.html
NULL, ETHERNET, RAW, LOOP, LINUX_SLL, LINUX_SLL2 = 0, 1, 101, 108, 113, 276

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN_TAGS: Final = frozenset({0x8100, 0x88A8})
_TCP: Final = 6
_MORE_FRAGMENTS_OR_OFFSET: Final = 0x3FFF
_WINDOW: Final = 0xFFFF
_IP_HEADER: Final = struct.Struct(">BBHHHBBH4s4s")
_IP6_HEADER: Final = struct.Struct(">IHBB16s16s")
_TCP_HEADER: Final = struct.Struct(">HHIIBBHHH")
# Locally administered addresses: the ends of a wire that never was.
_CLIENT, _SERVER = b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02"


class Endpoint(NamedTuple):
    """One end of a connection; `address` is an IPv4 or IPv6 address as text."""

    address: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


class Segment(NamedTuple):
    """One TCP segment."""

    source: Endpoint
    destination: Endpoint
    sequence: int
    acknowledged: int
    flags: int
    payload: bytes = b""


def build(segment: Segment, identification: int, *, from_client: bool) -> bytes:
    """An Ethernet frame around the segment, its checksums right (RFC 791, 8200, 9293).

    ValueError if the two ends are not of one family.
    """
    source = ipaddress.ip_address(segment.source.address)
    destination = ipaddress.ip_address(segment.destination.address)
    if source.version != destination.version:
        raise ValueError("the two ends are not of one family")
    ends = source.packed + destination.packed
    length = _TCP_HEADER.size + len(segment.payload)
    head = [
        segment.source.port,
        segment.destination.port,
        segment.sequence & 0xFFFF_FFFF,
        segment.acknowledged & 0xFFFF_FFFF,
        (_TCP_HEADER.size // 4) << 4,
        segment.flags,
        _WINDOW,
        0,
        0,
    ]
    # The pseudo-header has the same sum in either family, whatever its layout.
    head[7] = _checksum(ends + struct.pack(">HH", _TCP, length) + _TCP_HEADER.pack(*head) + segment.payload)
    tcp = _TCP_HEADER.pack(*head) + segment.payload
    link = _SERVER + _CLIENT if from_client else _CLIENT + _SERVER
    if source.version == 6:
        ip = _IP6_HEADER.pack(6 << 28, length, _TCP, 64, source.packed, destination.packed)
        return link + _IPV6.to_bytes(2, "big") + ip + tcp
    fields = [0x45, 0, 20 + length, identification & 0xFFFF, 0x4000, 64, _TCP, 0, source.packed, destination.packed]
    fields[7] = _checksum(_IP_HEADER.pack(*fields))
    return link + _IPV4.to_bytes(2, "big") + _IP_HEADER.pack(*fields) + tcp


def _checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071): a sum in ones' complement is a remainder by 0xFFFF."""
    if len(octets) % 2:
        octets += b"\0"
    return 0xFFFF - int.from_bytes(octets, "big") % 0xFFFF


def parse(link_type: int, octets: bytes) -> Segment | None:
    """The TCP segment in a captured packet; None if there is none, or not all of it."""
    try:
        network = _network(link_type, octets)
        return None if network is None else _segment(network)
    except (struct.error, IndexError):
        return None


def _network(link_type: int, octets: bytes) -> bytes | None:
    """The IP packet below a link layer."""
    if link_type == ETHERNET:
        at = 12
        while int.from_bytes(octets[at : at + 2], "big") in _VLAN_TAGS:
            at += 4
        return octets[at + 2 :] if int.from_bytes(octets[at : at + 2], "big") in (_IPV4, _IPV6) else None
    skipped = {RAW: 0, NULL: 4, LOOP: 4, LINUX_SLL: 16, LINUX_SLL2: 20}.get(link_type)
    return None if skipped is None else octets[skipped:]


def _segment(packet: bytes) -> Segment | None:
    version = packet[0] >> 4
    if version == 4:
        _, _, length, _, fragment, _, protocol, _, source, destination = _IP_HEADER.unpack_from(packet)
        body = packet[(packet[0] & 0x0F) * 4 : length or len(packet)]  # 0: segmented by the network card
        if fragment & _MORE_FRAGMENTS_OR_OFFSET:
            return None
    elif version == 6:
        _, length, protocol, _, source, destination = _IP6_HEADER.unpack_from(packet)
        body = packet[_IP6_HEADER.size :][: length or None]
    else:
        return None
    if protocol != _TCP:
        return None
    source_port, destination_port, sequence, acknowledged, offset, flags, *_ = _TCP_HEADER.unpack_from(body)
    return Segment(
        Endpoint(str(ipaddress.ip_address(source)), source_port),
        Endpoint(str(ipaddress.ip_address(destination)), destination_port),
        sequence,
        acknowledged,
        flags,
        body[(offset >> 4) * 4 :],
    )
