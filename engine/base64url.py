"""Octets as base64url without padding (RFC 4648, section 5), one spelling for each value.

A second spelling of a sealed value, a key or a signature would be another text for the same thing: it is refused.
Whoever takes padded text from others strips it first.
"""

import base64
import binascii


def encode(octets: bytes) -> str:
    """Return octets as text."""
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def decode(text: str) -> bytes:
    """Return the octets that `encode` wrote; raises `ValueError` for anything else."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise ValueError("not base64url") from None
    if encode(octets) != text:
        raise ValueError("not canonical base64url")
    return octets
