"""/v1/replies: what handsets wrote to the application's numbers; the text is opened for keys with `read:pii` alone.

Matching replies to conversations is `engine.cases`' affair; here they are only read.
"""

from typing import Any, Final

from sqlalchemy import bindparam, select
from starlette.responses import Response

from engine.api import paging
from engine.api.endpoint import Calling, Routes
from engine.api.problems import Refused
from engine.api.types import Instant, Shown, as_json
from engine.apikeys import Scope
from engine.clock import to_rfc3339
from engine.errors import Tampered, UnknownKey
from engine.phones import mask
from engine.store.statements import Statement
from engine.store.tables import Reply
from engine.store.transaction import Tx

routes = Routes("replies")


class ReplyShown(Shown):
    """A reply without its text; `from_number` is in full for keys with `read:pii`."""

    id: str
    from_number: str
    to: str
    state: str
    case_id: str | None
    account: str
    flags: list[str]
    received_at: Instant


class ReplyInFull(ReplyShown):
    """A reply with its text."""

    text: str


class ReplyPage(Shown):
    """Replies, newest first."""

    data: list[ReplyShown]
    next_cursor: str | None


@routes.get("/v1/replies", needs=(Scope.MESSAGES_READ,), shows=ReplyPage)
async def list_replies(call: Calling, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """List the application's replies, newest first, without their texts."""
    before = paging.after(cursor)
    rows = await call.read(lambda tx: tx.all(_PAGE, application=call.application_id, before=before, most=limit + 1))
    in_full = call.caller.may(Scope.READ_PII)
    return call.shown(paging.page([_shown(row, in_full=in_full) for row in rows], limit))


@routes.get("/v1/replies/{reply_id}", needs=(Scope.READ_PII,), shows=ReplyInFull, refuses=("unreadable",))
async def read_reply(call: Calling, reply_id: str) -> Response:
    """Read a reply with its text."""

    def find(tx: Tx) -> Any:
        return tx.one(_ONE, id=reply_id, application=call.application_id)

    row = await call.read(find)
    if row is None:
        raise Refused("not_found")
    try:
        text = call.context.keyring.unseal(row[-1], row[0]).decode()
    except (Tampered, UnknownKey):
        raise Refused("unreadable") from None
    return call.shown(as_json({**_shown(row[:-1], in_full=True), "text": text}))


def _shown(row: tuple[Any, ...], *, in_full: bool) -> dict[str, Any]:
    reply_id, source, our_number, state, case_id, account, flags, received_at = row
    return {
        "id": reply_id,
        "from_number": source if in_full else mask(source),
        "to": our_number,
        "state": state,
        "case_id": case_id,
        "account": account,
        "flags": [flag for flag in flags.split(",") if flag],
        "received_at": to_rfc3339(received_at),
    }


# Statements.

_reply: Any = Reply.__table__  # type: ignore[attr-defined]
_COLUMNS: Final = ("id", "source", "our_number", "state", "case_id", "account", "flags", "received_at")

_ONE: Final = Statement(
    lambda _: select(*[_reply.c[name] for name in (*_COLUMNS, "sealed")]).where(
        _reply.c.id == bindparam("id"), _reply.c.application_id == bindparam("application")
    )
)
_PAGE: Final = Statement(
    lambda _: (
        select(*[_reply.c[name] for name in _COLUMNS])
        .where(_reply.c.application_id == bindparam("application"), _reply.c.id < bindparam("before"))
        .order_by(_reply.c.id.desc())
        .limit(bindparam("most"))
    )
)
