"""Applications and their API keys as rows, for the commands: opened, listed, given a key, deprived of one.

Store functions; the API has its own, which refuse as HTTP does. What a key may do is `apikeys`'.
"""

import json
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, select

from engine.apikeys import Environment, NewKey, make_key
from engine.cases.casebook import put_audit
from engine.clock import Clock
from engine.store.statements import Statement, column_kinds, insert, insert_new
from engine.store.tables_tenancy import ApiKey, Application
from engine.store.transaction import Tx

DEFAULT_APPLICATION: Final = "app_default"
ACTOR: Final = "cli"


class ApplicationRow(NamedTuple):
    """An application; the instant is in µs."""

    id: str
    name: str
    state: str
    created_at: int


class KeyRow(NamedTuple):
    """A key without its secret; instants in µs."""

    id: str
    application_id: str
    name: str
    environment: str
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None


class KeyWanted(NamedTuple):
    """A key to make; scopes and addresses are checked already (`apikeys`)."""

    name: str
    environment: Environment
    scopes: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    expires_at: int | None = None


def open_application(tx: Tx, application_id: str, name: str, clock: Clock) -> bool:
    """Open an application; False, and nothing happens, if there is one of this id."""
    now = clock.now()
    if not tx.batch(_OPEN, [(application_id, name, "active", now)]):
        return False
    put_audit(tx, clock.new_id("aud"), application_id, ACTOR, "application.created", application_id, {}, now)
    return True


def applications(tx: Tx) -> list[ApplicationRow]:
    """Return every application, oldest first."""
    return [ApplicationRow(*row) for row in tx.all(_APPLICATIONS)]


def add_key(tx: Tx, application_id: str, wanted: KeyWanted, clock: Clock) -> NewKey | None:
    """Make and store a key; its text is in the answer and nowhere else. None if there is no such active application."""
    if not any(row.id == application_id and row.state == "active" for row in applications(tx)):
        return None
    now = clock.now()
    made = make_key(wanted.environment, clock.new_id("key"), clock.entropy)
    columns = {
        "id": made.id,
        "application_id": application_id,
        "name": wanted.name,
        "environment": wanted.environment,
        "secret_digest": made.digest,
        "scopes": json.dumps(wanted.scopes),
        "addresses": json.dumps(wanted.addresses),
        "created_at": now,
        "expires_at": wanted.expires_at,
        "revoked_at": None,
        "last_used_at": None,
    }
    tx.batch(_ADD_KEY, [[columns[name] for name in _KEY_COLUMNS]])
    detail = {"scopes": wanted.scopes}
    put_audit(tx, clock.new_id("aud"), application_id, ACTOR, "key.created", made.id, detail, now)
    return made


def keys(tx: Tx, application_id: str | None = None) -> list[KeyRow]:
    """Return the keys of one application or of all, oldest first, revoked ones too."""
    rows = [KeyRow(*row) for row in tx.all(_KEYS)]
    read = (row._replace(scopes=tuple(json.loads(str(row.scopes)))) for row in rows)
    return [row for row in read if application_id in {None, row.application_id}]


def revoke_key(tx: Tx, key_id: str, clock: Clock) -> bool:
    """Revoke a key; False if there is none of this id that is not revoked already."""
    row = next((row for row in keys(tx) if row.id == key_id), None)
    now = clock.now()
    if row is None or not tx.run(_REVOKE, id=key_id, now=now):
        return False
    put_audit(tx, clock.new_id("aud"), row.application_id, ACTOR, "key.revoked", key_id, {}, now)
    return True


# Statements.

_application: Any = Application.__table__  # type: ignore[attr-defined]
_key: Any = ApiKey.__table__  # type: ignore[attr-defined]
_KEY_COLUMNS: Final = tuple(column_kinds(ApiKey))
_OPEN: Final = insert_new(Application, column_kinds(Application))
_ADD_KEY: Final = insert(ApiKey, column_kinds(ApiKey))
_APPLICATIONS: Final = Statement(
    lambda _: select(*[_application.c[name] for name in ApplicationRow._fields]).order_by(_application.c.id)
)
_KEYS: Final = Statement(lambda _: select(*[_key.c[name] for name in KeyRow._fields]).order_by(_key.c.id))
_REVOKE: Final = Statement(
    lambda _: (
        _key.update()
        .where(_key.c.id == bindparam("id"), _key.c.revoked_at.is_(None))
        .values(revoked_at=bindparam("now", type_=BigInteger()))
    )
)
