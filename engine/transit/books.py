"""Writes changed messages back, with the events that they raise and the steps that their cases take, in one
transaction.

Every place that changes messages (claims, answers, receipts, duties, cancels) ends in `Books.write`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from engine.clock import NewIds
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.references import LiveReferences
from engine.transit.tally import Tally

Bells = list[tuple[str, str]]  # (application, endpoint) pairs that are owed a webhook


@dataclass(frozen=True, slots=True)
class Books:
    """`new_ids` draws ids; `on_moved` steps the cases whose messages moved and returns the webhook bells of their
    events; `counted` is told after the commit.
    """

    new_ids: NewIds
    on_moved: Callable[[Tx, Sequence[Tally], int], Bells]
    references: LiveReferences = field(default_factory=LiveReferences)
    counted: Callable[[Sequence[Tally]], None] | None = None

    def store(self, tx: Tx, tallies: Sequence[Tally], now: int) -> Bells:
        """Write tallies without telling their cases: for the case that moves its own messages."""
        bells = queue.store(tx, tallies, self.new_ids, now)
        if self.counted is not None:
            tx.tell(partial(self.counted, tallies))
        return bells

    def write(self, tx: Tx, tallies: Sequence[Tally], now: int) -> Bells:
        """Write tallies that were loaded in this transaction; return the webhook bells to ring after the commit."""
        bells = self.store(tx, tallies, now)
        for tally in tallies:
            if tally.parts > 1 and tally.final_at is not None:
                self.references.end(tally.id)
        in_cases = [tally for tally in tallies if tally.case_id is not None and tally.raised]
        return bells + self.on_moved(tx, in_cases, now) if in_cases else bells
