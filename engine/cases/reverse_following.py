"""Tells reverse verifications that their time is over; they send nothing, so no message of theirs moves.

Store functions called by `following`.
"""

from dataclasses import dataclass
from typing import ClassVar

from engine.cases.casebook import CaseRow
from engine.cases.outcomes import Wakes
from engine.cases.reverse import Reverses
from engine.store.transaction import Tx
from engine.transit.tally import Tally
from workflows.base import Outcome
from workflows.reverse_otp import WORKFLOW


@dataclass(frozen=True, slots=True)
class ReverseFollowers:
    """What reverse verifications are told without a call."""

    workflow: ClassVar = WORKFLOW

    reverses: Reverses

    def settled(self, tx: Tx, row: CaseRow, tally: Tally, outcome: Outcome, now: int, wakes: Wakes) -> None:
        """A reverse verification has no messages."""
        raise AssertionError("a reverse verification sends no message")

    def fired(self, tx: Tx, row: CaseRow, _kind: str, now: int, wakes: Wakes) -> None:
        """Tell a reverse verification that its timer came due."""
        self.reverses.fired(tx, row, now, wakes)
