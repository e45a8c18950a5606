"""What comes in on one bind becomes rows, batch by batch: answers, silence, receipts, replies; only then it is
acknowledged.

`Inbox` is filled by the bind without ever blocking it; `Intake.run` drains it, commits, and sends the responses. A
batch that raises is taken apart so that the one bad PDU is parked; a failed commit is answered with ESME_RX_T_APPN,
to be sent again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

import trio

from engine.clock import Clock
from engine.errors import CommitUnknown, StoreUnavailable
from engine.smpp.pdu import Status
from engine.store.doorway import Store
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.answers import AccountRules, Answer, apply_answers, apply_silence, put_second_ids, refused_senders
from engine.transit.backlog import Backlog, Bell, QueueKey
from engine.transit.books import Bells, Books
from engine.transit.claiming import InFlight
from engine.transit.parking import park
from engine.transit.receipting import ReceivedReceipt, apply_receipts, awaiting, find, quarantine, reconcile
from engine.transit.replying import Joining, ReceivedPart, acknowledged, receive

BATCH: Final = 200
GATHER_UNDER: Final = 50
GATHER_S: Final = 0.003
_RETRY_S: Final = 0.25
_ABANDON_S: Final = 8.0  # an unacknowledged deliver_sm is answered 0x64 well before the peer's own timer ends


class Arrival(NamedTuple):
    """A deliver_sm or data_sm that waits for its response: what it is, and how to answer it."""

    sequence: int
    command_id: int
    session: str
    receipt: ReceivedReceipt | None
    part: ReceivedPart | None
    raw: bytes
    row_id: str
    at: float


@dataclass(slots=True)
class Batch:
    """What one transaction takes in."""

    answers: list[Answer] = field(default_factory=list)
    silent: list[InFlight] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    second_ids: list[tuple[InFlight, str]] = field(default_factory=list)

    def __len__(self) -> int:
        counted = len(self.answers) + len(self.silent) + len(self.arrivals)
        return counted + len(self.acknowledged) + len(self.second_ids)


class TakenIn(NamedTuple):
    """What a committed batch changed: bells to ring and figures to count."""

    bells: Bells
    queued: list[QueueKey]
    doubted: int
    applied: int
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


class Inbox:
    """Bounded memory between a bind and its intake."""

    def __init__(self, most_arrivals: int = 2_000) -> None:
        self._batch = Batch()
        self._most = most_arrivals
        self.bell = Bell()

    def answer(self, answer: Answer) -> None:
        """Note an answer."""
        self._batch.answers.append(answer)
        self.bell.ring()

    def silence(self, tokens: Sequence[InFlight]) -> None:
        """Note submits that got no answer."""
        self._batch.silent.extend(tokens)
        self.bell.ring()

    def arrive(self, arrival: Arrival) -> bool:
        """Note a deliver_sm; False if too many wait already: then answer it 0x64 at once."""
        if len(self._batch.arrivals) >= self._most:
            return False
        self._batch.arrivals.append(arrival)
        self.bell.ring()
        return True

    def acknowledged(self, part_ids: Sequence[str]) -> None:
        """Note responses that were written, to be stored with the next batch."""
        self._batch.acknowledged.extend(part_ids)

    def second_id(self, token: InFlight, smsc_id: str) -> None:
        """Note another id that the SMSC gave for an answered submit: receipts may carry either (B16)."""
        self._batch.second_ids.append((token, smsc_id))
        self.bell.ring()

    def take(self) -> Batch:
        """Return up to `BATCH` entries of each kind; rings again for the rest."""
        whole = self._batch
        taken, rest = Batch(), Batch()
        for name in Batch.__slots__:
            entries = getattr(whole, name)
            setattr(taken, name, entries[:BATCH])
            setattr(rest, name, entries[BATCH:])
        self._batch = rest
        if len(self._batch):
            self.bell.ring()
        return taken

    def __len__(self) -> int:
        return len(self._batch)


# Store functions.


def take_in(tx: Tx, batch: Batch, desk: Desk, now: int) -> TakenIn:
    """Store a batch: answers first, then silence, then receipts (with those that waited for an answer), then
    replies.
    """
    rules = desk.rules
    tallies = queue.load(
        tx, [*(answer.token.message_id for answer in batch.answers), *(t.message_id for t in batch.silent)]
    )
    known = apply_answers(tx, tallies, batch.answers, rules, now)
    known += put_second_ids(tx, batch.second_ids, rules, now)
    doubted = apply_silence(tx, tallies, batch.silent, now)
    early = awaiting(tx, known)
    receipts = [arrival.receipt for arrival in batch.arrivals if arrival.receipt is not None]
    applied = orphans = 0
    if early or receipts:
        found = find(tx, rules.name, [*early, *receipts], now)
        matched = {one.receipt.row_id for one in found}
        reconciled, lost = reconcile(tx, rules.name, [one for one in receipts if one.row_id not in matched], now)
        found += reconciled
        tallies |= queue.load(tx, [one.message_id for one in found if one.message_id not in tallies])
        applied = apply_receipts(tx, rules.name, tallies, found, now, stored=frozenset(one.row_id for one in early))
        quarantine(tx, rules.name, lost, desk.fingerprint)
        orphans = len(lost)
    bells = desk.books.write(tx, list(tallies.values()), now) if tallies else []
    waiting = 0
    for arrival in batch.arrivals:
        if arrival.part is not None:
            rung, what = receive(tx, arrival.part, desk.joining, now)
            bells += rung
            waiting += what == "waiting"
    acknowledged(tx, batch.acknowledged, now)
    queued = [
        QueueKey(tally.lane, tally.route, tally.application_id) for tally in tallies.values() if tally.state == "queued"
    ]
    refused = refused_senders(tallies, batch.answers)
    return TakenIn(bells, queued, doubted, applied, orphans, waiting, refused)


def _park(tx: Tx, row: tuple[str, str, str, str, str], now: int) -> None:
    park(tx, *row, now)


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

    async def run(self) -> None:
        """Drain the inbox for as long as the process runs."""
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
        row_now = self.clock.now()
        while True:
            try:
                taken = await self.store.write(lambda tx: take_in(tx, batch, self.desk, row_now))
            except (StoreUnavailable, CommitUnknown) as error:
                # Answers are kept until they can be written: nobody else has them. Arrivals are the SMSC's still.
                self.alarm("store", type(error).__name__)
                self._refuse(batch, unknown=isinstance(error, CommitUnknown))
                await trio.sleep(_RETRY_S)
                continue
            except Exception as error:
                await self._apart(batch, error)
                return
            break
        self.told(taken)
        self.backlog.add(taken.queued)
        self._accept(batch.arrivals)

    def _accept(self, arrivals: Sequence[Arrival]) -> None:
        for session in {arrival.session for arrival in arrivals}:
            mine = [arrival for arrival in arrivals if arrival.session == session]
            written = self.acknowledge([(one.sequence, one.command_id, Status.ESME_ROK) for one in mine], session)
            if written:
                self.inbox.acknowledged([one.part.id for one in mine if one.part is not None])

    def _refuse(self, batch: Batch, *, unknown: bool) -> None:
        """Answer 0x64 to what the SMSC can send again; while a commit's outcome is unknown, answer nothing."""
        if unknown:
            return
        now = self.clock.monotonic()
        tired = [arrival for arrival in batch.arrivals if now - arrival.at > _ABANDON_S]
        for session in {arrival.session for arrival in tired}:
            refusals = [
                (one.sequence, one.command_id, Status.ESME_RX_T_APPN) for one in tired if one.session == session
            ]
            self.acknowledge(refusals, session)
        batch.arrivals[:] = [arrival for arrival in batch.arrivals if now - arrival.at <= _ABANDON_S]

    async def _apart(self, batch: Batch, error: Exception) -> None:
        """Settle the entries of a failed batch one by one; park the one that raises alone."""
        if len(batch) > 1:
            for answer in batch.answers:
                await self.settle(Batch(answers=[answer]))
            for token in batch.silent:
                await self.settle(Batch(silent=[token]))
            for arrival in batch.arrivals:
                await self.settle(Batch(arrivals=[arrival]))
            for second in batch.second_ids:
                await self.settle(Batch(second_ids=[second]))
            self.inbox.acknowledged(batch.acknowledged)
            return
        self.alarm("parked", type(error).__name__)
        for arrival in batch.arrivals:
            sealed = self.desk.seal(arrival.raw, arrival.row_id)
            row = (arrival.row_id, self.desk.rules.name, arrival.session, sealed, type(error).__name__)
            await self.store.write(partial(_park, row=row, now=self.clock.now()))
            self._accept([arrival])
