"""The QR codes of deliveries: Ed25519 tokens that a courier's device checks without a network and cannot forge.

A token says which delivery, which of its codes, and until when; its signature is the installation's evidence key's.
The format is described in docs/handover-offline.md.
"""

import json
from typing import Any, Final

from cryptography.exceptions import InvalidSignature

from engine import base64url
from engine.clock import SECOND
from engine.codes import CodeSeed, equal, qr_nonce
from engine.keyring import KeyRing
from workflows.base import Verdict

PREFIX: Final = "SCEAU1"
LABEL: Final = b"sceau.handover.1\0"
_LONGEST: Final = 512


def token_of(keyring: KeyRing, delivery_id: str, stored: str, until: int) -> str:
    """Return the token of a delivery's code, whose stored seed this is, until an instant."""
    facts = {
        "v": 1,
        "d": delivery_id,
        "n": _nonce(keyring, stored),
        "x": until // SECOND,
        "k": keyring.current_evidence,
    }
    payload = json.dumps(facts, separators=(",", ":"), sort_keys=True).encode()
    return f"{PREFIX}.{base64url.encode(payload)}.{keyring.sign(LABEL + payload)}"


def verdict_on_token(keyring: KeyRing, delivery_id: str, token: str, stored: str | None, old: list[str]) -> Verdict:
    """Compare a scanned token with a delivery's present code and with those before; forged ones have no form."""
    facts = _opened(keyring, token)
    if facts is None or facts.get("d") != delivery_id or not isinstance(facts.get("n"), str):
        return Verdict.BAD_FORMAT
    if stored is not None and equal(facts["n"], _nonce(keyring, stored)):
        return Verdict.RIGHT
    return Verdict.SUPERSEDED if any(equal(facts["n"], _nonce(keyring, one)) for one in old) else Verdict.BAD_FORMAT


def is_token(entry: str) -> bool:
    """Tell whether what was entered is a token, and no typed code."""
    return entry.startswith(f"{PREFIX}.")


def _nonce(keyring: KeyRing, stored: str) -> str:
    seed = CodeSeed.from_json(stored)
    return qr_nonce(seed, keyring.code_key(seed.kid))


def _opened(keyring: KeyRing, token: str) -> dict[str, Any] | None:
    prefix, _, rest = token.partition(".")
    payload, _, signature = rest.partition(".")
    if prefix != PREFIX or len(token) > _LONGEST:
        return None
    try:
        octets = base64url.decode(payload)
        facts = json.loads(octets)
        key = keyring.public_keys()[facts["k"]]
        key.verify(base64url.decode(signature), LABEL + octets)
    except (ValueError, KeyError, TypeError, InvalidSignature, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None
