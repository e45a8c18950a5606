"""Standard Webhooks signatures: HMAC-SHA256 (`v1`, the standardwebhooks library) and Ed25519 (`v1a`, ours).

A message is signed as `id.timestamp.body`, once with every secret in force, so that a rotation has no gap. `verify` is
the receiver's side, shown in the docs; nothing here reads a clock.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from standardwebhooks import Webhook

from engine.errors import EngineError

Scheme = Literal["v1", "v1a"]
Sign = Callable[[str, int, bytes], str]

TOLERANCE_S: Final = 300
_SHARED: Final = "whsec_"
_PRIVATE: Final = "whsk_"
_PUBLIC: Final = "whpk_"
_SECRET_OCTETS: Final = 32
_SHARED_OCTETS: Final = range(24, 65)
_SEED_OCTETS: Final = 32


class BadSecret(EngineError):
    """A webhook secret is not one: its prefix, base64 or length is wrong."""

    code: ClassVar[str] = "bad_webhook_secret"


class BadSignature(EngineError):
    """A received webhook is not ours, not whole, or not recent."""

    code: ClassVar[str] = "bad_webhook_signature"


def new_secret(scheme: Scheme, entropy: Callable[[int], bytes]) -> str:
    """Return a fresh secret: `whsec_…` for `v1`; `whsk_…` (seed and public key, 64 octets) for `v1a`."""
    octets = entropy(_SECRET_OCTETS)
    if scheme == "v1":
        return _SHARED + base64.b64encode(octets).decode()
    public = Ed25519PrivateKey.from_private_bytes(octets).public_key().public_bytes_raw()
    return _PRIVATE + base64.b64encode(octets + public).decode()


def receiver_key(secret: str) -> str:
    """Return what the receiver verifies with: a `whsec_` secret itself, the `whpk_` public key of a `whsk_` one."""
    if secret.startswith(_PRIVATE):
        return _PUBLIC + base64.b64encode(_private_key(secret).public_key().public_bytes_raw()).decode()
    return secret


def signer(secret: str) -> Sign:
    """Return the function (id, unix seconds, body) → `v1,…` or `v1a,…`; raises `BadSecret`."""
    if secret.startswith(_PRIVATE):
        private = _private_key(secret)

        def sign_with_key(message_id: str, seconds: int, body: bytes) -> str:
            return "v1a," + base64.b64encode(private.sign(_content(message_id, seconds, body))).decode()

        return sign_with_key
    shared = Webhook(_octets(secret, _SHARED, _SHARED_OCTETS))

    def sign_with_secret(message_id: str, seconds: int, body: bytes) -> str:
        return shared.sign(message_id, datetime.fromtimestamp(seconds, UTC), body.decode())

    return sign_with_secret


def signature_header(signers: Sequence[Sign], message_id: str, seconds: int, body: bytes) -> str:
    """Return the `webhook-signature` header: one signature for each secret in force, newest first."""
    return " ".join(sign(message_id, seconds, body) for sign in signers)


def verify(
    keys: Sequence[str], headers: Mapping[str, str], body: bytes, now_s: int, tolerance_s: int = TOLERANCE_S
) -> str:
    """Return the `webhook-id` of a genuine, recent message, to be remembered against repetition.

    `keys` are `whsec_` secrets and `whpk_` public keys, `now_s` the present in unix seconds. Raises `BadSignature`:
    a header missing, older or newer than the tolerance, or no signature that any key confirms.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        message_id, stamp = given["webhook-id"], given["webhook-timestamp"]
        signatures = given["webhook-signature"].split(" ")
    except KeyError:
        raise BadSignature("a webhook header is missing") from None
    if not (stamp.isascii() and stamp.isdecimal()) or len(stamp) > 12:
        raise BadSignature("the webhook's timestamp is not a number of seconds")
    if abs(now_s - int(stamp)) > tolerance_s:
        raise BadSignature("the webhook's timestamp is too old or too new")
    content = _content(message_id, int(stamp), body)
    if not any(_confirms(key, content, signature) for key in keys for signature in signatures):
        raise BadSignature("no signature of the webhook is ours")
    return message_id


def _confirms(key: str, content: bytes, signature: str) -> bool:
    version, _, encoded = signature.partition(",")
    try:
        octets = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    if key.startswith(_PUBLIC):
        if version != "v1a":
            return False
        try:
            Ed25519PublicKey.from_public_bytes(_octets(key, _PUBLIC, range(32, 33))).verify(octets, content)
        except InvalidSignature:
            return False
        return True
    if version != "v1":
        return False
    return hmac.compare_digest(hmac.digest(_octets(key, _SHARED, _SHARED_OCTETS), content, "sha256"), octets)


def _content(message_id: str, seconds: int, body: bytes) -> bytes:
    return f"{message_id}.{seconds}.".encode() + body


def _private_key(secret: str) -> Ed25519PrivateKey:
    octets = _octets(secret, _PRIVATE, range(_SEED_OCTETS, 2 * _SEED_OCTETS + 1, _SEED_OCTETS))
    key = Ed25519PrivateKey.from_private_bytes(octets[:_SEED_OCTETS])
    if octets[_SEED_OCTETS:] not in (b"", key.public_key().public_bytes_raw()):
        raise BadSecret("the halves of a whsk_ secret do not belong together")
    return key


def _octets(text: str, prefix: str, lengths: range) -> bytes:
    try:
        octets = base64.b64decode(text.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):
        octets = b""
    if not text.startswith(prefix) or len(octets) not in lengths:
        raise BadSecret(f"not a {prefix} value of the right length")
    return octets
