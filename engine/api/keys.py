"""/v1/keys: keys made, listed and revoked by a key with `keys:manage`; the text of a key is shown once.

Two keys of an application may live side by side, which is how one is rotated. Proving keys is `auth`'s.
"""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator
from sqlalchemy import BigInteger, bindparam, func, select
from starlette.responses import Response

from engine.api import paging
from engine.api.endpoint import Call, Calling, Routes
from engine.api.idempotency import Answer
from engine.api.problems import Refused, problem_body
from engine.api.types import Body, Instant, ShortText, Shown, as_json
from engine.apikeys import Scope, checked_addresses, checked_scopes, make_key
from engine.cases.casebook import put_audit
from engine.clock import from_rfc3339, to_rfc3339
from engine.store.statements import Statement, column_kinds, insert
from engine.store.tables_tenancy import ApiKey
from engine.store.transaction import Tx

routes = Routes("keys")

MOST_KEYS: Final = 200
_MANAGE: Final = (Scope.KEYS_MANAGE,)


class KeyBody(Body):
    """A key to make."""

    name: ShortText
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    environment: Literal["test", "live"] | None = Field(default=None, description="that of the calling key if absent")
    addresses: Annotated[list[Annotated[str, Field(max_length=49)]], Field(max_length=50)] = Field(
        default_factory=list, description="CIDR blocks from which the key may be used; none: anywhere"
    )
    expires_at: Annotated[str, Field(max_length=40)] | None = Field(default=None, description="RFC 3339")

    @field_validator("addresses")
    @classmethod
    def _blocks(cls, blocks: list[str]) -> list[str]:
        try:
            return list(checked_addresses(blocks))
        except ValueError:
            raise ValueError("must be CIDR blocks, such as 192.0.2.0/24") from None

    @field_validator("expires_at")
    @classmethod
    def _instant(cls, text: str | None) -> str | None:
        if text is not None:
            from_rfc3339(text)
        return text


class KeyShown(Shown):
    """A key without its secret."""

    id: str
    name: str
    environment: str
    scopes: list[str]
    addresses: list[str]
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None


class NewKeyShown(KeyShown):
    """A key just made; `key` is its text, shown this once (a repeat of the request has null there)."""

    key: str | None


class KeyPage(Shown):
    """Keys, newest first."""

    data: list[KeyShown]
    next_cursor: str | None


@routes.post("/v1/keys", needs=_MANAGE, answers={201: NewKeyShown}, refuses=("scope_not_yours", "too_many"))
async def create_key(call: Calling, body: KeyBody) -> Response:
    """Make a key for the caller's application, with scopes that the calling key has itself."""
    for scope in body.scopes:
        if not call.caller.may(scope):
            raise Refused("scope_not_yours", scope=scope.value)
    expires_at = None if body.expires_at is None else from_rfc3339(body.expires_at)
    if expires_at is not None and not call.now < expires_at < 2**62:
        raise Refused("invalid", errors=[{"at": ["body", "expires_at"], "code": "past", "message": "is not ahead"}])
    environment = body.environment or call.caller.key.environment
    return await call.change(
        lambda tx: insert_key(
            tx,
            call,
            call.application_id,
            body.name,
            environment,
            checked_scopes(body.scopes),
            tuple(body.addresses),
            expires_at,
        )
    )


def insert_key(
    tx: Tx,
    call: Call,
    application_id: str,
    name: str,
    environment: Literal["test", "live"],
    scopes: tuple[str, ...],
    addresses: tuple[str, ...] = (),
    expires_at: int | None = None,
) -> Answer:
    """Make and store a key; 201 with its text, or 409 when there are too many."""
    count = tx.one(_COUNT, application=application_id)
    assert count is not None
    if int(count[0]) >= MOST_KEYS:
        return Answer(409, problem_body("too_many", most=MOST_KEYS))
    clock = call.context.clock
    made = make_key(environment, clock.new_id("key"), clock.entropy)
    row = (
        made.id, application_id, name, environment, made.digest, json.dumps(scopes), json.dumps(addresses), call.now,
        expires_at, None, None,
    )  # fmt: skip
    tx.batch(_INSERT, [row])
    put_audit(
        tx, clock.new_id("aud"), application_id, call.caller.actor, "key.created", made.id, {"scopes": scopes}, call.now
    )
    shown = _shown(dict(zip(_COLUMNS, [row[_ALL.index(name)] for name in _COLUMNS], strict=True)))
    return Answer(
        201,
        as_json({**shown, "key": made.text}),
        stored=as_json({**shown, "key": None}),
    )


@routes.get("/v1/keys", needs=_MANAGE, shows=KeyPage)
async def list_keys(call: Calling, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """List the application's keys, newest first, revoked ones too."""
    before = paging.after(cursor)
    rows = await call.read(lambda tx: tx.all(_PAGE, application=call.application_id, before=before, most=limit + 1))
    return call.shown(paging.page([_shown(dict(zip(_COLUMNS, row, strict=True))) for row in rows], limit))


@routes.get("/v1/keys/{key_id}", needs=_MANAGE, shows=KeyShown)
async def read_key(call: Calling, key_id: str) -> Response:
    """Read a key's facts."""
    found = await call.read(lambda tx: _find(tx, call.application_id, key_id))
    if found is None:
        raise Refused("not_found")
    return call.shown(as_json(_shown(found)))


@routes.delete("/v1/keys/{key_id}", needs=_MANAGE, answers={200: KeyShown})
async def revoke_key(call: Calling, key_id: str) -> Response:
    """Revoke a key: it is refused here at once, and within a second everywhere."""
    context = call.context

    def revoke(tx: Tx) -> Answer:
        if _find(tx, call.application_id, key_id) is None:
            return Answer(404, problem_body("not_found"))
        if tx.run(_REVOKE, id=key_id, application=call.application_id, now=call.now):
            audit_id = context.clock.new_id("aud")
            put_audit(tx, audit_id, call.application_id, call.caller.actor, "key.revoked", key_id, {}, call.now)
        found = _find(tx, call.application_id, key_id)
        assert found is not None
        return Answer(200, as_json(_shown(found)))

    response = await call.change(revoke)
    if response.status_code == 200:
        context.door.forget(key_id)
    return response


def _find(tx: Tx, application_id: str, key_id: str) -> dict[str, Any] | None:
    row = tx.one(_ONE, id=key_id, application=application_id)
    return None if row is None else dict(zip(_COLUMNS, row, strict=True))


def _shown(columns: dict[str, Any]) -> dict[str, Any]:
    made = dict(columns)
    for name in ("scopes", "addresses"):
        made[name] = json.loads(columns[name])
    for name in ("created_at", "expires_at", "revoked_at", "last_used_at"):
        made[name] = None if columns[name] is None else to_rfc3339(columns[name])
    return made


# Statements.

_key: Any = ApiKey.__table__  # type: ignore[attr-defined]
_ALL: Final = tuple(column_kinds(ApiKey))
_COLUMNS: Final = (
    "id", "name", "environment", "scopes", "addresses", "created_at", "expires_at", "revoked_at", "last_used_at",
)  # fmt: skip
_INSERT: Final = insert(ApiKey, column_kinds(ApiKey))
_COUNT: Final = Statement(
    lambda _: select(func.count().label("count")).where(
        _key.c.application_id == bindparam("application"), _key.c.revoked_at.is_(None)
    )
)
_ONE: Final = Statement(
    lambda _: select(*[_key.c[name] for name in _COLUMNS]).where(
        _key.c.id == bindparam("id"), _key.c.application_id == bindparam("application")
    )
)
_PAGE: Final = Statement(
    lambda _: (
        select(*[_key.c[name] for name in _COLUMNS])
        .where(_key.c.application_id == bindparam("application"), _key.c.id < bindparam("before"))
        .order_by(_key.c.id.desc())
        .limit(bindparam("most"))
    )
)
_REVOKE: Final = Statement(
    lambda _: (
        _key.update()
        .where(
            _key.c.id == bindparam("id"),
            _key.c.application_id == bindparam("application"),
            _key.c.revoked_at.is_(None),
        )
        .values(revoked_at=bindparam("now", type_=BigInteger()))
    )
)
