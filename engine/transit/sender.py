"""The sending loops of one bind: wait for work and room, claim, write; one loop for codes, one for everything else.

A loop has a window slot and a pacing token before it claims, and between the commit that marks a message *on wire*
and the end of its write it cannot be cancelled. It decides nothing: capacity, backlog, routing and the claim do.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from engine.clock import Clock
from engine.errors import CommitUnknown, StoreUnavailable
from engine.smpp.pdu import SubmitSm
from engine.smpp.text import References
from engine.store.doorway import Store
from engine.transit import queue
from engine.transit.backlog import Backlog, Bell, QueueKey
from engine.transit.books import Bells, Books
from engine.transit.capacity import Capacity
from engine.transit.claiming import Claim, Claimed, InFlight, Wording
from engine.transit.classes import Lane

Submit = tuple[InFlight, SubmitSm]

# The most messages of one transaction: past this the commit's latency shows in a code that waits behind it.
CLAIM_MOST: Final = 50
_PAUSE_S: Final = 0.25
_GATHER_SHARE: Final = 2
_GATHER_S: Final = 0.002


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
    references: References
    books: Books
    run: str
    mine: Callable[[str, int], bool]
    told: Callable[[Bells], None]
    silent: Callable[[Sequence[InFlight]], None]
    sent: Callable[[Sequence[Submit], int], None]  # metrics: submits written at an instant
    response_deadline_s: Callable[[int], float]
    lanes: tuple[Lane, ...] = tuple(Lane)
    bulk_share: float = 0.2
    line: Line | None = None
    simulated: bool = False
    figures: Figures = field(default_factory=Figures)
    room_bell: Bell = field(default_factory=Bell)
    _rest: deque[Submit] = field(default_factory=deque)
    _bulk_owed: float = 0.0

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

    def close(self) -> list[InFlight]:
        """Stop sending; return the parts of long messages that were on wire in the rows and never written."""
        self.line = None
        rest = [token for token, _ in self._rest]
        self._rest.clear()
        self.capacity.reset()
        return rest

    def ring(self) -> None:
        """Wake the loops: a slot came free, or the health of an account changed."""
        self.room_bell.ring()
        self._code_bell.ring()

    @property
    def idle(self) -> bool:
        """Tell whether nothing is claimed, or waits to be written."""
        return not self._rest and not self.capacity.claimed

    _code_bell: Bell = field(default_factory=Bell)

    async def _loop(self, lanes: tuple[Lane, ...], *, otp: bool) -> None:
        lanes = tuple(lane for lane in lanes if lane in self.lanes)
        bell = self._code_bell if otp else self.room_bell
        self.backlog.listen(lanes, bell)
        try:
            while True:
                await self._step(lanes, bell, otp=otp)
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
        key = self._next(lanes)
        if key is None:
            await bell.wait()
            return
        room = self.capacity.room(now, otp=otp)
        if room <= 0:
            await self._wait_for_room(bell, now, otp=otp)
            return
        if not otp and self.capacity.free < self.capacity.window // _GATHER_SHARE:
            # A full window frees slot by slot: claim for several, since a commit costs the same for each.
            await trio.sleep(_GATHER_S)
            room = self.capacity.room(self.clock.monotonic(), otp=otp)
            if room <= 0 or self.line is None:
                return
        await self._claim(key, room, self.clock.monotonic())

    def _next(self, lanes: tuple[Lane, ...]) -> QueueKey | None:
        """Return the queue to claim from: the higher lane first, but bulk gets its minimum share of the claims."""
        order = lanes
        if Lane.BULK in lanes:
            self._bulk_owed += self.bulk_share
            if self._bulk_owed >= 1.0:
                order = tuple(reversed(lanes))
        for lane in order:
            key = self.backlog.next(lane, self.mine)
            if key is not None:
                if lane is Lane.BULK:
                    self._bulk_owed = 0.0
                return key
        self._bulk_owed = 0.0
        return None

    async def _wait_for_room(self, bell: Bell, now: float, *, otp: bool) -> None:
        wait = self.capacity.wait(now, otp=otp)
        if wait is None:
            await bell.wait()
        else:
            with trio.move_on_after(wait):
                await bell.wait()

    async def _claim(self, key: QueueKey, room: int, now: float) -> None:
        most = min(room, CLAIM_MOST)
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
        )
        # From here to the end of the write nothing may cancel: a message marked *on wire* is written, released or in
        # doubt.
        with trio.CancelScope(shield=True):
            try:
                claimed = await self.store.write(claim, urgent=key.lane == Lane.OTP)
            except (StoreUnavailable, CommitUnknown):
                # If the commit was lost the rows tell at the next start: they are in doubt, and nothing was written.
                self.capacity.written(most, 0)
                await trio.sleep(_PAUSE_S)
                return
            if claimed.emptied:
                self.backlog.exhausted(key, age)
            self.told(claimed.bells)
            self.figures.claimed += claimed.taken
            self.figures.expired += claimed.expired
            self.figures.failed += claimed.failed
            await self._write(claimed, most, key)

    async def _write(self, claimed: Claimed, promised: int, key: QueueKey) -> None:
        lane = key.lane
        first: list[Submit] = []
        rest: list[Submit] = []
        for submits in claimed.submits:
            take = max(0, promised - len(first)) if lane != Lane.OTP else len(submits)
            first += submits[:take]
            rest += submits[take:]
        used = len(first)
        if used > promised:
            # A code of several parts may exceed its room; its slots and tokens are counted all the same.
            self.capacity.claim(used - promised, self.clock.monotonic())
            promised = used
        line = self.line
        written = bool(first) and line is not None and await line.send(first, self.response_deadline_s(lane))
        self.capacity.written(promised, used if written else 0)
        if written:
            self.figures.written += used
            self.sent(first, self.clock.now())
            self._rest.extend(rest)
            self.capacity.held = bool(self._rest)
        elif claimed.submits:
            await self._release(claimed.submits, key)

    async def _release(self, messages: Sequence[Sequence[Submit]], key: QueueKey) -> None:
        ids = [submits[0][0].message_id for submits in messages]
        try:
            await self.store.write(lambda tx: queue.release(tx, ids, "not_written"), urgent=key.lane == Lane.OTP)
        except (StoreUnavailable, CommitUnknown):
            self.silent([token for submits in messages for token, _ in submits])
            return
        self.figures.released += len(ids)
        self.backlog.add([key])

    async def _write_rest(self, bell: Bell, now: float) -> None:
        """Write the next parts of a long message as slots and tokens allow; codes pass between them."""
        self.capacity.held = False
        room = self.capacity.room(now, otp=False)
        if room <= 0:
            # `held` was lifted only to ask: the other lanes stand still until the last part is out.
            wait = self.capacity.wait(now, otp=False)
            self.capacity.held = True
            with trio.move_on_after(_PAUSE_S if wait is None else wait):
                await bell.wait()
            return
        batch = [self._rest.popleft() for _ in range(min(room, len(self._rest)))]
        self.capacity.claim(len(batch), now)
        self.capacity.held = bool(self._rest)
        with trio.CancelScope(shield=True):
            line = self.line
            lane = batch[0][0].lane
            written = line is not None and await line.send(batch, self.response_deadline_s(lane))
        self.capacity.written(len(batch), len(batch) if written else 0)
        if written:
            self.figures.written += len(batch)
            self.sent(batch, self.clock.now())
        else:
            # Its first parts are out: the message cannot go back to the queue as a whole.
            self.silent([token for token, _ in batch])
