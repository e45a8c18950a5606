"""Feeds one endpoint: looks for due rows, posts them over a few connections, settles the outcomes in groups.

It decides nothing: claims know what is ready, `schedule` what an answer means. Killed at any point, it leaves rows that
are still owed and will be posted again under the same ids. `dispatcher` starts it when there is work.

Theory of operation. Three kinds of task share one `Hand`: the look (this task) fills it, the workers empty it, the
settler writes outcomes and hands back the rows that were waiting for them. A subject is in the hand at most once, which
is what keeps its events in order; a row leaves the hand only after the commit that settles it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import trio

from engine.clock import SECOND, Clock
from engine.errors import CommitUnknown, Conflict, StoreUnavailable
from engine.keyring import KeyRing
from engine.logs import logger
from engine.store.doorway import Store
from engine.store.transaction import Tx
from engine.transit.backlog import Bell
from engine.webhooks import claims, schedule
from engine.webhooks.claims import Due, Look, Page, Settled, Target
from engine.webhooks.guard import BadUrl
from engine.webhooks.hand import Hand
from engine.webhooks.line import Answer, Dialer, Line
from engine.webhooks.numbers import with_numbers
from engine.webhooks.options import WebhookOptions
from engine.webhooks.parcels import Parcel, batch, gather, known_batches, single
from engine.webhooks.recipient import Recipient, prepare
from engine.webhooks.schedule import Pace, Verdict

_PARCELS_A_CONNECTION: Final = 64  # read ahead, in single mode
_BATCHES_A_CONNECTION: Final = 2
_LOOK_MOST: Final = 256
_SETTLE_MOST: Final = 100
_PAUSE_S: Final = 0.5
_LAST_SETTLE_S: Final = 2.0
_LONGEST_WAIT_S: Final = 24 * 3600.0

T = TypeVar("T")

log = logger("webhooks")


class Posted(NamedTuple):
    """One post and what came of it, for metrics: `result` is a verdict, `problem` why there was no answer."""

    endpoint_id: str
    application_id: str
    result: str
    status: int
    problem: str
    events: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Desk:
    """What every feeder of a process shares."""

    store: Store
    clock: Clock
    keyring: KeyRing
    options: WebhookOptions
    dialer: Dialer
    told: Callable[[Posted], None]

    async def read(self, job: Callable[[Tx], T]) -> T:
        """Read from the store; raises `StoreUnavailable` if the database is down."""
        try:
            return await self.store.read(job)
        except Exception as error:
            if not self.store.database.is_outage(error):
                raise
            raise StoreUnavailable("the database cannot be read") from error


class _Outcome(NamedTuple):
    parcel: Parcel
    settled: list[Settled]
    final: bool


class Feeder:
    """Feeds one endpoint until it has been idle for a while, or is no longer enabled."""

    def __init__(self, desk: Desk, endpoint_id: str) -> None:
        self._desk = desk
        self._endpoint_id = endpoint_id
        self._hand = Hand()
        self._pace = Pace(1)
        self._recipient: Recipient | None = None
        self._outcomes: list[_Outcome] = []
        self._bell = Bell()
        self._settle_bell = Bell()
        self._lot = trio.lowlevel.ParkingLot()
        self._workers = 0
        self._posting = 0
        self._next_due: int | None = None
        self._recovered = False
        self._gone = False
        self.rung = False  # since the last look began

    def ring(self) -> None:
        """Tell that the endpoint may be owed something new, or was changed."""
        self.rung = True
        self._bell.ring()

    async def run(self) -> None:
        """Feed; returns when there is nothing to do for `idle_s`, or the endpoint is disabled or deleted."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._settle)
                await self._look(nursery)
                nursery.cancel_scope.cancel()
        finally:
            # What is known to be delivered should not be posted again after a clean stop.
            with trio.move_on_after(_LAST_SETTLE_S, shield=True):
                while self._outcomes and await self._settle_group():
                    pass

    # Looking for work.

    async def _look(self, nursery: trio.Nursery) -> None:
        options, clock = self._desk.options, self._desk.clock
        idle_since = heal_at = clock.monotonic()
        while True:
            now = clock.monotonic()
            if now >= heal_at:
                self._hand.look_again()
                heal_at = now + options.look_s
            wait, self.rung = options.look_s, False
            try:
                await self._fill(nursery)
            except StoreUnavailable:
                wait = _PAUSE_S
            else:
                if not self._hand.empty or self._outcomes:
                    idle_since = clock.monotonic()
                elif self._recipient is None:
                    return
                elif clock.monotonic() - idle_since >= options.idle_s and self._until_something() > options.look_s:
                    return  # the dispatcher's look finds in time what becomes due later
            with trio.move_on_after(min(wait, self._until_something())):
                await self._bell.wait()
            if not self._hand.empty:
                await trio.sleep(options.gather_s)  # rings come by the hundred; rows are better read together

    def _until_something(self) -> float:
        """Return how many seconds until a row becomes due or a pause ends."""
        now = self._desk.clock.now()
        instants = [at for at in (self._next_due, self._pace.resume_at) if at is not None and at > now]
        return min(((at - now) / SECOND for at in instants), default=_LONGEST_WAIT_S)

    async def _fill(self, nursery: trio.Nursery) -> None:
        """Read what is due until the window is full; wakes the workers."""
        hand, clock = self._hand, self._desk.clock
        while not self._gone and self._pace.resume_at <= clock.now():
            if self._recipient is not None and not self._recipient.batched:
                hand.take([single(due) for [due] in self._groups([])])
            self._wake()
            window = self._window()
            room = window - len(hand.held)
            if room < window // 2:
                return
            now = clock.now()
            page = await self._page(Look(now, hand.cursor, min(room, _LOOK_MOST), frozenset(hand.batches)))
            rows = hand.end_look(page.rows, now=now, exhausted=page.exhausted)
            if not self._address(page.target, nursery):
                return
            await self._admit(page, rows)
            if page.exhausted:
                self._next_due = page.next_due
                return
        if self._gone:
            hand.drop_ready()
            self._recipient = None

    async def _page(self, look: Look) -> Page:
        self._hand.begin_look()
        return await self._desk.read(lambda tx: self._with_numbers(tx, claims.page(tx, self._endpoint_id, look)))

    def _with_numbers(self, tx: Tx, page: Page) -> Page:
        if page.target is None or not page.target.full_numbers:
            return page
        rows, members = (with_numbers(tx, one, self._desk.keyring) for one in (page.rows, page.members))
        return page._replace(rows=rows, members=members)

    async def _admit(self, page: Page, rows: list[Due]) -> None:
        hand = self._hand
        hand.take([one for one in known_batches(page.members) if one.batch_id not in hand.batches])
        groups = self._groups([due for due in rows if due.batch_id is None])
        if self._recipient is not None and not self._recipient.batched:
            hand.take([single(due) for [due] in groups])
        elif groups:
            hand.reserve(groups)
            named = [(self._desk.clock.new_id("whb"), group) for group in groups]
            members = [(due.position, batch_id) for batch_id, group in named for due in group]
            now = self._desk.clock.now()
            try:
                await self._desk.store.write(lambda tx: claims.stamp(tx, self._endpoint_id, members, now))
            except (Conflict, StoreUnavailable, CommitUnknown):
                # Nothing was posted: whatever the rows say now is found by the next look.
                for group in groups:
                    hand.release(group)
                hand.look_again()
                raise StoreUnavailable("the batches could not be fixed") from None
            hand.take([batch(batch_id, group) for batch_id, group in named])
        self._wake()

    def _groups(self, rows: list[Due]) -> list[list[Due]]:
        """Return groups of the rows given and of those that settled predecessors have freed."""
        hand, options = self._hand, self._desk.options
        assert self._recipient is not None
        candidates = {**hand.loose, **{due.position: due for due in rows}}
        hand.loose.clear()
        events = options.batch_events if self._recipient.batched else 1
        return gather(
            (due for due in candidates.values() if due.position not in hand.held),
            hand.busy,
            events=events,
            octets=options.batch_octets,
        )

    def _window(self) -> int:
        if self._recipient is not None and self._recipient.batched:
            return self._pace.limit * _BATCHES_A_CONNECTION * self._desk.options.batch_events
        return self._pace.limit * _PARCELS_A_CONNECTION

    def _address(self, target: Target | None, nursery: trio.Nursery) -> bool:
        """Take the endpoint's present settings; False if nothing may be posted to it now."""
        now = self._desk.clock.now()
        known = self._recipient
        if known is None or known.target != target or (known.until is not None and known.until <= now):
            recipient = None if target is None else self._prepare(target, now)
            if known is not None:  # what is ready was made for the old settings
                self._hand.drop_ready()
                self._bell.ring()
            self._recipient = recipient
        if self._recipient is None:
            self._hand.drop_ready()
            return False
        connections = min(self._recipient.target.concurrency, self._desk.options.workers)
        self._pace.widen(connections)
        while self._workers < connections:
            self._workers += 1
            nursery.start_soon(self._work)
        return True

    def _prepare(self, target: Target, now: int) -> Recipient | None:
        if target.state != "enabled":
            return None
        recipient = prepare(self._endpoint_id, target, self._desk.keyring, self._desk.options, now)
        if isinstance(recipient, BadUrl):  # the operator's rules have become stricter
            log.warning("webhook.url_refused", endpoint_id=self._endpoint_id, reason=recipient.code)
            return None
        return recipient

    # Posting.

    def _wake(self) -> None:
        self._lot.unpark(count=min(len(self._hand.ready), max(0, self._pace.limit - self._posting)))

    def _may_post(self) -> bool:
        return (
            bool(self._hand.ready)
            and self._posting < self._pace.limit
            and self._pace.resume_at <= self._desk.clock.now()
        )

    async def _work(self) -> None:
        line = Line(self._desk.dialer)
        try:
            while True:
                while not self._may_post():
                    await self._lot.park()
                parcel = self._hand.ready.popleft()
                self._posting += 1
                try:
                    await self._post(line, parcel)
                finally:
                    self._posting -= 1
        finally:
            await line.aclose()

    async def _post(self, line: Line, parcel: Parcel) -> None:
        recipient, clock = self._recipient, self._desk.clock
        assert recipient is not None
        headers = recipient.headers_of(parcel, clock.now() // SECOND)
        began = clock.monotonic()
        answer = await line.post(recipient.address, headers, parcel.body)
        self._answered(parcel, answer)
        result = schedule.judge(answer.status)
        self._desk.told(
            Posted(
                self._endpoint_id, recipient.target.application_id, result, answer.status, answer.problem,
                len(parcel.rows), clock.monotonic() - began,
            )
        )  # fmt: skip

    def _answered(self, parcel: Parcel, answer: Answer) -> None:
        clock, options = self._desk.clock, self._desk.options
        now, dice = clock.now(), clock.random
        verdict = schedule.judge(answer.status)
        asked = schedule.retry_after(answer.retry_after, now)
        state, next_at = "delivered", now
        if verdict is Verdict.GONE:
            state, self._gone = "pending", True
            self._hand.drop_ready()
        elif verdict is not Verdict.DELIVERED:
            again = schedule.next_attempt(parcel.rows[0].attempts + 1, asked, now, options, dice)
            state, next_at = ("dead", now) if again is None else ("pending", again)
        resting = self._pace.resting
        if self._pace.answered(verdict, asked, now, dice):
            self._recovered = True
        if self._pace.resting and not resting:
            log.warning("webhook.resting", endpoint_id=self._endpoint_id, status=answer.status)
            self._hand.drop_ready()
        delivered_at = now if state == "delivered" else None
        settled = [Settled(due.position, state, answer.status, next_at, delivered_at) for due in parcel.rows]
        self._outcomes.append(_Outcome(parcel, settled, state != "pending"))
        self._settle_bell.ring()
        self._wake()

    # Settling.

    async def _settle(self) -> None:
        while True:
            await self._settle_bell.wait()
            while self._outcomes:
                if sum(len(outcome.settled) for outcome in self._outcomes) < _SETTLE_MOST:
                    await trio.sleep(self._desk.options.gather_s)
                if not await self._settle_group():
                    await trio.sleep(_PAUSE_S)

    async def _settle_group(self) -> bool:
        """Write the oldest outcomes in one transaction; False if the store did not take them."""
        group: list[_Outcome] = []
        size = 0
        while len(group) < len(self._outcomes) and (not group or size < _SETTLE_MOST):
            group.append(self._outcomes[len(group)])
            size += len(group[-1].settled)
        rows = [settled for outcome in group for settled in outcome.settled]
        freed = {due.subject_id for outcome in group if outcome.final for due in outcome.parcel.rows}
        now, gone, recovered = self._desk.clock.now(), self._gone, self._recovered

        def job(tx: Tx) -> list[Due]:
            followers = claims.settle(tx, self._endpoint_id, rows, freed, now)
            if gone:
                claims.disable(tx, self._endpoint_id, "gone")
            if recovered:
                claims.recall(tx, self._endpoint_id, now)
            full = self._recipient is not None and self._recipient.target.full_numbers
            return with_numbers(tx, followers, self._desk.keyring) if full else followers

        try:
            followers = await self._desk.store.write(job)
        except (StoreUnavailable, CommitUnknown):
            return False  # the same rows again: what was settled is no longer pending
        del self._outcomes[: len(group)]
        if recovered:
            self._recovered = False
        for outcome in group:
            self._hand.release(outcome.parcel.rows, outcome.parcel.batch_id)
        self._hand.loose.update((due.position, due) for due in followers)
        ran_low = len(self._hand.held) < self._window() // 2
        if followers or ran_low or recovered or self._gone or not all(outcome.final for outcome in group):
            self._bell.ring()
        return True
