"""/v1/applications: the tenants. A key sees its own application alone; an administrator's key may open another.

A new application comes with its first key; nothing of it is visible to the key that opened it.
"""

import json
from typing import Any, Final

from sqlalchemy import bindparam, select
from starlette.responses import Response

from engine.api import paging
from engine.api.endpoint import Calling, Routes
from engine.api.idempotency import Answer
from engine.api.keys import NewKeyShown, insert_key
from engine.api.problems import Refused
from engine.api.types import Body, Instant, ShortText, Shown, as_json
from engine.apikeys import Scope
from engine.cases.casebook import put_audit
from engine.clock import to_rfc3339
from engine.store.statements import Statement, column_kinds, insert
from engine.store.tables_tenancy import Application
from engine.store.transaction import Tx

routes = Routes("applications")


class ApplicationBody(Body):
    """An application to open."""

    name: ShortText


class ApplicationShown(Shown):
    """An application."""

    id: str
    name: str
    state: str
    created_at: Instant


class NewApplicationShown(ApplicationShown):
    """An application just opened, with its first key: shown this once."""

    first_key: NewKeyShown


class ApplicationPage(Shown):
    """The caller's application."""

    data: list[ApplicationShown]
    next_cursor: str | None


@routes.post("/v1/applications", needs=(Scope.ADMIN,), answers={201: NewApplicationShown}, refuses=("too_many",))
async def create_application(call: Calling, body: ApplicationBody) -> Response:
    """Open an application, with a first key that administers it."""
    application_id = call.context.clock.new_id("app")

    def store(tx: Tx) -> Answer:
        row = (application_id, body.name, "active", call.now)
        tx.batch(_INSERT, [row])
        made = insert_key(tx, call, application_id, "first key", call.caller.key.environment, (Scope.ADMIN.value,))
        put_audit(
            tx,
            call.context.clock.new_id("aud"),
            call.application_id,
            call.caller.actor,
            "application.created",
            application_id,
            {},
            call.now,
        )
        shown = _shown(dict(zip(_COLUMNS, row, strict=True)))
        assert made.stored is not None
        return Answer(
            201,
            as_json({**shown, "first_key": json.loads(made.body)}),
            stored=as_json({**shown, "first_key": json.loads(made.stored)}),
        )

    return await call.change(store)


@routes.get("/v1/applications", needs=(), shows=ApplicationPage)
async def list_applications(call: Calling, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """List the applications that the key sees: its own."""
    before = paging.after(cursor)
    row = await call.read(lambda tx: tx.one(_ONE, id=call.application_id))
    rows = [] if row is None or row[0] >= before else [_shown(dict(zip(_COLUMNS, row, strict=True)))]
    return call.shown(paging.page(rows, limit))


@routes.get("/v1/applications/{application_id}", needs=(), shows=ApplicationShown)
async def read_application(call: Calling, application_id: str) -> Response:
    """Read the caller's application."""
    row = None
    if application_id == call.application_id:
        row = await call.read(lambda tx: tx.one(_ONE, id=application_id))
    if row is None:
        raise Refused("not_found")
    return call.shown(as_json(_shown(dict(zip(_COLUMNS, row, strict=True)))))


def _shown(columns: dict[str, Any]) -> dict[str, Any]:
    return {**columns, "created_at": to_rfc3339(columns["created_at"])}


# Statements.

_application: Any = Application.__table__  # type: ignore[attr-defined]
_COLUMNS: Final = tuple(column_kinds(Application))
_INSERT: Final = insert(Application, column_kinds(Application))
_ONE: Final = Statement(
    lambda _: select(*[_application.c[name] for name in _COLUMNS]).where(_application.c.id == bindparam("id"))
)
