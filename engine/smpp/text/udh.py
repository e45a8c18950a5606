"""The user data header before a message's text: written for our own parts, read from anybody's (TS 23.040).

Reading accepts any elements in any order and never indexes past the end. Called by `segments`,
`reassembly` and `receipts`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

UDHI: Final = 0x40
"""The bit of esm_class that says a header is present (SMPP 3.4 section 5.2.12)."""

CONCAT_8: Final = 0x00
CONCAT_16: Final = 0x08
PORTS_8: Final = 0x04
PORTS_16: Final = 0x05
SINGLE_SHIFT: Final = 0x24
LOCKING_SHIFT: Final = 0x25

_LENGTHS: Final = {CONCAT_8: 3, CONCAT_16: 4, PORTS_8: 2, PORTS_16: 4, SINGLE_SHIFT: 1, LOCKING_SHIFT: 1}


class Concat(NamedTuple):
    """Which part of which long message this is; `sequence` counts from 1, `width` is 8 or 16 bits."""

    reference: int
    width: int
    total: int
    sequence: int


class UserDataHeader(NamedTuple):
    """A header: every element as (identifier, data), and what the known ones say.

    `locking` and `single` are national languages, 0 for none; `ports` is (destination, source).
    """

    elements: tuple[tuple[int, bytes], ...] = ()
    concat: Concat | None = None
    locking: int = 0
    single: int = 0
    ports: tuple[int, int] | None = None


def concat_udh(concat: Concat) -> bytes:
    """The header of one part: 6 octets with an 8-bit reference, 7 with a 16-bit one."""
    reference, width, total, sequence = concat
    if width == 8:
        return bytes((5, CONCAT_8, 3, reference, total, sequence))
    return bytes((6, CONCAT_16, 4, reference >> 8, reference & 0xFF, total, sequence))


def plausible(concat: Concat) -> bool:
    """False for numbers that cannot come from a split message: such a part is delivered alone (row E5)."""
    return concat.total > 1 and 1 <= concat.sequence <= concat.total


def parse_udh(octets: bytes, esm_class: int) -> tuple[UserDataHeader | None, bytes, tuple[str, ...]]:
    """Header (None if there is none), the octets after it, and what was odd; never raises.

    A header that is longer than the data is no header: everything is body (row A12). An element that runs
    past the header ends it; of repeated elements the last good one counts.
    """
    if not esm_class & UDHI:
        return None, octets, ()
    if not octets or octets[0] >= len(octets):
        return None, octets, ("udh_malformed",)
    end = octets[0] + 1
    odd: list[str] = []
    elements: list[tuple[int, bytes]] = []
    at = 1
    while at < end:
        start = at + 2
        if start > end or start + octets[at + 1] > end:
            odd.append("udh_malformed")
            break
        data = octets[start : start + octets[at + 1]]
        elements.append((octets[at], data))
        at = start + len(data)
    header, wrong = _understood(tuple(elements))
    return header, octets[end:], tuple(dict.fromkeys((*odd, *wrong)))


def _understood(elements: tuple[tuple[int, bytes], ...]) -> tuple[UserDataHeader, list[str]]:
    odd: list[str] = []
    concat: Concat | None = None
    ports: tuple[int, int] | None = None
    locking = single = 0
    for identifier, data in elements:
        if identifier not in _LENGTHS:
            continue
        if len(data) != _LENGTHS[identifier]:
            odd.append("udh_malformed")
        elif identifier in (CONCAT_8, CONCAT_16):
            width = 8 if identifier == CONCAT_8 else 16
            found = Concat(int.from_bytes(data[:-2], "big"), width, data[-2], data[-1])
            if plausible(found):
                concat = found
            else:
                odd.append("concatenation_ignored")
        elif identifier in (PORTS_8, PORTS_16):
            half = len(data) // 2
            ports = int.from_bytes(data[:half], "big"), int.from_bytes(data[half:], "big")
        elif identifier == LOCKING_SHIFT:
            locking = data[0]
        else:
            single = data[0]
    return UserDataHeader(elements, concat, locking, single, ports), odd
