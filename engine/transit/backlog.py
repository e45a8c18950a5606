"""Which queues may hold work, and the bells that wake the senders: a hint in memory, healed from the rows.

The rows are the truth: a key that is wrongly here costs one empty claim, a key that is missing is found again by the
`rescue` duty. Senders take turns among applications through it.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

import trio

from engine.transit.classes import Lane


class QueueKey(NamedTuple):
    """One queue: the messages of one application on one lane with one plan."""

    lane: int
    plan: str
    application_id: str


class Bell:
    """Wakes everyone who waits, and remembers a ring that nobody was there to hear."""

    __slots__ = ("_event", "_rung")

    def __init__(self) -> None:
        self._event = trio.Event()
        self._rung = False

    def ring(self) -> None:
        """Wake the waiting tasks, or the next one that comes to wait."""
        self._rung = True
        self._event.set()

    async def wait(self) -> None:
        """Return when rung since the last `wait`."""
        if not self._rung:
            await self._event.wait()
        else:
            await trio.lowlevel.checkpoint()
        self._rung = False
        if self._event.is_set():
            self._event = trio.Event()


class Backlog:
    """The queues that may hold work, lane by lane, each lane's in turn-taking order."""

    def __init__(self) -> None:
        self._turns: dict[int, deque[QueueKey]] = {lane: deque() for lane in Lane}
        self._known: dict[QueueKey, int] = {}  # with the number of times that work was added
        self._listeners: dict[int, set[Bell]] = {lane: set() for lane in Lane}

    def listen(self, lanes: Iterable[int], bell: Bell) -> None:
        """Ring `bell` whenever one of the lanes gets work."""
        for lane in lanes:
            self._listeners[lane].add(bell)

    def forget(self, bell: Bell) -> None:
        """Stop ringing `bell`."""
        for bells in self._listeners.values():
            bells.discard(bell)

    def add(self, keys: Iterable[QueueKey]) -> None:
        """Note queues that got work and wake their senders; call after the commit that queued it."""
        rung: set[int] = set()
        for key in keys:
            if key not in self._known:
                self._known[key] = 0
                self._turns[key.lane].append(key)
            self._known[key] += 1
            rung.add(key.lane)
        for lane in rung:
            for bell in self._listeners[lane]:
                bell.ring()

    def ring_all(self) -> None:
        """Wake every sender: an account's health changed, so that other plans may be theirs now."""
        for bells in self._listeners.values():
            for bell in bells:
                bell.ring()

    def next(self, lane: int, mine: Callable[[str, int], bool]) -> QueueKey | None:
        """Return the lane's next queue whose plan is `mine`, and put it at the end of the turns."""
        turns = self._turns[lane]
        for _ in range(len(turns)):
            key = turns[0]
            turns.rotate(-1)
            if mine(key.plan, lane):
                return key
        return None

    def age(self, key: QueueKey) -> int:
        """Return how often work was added to a queue, to be handed to `exhausted`."""
        return self._known.get(key, 0)

    def exhausted(self, key: QueueKey, age: int) -> None:
        """Forget a queue that a claim found empty, unless work was added since the claim read its `age`."""
        if self._known.get(key) == age:
            del self._known[key]
            self._turns[key.lane].remove(key)
