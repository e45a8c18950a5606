"""Refreshes the gauges that no event moves: queues, doubts, orphans, webhooks owed, and what every line is doing.

It reads and sets; nothing is decided by what it finds. The composition root runs one.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import trio
from sqlalchemy import func, literal_column, null, select

from engine.core import Core
from engine.logs import logger
from engine.smpp.bind import BindPhase, BindStatus
from engine.smpp.reconnect import Failure
from engine.store.statements import Statement, is_one_of
from engine.store.tables import Message, ReceiptRow
from engine.store.transaction import Tx
from engine.transit.pool import LineStatus
from engine.watching import LANE_NAMES
from engine.webhooks import replays

_EVERY_S: Final = 5.0
_SHOWN_AS: Final = {
    BindPhase.IDLE: "closed",
    BindPhase.CONNECTING: "connecting",
    BindPhase.BINDING: "open",
    BindPhase.BOUND: "bound",
    BindPhase.DRAINING: "draining",
    BindPhase.WAITING: "closed",
    BindPhase.STOPPED: "closed",
}

log = logger("gauges")


class Counts(NamedTuple):
    """What one look at the rows found. `queued` is by lane: how many, and the oldest one's id."""

    queued: dict[int, tuple[int, str]]
    in_doubt: dict[tuple[int, str], int]
    orphans: dict[str, int]
    webhooks: int


def count(tx: Tx) -> Counts:
    """Count what waits; reads indexes of open rows alone."""
    queued: dict[int, tuple[int, str]] = {}
    for lane, number, oldest in tx.all(_QUEUED):
        so_far, first = queued.get(lane, (0, oldest))
        queued[int(lane)] = (so_far + int(number), min(first, oldest))
    in_doubt = {(int(lane), account or ""): int(number) for lane, account, number in tx.all(_IN_DOUBT)}
    orphans = {account: int(number) for account, number in tx.all(_ORPHANS)}
    return Counts(queued, in_doubt, orphans, replays.waiting(tx))


def bind_state(status: BindStatus) -> str:
    """Return the word of `metrics.BIND_STATES` for what a bind is doing."""
    if status.phase is BindPhase.WAITING and status.failure not in {None, Failure.NETWORK}:
        return "refused"
    return _SHOWN_AS[status.phase]


@dataclass(slots=True)
class Gauges:
    """The duty. What it showed once it shows again as 0, so that no figure stays when its rows are gone."""

    core: Core
    _doubts: set[tuple[int, str]] = field(default_factory=set)
    _orphans: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Refresh every few seconds until cancelled; a database that is down leaves the figures as they were."""
        while True:
            self.show_lines(self.core.pool.status())
            try:
                counts = await self.core.store.read(count)
            except Exception as error:
                log.warning("gauges.unread", exc=error)
            else:
                self.show_counts(counts)
            await trio.sleep(_EVERY_S)

    def show_counts(self, counts: Counts) -> None:
        """Set the gauges of rows."""
        metrics, now_ms = self.core.metrics, self.core.clock.now() // 1000
        for lane, name in LANE_NAMES.items():
            number, oldest = counts.queued.get(lane, (0, ""))
            metrics.queued.labels(name).set(number)
            metrics.oldest_queued.labels(name).set(max(0, now_ms - _made_at_ms(oldest)) / 1000 if oldest else 0)
        self._doubts |= counts.in_doubt.keys()
        for lane, account in self._doubts:
            metrics.in_doubt_now.labels(LANE_NAMES[lane], account).set(counts.in_doubt.get((lane, account), 0))
        self._orphans |= counts.orphans.keys()
        for account in self._orphans:
            metrics.orphans_now.labels(account).set(counts.orphans.get(account, 0))
        metrics.webhooks_waiting.set(counts.webhooks)

    def show_lines(self, lines: list[LineStatus]) -> None:
        """Set the gauges of lines; the pace of an account with a rate for each bind is their sum."""
        metrics = self.core.metrics
        paces: dict[str, list[float]] = defaultdict(list)
        for line in lines:
            bind = line.line.partition("/")[2]
            metrics.on_wire.labels(line.account, bind).set(line.outstanding)
            metrics.window.labels(line.account, bind).set(line.window)
            metrics.show_bind_state(line.account, bind, bind_state(line.bind))
            if line.rate is not None:
                paces[line.account].append(line.rate)
        for account, rates in paces.items():
            shared = self.core.settings.account(account).rate_per == "account"
            metrics.pace.labels(account).set(rates[0] if shared else sum(rates))


def _made_at_ms(row_id: str) -> int:
    return int(row_id.partition("_")[2][:12], 16)  # a UUIDv7 begins with its millisecond


# Statements.

_message: Any = Message.__table__  # type: ignore[attr-defined]
_receipt: Any = ReceiptRow.__table__  # type: ignore[attr-defined]
_NUMBER: Final = func.count().label("number")
_OLDEST: Final = func.min(_message.c.id).label("oldest")
# In the order of the queue's index, so that a million queued rows are counted as they pass and never sorted.
_QUEUED: Final = Statement(
    lambda _: (
        select(_message.c.lane, _NUMBER, _OLDEST)
        .where(_message.c.state == literal_column("'queued'"))
        .group_by(_message.c.route, _message.c.lane, _message.c.application_id)
    )
)
_IN_DOUBT: Final = Statement(
    lambda _: (
        select(_message.c.lane, _message.c.account, _NUMBER)
        .where(is_one_of(_message.c.state, ("in_doubt",)))
        .group_by(_message.c.lane, _message.c.account)
    )
)
_ORPHANS: Final = Statement(
    lambda _: select(_receipt.c.account, _NUMBER).where(_receipt.c.message_id.is_(null())).group_by(_receipt.c.account)
)
