"""The sending loops of one bind: wait for work and room, claim, write; one loop for codes, one for everything else.

A loop has a window slot and a pacing token before it claims, and between the commit that marks a message *on wire*
and the end of its write it cannot be cancelled. It decides nothing: capacity, backlog, routing and the claim do.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from engine.clock import Clock
from engine.errors import CommitUnknown, StoreUnavailable
from engine.smpp.errors import NotEncodable
from engine.smpp.pdu import SubmitSm, encode
from engine.store.doorway import Store
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.backlog import Backlog, Bell, QueueKey
from engine.transit.books import Bells, Books
from engine.transit.capacity import Capacity
from engine.transit.claiming import Claim, Claimed, InFlight, Reached, Silenced, Wording
from engine.transit.classes import Lane
from engine.transit.health import MANY
from engine.transit.references import LiveReferences

Submit = tuple[InFlight, SubmitSm]

# The most messages of one transaction: past this the commit's latency shows in a code that waits behind it.
CLAIM_MOST: Final = 100
_PAUSE_S: Final = 0.25
_BULK_TURN: Final = 5  # PDUs that are owed to bulk before it goes before the transactional lane
# One claim for the whole window would leave the wire idle while it is taken in and claimed anew: of the window's claims
# so many are under way together, of those to a peer whose answers take long more.
_CLAIMS_NEAR: Final = 2
_CLAIMS_AWAY: Final = 6
_GATHER_S: Final = 0.001


class Line(Protocol):
    """What the sender needs of a bound session."""

    async def send(self, submits: Sequence[Submit], deadline_s: float) -> bool:
        """Write submits in one piece; False if the link was gone before any byte was handed to the socket."""


@dataclass(slots=True)
class Figures:
    """Counts that the loops keep for metrics and `GET /v1/stats`."""

    claimed: int = 0
    written: int = 0
    released: int = 0
    expired: int = 0
    failed: int = 0


@dataclass(slots=True)
class Sender:
    """Sends for one bind. `mine` tells which plans are this bind's now; `line` is set while it is bound for sending."""

    store: Store
    clock: Clock
    backlog: Backlog
    capacity: Capacity
    wording: Wording
    references: LiveReferences
    books: Books
    run: str
    mine: Callable[[str, int], bool]
    told: Callable[[Bells], None]
    silent: Callable[[Sequence[InFlight]], None]
    sent: Callable[[Sequence[Submit], int, str], None]  # metrics: submits of one plan, written at an instant
    response_deadline_s: Callable[[int], float]
    most: Callable[[], int] = lambda: MANY  # messages that the account may be given now
    unused: Callable[[], None] = lambda: None  # told when what `most` allowed was not needed
    silenced: Silenced | None = None  # whose readers said STOP
    reached: Reached | None = None  # told whom marketing reaches
    far: Callable[[], bool] = lambda: False  # whether the peer's answers take long
    lanes: tuple[Lane, ...] = tuple(Lane)
    bulk_share: float = 0.1
    line: Line | None = None
    simulated: bool = False
    figures: Figures = field(default_factory=Figures)
    room_bell: Bell = field(default_factory=Bell)
    stopping: bool = False
    finished: trio.Event = field(default_factory=trio.Event)  # after `stop`: nothing that is claimed is unwritten
    _code_bell: Bell = field(default_factory=Bell)
    _rest: deque[tuple[Submit, QueueKey]] = field(default_factory=deque)
    _bulk_owed: float = 0.0
    _sessions: int = 0

    async def run_codes(self) -> None:
        """Send lane `otp` for as long as the process runs."""
        await self._loop((Lane.OTP,), otp=True)

    async def run_others(self) -> None:
        """Send the other lanes for as long as the process runs."""
        await self._loop((Lane.TRANSACTIONAL, Lane.BULK), otp=False)

    def open(self, line: Line, *, simulated: bool) -> None:
        """Start sending on a session that is bound."""
        self.line, self.simulated = line, simulated
        self.ring()

    def stop(self) -> None:
        """Claim nothing more; what is claimed is still written."""
        self.stopping = True
        self._note_end()
        self.ring()

    def close(self) -> list[InFlight]:
        """Stop sending; return the parts of long messages that were on wire in the rows and never written."""
        self.line = None
        self._sessions += 1
        rest = [token for (token, _), _ in self._rest]
        self._rest.clear()
        self.capacity.reset()
        self._note_end()
        return rest

    def forgo(self, message_id: str) -> list[InFlight]:
        """Drop the parts of a message that have not been written; return their tokens."""
        dropped = [token for (token, _), _ in self._rest if token.message_id == message_id]
        if dropped:
            self._rest = deque(kept for kept in self._rest if kept[0][0].message_id != message_id)
            self.capacity.held = bool(self._rest)
            self.ring()
        return dropped

    def ring(self) -> None:
        """Wake the loops: a slot came free, or the health of an account changed."""
        self.room_bell.ring()
        self._code_bell.ring()

    @property
    def _may_claim(self) -> bool:
        return self.line is not None and not self.stopping

    def _note_end(self) -> None:
        if self.stopping and not self._rest and not self.capacity.claimed:
            self.finished.set()

    async def _loop(self, lanes: tuple[Lane, ...], *, otp: bool) -> None:
        lanes = tuple(lane for lane in lanes if lane in self.lanes)
        bell = self._code_bell if otp else self.room_bell
        self.backlog.listen(lanes, bell)
        try:
            while True:
                await self._step(lanes, bell, otp=otp)
                self._note_end()
        finally:
            self.backlog.forget(bell)

    async def _step(self, lanes: tuple[Lane, ...], bell: Bell, *, otp: bool) -> None:
        now = self.clock.monotonic()
        if self.line is None:
            await bell.wait()
            return
        if not otp and self._rest:
            await self._write_rest(bell, now)
            return
        key, most = (None, 0) if self.stopping else self._next(lanes)
        if key is None:
            await bell.wait()
            return
        room = self.capacity.room(now, otp=otp)
        if room <= 0:
            await self._wait_for_room(bell, now, otp=otp)
            return
        share = max(1, self.capacity.window // (_CLAIMS_AWAY if self.far() else _CLAIMS_NEAR))
        if not otp and self.capacity.free < share:
            # A full window frees slot by slot: claim for several, since a commit costs the same for each.
            await trio.sleep(_GATHER_S)
            room = self.capacity.room(self.clock.monotonic(), otp=otp) if self._may_claim else 0
            if room <= 0:
                return
        await self._claim(key, min(room, most, share), self.clock.monotonic())

    def _next(self, lanes: tuple[Lane, ...]) -> tuple[QueueKey | None, int]:
        """Return the queue to claim from and the most to take: the higher lane first, but bulk gets what it is owed."""
        if self._bulk_owed >= _BULK_TURN and Lane.BULK in lanes:
            key = self.backlog.next(Lane.BULK, self.mine)
            if key is not None:
                return key, int(self._bulk_owed)
        for lane in lanes:
            key = self.backlog.next(lane, self.mine)
            if key is not None:
                return key, CLAIM_MOST
        return None, 0

    def _owe(self, lane: int, sent: int) -> None:
        """Keep account of what bulk is owed of the PDUs that codes leave: its minimum share, no more than one claim."""
        if lane == Lane.TRANSACTIONAL:
            self._bulk_owed = min(self._bulk_owed + sent * self.bulk_share, float(CLAIM_MOST))
        elif lane == Lane.BULK:
            self._bulk_owed = max(self._bulk_owed - sent * (1.0 - self.bulk_share), 0.0)

    async def _wait_for_room(self, bell: Bell, now: float, *, otp: bool) -> None:
        wait = self.capacity.wait(now, otp=otp)
        with self.capacity.wanting(token=wait is not None) if otp else nullcontext():
            with trio.move_on_after(math.inf if wait is None else wait):
                await bell.wait()

    async def _claim(self, key: QueueKey, room: int, now: float) -> None:
        most = min(room, self.most())
        if most <= 0:
            return  # another loop took the one message that may probe the account
        self.capacity.claim(most, now)
        age = self.backlog.age(key)
        claim = Claim(
            lane=key.lane,
            plan=key.plan,
            application_id=key.application_id,
            room=most,
            most=most,
            now=self.clock.now(),
            run=self.run,
            simulated=self.simulated,
            wording=self.wording,
            references=self.references,
            books=self.books,
            silenced=self.silenced,
            reached=self.reached,
        )
        # From here to the end of the write nothing may cancel: a message marked *on wire* is written, released or in
        # doubt.
        with trio.CancelScope(shield=True):
            try:
                claimed = await self.store.write(claim, urgent=key.lane == Lane.OTP, apart=True)
            except (StoreUnavailable, CommitUnknown):
                # If the commit was lost the rows tell at the next start: they are in doubt, and nothing was written.
                self._settle(most, 0, key.lane, now)
                await trio.sleep(_PAUSE_S)
                return
            if claimed.emptied:
                self.backlog.exhausted(key, age)
            if not claimed.submits:
                self.unused()
            self.told(claimed.bells)
            self.figures.claimed += claimed.taken
            self.figures.expired += claimed.expired
            self.figures.failed += claimed.failed
            await self._write(claimed, most, key, now)

    def _settle(self, promised: int, used: int, lane: int, since: float) -> None:
        self.capacity.written(promised, used, self.clock.monotonic(), since)
        if used < promised:
            # The other loop may have found no room because of what was promised here.
            (self.room_bell if lane == Lane.OTP else self._code_bell).ring()

    async def _write(self, claimed: Claimed, promised: int, key: QueueKey, since: float) -> None:
        first: list[Submit] = []
        rest: list[Submit] = []
        for submits in claimed.submits:
            take = max(0, promised - len(first))
            first += submits[:take]
            rest += submits[take:]
        used = len(first)
        # Outstanding before the write: the first answers may be here before its end.
        self._settle(promised, used, key.lane, since)
        if not used:
            return
        self._owe(key.lane, used)
        session = self._sessions
        if not await self._send(first, key, used):
            await self._release(claimed.submits, key)
        elif rest:
            self._keep(rest, key, session)

    async def _send(self, submits: Sequence[Submit], key: QueueKey, used: int) -> bool:
        session, line = self._sessions, self.line
        try:
            written = line is not None and await line.send(submits, self.response_deadline_s(key.lane))
        except NotEncodable:  # composed for a session that took other parameters, or by a mistake: no octet has left
            self.capacity.answered(used)
            return False
        if written:
            self.figures.written += used
            self.sent(submits, self.clock.now(), key.plan)
        elif session == self._sessions:
            # The link takes no more, and will tell of its end; what it did not take is outstanding no longer.
            self.capacity.answered(used)
            self.line = None
        return written

    def _keep(self, rest: Sequence[Submit], key: QueueKey, session: int) -> None:
        """Keep the parts that found no room: they follow as slots come free, those of a code before all others."""
        if self.line is None or session != self._sessions:
            # The link went down under the first parts, which are in doubt: so is the message.
            self.silent([token for token, _ in rest])
            return
        kept = [(submit, key) for submit in rest]
        if key.lane == Lane.OTP:
            self._rest.extendleft(reversed(kept))
        else:
            self._rest.extend(kept)
        self.capacity.held = True
        self.room_bell.ring()

    async def _release(self, messages: Sequence[Sequence[Submit]], key: QueueKey) -> None:
        """Return what was not written to the queue; a message that no session can be told of fails."""
        claimed = [(submits[0][0].message_id, [token.number for token, _ in submits]) for submits in messages]
        broken = [submits[0][0].message_id for submits in messages if not all(_is_encodable(pdu) for _, pdu in submits)]
        now = self.clock.now()

        def release(tx: Tx) -> Bells:
            queue.release(tx, claimed)
            tallies = queue.load(tx, broken)
            for tally in tallies.values():
                tally.finish("failed", now, NotEncodable.__name__)
            return self.books.write(tx, list(tallies.values()), now) if tallies else []

        try:
            self.told(await self.store.write(release, urgent=key.lane == Lane.OTP))
        except (StoreUnavailable, CommitUnknown):
            self.silent([token for submits in messages for token, _ in submits])
            return
        self.figures.released += len(claimed)
        self.backlog.add([key])

    async def _write_rest(self, bell: Bell, now: float) -> None:
        """Write the next parts of long messages as slots and tokens allow; codes pass between them."""
        key = self._rest[0][1]
        otp = key.lane == Lane.OTP
        self.capacity.held = False  # lifted only to ask: the other lanes stand still until the last part is out
        room = self.capacity.room(now, otp=otp)
        wait = self.capacity.wait(now, otp=otp)
        self.capacity.held = True
        if room <= 0:
            with trio.move_on_after(_PAUSE_S if wait is None else wait):
                await bell.wait()
            return
        batch: list[Submit] = []
        while self._rest and len(batch) < room and self._rest[0][1] == key:
            batch.append(self._rest.popleft()[0])
        self.capacity.claim(len(batch), now)
        self.capacity.written(len(batch), len(batch), now, now)
        self._owe(key.lane, len(batch))
        with trio.CancelScope(shield=True):
            written = await self._send(batch, key, len(batch))
        if not written:
            # Its first parts are out: the message cannot go back to the queue as a whole.
            self.silent([token for token, _ in batch])
        self.capacity.held = bool(self._rest)


def _is_encodable(pdu: SubmitSm) -> bool:
    try:
        encode(pdu, 1)
    except NotEncodable:
        return False
    return True
