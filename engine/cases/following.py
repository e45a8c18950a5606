"""Tells cases what happened without a call: their messages moved, a timer came due, a handset wrote.

A registry: who follows the cases of a workflow, and who is asked whether a reply is theirs. Store functions called by
the books, by the timer duty and by intake's joining; nothing of the API comes here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from engine.cases import casebook
from engine.cases.casebook import CaseRow
from engine.cases.outcomes import Claimed, Wakes
from engine.cases.owning import OwnerOf
from engine.clock import Clock, to_rfc3339
from engine.duties.rounds import Done
from engine.events import NewEvent, event_data, record
from engine.keyring import KeyRing
from engine.phones import mask
from engine.store.transaction import Tx
from engine.transit.replying import JoinedReply, put_reply
from engine.transit.settling import Tally
from workflows.base import Outcome

_TIMERS_MOST: Final = 50
_OUTCOMES: Final = {f"message.{outcome.value}": outcome for outcome in Outcome}


class Follower(Protocol):
    """Tells the cases of one workflow what happened to them; what must be woken for it is gathered in `wakes`."""

    @property
    def workflow(self) -> str:
        """The workflow whose cases these are."""

    def settled(self, tx: Tx, row: CaseRow, tally: Tally, outcome: Outcome, now: int, wakes: Wakes) -> None:
        """Tell a case that one of its messages moved."""

    def fired(self, tx: Tx, row: CaseRow, kind: str, now: int, wakes: Wakes) -> None:
        """Tell a case that a timer of this kind came due."""


class Reader(Protocol):
    """Takes a whole reply if it is theirs and says whose it is; else None, and nothing was changed."""

    def __call__(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes, /) -> Claimed | None: ...


class Unclaimed(Protocol):
    """Hears of a whole reply that no reader took."""

    def __call__(self, tx: Tx, reply: JoinedReply, now: int, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Followers:
    """Who is told: `by_workflow` of messages and timers, `readers` of replies, in their order, until one takes it."""

    clock: Clock
    keyring: KeyRing
    owner_of: OwnerOf
    by_workflow: Mapping[str, Follower]
    readers: Sequence[Reader]
    unclaimed: Unclaimed

    def messages_moved(self, tx: Tx, tallies: Sequence[Tally], now: int) -> Wakes:
        """Tell cases what became of their messages: case by case, each in the order in which it happened."""
        wakes = Wakes()
        in_cases = [(tally.case_id, tally) for tally in tallies if tally.case_id is not None]
        # Each case is locked as it is told: every transaction takes these locks in the order of ids.
        for case_id, tally in sorted(in_cases, key=lambda one: one[0]):
            for raised in tally.raised:
                outcome = _OUTCOMES.get(raised.type)
                row = None if outcome is None else casebook.case_by_id(tx, case_id)
                if row is not None and outcome is not None:
                    self.by_workflow[row.workflow].settled(tx, row, tally, outcome, now, wakes)
        return wakes

    def timers_due(self, tx: Tx, now: int) -> Done:
        """Fire the timers that are due: the cases' own duty."""
        due = casebook.due_timers(tx, now, _TIMERS_MOST)
        fired = casebook.fire(tx, [timer.id for timer in due], now)
        wakes = Wakes()
        for timer in due:
            row = casebook.case_by_id(tx, timer.case_id) if timer.id in fired else None
            if row is not None:
                self.by_workflow[row.workflow].fired(tx, row, timer.kind, now, wakes)
        return Done(
            len(fired), queued=wakes.queued, bells=wakes.bells, on_air=wakes.on_air, more=len(due) == _TIMERS_MOST
        )

    def replied(self, tx: Tx, reply: JoinedReply, now: int) -> Wakes:
        """Store a reply with the conversation that it answers, if there is one; else the application that owns the
        number is told.
        """
        wakes = Wakes()
        claimed = self._claimed(tx, reply, now, wakes) if reply.state == "whole" else None
        if claimed is None:
            claimed = Claimed(self.owner_of(reply.our_number, reply.text) or "", "", "no_open_case")
        put_reply(
            tx,
            {
                "id": reply.id,
                "application_id": claimed.application_id or None,
                "case_id": claimed.case_id or None,
                "account": reply.account,
                "source": reply.source,
                "source_raw": reply.source_raw,
                "source_fp": self.keyring.fingerprint("phone", reply.source),
                "our_number": reply.our_number,
                "sealed": self.keyring.seal(reply.text.encode("utf-8", "replace"), reply.id),
                "state": reply.state if reply.state != "whole" else "matched" if claimed.case_id else "unmatched",
                "choice": claimed.choice,
                "flags": reply.flags,
                "received_at": reply.received_at,
            },
        )
        if claimed.application_id and not claimed.case_id:
            data = event_data(
                "message.received",
                reply_id=reply.id,
                **{"from": mask(reply.source)},
                to=reply.our_number,
                received_at=to_rfc3339(reply.received_at),
                flags=reply.flags,
            )
            event = NewEvent(claimed.application_id, "message.received", reply.id, 1, data)
            wakes.bells += record(tx, [event], self.clock.new_id, now)
        return wakes

    def _claimed(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> Claimed | None:
        for read in self.readers:
            claimed = read(tx, reply, now, wakes)
            if claimed is not None:
                return claimed
        self.unclaimed(tx, reply, now)
        return None
