"""What a feeder holds of its endpoint's rows: parcels ready to go, subjects under way, and how far it has looked.

Memory only, and bounded by the feeder's window: the rows are the truth, and dropping a hand loses nothing. No waiting
and no database here.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.clock import SECOND
from engine.webhooks.claims import Due
from engine.webhooks.parcels import Parcel

START: Final = (0, 0)
# Rows carry the instant at which their change was decided and become visible at its commit, a little later.
_OVERLAP: Final = 2 * SECOND


@dataclass(slots=True)
class Hand:
    """The rows that one feeder has read and not yet settled."""

    ready: deque[Parcel] = field(default_factory=deque)
    loose: dict[int, Due] = field(default_factory=dict)  # freed by a predecessor, not yet in a parcel
    held: set[int] = field(default_factory=set)  # positions in parcels
    busy: set[str] = field(default_factory=set)  # their subjects
    batches: set[str] = field(default_factory=set)
    cursor: tuple[int, int] = START
    _settled: set[int] | None = None  # positions settled since the look under way began

    @property
    def empty(self) -> bool:
        """Tell whether nothing is held."""
        return not (self.held or self.loose)

    def begin_look(self) -> None:
        """Note that a look begins: what is settled until its result is there may wrongly be in it."""
        self._settled = set()

    def end_look(self, rows: Sequence[Due], *, now: int, exhausted: bool) -> list[Due]:
        """Move the cursor past a look's rows and return those that are neither held nor settled meanwhile."""
        settled, self._settled = self._settled or set(), None
        if exhausted:
            self.cursor = (max(0, now - _OVERLAP), 0)
        elif rows:
            self.cursor = (rows[-1].next_at, rows[-1].position)
        return [due for due in rows if due.position not in self.held and due.position not in settled]

    def look_again(self) -> None:
        """Begin the next look at the first row that is due."""
        self.cursor = START

    def reserve(self, groups: Iterable[Sequence[Due]]) -> None:
        """Hold rows that are about to become parcels."""
        for group in groups:
            self.held.update(due.position for due in group)
            self.busy.update(due.subject_id for due in group)

    def release(self, rows: Sequence[Due], batch_id: str | None = None) -> None:
        """Let go of rows, settled or not."""
        self.held.difference_update(due.position for due in rows)
        self.busy.difference_update(due.subject_id for due in rows)
        if batch_id is not None:
            self.batches.discard(batch_id)
        if self._settled is not None:
            self._settled.update(due.position for due in rows)

    def take(self, parcels: Sequence[Parcel]) -> None:
        """Put parcels in the queue of those that go next."""
        for parcel in parcels:
            if parcel.batch_id is not None:
                self.batches.add(parcel.batch_id)
        self.reserve([parcel.rows for parcel in parcels])
        self.ready.extend(parcels)

    def drop_ready(self) -> None:
        """Let go of everything that is not under way, to be looked for again."""
        while self.ready:
            parcel = self.ready.pop()
            self.release(parcel.rows, parcel.batch_id)
        self.loose.clear()
        self.look_again()
