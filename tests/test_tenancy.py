"""Applications and keys as the commands keep them, on both databases, and as the API then knows them."""

from __future__ import annotations

from engine import tenancy
from engine.api.auth import read_key
from engine.apikeys import Scope, checked_scopes, parse_key
from engine.cases.casebook import audits_of
from engine.clock import VirtualClock
from engine.store.doorway import Store
from engine.tenancy import KeyWanted

CLOCK = VirtualClock()
WANTED = KeyWanted("a key", "test", checked_scopes([Scope.ADMIN]), ("127.0.0.0/8",), 4_000_000_000_000_000)


async def test_a_key_made_here_opens_the_api_and_a_revoked_one_does_not(store: Store) -> None:
    assert await store.write(lambda tx: tenancy.open_application(tx, "app_one", "One", CLOCK))
    made = await store.write(lambda tx: tenancy.add_key(tx, "app_one", WANTED, CLOCK))
    assert made is not None
    presented = parse_key(made.text)
    assert presented is not None
    stored = await store.read(lambda tx: read_key(tx, made.id))
    assert stored is not None
    assert stored.refusal(presented, "127.0.0.1", CLOCK.now()) is None
    assert stored.refusal(presented, "192.0.2.1", CLOCK.now()) is not None
    assert stored.allows(Scope.SEND_OTP)

    assert await store.write(lambda tx: tenancy.revoke_key(tx, made.id, CLOCK))
    assert not await store.write(lambda tx: tenancy.revoke_key(tx, made.id, CLOCK))
    revoked = await store.read(lambda tx: read_key(tx, made.id))
    assert revoked is not None
    assert revoked.refusal(presented, "127.0.0.1", CLOCK.now()) is not None
    told = [(actor, action) for actor, action, _, _ in await store.read(lambda tx: audits_of(tx, made.id))]
    assert told == [("cli", "key.created"), ("cli", "key.revoked")]


async def test_an_application_is_opened_once_and_keys_are_made_for_those_that_are_open(store: Store) -> None:
    assert await store.write(lambda tx: tenancy.open_application(tx, "app_one", "One", CLOCK))
    assert not await store.write(lambda tx: tenancy.open_application(tx, "app_one", "Another", CLOCK))
    assert [row.name for row in await store.read(tenancy.applications)] == ["One"]
    assert await store.write(lambda tx: tenancy.add_key(tx, "app_two", WANTED, CLOCK)) is None
    assert await store.read(tenancy.keys) == []


async def test_keys_are_listed_by_application(store: Store) -> None:
    for name in ("app_one", "app_two"):
        await store.write(lambda tx, name=name: tenancy.open_application(tx, name, name, CLOCK))  # type: ignore[misc]
        await store.write(lambda tx, name=name: tenancy.add_key(tx, name, WANTED, CLOCK))  # type: ignore[misc]
    assert [row.application_id for row in await store.read(tenancy.keys)] == ["app_one", "app_two"]
    [row] = await store.read(lambda tx: tenancy.keys(tx, "app_two"))
    assert (row.name, row.scopes, row.expires_at) == ("a key", ("admin",), WANTED.expires_at)
    assert "digest" not in " ".join(row._fields)
