"""A small engine behind the real HTTP application, and clients of two tenants that call it in process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from engine.api.app import build_app
from engine.api.context import Context
from engine.api.limits import Gate
from engine.apikeys import NewKey, Scope, make_key
from engine.clock import VirtualClock
from engine.core import Core, open_core
from engine.keyring import KeyRing
from engine.phones import OfflineResolver
from engine.settings import Settings
from engine.store.doorway import Store
from engine.store.statements import column_kinds, insert
from engine.store.tables_tenancy import ApiKey, Application
from engine.store.transaction import Tx
from tests.shipped import shipped_templates

ALICE = "app_" + "a" * 32
BOB = "app_" + "b" * 32
EVERYTHING = tuple(scope.value for scope in Scope)
NUMBER = "+33612345678"
_INSERT_APPLICATION = insert(Application, column_kinds(Application))
_INSERT_KEY = insert(ApiKey, column_kinds(ApiKey))


def settings(**given: Any) -> Settings:
    """Settings with one simulator account that carries the sender `Sceau` everywhere."""
    account = {
        "kind": "simulator",
        "binds": {"main": {"host": "127.0.0.1", "port": 2775, "system_id": "sceau", "password": "unused-here"}},
    }
    senders = {"sceau": {"address": "Sceau", "accounts": ["sim"]}}
    return Settings(**{"accounts": {"sim": account}, "senders": senders, **given})


@dataclass
class Api:
    """The application, its context, and clients of two tenants."""

    core: Core
    context: Context
    app: Gate
    alice: httpx2.AsyncClient
    bob: httpx2.AsyncClient
    anonymous: httpx2.AsyncClient

    async def key(self, *scopes: str, application_id: str = ALICE, **columns: Any) -> str:
        """Make a key; return its text."""
        return await self.context.store.write(lambda tx: put_key(tx, self.core, application_id, scopes, **columns))

    def client(self, key: str | None, peer: str = "127.0.0.1") -> httpx2.AsyncClient:
        """Return a client that calls the application in process with a key."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        transport = httpx2.ASGITransport(self.app, client=(peer, 40_000))
        return httpx2.AsyncClient(transport=transport, base_url="http://sceau.test", headers=headers)


def put_key(tx: Tx, core: Core, application_id: str, scopes: tuple[str, ...], **columns: Any) -> str:
    """Store a key of an application; return its text."""
    clock = core.clock
    made = make_key("test", clock.new_id("key"), clock.entropy)
    insert_key(tx, made, application_id, scopes, clock.now(), **columns)
    return made.text


def insert_key(tx: Tx, made: NewKey, application_id: str, scopes: tuple[str, ...], now: int, **columns: Any) -> None:
    """Store a key that was made; `columns` differ from a plain one."""
    row = {
        "id": made.id,
        "application_id": application_id,
        "name": "a key",
        "environment": "test",
        "secret_digest": made.digest,
        "scopes": json.dumps(scopes),
        "addresses": "[]",
        "created_at": now,
        "expires_at": None,
        "revoked_at": None,
        "last_used_at": None,
        **columns,
    }
    tx.batch(_INSERT_KEY, [list(row.values())])


def put_application(tx: Tx, application_id: str, now: int) -> None:
    """Store an application."""
    tx.batch(_INSERT_APPLICATION, [(application_id, application_id, "active", now)])


@asynccontextmanager
async def open_api(store: Store, given: Settings | None = None) -> AsyncIterator[Api]:
    """An application on a store, with two tenants whose clients hold every scope."""
    clock = VirtualClock()
    core = await open_core(
        given or settings(), store, clock, KeyRing.generate(clock.entropy), templates=shipped_templates()
    )
    context = Context.of(core, OfflineResolver())
    app = build_app(context)
    api = Api(core, context, app, *(httpx2.AsyncClient() for _ in range(3)))
    keys = []
    for tenant in (ALICE, BOB):

        def enter(tx: Tx, tenant: str = tenant) -> str:
            put_application(tx, tenant, clock.now())
            return put_key(tx, core, tenant, EVERYTHING)

        keys.append(await store.write(enter))
    api.alice, api.bob, api.anonymous = api.client(keys[0]), api.client(keys[1]), api.client(None)
    async with api.alice, api.bob, api.anonymous:
        yield api
