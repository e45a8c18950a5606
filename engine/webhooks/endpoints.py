"""Webhook endpoints as rows of one application: created, listed, changed, disabled, deleted, secrets rotated.

Store functions, and `draft`, which draws the secret outside the transaction. The API checks URLs with `guard.read_url`
and event types with `events.EVENT_TYPES` first, and rings the dispatcher after the commit.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, select

from engine.clock import SECOND, Clock
from engine.keyring import KeyRing
from engine.store.moves import Moves
from engine.store.statements import Dialect, Statement, column_kinds, insert, is_one_of
from engine.store.tables_tenancy import Endpoint
from engine.store.transaction import Tx
from engine.webhooks.recipient import is_in_force, open_secrets, seal_secrets
from engine.webhooks.signing import Scheme, new_secret

ENDPOINT: Final = Moves(
    "webhook endpoint",
    {
        "enabled": frozenset({"disabled", "deleted"}),
        "disabled": frozenset({"enabled", "deleted"}),
        "deleted": frozenset(),
    },
)
CHANGEABLE: Final = ("url", "event_types", "mode", "full_numbers", "concurrency", "state")


class EndpointSpec(NamedTuple):
    """What a caller asks for; empty `event_types` means all; `mode` is single or batch."""

    url: str
    scheme: Scheme = "v1"
    event_types: tuple[str, ...] = ()
    mode: str = "single"
    concurrency: int = 4
    full_numbers: bool = False


class EndpointView(NamedTuple):
    """An endpoint as its application sees it, without its secrets."""

    id: str
    application_id: str
    url: str
    scheme: str
    event_types: tuple[str, ...]
    mode: str
    full_numbers: bool
    concurrency: int
    state: str
    disabled_reason: str | None
    created_at: int


class Draft(NamedTuple):
    """A row to insert, and its secret, which is shown once (to the receiver as `signing.receiver_key` of it)."""

    row: tuple[Any, ...]
    secret: str

    def __repr__(self) -> str:
        return f"Draft({self.row[0]})"


def draft(application_id: str, spec: EndpointSpec, keyring: KeyRing, clock: Clock) -> Draft:
    """Return a new endpoint's row with a fresh secret sealed to it."""
    endpoint_id = clock.new_id("whe")
    secret = new_secret(spec.scheme, clock.entropy)
    sealed = seal_secrets(endpoint_id, [{"secret": secret, "until": None}], keyring)
    given = {
        "id": endpoint_id,
        "application_id": application_id,
        "url": spec.url,
        "secrets_sealed": sealed,
        "scheme": spec.scheme,
        "event_types": json.dumps(spec.event_types),
        "mode": spec.mode,
        "full_numbers": int(spec.full_numbers),
        "concurrency": spec.concurrency,
        "state": "enabled",
        "disabled_reason": None,
        "created_at": clock.now(),
    }
    return Draft(tuple(given[name] for name in _COLUMNS), secret)


def create(tx: Tx, drafted: Draft) -> EndpointView:
    """Insert a drafted endpoint; events recorded from now on are owed to it."""
    tx.batch(_INSERT, [drafted.row])
    return _view([dict(zip(_COLUMNS, drafted.row, strict=True))[name] for name in EndpointView._fields])


def get(tx: Tx, application_id: str, endpoint_id: str) -> EndpointView | None:
    """Return an application's endpoint, or None if it has none of this id."""
    row = tx.one(_GET, application=application_id, endpoint=endpoint_id)
    return None if row is None else _view(row)


def list_page(tx: Tx, application_id: str, after: str, most: int) -> list[EndpointView]:
    """Return an application's endpoints in id order, after an id ("" for the first)."""
    return [_view(row) for row in tx.all(_LIST, application=application_id, after=after, most=most)]


def update(tx: Tx, application_id: str, endpoint_id: str, changes: Mapping[str, Any]) -> EndpointView | None:
    """Change the named fields (of `CHANGEABLE`) of an endpoint; enabling it lets flow what it is owed.

    Raises `NotAllowed` for a state that it may not move to.
    """
    row = tx.one(_LOCK, application=application_id, endpoint=endpoint_id)
    if row is None:
        return None
    values = _view(row)._asdict() | {name: changes[name] for name in CHANGEABLE if name in changes}
    if values["state"] != row[EndpointView._fields.index("state")]:
        ENDPOINT.check(row[EndpointView._fields.index("state")], values["state"])
        values["disabled_reason"] = "requested" if values["state"] == "disabled" else None
    tx.run(
        _UPDATE,
        endpoint=endpoint_id,
        new_url=values["url"],
        new_event_types=json.dumps(values["event_types"]),
        new_mode=values["mode"],
        new_full_numbers=int(values["full_numbers"]),
        new_concurrency=values["concurrency"],
        new_state=values["state"],
        new_reason=values["disabled_reason"],
    )
    return get(tx, application_id, endpoint_id)


def delete(tx: Tx, application_id: str, endpoint_id: str) -> bool:
    """Delete an endpoint; the dispatcher then gives up what it is owed."""
    return bool(tx.run(_DELETE, application=application_id, endpoint=endpoint_id))


def rotate(
    tx: Tx, application_id: str, endpoint_id: str, secret: str, keyring: KeyRing, *, now: int, overlap_s: int
) -> bool:
    """Put a new secret first; the one before signs beside it for `overlap_s`, any older one no more."""
    row = tx.one(_SECRETS, application=application_id, endpoint=endpoint_id)
    if row is None:
        return False
    [previous] = [one for one in open_secrets(endpoint_id, row[0], keyring) if one["until"] is None]
    retiring = {"secret": previous["secret"], "until": now + overlap_s * SECOND}
    secrets = [{"secret": secret, "until": None}, retiring]
    sealed = seal_secrets(endpoint_id, [one for one in secrets if is_in_force(one, now)], keyring)
    tx.run(_RESEAL, endpoint=endpoint_id, sealed=sealed)
    return True


def _view(row: Any) -> EndpointView:
    view = EndpointView(*row)
    types = tuple(json.loads(row[EndpointView._fields.index("event_types")]))
    return view._replace(event_types=types, full_numbers=bool(view.full_numbers))


# Statements.

_endpoint: Any = Endpoint.__table__  # type: ignore[attr-defined]
_COLUMNS: Final = tuple(column_kinds(Endpoint))
_VIEWED: Final = [_endpoint.c[name] for name in EndpointView._fields]
_OWN: Final = (_endpoint.c.application_id == bindparam("application")) & is_one_of(
    _endpoint.c.state, ("enabled", "disabled")
)
_THIS: Final = _endpoint.c.id == bindparam("endpoint")


def _build_lock(dialect: Dialect) -> Any:
    return dialect.locked(select(*_VIEWED).where(_OWN, _THIS))


def _build_secrets(dialect: Dialect) -> Any:
    return dialect.locked(select(_endpoint.c.secrets_sealed).where(_OWN, _THIS))


_INSERT: Final = insert(Endpoint, column_kinds(Endpoint))
_GET: Final = Statement(lambda _: select(*_VIEWED).where(_OWN, _THIS))
_LIST: Final = Statement(
    lambda _: (
        select(*_VIEWED)
        .where(_OWN, _endpoint.c.id > bindparam("after"))
        .order_by(_endpoint.c.id)
        .limit(bindparam("most"))
    )
)
_LOCK: Final = Statement(_build_lock)
_SECRETS: Final = Statement(_build_secrets)
_UPDATE: Final = Statement(
    lambda _: (
        _endpoint.update()
        .where(_THIS)
        .values(
            url=bindparam("new_url"),
            event_types=bindparam("new_event_types"),
            mode=bindparam("new_mode"),
            full_numbers=bindparam("new_full_numbers", type_=BigInteger()),
            concurrency=bindparam("new_concurrency"),
            state=bindparam("new_state"),
            disabled_reason=bindparam("new_reason"),
        )
    )
)
_DELETE: Final = Statement(lambda _: _endpoint.update().where(_OWN, _THIS).values(state="deleted"))
_RESEAL: Final = Statement(lambda _: _endpoint.update().where(_THIS).values(secrets_sealed=bindparam("sealed")))
