"""Octets as base64url without padding (RFC 4648, section 5), one spelling for each value.

A second spelling of a sealed value, a key or a signature would be another text for the same thing: it is refused.
Whoever takes padded text from others strips it first.
"""

import base64
import binascii
from typing import Final

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


def encode(octets: bytes) -> str:
    """Return octets as text."""
    return binascii.b2a_base64(octets, newline=False).translate(_URL_SAFE).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the octets that `encode` wrote; raises `ValueError` for anything else."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
    if encode(octets) != text:
        raise ValueError("not canonical base64url")
    return octets
