"""The chain of evidence of one case: entries in canonical JSON, each bound to the one before; leaves and roots of logs.

Pure: no keys but those handed in, no clock, no rows. `engine.evidence` stores what is made here, and
`engine.evidence.verify_bundle`, which shares no code with it, examines it; formats are described in docs/signing.md.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import rfc8785

VERSION: Final = 1
CLOSED: Final = "closed"
LOG: Final = "sceau.evidence"
ROOT_LABEL: Final = b"sceau.root.1\0"
MANIFEST_LABEL: Final = b"sceau.manifest.1\0"
_COMMITMENT: Final = "commitment"


class Link(NamedTuple):
    """One entry as it is stored: its octets as text, and their SHA-256 in hex."""

    content: str
    hash: str


def canonical(value: Any) -> bytes:
    """Return a JSON value as RFC 8785 writes it; raises `ValueError` for what has no such form."""
    return rfc8785.dumps(value)


def digest(octets: bytes) -> str:
    """Return the SHA-256 of octets, in hex."""
    return hashlib.sha256(octets).hexdigest()


def link(
    application: str,
    case: str,
    seq: int,
    prev: str,
    at: str,
    kind: str,
    body: Mapping[str, Any],
    stated: Sequence[str] = (),
) -> Link:
    """Return the entry `seq` (from 0) that follows the one with hash `prev`; `stated` names what nobody observed."""
    octets = canonical(
        {
            "v": VERSION,
            "application": application,
            "case": case,
            "seq": seq,
            "prev": prev,
            "at": at,
            "kind": kind,
            "body": dict(body),
            "stated": sorted(stated),
        }
    )
    return Link(octets.decode(), digest(octets))


def leaf(application: str, case: str, count: int, head: str, *, closed: bool) -> bytes:
    """Return the octets of a log's leaf: the head of one chain at one length."""
    return canonical(
        {"v": VERSION, "application": application, "case": case, "count": count, "head": head, "closed": closed}
    )


def root(application: str, size: int, root_hash: bytes, at: str) -> bytes:
    """Return the octets of a log's root, which are signed and time-stamped."""
    return canonical(
        {"v": VERSION, "log": LOG, "application": application, "size": size, "root": root_hash.hex(), "at": at}
    )


# Commitments: the chain holds a keyed hash of a value, the value and its salt are kept elsewhere.


def commitment(value: Any, salt: bytes) -> str:
    """Return HMAC-SHA256 under the salt (32 octets) of a value's canonical JSON, in hex."""
    return hmac.digest(salt, canonical(value), "sha256").hex()


def committed(value: Any, salt: bytes) -> dict[str, str]:
    """Return what stands in an entry's body in place of the value."""
    return {_COMMITMENT: commitment(value, salt)}
