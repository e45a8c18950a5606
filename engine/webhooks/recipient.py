"""An endpoint made ready for posting: its address, the signatures of the secrets in force, the headers of a post.

Built by the feeder whenever the endpoint's row has changed or a secret retires. Sealed secrets are opened here and
nowhere else.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from engine.keyring import KeyRing
from engine.webhooks.claims import Target
from engine.webhooks.guard import Address, BadUrl, read_url
from engine.webhooks.line import Header
from engine.webhooks.options import WebhookOptions
from engine.webhooks.parcels import Parcel
from engine.webhooks.signing import Sign, signature_header, signer

_USER_AGENT: Final = b"sceau-webhooks/1"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Where and how one endpoint's parcels go; `until` (µs) is when the first of its secrets retires."""

    target: Target
    address: Address
    headers: tuple[Header, ...]
    signers: tuple[Sign, ...] = field(repr=False)
    until: int | None

    @property
    def batched(self) -> bool:
        """Tell whether the endpoint takes batches."""
        return self.target.mode == "batch"

    def headers_of(self, parcel: Parcel, seconds: int) -> list[Header]:
        """Return the headers of one attempt, made at an instant in unix seconds."""
        signature = signature_header(self.signers, parcel.webhook_id, seconds, parcel.body)
        return [
            *self.headers,
            (b"content-length", b"%d" % len(parcel.body)),
            (b"webhook-id", parcel.webhook_id.encode()),
            (b"webhook-timestamp", b"%d" % seconds),
            (b"webhook-signature", signature.encode()),
        ]


def prepare(
    endpoint_id: str, target: Target, keyring: KeyRing, options: WebhookOptions, now: int
) -> Recipient | BadUrl:
    """Return an endpoint ready for posting, or why its URL is no longer allowed; raises `Tampered`, `BadSecret`."""
    address = read_url(target.url, options)
    if isinstance(address, BadUrl):
        return address
    in_force = [one for one in open_secrets(endpoint_id, target.secrets_sealed, keyring) if is_in_force(one, now)]
    headers = (
        (b"host", address.host_header),
        (b"content-type", b"application/json"),
        (b"user-agent", _USER_AGENT),
    )
    signers = tuple(signer(one["secret"]) for one in in_force)
    until = min((one["until"] for one in in_force if one["until"] is not None), default=None)
    return Recipient(target, address, headers, signers, until)


def open_secrets(endpoint_id: str, sealed: str, keyring: KeyRing) -> list[dict[str, Any]]:
    """Return an endpoint's secrets, newest first, each with the instant (µs) until which it signs, or None."""
    secrets: list[dict[str, Any]] = json.loads(keyring.unseal(sealed, endpoint_id))
    return secrets


def seal_secrets(endpoint_id: str, secrets: list[dict[str, Any]], keyring: KeyRing) -> str:
    """Return secrets sealed to their endpoint's row."""
    return keyring.seal(json.dumps(secrets).encode(), endpoint_id)


def is_in_force(secret: dict[str, Any], now: int) -> bool:
    """Tell whether a secret still signs."""
    return secret["until"] is None or secret["until"] > now
