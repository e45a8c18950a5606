"""The reference client of a courier's device: checks QR codes without a network, and keeps the log that it brings home.

One file that needs Python 3.11 and the package `cryptography` alone; nothing of the engine imports it, and
`sceau handover client` prints it. Formats: docs/handover-offline.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

TOKEN_LABEL: Final = b"sceau.handover.1\0"
ENTRY_LABEL: Final = b"sceau.handover.entry.1\0"
HEAD_LABEL: Final = b"sceau.handover.head.1\0"


def to_text(octets: bytes) -> str:
    """Return octets in base64url, without padding."""
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def from_text(text: str) -> bytes:
    """Return what `to_text` was given; raises `ValueError`."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True, slots=True)
class Scanned:
    """A QR code that is genuine: for which delivery, and until when (seconds since 1970)."""

    delivery: str
    until: int


def check_qr(token: str, keys: Mapping[str, str], delivery: str, now: float) -> Scanned | None:
    """Return what a scanned QR code says, if a key of `GET /v1/handover-keys` signed it, for this delivery, in time.

    A code that was replaced since still passes here: nobody without a network can know. The log tells at home.
    """
    try:
        prefix, payload, signature = token.split(".")
        octets = from_text(payload)
        facts = json.loads(octets)
        key = Ed25519PublicKey.from_public_bytes(from_text(keys[facts["k"]]))
        key.verify(from_text(signature), TOKEN_LABEL + octets)
        scanned = Scanned(facts["d"], facts["x"])
    except (ValueError, KeyError, TypeError, InvalidSignature):
        return None
    genuine = prefix == "SCEAU1" and scanned.delivery == delivery and now < scanned.until
    return scanned if genuine else None


class Log:
    """A device's log: entries bound by hashes and signed by the device's key, kept in a file until they are home.

    `device` is the id that the registration of `public_key` returned. `clock` is the device's own (`time.time`);
    wrong or not, it is sent along.
    """

    def __init__(self, path: Path, key: Ed25519PrivateKey, device: str, clock: Callable[[], float]) -> None:
        self.path, self.key, self.device, self.clock = path, key, device, clock
        self.entries: list[dict[str, str]] = json.loads(path.read_text()) if path.exists() else []

    def enter(self, delivery: str, courier: str, value: str, position: str = "") -> None:
        """Write down what was typed or scanned; whether it is right is told when the log is home, and not before.

        `position` is `latitude,longitude` in degrees, or empty.
        """
        salt = secrets.token_bytes(16)
        content = canonical(
            {
                "v": 1,
                "device": self.device,
                "seq": len(self.entries) + 1,
                "prev": digest(self.entries[-1]["content"]) if self.entries else "",
                "at": self._now(),
                "delivery": delivery,
                "courier": courier,
                "door": "qr" if value.startswith("SCEAU1.") else "code",
                "commitment": hmac.digest(salt, value.encode(), "sha256").hex(),
                "position": position,
            }
        )
        self.entries.append(self._signed(ENTRY_LABEL, content) | {"salt": salt.hex(), "value": value})
        self._save()

    def body(self, after: int = 0, most: int = 500) -> dict[str, Any]:
        """Return the body of `POST /v1/handover-log`: entries after the last one that came home, and the log's end."""
        last = self.entries[-1]["content"] if self.entries else ""
        head = canonical(
            {
                "v": 1,
                "device": self.device,
                "seq": len(self.entries),
                "hash": digest(last) if last else "",
                "sent_at": self._now(),
            }
        )
        return {
            "device_id": self.device,
            "head": self._signed(HEAD_LABEL, head),
            "entries": self.entries[after : after + most],
        }

    def _now(self) -> int:
        return int(self.clock() * 1_000)

    def _signed(self, label: bytes, content: str) -> dict[str, str]:
        return {"content": content, "signature": to_text(self.key.sign(label + content.encode()))}

    def _save(self) -> None:
        """Write the file beside itself and put it in place, so that no power cut leaves half of it."""
        beside = self.path.with_suffix(".new")
        with beside.open("w") as file:
            json.dump(self.entries, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)


def new_key() -> tuple[Ed25519PrivateKey, str]:
    """Return a device's new key, and its public half as `POST /v1/courier-devices` takes it."""
    key = Ed25519PrivateKey.generate()
    return key, to_text(key.public_key().public_bytes_raw())


def canonical(facts: Mapping[str, Any]) -> str:
    """Return JSON as the log signs it: sorted, without spaces, in ASCII."""
    return json.dumps(facts, sort_keys=True, separators=(",", ":"))


def digest(content: str) -> str:
    """Return the SHA-256 of an entry's octets, hex."""
    return hashlib.sha256(content.encode()).hexdigest()
