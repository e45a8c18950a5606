"""Turns what lines, intake and duties report into log events and metrics; no text, code or number passes here.

The composition root hands these functions to the parts; nothing here decides or waits.
"""

from collections import Counter as Tallied
from collections.abc import Callable, Sequence
from typing import Final

from engine.clock import SECOND, Clock
from engine.duties.rounds import Done
from engine.logs import logger, once_per
from engine.metrics import Metrics
from engine.smpp.pdu import status_name
from engine.store.moves import MESSAGE
from engine.transit.claiming import InFlight
from engine.transit.classes import Lane
from engine.transit.intake import TakenIn
from engine.transit.lines import Watch
from engine.transit.routing import route_of
from engine.transit.tally import Tally

_log = logger("transit")
_duties = logger("duties")
LANE_NAMES: Final = {int(lane): lane.name.lower() for lane in Lane}
_ALARM_EVERY_S: Final = 10.0
_CUTS: Final = {"throttled", "congestion", "queues_full"}  # what a line flags when it cuts its account's rate
_ENDED: Final = MESSAGE.final | {"unknown"}


def watch(metrics: Metrics, clock: Clock) -> Watch:
    """Return what lines report to."""
    rare = once_per(_ALARM_EVERY_S, clock.monotonic)
    # The children of a metric are looked up once: a label look-up costs more than the count itself.
    observed: dict[tuple[str, int], tuple[Callable[[float], None], Callable[[], None]]] = {}

    def alarm(line: str, kind: str, detail: str) -> None:
        account, _, bind = line.partition("/")
        metrics.alarms.labels(account, bind, kind).inc()
        if kind == "parked":
            metrics.parked.labels("pdu").inc()
        if rare.due(f"{line} {kind}") is not None:
            _log.warning("line.alarm", account=account, bind=bind, kind=kind, cause=detail)

    def answered(line: str, status: int, seconds: float) -> None:
        found = observed.get((line, status))
        if found is None:
            account, _, bind = line.partition("/")
            found = observed[(line, status)] = (
                metrics.response_time.labels(account, bind).observe,
                metrics.responses.labels(account, bind, status_name(status)).inc,
            )
        found[0](seconds)
        found[1]()

    def bound(line: str, up: bool) -> None:
        account, _, bind = line.partition("/")
        metrics.sessions.labels(account, bind).set(int(up))
        _log.info("line.bound" if up else "line.lost", account=account, bind=bind)

    def flagged(line: str, kind: str) -> None:
        account, _, bind = line.partition("/")
        metrics.protocol_errors.labels(account, bind, kind).inc()
        if kind in _CUTS:
            metrics.throttled.labels(account).inc()
        elif kind == "late_answer":
            metrics.late_responses.labels(account, bind).inc()

    return Watch(alarm, answered, bound, flagged)


def sent(metrics: Metrics) -> Callable[[str, str, Sequence[InFlight], int], None]:
    """Return what counts submits that were written, and the time from acceptance to the wire."""
    observed: dict[tuple[str, str, int], tuple[Callable[[float], None], Callable[[float], None]]] = {}

    def count(account: str, plan: str, tokens: Sequence[InFlight], at: int) -> None:
        lane = tokens[0].lane  # a batch is of one lane and one plan
        found = observed.get((account, plan, lane))
        if found is None:
            labels = (LANE_NAMES[lane], account, route_of(plan))
            found = observed[(account, plan, lane)] = (
                metrics.submitted.labels(*labels).inc,
                metrics.accept_to_wire.labels(*labels).observe,
            )
        found[0](len(tokens))
        for token in tokens:
            if token.number == 1 and token.attempt == 1:
                found[1]((at - token.created_at) / SECOND)

    return count


def taken(metrics: Metrics) -> Callable[[str, TakenIn], None]:
    """Return what counts a committed batch of one account."""

    def count(account: str, batch: TakenIn) -> None:
        for state, number in batch.receipts.items():
            metrics.receipts.labels(account, state).inc(number)
        for lane, number in batch.delivered.items():
            metrics.final.labels(LANE_NAMES[lane], account, "delivered").inc(number)
        if batch.orphans:
            metrics.orphans.labels(account).inc(batch.orphans)

    return count


def moved(metrics: Metrics) -> Callable[[Sequence[Tally]], None]:
    """Return what counts doubts and ends among the messages of a committed batch."""

    def count(tallies: Sequence[Tally]) -> None:
        doubts: Tallied[tuple[int, str]] = Tallied()
        ends: Tallied[tuple[int, str, str]] = Tallied()
        for tally in tallies:
            for raised_type, _sequence, state, reason in tally.raised:
                if state in _ENDED:
                    ends[tally.lane, tally.account or "", state] += 1
                    if reason == "expired_before_send":
                        metrics.expired.labels(LANE_NAMES[tally.lane]).inc()
                elif raised_type == "message.in_doubt":
                    doubts[tally.lane, tally.account or ""] += 1
        for (lane, account), number in doubts.items():
            metrics.in_doubt.labels(LANE_NAMES[lane], account).inc(number)
        for (lane, account, state), number in ends.items():
            metrics.final.labels(LANE_NAMES[lane], account, state).inc(number)

    return count


def group_ended(metrics: Metrics) -> Callable[[str, int, float], None]:
    """Return what counts the writer's groups; it is called in the writer's thread."""

    def count(result: str, jobs: int, seconds: float) -> None:
        metrics.commits.labels(result).inc()
        if result == "committed":
            metrics.commit_time.observe(seconds)
            metrics.commit_size.observe(jobs)

    return count


def parts_parked(metrics: Metrics, number: int) -> None:
    """Count and tell replies whose parts were set aside, because they could not be handed on."""
    metrics.parked.labels("parts").inc(number)
    _log.warning("parts.parked", rows=number)


def duty_done(name: str, done: Done) -> None:
    """Log a duty that changed rows."""
    if done.rows:
        _duties.info("duty.done", duty=name, rows=done.rows)


def duty_failed(name: str, error: BaseException) -> None:
    """Log a duty's failure; the next round tries again."""
    _duties.error("duty.failed", duty=name, exc=error)
