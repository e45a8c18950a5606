"""/v1/stats: what waits on each lane, and how the binds are.

Figures of messages are the application's own; binds are the installation's. Prometheus has the rest.
"""

from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, func, literal_column, select
from starlette.responses import Response

from engine.api.context import Context
from engine.api.endpoint import Calling, Routes
from engine.api.types import Instant, OpenShown, Shown, as_json
from engine.apikeys import Scope
from engine.clock import SECOND, to_rfc3339
from engine.store.statements import Statement, is_one_of
from engine.store.tables import Message
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.classes import Lane

routes = Routes("stats")

# Counting stops here: a caller who asks often must not read a million index entries each time.
MOST_COUNTED: Final = 10_000


class LaneStats(Shown):
    """The application's messages on one lane; counts stop at 10,000."""

    lane: str
    queued: int
    oldest_queued_s: float | None
    on_wire: int
    in_doubt: int


class BindStats(OpenShown):
    """One line to an operator."""

    line: str
    account: str
    phase: str
    since: Instant
    lanes: list[str]
    window: int
    outstanding: int


class StatsShown(Shown):
    """Lanes and binds now."""

    at: Instant
    lanes: list[LaneStats]
    binds: list[BindStats]


@routes.get("/v1/stats", needs=(Scope.STATS_READ,), shows=StatsShown)
async def read_stats(call: Calling) -> Response:
    """Read what waits on each lane, and how the binds are."""
    lanes = await call.read(lambda tx: _lanes(tx, call.application_id, call.now))
    shown = {"at": to_rfc3339(call.now), "lanes": lanes, "binds": binds(call.context)}
    return call.shown(as_json(shown))


def _lanes(tx: Tx, application_id: str, now: int) -> list[dict[str, Any]]:
    found = {
        lane: {"lane": lane.name.lower(), "queued": 0, "oldest_queued_s": None, "on_wire": 0, "in_doubt": 0}
        for lane in Lane
    }
    for lane, route, owner in queue.backlog(tx):
        if owner != application_id:
            continue
        row = tx.one(_QUEUED, application=application_id, lane=lane, route=route)
        if row is None or not row[0]:
            continue
        stats: dict[str, Any] = found[Lane(lane)]
        stats["queued"] = min(MOST_COUNTED, stats["queued"] + int(row[0]))
        age = max(0.0, round((now - int(row[1])) / SECOND, 3))
        stats["oldest_queued_s"] = max(age, stats["oldest_queued_s"] or 0.0)
    for state in ("on_wire", "in_doubt"):
        for lane, count in tx.all(_FLYING[state], application=application_id):
            found[Lane(int(lane))][state] = int(count)
    return list(found.values())


def binds(context: Context) -> list[dict[str, Any]]:
    """Return what every line of this process is doing."""
    return [
        {
            "line": line.line,
            "account": line.account,
            "phase": str(line.bind.phase),
            "since": to_rfc3339(line.bind.since),
            "failures": line.bind.attempts,
            "next_try_at": None if line.bind.next_try is None else to_rfc3339(line.bind.next_try),
            "lanes": list(line.lanes),
            "window": line.window,
            "outstanding": line.outstanding,
            "rate": line.rate,
            "response_s": round(line.response_s, 6),
        }
        for line in context.lines.status()
    ]


# Statements.

_message: Any = Message.__table__  # type: ignore[attr-defined]


def _build_queued(_: Any) -> Any:
    first = (
        select(_message.c.created_at)
        .where(
            _message.c.state == "queued",
            _message.c.route == bindparam("route"),
            _message.c.lane == bindparam("lane", type_=BigInteger()),
            _message.c.application_id == bindparam("application"),
        )
        .order_by(_message.c.id)
        .limit(literal_column(str(MOST_COUNTED)))
        .subquery("first")
    )
    return select(func.count().label("count"), func.min(first.c.created_at).label("oldest"))


def _flying(state: str) -> Statement:
    def build(_: Any) -> Any:
        some = (
            select(_message.c.lane)
            .where(is_one_of(_message.c.state, (state,)), _message.c.application_id == bindparam("application"))
            .limit(literal_column(str(MOST_COUNTED)))
            .subquery("some")
        )
        return select(some.c.lane, func.count().label("count")).group_by(some.c.lane)

    return Statement(build)


_QUEUED: Final = Statement(_build_queued)
_FLYING: Final = {state: _flying(state) for state in ("on_wire", "in_doubt")}
