"""Who is calling: bearer keys proven offline, looked up again within a second, refused once they are revoked (S16).

The cache holds rows, never a key's text; every request compares the digest in constant time. Instants of last use
gather in memory and are written by `keep_last_used`, which the composition root runs.
"""

import json
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import trio
from sqlalchemy import bindparam, select
from starlette.requests import Request

from engine.api.problems import Refused
from engine.api.rates import RateLimit
from engine.apikeys import Presented, Refusal, Scope, StoredKey, parse_key
from engine.clock import Clock
from engine.errors import StoreUnavailable
from engine.settings_service import Limits
from engine.store.doorway import Store
from engine.store.statements import Dialect, Statement
from engine.store.tables_tenancy import ApiKey, Application
from engine.store.transaction import Tx

_KEPT_S: Final = 0.5  # a key revoked elsewhere still opens doors for this long
_MOST_KEPT: Final = 10_000
_LAST_USED_EVERY_S: Final = 5.0
_REFUSED: Final = {Refusal.ADDRESS: "address_not_allowed", Refusal.SCOPE: "scope_missing"}


@dataclass(frozen=True, slots=True)
class Caller:
    """A proven key: whose, and what it may do."""

    key: StoredKey
    peer: str

    @property
    def application_id(self) -> str:
        """Return the application to which everything the caller sees or makes belongs."""
        return self.key.application_id

    @property
    def actor(self) -> str:
        """Return who the audit names."""
        return self.key.id

    def may(self, scope: Scope) -> bool:
        """Tell whether the key has a scope."""
        return self.key.allows(scope)

    def need(self, scope: Scope) -> None:
        """Refuse (403) unless the key has a scope."""
        if not self.key.allows(scope):
            raise Refused("scope_missing", scope=scope.value)


class _Kept(NamedTuple):
    key: StoredKey | None
    until: float


@dataclass(slots=True)
class Door:
    """The keys known for now, the refusals counted per address, the last uses not yet written."""

    limits: Limits
    keys: OrderedDict[str, _Kept] = field(default_factory=OrderedDict)
    used: dict[str, int] = field(default_factory=dict)
    refusals: RateLimit = field(init=False)
    requests: RateLimit = field(init=False)

    def __post_init__(self) -> None:
        refused, requests = self.limits.refused_keys_per_ip, self.limits.requests_per_key
        self.refusals = RateLimit("refused-keys", refused.count, refused.per_s)
        self.requests = RateLimit("requests", requests.count, requests.per_s)

    def forget(self, key_id: str) -> None:
        """Look a key up again at its next use: it was changed here."""
        self.keys.pop(key_id, None)

    async def admit(self, request: Request, store: Store, clock: Clock) -> Caller:
        """Return who calls; refuses (401, 403, 429) a key that is absent, wrong, revoked, expired or from elsewhere."""
        client = request.scope.get("client")
        peer = client[0] if client else ""
        now = clock.monotonic()
        if not self.refusals.peek(peer, now):
            raise Refused("too_many_refused_keys").with_headers(Retry_After=str(self.refusals.take(peer, now).retry_s))
        presented = _presented(request)
        if presented is None:
            self._count_refusal(peer, now)
            raise Refused("invalid_key")
        kept = self.keys.get(presented.id)
        if kept is None or kept.until <= now:
            kept = await self._look_up(presented, store, clock)
        refusal = Refusal.WRONG_SECRET if kept.key is None else kept.key.refusal(presented, peer, clock.now())
        if refusal is not None or kept.key is None:
            self._count_refusal(peer, now)
            raise Refused(_REFUSED.get(refusal or Refusal.WRONG_SECRET, "invalid_key"))
        self.used[kept.key.id] = clock.now()
        return Caller(kept.key, peer)

    async def _look_up(self, presented: Presented, store: Store, clock: Clock) -> _Kept:
        key = await store.read(lambda tx: read_key(tx, presented.id))
        kept = self.keys[presented.id] = _Kept(key, clock.monotonic() + _KEPT_S)
        self.keys.move_to_end(presented.id)
        if len(self.keys) > _MOST_KEPT:
            self.keys.popitem(last=False)
        return kept

    def _count_refusal(self, peer: str, now: float) -> None:
        verdict = self.refusals.take(peer, now)
        if not verdict.allowed:
            raise Refused("too_many_refused_keys").with_headers(Retry_After=str(verdict.retry_s))

    def take_used(self) -> list[tuple[str, int]]:
        """Return (key, instant) of the last uses since the last call."""
        taken, self.used = sorted(self.used.items()), {}
        return taken


def _presented(request: Request) -> Presented | None:
    given = request.headers.get("authorization")
    if given is None:
        raise Refused("missing_key")
    scheme, _, text = given.partition(" ")
    return parse_key(text.strip()) if scheme.lower() == "bearer" else None


async def keep_last_used(door: Door, store: Store, every_s: float = _LAST_USED_EVERY_S) -> None:
    """Write when keys were last used, every few seconds, until cancelled."""
    while True:
        await trio.sleep(every_s)
        used = door.take_used()
        if used:
            try:
                await store.write(lambda tx, used=used: touch(tx, used))  # type: ignore[misc]
            except StoreUnavailable:
                door.used = dict(used) | door.used


def read_key(tx: Tx, key_id: str) -> StoredKey | None:
    """Return a key of an application that is not closed."""
    row = tx.one(_READ_KEY, id=key_id)
    return None if row is None else stored_key(row)


def stored_key(row: tuple[Any, ...]) -> StoredKey:
    """Return the key of a row selected in the order of `KEY_COLUMNS`."""
    return StoredKey(
        id=row[0],
        application_id=row[1],
        environment=row[2],
        digest=row[3],
        scopes=frozenset(json.loads(row[4])),
        addresses=tuple(json.loads(row[5])),
        expires_at=row[6],
        revoked_at=row[7],
    )


def touch(tx: Tx, used: list[tuple[str, int]]) -> None:
    """Write the instants at which keys were last used."""
    tx.batch(_TOUCH, used)


# Statements.

_key: Any = ApiKey.__table__  # type: ignore[attr-defined]
_application: Any = Application.__table__  # type: ignore[attr-defined]
KEY_COLUMNS: Final = (
    "id", "application_id", "environment", "secret_digest", "scopes", "addresses", "expires_at", "revoked_at",
)  # fmt: skip


def _build_touch(dialect: Dialect) -> Any:
    given = dialect.given(id=str, last_used_at=int)
    return _key.update().where(_key.c.id == given.c.id).values(last_used_at=given.c.last_used_at)


_READ_KEY: Final = Statement(
    lambda _: (
        select(*[_key.c[name] for name in KEY_COLUMNS])
        .join(_application, _application.c.id == _key.c.application_id)
        .where(_key.c.id == bindparam("id"), _application.c.state == "active")
    )
)
_TOUCH: Final = Statement(_build_touch)
