"""API keys: their text, which parses and proves itself offline, what is stored of them, and what they allow (S16).

Pure: entropy, instants and rows are handed in. `api` checks requests with it, `cli` makes the first key; nothing but
a digest of the secret is ever stored, and the text is shown once.
"""

import hashlib
import hmac
import ipaddress
import re
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NamedTuple

Environment = Literal["test", "live"]

_BRAND: Final = "sceau"
_ID_PREFIX: Final = "key_"
_SECRET_OCTETS: Final = 24  # 192 bits
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_CHARACTERS: Final = 33  # 62^33 > 2^192
_CHECKSUM_CHARACTERS: Final = 6  # 62^6 > 2^32
_TEXT: Final = re.compile(
    rf"({_BRAND}_(test|live)_([0-9a-z]{{8,40}})_[0-9A-Za-z]{{{_SECRET_CHARACTERS}}})_"
    rf"([0-9A-Za-z]{{{_CHECKSUM_CHARACTERS}}})"
)


class Scope(StrEnum):
    """What a key may do."""

    SEND_OTP = "send:otp"
    SEND_TRANSACTIONAL = "send:transactional"
    SEND_BULK = "send:bulk"
    VERIFY_START = "verify:start"
    VERIFY_CHECK = "verify:check"
    VERIFY_READ = "verify:read"
    VERIFY_REVEAL = "verify:reveal"
    SIGN_REQUEST = "sign:request"
    SIGN_SIGN = "sign:sign"
    SIGN_RESET = "sign:reset"
    SIGN_READ = "sign:read"
    HANDOVER_COURIER = "handover:courier"
    HANDOVER_MERCHANT = "handover:merchant"
    HANDOVER_SUPERVISE = "handover:supervise"
    HANDOVER_REVEAL = "handover:reveal"
    LEADS_WRITE = "leads:write"
    LEADS_READ = "leads:read"
    CONSENT_MANAGE = "consent:manage"
    EVIDENCE_READ = "evidence:read"
    EVIDENCE_HOLD = "evidence:hold"
    PII_ERASE = "pii:erase"
    MESSAGES_READ = "messages:read"
    LOOKUP_READ = "lookup:read"
    WEBHOOKS_MANAGE = "webhooks:manage"
    EVENTS_READ = "events:read"
    STATS_READ = "stats:read"
    PROFILES_MANAGE = "profiles:manage"
    KEYS_MANAGE = "keys:manage"
    READ_PII = "read:pii"
    ADMIN = "admin"


# An administrator's key does not read codes or numbers in full, and erases nobody, unless it says so.
_NEVER_IMPLIED: Final = frozenset({Scope.VERIFY_REVEAL, Scope.HANDOVER_REVEAL, Scope.READ_PII, Scope.PII_ERASE})


class Refusal(StrEnum):
    """Why a key does not open a door; the first three are one answer (401) to the caller."""

    WRONG_SECRET = "wrong_secret"  # noqa: S105 - the name of a reason
    REVOKED = "revoked"
    EXPIRED = "expired"
    ADDRESS = "address_not_allowed"
    SCOPE = "scope_missing"


class NewKey(NamedTuple):
    """A key just made: `text` is shown once, `digest` is stored."""

    id: str
    text: str
    digest: str

    def __repr__(self) -> str:
        """Leave the secret out."""
        return f"NewKey(id={self.id!r})"


class Presented(NamedTuple):
    """A key as a request presents it: well formed, not yet known to be right."""

    id: str
    environment: Environment
    digest: str

    def __repr__(self) -> str:
        """Leave the digest out."""
        return f"Presented(id={self.id!r}, environment={self.environment!r})"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key's row; instants in µs, `addresses` CIDR blocks of which none means any."""

    id: str
    application_id: str
    environment: Environment
    digest: str = field(repr=False)
    scopes: frozenset[str]
    addresses: tuple[str, ...] = ()
    expires_at: int | None = None
    revoked_at: int | None = None

    def refusal(self, presented: Presented, peer: str, now: int) -> Refusal | None:
        """Tell why the presented key is refused, or None: it is this one, alive, and comes from an allowed address."""
        right = hmac.compare_digest(self.digest, presented.digest)
        if not right or presented.environment != self.environment:
            return Refusal.WRONG_SECRET
        if self.revoked_at is not None and now >= self.revoked_at:
            return Refusal.REVOKED
        if self.expires_at is not None and now >= self.expires_at:
            return Refusal.EXPIRED
        return None if is_allowed_from(peer, self.addresses) else Refusal.ADDRESS

    def allows(self, scope: Scope) -> bool:
        """Tell whether the key has a scope; `admin` implies all but revealing codes and personal data."""
        return scope in self.scopes or (Scope.ADMIN in self.scopes and scope not in _NEVER_IMPLIED)


def make_key(environment: Environment, key_id: str, entropy: Callable[[int], bytes]) -> NewKey:
    """Make a key of an id such as `key_0192…`, as `Clock.new_id("key")` gives it."""
    secret = _base62(int.from_bytes(entropy(_SECRET_OCTETS)), _SECRET_CHARACTERS)
    proven = f"{_BRAND}_{environment}_{key_id.removeprefix(_ID_PREFIX)}_{secret}"
    text = f"{proven}_{_checksum(proven)}"
    return NewKey(key_id, text, _digest(text))


def parse_key(text: str) -> Presented | None:
    """Return what a bearer text says, or None if it is no key of ours: wrong form or checksum, no look-up needed."""
    match = _TEXT.fullmatch(text)
    if match is None or _checksum(match[1]) != match[4]:
        return None
    return Presented(_ID_PREFIX + match[3], "live" if match[2] == "live" else "test", _digest(text))


def checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return scopes sorted and once each; raises `ValueError` for one that does not exist."""
    return tuple(sorted({Scope(scope).value for scope in scopes}))


def checked_addresses(blocks: Iterable[str]) -> tuple[str, ...]:
    """Return CIDR blocks in canonical form; raises `ValueError` for what is none."""
    return tuple(str(ipaddress.ip_network(block, strict=False)) for block in blocks)


def is_allowed_from(peer: str, blocks: Iterable[str]) -> bool:
    """Tell whether a peer's address lies in one of the blocks; no blocks allow any, no address is in none."""
    networks = [ipaddress.ip_network(block) for block in blocks]
    if not networks:
        return True
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def _digest(text: str) -> str:
    # 192 random bits cannot be guessed from a plain digest; a slow hash would only slow every request.
    return hashlib.sha256(text.encode()).hexdigest()


def _checksum(proven: str) -> str:
    return _base62(zlib.crc32(proven.encode()), _CHECKSUM_CHARACTERS)


def _base62(value: int, width: int) -> str:
    characters = []
    for _ in range(width):
        value, rest = divmod(value, 62)
        characters.append(_BASE62[rest])
    return "".join(reversed(characters))
