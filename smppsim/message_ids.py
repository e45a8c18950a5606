"""Message ids: one number, written in the form an operator uses, in the response and in the receipt.

Pure; the number itself comes from the message store.
"""

from enum import StrEnum


class IdForm(StrEnum):
    """How a message id is written."""

    decimal = "decimal"
    """`300000042`"""
    padded = "padded"
    """Decimal, zero-padded to ten digits."""
    hex = "hex"
    """`11e1a32a`"""
    upper_hex = "upper_hex"
    """`11E1A32A`"""
    padded_hex = "padded_hex"
    """Zero-padded to sixteen digits."""
    padded_upper_hex = "padded_upper_hex"
    """The same in capitals."""
    uuid = "uuid"
    """`…-4…-8000-…`, made of the number."""
    uuid_hex = "uuid_hex"
    """The same 32 digits without hyphens."""
    huge = "huge"
    """Hexadecimal, above 2^63."""
    huge_decimal = "huge_decimal"
    """The same number in decimal."""
    long_decimal = "long_decimal"
    """Decimal, 22 digits."""
    zero_led = "zero_led"
    """The same after a zero, which some receipts lose."""


_ABOVE_2_63 = 0x812FC74700000000
_22_DIGITS = 4_062_581_461_560_000_000_000
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
        case IdForm.padded_upper_hex:
            return b"%016X" % number
        case IdForm.long_decimal:
            return b"%d" % (_22_DIGITS + number)
        case IdForm.zero_led:
            return b"0%d" % (_22_DIGITS + number)
        case IdForm.uuid_hex:
            return write_id(number, IdForm.uuid).replace(b"-", b"")
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
