"""/v1/events: the application's feed by position, and sending one event to an endpoint again.

Positions are dense and follow the commits, so a reader who asks for what is after the last one misses nothing. The
feed holds masked numbers and no codes.
"""

import json
from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import Field
from sqlalchemy import BigInteger, bindparam, select
from starlette.responses import Response

from engine.api import paging
from engine.api.endpoint import Calling, Routes
from engine.api.idempotency import Answer
from engine.api.problems import Refused, problem_body
from engine.api.types import Body, Instant, OpenShown, ShortText, Shown, as_json
from engine.apikeys import Scope
from engine.clock import to_rfc3339
from engine.events import EVENT_TYPES
from engine.store.statements import Dialect, Statement
from engine.store.tables import Event, Feed
from engine.store.transaction import Tx
from engine.webhooks import endpoints, replays

routes = Routes("events")

_LAST: Final = 2**63 - 1
After = Annotated[int, Query(ge=0, le=_LAST, description="`next_after` of the answer before; 0 for the beginning")]
Types = Annotated[str | None, Query(max_length=2_000, description="event types, separated by commas; all if absent")]


class EventShown(Shown):
    """One event; `data` is described in the documentation of events."""

    id: str
    position: int
    type: str
    subject_id: str
    sequence: int
    occurred_at: Instant
    data: OpenShown


class EventPage(Shown):
    """Events in order; ask again with `next_after` at any time."""

    data: list[EventShown]
    next_after: int
    next_cursor: str | None


class ReplayBody(Body):
    """Where to send an event again."""

    endpoint_id: ShortText


class ReplayShown(Shown):
    """The event is owed to the endpoint once more."""

    position: int = Field(ge=1)
    endpoint_id: str


@routes.get("/v1/events", needs=(Scope.EVENTS_READ,), shows=EventPage)
async def list_events(call: Calling, after: After = 0, limit: paging.Limit = 50, types: Types = None) -> Response:
    """List the application's events after a position, oldest first."""
    wanted = _checked_types(types)

    def read(tx: Tx) -> tuple[int, list[tuple[Any, ...]]]:
        # The head first: what it counts is committed, so a filtered page may skip to it.
        head = tx.one(_HEAD, application=call.application_id)
        last = 0 if head is None else int(head[0])
        values = {"application": call.application_id, "after": after, "last": last, "most": limit + 1}
        rows = tx.all(_PAGE, **values) if wanted is None else tx.joined(_PAGE_OF_TYPES, wanted, **values)
        return last, rows

    last, rows = await call.read(read)
    more = len(rows) > limit
    shown = [_shown(row) for row in rows[:limit]]
    next_after = shown[-1]["position"] if more else max(after, last)
    return call.shown(
        as_json({"data": shown, "next_after": next_after, "next_cursor": str(next_after) if more else None})
    )


@routes.post(
    "/v1/events/{position}/replay",
    needs=(Scope.WEBHOOKS_MANAGE,),
    answers={202: ReplayShown},
    refuses=("event_not_kept", "endpoint_gone"),
)
async def replay_event(call: Calling, position: Annotated[int, Path(ge=1, le=_LAST)], body: ReplayBody) -> Response:
    """Send one event to one endpoint again; its webhook-id is the one that it had."""

    def replay(tx: Tx) -> Answer:
        known = endpoints.get(tx, call.application_id, body.endpoint_id)
        if known is None:
            return Answer(404, problem_body("not_found"))
        if known.state != "enabled":
            return Answer(409, problem_body("endpoint_gone"))
        if tx.one(_ONE, application=call.application_id, position=position) is None:
            return Answer(404, problem_body("event_not_kept"))
        replays.replay(tx, call.application_id, body.endpoint_id, [position], call.now)
        shown = as_json({"position": position, "endpoint_id": body.endpoint_id})
        return Answer(202, shown, bells=[(call.application_id, body.endpoint_id)])

    return await call.change(replay)


def _checked_types(types: str | None) -> list[tuple[str]] | None:
    if types is None:
        return None
    names = {name.strip() for name in types.split(",")}
    if unknown := names - EVENT_TYPES.keys():
        message = f"{len(unknown)} of these are no event types"
        raise Refused("invalid", errors=[{"at": ["query", "types"], "code": "event_type", "message": message}])
    return [(name,) for name in sorted(names)]


def _shown(row: tuple[Any, ...]) -> dict[str, Any]:
    event_id, position, kind, subject_id, sequence, occurred_at, data = row
    return {
        "id": event_id,
        "position": position,
        "type": kind,
        "subject_id": subject_id,
        "sequence": sequence,
        "occurred_at": to_rfc3339(occurred_at),
        "data": json.loads(data),
    }


# Statements.

_event: Any = Event.__table__  # type: ignore[attr-defined]
_feed: Any = Feed.__table__  # type: ignore[attr-defined]
_COLUMNS: Final = ("id", "position", "type", "subject_id", "sequence", "occurred_at", "data")


def _build_page(_: Dialect) -> Any:
    return (
        select(*[_event.c[name] for name in _COLUMNS])
        .where(
            _event.c.application_id == bindparam("application"),
            _event.c.position > bindparam("after", type_=BigInteger()),
            _event.c.position <= bindparam("last", type_=BigInteger()),
        )
        .order_by(_event.c.position)
        .limit(bindparam("most"))
    )


def _build_page_of_types(dialect: Dialect) -> Any:
    given = dialect.given(type=str)
    return _build_page(dialect).join(given, given.c.type == _event.c.type)


_HEAD: Final = Statement(lambda _: select(_feed.c.position).where(_feed.c.application_id == bindparam("application")))
_PAGE: Final = Statement(_build_page)
_PAGE_OF_TYPES: Final = Statement(_build_page_of_types)
_ONE: Final = Statement(
    lambda _: select(_event.c.id).where(
        _event.c.application_id == bindparam("application"),
        _event.c.position == bindparam("position", type_=BigInteger()),
    )
)
