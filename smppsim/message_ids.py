"""Message ids: one number, written in the form an operator uses, in the response and in the receipt.

Pure; the number itself comes from the message store.
"""

from enum import StrEnum


class IdForm(StrEnum):
    """How a message id is written."""

    decimal = "decimal"
    padded = "padded"
    """Decimal, zero-padded to ten digits."""
    hex = "hex"
    upper_hex = "upper_hex"
    padded_hex = "padded_hex"
    uuid = "uuid"
    huge = "huge"
    """Hexadecimal, above 2^63."""
    huge_decimal = "huge_decimal"
    """The same number in decimal."""


_ABOVE_2_63 = 0x812FC74700000000
_SPREAD = 0x9E3779B97F4A7C15  # odd, so that multiplying by it only permutes the 64-bit numbers


def write_id(number: int, form: IdForm) -> bytes:
    """The octets of id `number`; two numbers below 2^31 never share an id of one form."""
    match form:
        case IdForm.decimal:
            return b"%d" % number
        case IdForm.padded:
            return b"%010d" % number
        case IdForm.hex:
            return b"%x" % number
        case IdForm.upper_hex:
            return b"%X" % number
        case IdForm.padded_hex:
            return b"%016x" % number
        case IdForm.huge:
            return b"%x" % (_ABOVE_2_63 + number)
        case IdForm.huge_decimal:
            return b"%d" % (_ABOVE_2_63 + number)
        case IdForm.uuid:
            high = (number * _SPREAD) & 0xFFFF_FFFF_FFFF_FFFF
            return b"%08x-%04x-4%03x-8000-%012x" % (
                high >> 32,
                (high >> 16) & 0xFFFF,
                high & 0xFFF,
                number,
            )
