"""What comes in on one bind becomes rows, batch by batch: answers, silence, receipts, replies; only then it is
acknowledged.

`Intake.run` drains the bind's inbox, commits, and sends the responses. A batch that raises is taken apart so that the
one bad PDU is parked; a failed commit is answered with ESME_RX_T_APPN, to be sent again.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NamedTuple, TypeVar

import trio

from engine.clock import Clock
from engine.errors import CommitUnknown, StoreUnavailable
from engine.events import record
from engine.smpp.pdu import Status
from engine.store.doorway import Store
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.answers import (
    AccountRules,
    apply_answers,
    apply_silence,
    apply_unsent,
    put_second_ids,
    refused_senders,
)
from engine.transit.backlog import Backlog, QueueKey
from engine.transit.books import Bells, Books
from engine.transit.classes import CLASSES, Classes
from engine.transit.inbox import Arrival, Batch, Inbox
from engine.transit.parking import park
from engine.transit.plain import settle, sort_out
from engine.transit.receipting import (
    ReceivedReceipt,
    about,
    apply_receipts,
    awaiting,
    chosen,
    find,
    quarantine,
)
from engine.transit.reconciling import reconcile
from engine.transit.replying import Delivery, Joining, acknowledged, receive_all, set_aside
from engine.transit.tally import Tally

T = TypeVar("T")
_A_TICK_S: Final = 0.001

GATHER_UNDER: Final = 50
GATHER_S: Final = 0.001
_RETRY_S: Final = 0.25
_ABANDON_S: Final = 8.0  # an unacknowledged deliver_sm is answered 0x64 well before the peer's own timer ends


class TakenIn(NamedTuple):
    """What a committed batch changed: bells to ring and figures to count."""

    bells: Bells
    queued: list[QueueKey]
    doubted: int
    receipts: Counter[str]  # that came, by the state that they tell
    delivered: Counter[int]  # messages that were delivered the plain way, by lane: no tally counts them
    orphans: int
    waiting_parts: int
    refused_senders: frozenset[str]


@dataclass(frozen=True, slots=True)
class Desk:
    """What intake needs besides its rows, for one operator account."""

    rules: AccountRules
    books: Books
    joining: Joining
    fingerprint: Callable[[str], str]
    seal: Callable[[bytes, str], str]  # a raw PDU to its row
    classes: Classes = field(default_factory=lambda: CLASSES)


# Store functions.


def take_in(tx: Tx, batch: Batch, desk: Desk, now: int) -> TakenIn:
    """Store a batch: answers first, then silence, then receipts (with those that waited for an answer), then
    replies.
    """
    rules = desk.rules
    answers = batch.answers
    receipts = [arrival.receipt for arrival in batch.arrivals if arrival.receipt is not None]
    told = Counter([one.state for one in receipts])
    bells: Bells = []
    known: list[str] = []
    delivered: Counter[int] = Counter()
    if not tx.careful:
        plain = sort_out(answers, receipts, rules)
        answers, receipts, known = plain.answers, plain.receipts, [key for key, _ in plain.keys]
        delivered = plain.delivered
        bells = record(tx, settle(tx, plain, rules.name, now), desk.books.new_ids, now)
    tokens = [*(answer.token for answer in answers), *batch.silent, *batch.unsent]
    tallies = queue.load(tx, [token.message_id for token in tokens])
    acknowledged(tx, rules.name, batch.acknowledged, now)
    known += apply_answers(tx, tallies, answers, rules, now)
    apply_unsent(tx, tallies, batch.unsent, rules, now)
    known += put_second_ids(tx, batch.second_ids, rules, now)
    doubted = apply_silence(tx, tallies, batch.silent, now, desk.classes)
    early = awaiting(tx, rules.name, known)
    orphans = 0
    if early or receipts:
        found = find(tx, rules.name, [*early, *receipts], now, waited=len(early))
        matched = {one.receipt.row_id for one in found}
        unmatched = [one for one in receipts if one.row_id not in matched]
        reconciled, lost = reconcile(tx, rules.name, unmatched, now, partial(_quarantined, tx, desk))
        if reconciled:
            arrived = {one.row_id for one in receipts}
            early += [one.receipt for one in reconciled if one.receipt.row_id not in arrived]
            # Receipts of the same ids that came earlier were ambiguous then.
            older = awaiting(tx, rules.name, [key for one in reconciled for key in one.receipt.keys])
            found += find(tx, rules.name, older, now, waited=len(older)) + reconciled
            early += older
        tallies |= queue.load(tx, [one.message_id for one in found if one.message_id not in tallies])
        found = chosen(found, tallies)
        apply_receipts(tx, rules.name, tallies, found, now, stored=frozenset(one.row_id for one in early))
        quarantine(tx, rules.name, lost, desk.fingerprint)
        orphans = len(lost)
    if tallies:
        bells += desk.books.write(tx, list(tallies.values()), now)
    from_handsets: list[Delivery] = []
    for one in batch.arrivals:
        if one.part is not None:
            assert one.pdu is not None
            from_handsets.append((one.part, one.pdu))
    rung, waiting = receive_all(tx, rules.name, from_handsets, desk.joining, now)
    bells += rung
    queued = [
        QueueKey(tally.lane, tally.route, tally.application_id) for tally in tallies.values() if tally.state == "queued"
    ]
    refused = refused_senders(tallies, answers)
    return TakenIn(bells, queued, doubted, told, delivered, orphans, waiting, refused)


def _quarantined(tx: Tx, desk: Desk, number: str) -> list[ReceivedReceipt]:
    return [one._replace(about=number) for one in about(tx, desk.rules.name, desk.fingerprint(number))]


def _park(tx: Tx, arrival: Arrival, account: str, sealed: str, error: str, now: int) -> None:
    one = arrival.part or arrival.receipt
    park(tx, [(arrival.row_id, account, "" if one is None else one.bind, sealed, error, now)])
    if arrival.part is not None and arrival.part.total > 1:
        set_aside(tx, account, arrival.part.join_key, error, now)  # they wait for it where it waits


# The waiting part.


@dataclass(slots=True)
class Intake:
    """The loop of one bind: take a batch, commit it, acknowledge it.

    `acknowledge` writes the responses (sequence, command_id, status) of one batch; `session_alive` tells whether they
    can still be written. `told` gets what each committed batch changed.
    """

    store: Store
    clock: Clock
    desk: Desk
    inbox: Inbox
    backlog: Backlog
    acknowledge: Callable[[Sequence[tuple[int, int, int]], str], bool]
    told: Callable[[TakenIn], None]
    alarm: Callable[[str, str], None]
    busy: bool = False
    _settled: trio.Event = field(default_factory=trio.Event)
    _held: Batch = field(default_factory=Batch)  # what is being committed
    _refused: set[str] = field(default_factory=set)  # row ids among it that were answered 0x64 meanwhile

    async def run(self) -> None:
        """Drain the inbox for as long as the process runs."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._refuse_in_time)
            while True:
                await self.inbox.bell.wait()
                while len(self.inbox):
                    if len(self.inbox) < GATHER_UNDER:
                        # A commit costs the same for two entries as for fifty: let company come.
                        await trio.sleep(GATHER_S)
                    self.busy = True
                    await self.settle(self.inbox.take())
                    self.busy = False
                    self._settled.set()
                    self._settled = trio.Event()

    async def emptied(self) -> None:
        """Return when everything that has come in is committed."""
        while self.busy or len(self.inbox):
            await self._settled.wait()

    async def settle(self, batch: Batch) -> None:
        """Commit one batch, however long the database takes, and acknowledge what it held."""
        now = self.clock.now()
        self._held = batch
        try:
            taken = await self._committed(lambda tx: take_in(tx, self._held, self.desk, now))
        except Exception as error:
            await self._apart(self._held, error)
            return
        self._finish(taken)

    async def _committed(self, job: Callable[[Tx], T]) -> T:
        while True:
            try:
                return await self.store.write(job)
            except (StoreUnavailable, CommitUnknown) as error:
                # Answers are kept until they can be written: nobody else has them. Arrivals are the SMSC's still, and
                # one that was committed after all is known for a redelivery when it comes again.
                self.alarm("store", type(error).__name__)
                await trio.sleep(_RETRY_S)
                self._held.arrivals = self._not_refused(self._held.arrivals)

    def _finish(self, taken: TakenIn) -> None:
        arrivals, self._held = self._not_refused(self._held.arrivals), Batch()
        self._refused.clear()
        self.told(taken)
        self.backlog.add(taken.queued)
        self._accept(arrivals)

    def _not_refused(self, arrivals: list[Arrival]) -> list[Arrival]:
        refused = self._refused
        return [one for one in arrivals if one.row_id not in refused] if refused else arrivals

    def _accept(self, arrivals: Sequence[Arrival]) -> None:
        for session in {arrival.session for arrival in arrivals}:
            mine = [arrival for arrival in arrivals if arrival.session == session]
            written = self.acknowledge([(one.sequence, one.command_id, Status.ESME_ROK) for one in mine], session)
            if written:
                self.inbox.acknowledged([one.part.digest for one in mine if one.part is not None])

    async def _refuse_in_time(self) -> None:
        """Answer 0x64 to what the database has not taken within `_ABANDON_S`, before the SMSC's own timer ends."""
        while True:
            await self.inbox.arrived.wait()
            held = self._not_refused(self._held.arrivals)
            oldest = held[0] if held else self.inbox.oldest
            if oldest is None:
                self.inbox.arrived = trio.Event()
                continue
            await trio.sleep(max(0.0, oldest.at + _ABANDON_S - self.clock.monotonic()))
            since = self.clock.monotonic() - _ABANDON_S + _A_TICK_S
            tired = [one for one in self._not_refused(self._held.arrivals) if one.at <= since]
            self._refused.update(one.row_id for one in tired)
            tired += self.inbox.tired(since)
            for session in {arrival.session for arrival in tired}:
                mine = [one for one in tired if one.session == session]
                self.acknowledge([(one.sequence, one.command_id, Status.ESME_RX_T_APPN) for one in mine], session)

    async def _apart(self, batch: Batch, error: Exception) -> None:
        """Settle the entries of a failed batch one by one; park the one that raises alone."""
        if len(batch) > 1:
            for answer in batch.answers:
                await self.settle(Batch(answers=[answer]))
            for token in batch.silent:
                await self.settle(Batch(silent=[token]))
            for token in batch.unsent:
                await self.settle(Batch(unsent=[token]))
            for arrival in self._not_refused(batch.arrivals):
                await self.settle(Batch(arrivals=[arrival]))
            for second in batch.second_ids:
                await self.settle(Batch(second_ids=[second]))
            self.inbox.acknowledged(batch.acknowledged)
            return
        now = self.clock.now()
        self.alarm("parked", type(error).__name__)
        if batch.arrivals:
            [arrival] = batch.arrivals
            sealed = self.desk.seal(arrival.raw, arrival.row_id)
            what = arrival, self.desk.rules.name, sealed, type(error).__name__, now
            await self._committed(lambda tx: _park(tx, *what))
            self._finish(_NOTHING)
            return
        # An answer cannot be parked: its message must not be sent again. It is applied without telling its case.
        bare = replace(self.desk, books=replace(self.desk.books, on_moved=_nobody))
        try:
            self._finish(await self._committed(lambda tx: take_in(tx, batch, bare, now)))
        except Exception as second:
            self.alarm("answer_lost", type(second).__name__)


_NOTHING: Final = TakenIn([], [], 0, Counter(), Counter(), 0, 0, frozenset())


def _nobody(_tx: Tx, _tallies: Sequence[Tally], _now: int) -> Bells:
    return []
