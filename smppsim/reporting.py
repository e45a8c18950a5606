"""What the client is told of its messages: the receipt of the end, reports beside it, lost, late or out of order.

It decides nothing about messages and words no receipt (`receipts` does). `submission` calls it at every answer
and every end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from smppsim.agenda import Agenda
from smppsim.chances import happens
from smppsim.delivery import Deliveries, Delivery
from smppsim.messages import Message
from smppsim.outcomes import Outcome, Report
from smppsim.overtaking import Overtaking
from smppsim.receipts import is_asked_for, is_intermediate_asked_for, write_receipt
from smppsim.stats import Stats

_NetworkError = tuple[int, int]


class Reporting:
    """Sends receipts, as wanted and as the behaviour lets them through."""

    def __init__(self, agenda: Agenda, deliveries: Deliveries, stats: Stats, wall: Callable[[], int]) -> None:
        self._agenda = agenda
        self._deliveries = deliveries
        self._stats = stats
        self._wall = wall
        self._overtaking = Overtaking(agenda, deliveries.send)

    def receipt(
        self,
        message: Message,
        state: str,
        now: float,
        *,
        err: str | None = None,
        network_error: _NetworkError | None = None,
    ) -> None:
        """A delivery receipt, if it is wanted."""
        wanted = message.behaviour.receipts
        if wanted == "always" or (wanted == "as_asked" and is_asked_for(message.pdu, state)):
            self._report(message, state, err, network_error, False, now)

    def notify(
        self,
        message: Message,
        state: str,
        now: float,
        *,
        err: str | None = None,
        network_error: _NetworkError | None = None,
    ) -> None:
        """An intermediate notification, if it is wanted."""
        wanted = message.behaviour.receipts
        if wanted == "always" or (wanted == "as_asked" and is_intermediate_asked_for(message.pdu)):
            self._report(message, state, err, network_error, True, now)

    def plan(self, message: Message, outcome: Outcome, since: Literal["answer", "end"], now: float) -> None:
        """Arrange the reports that count from now; what is due at once goes at once."""
        for report in outcome.reports:
            if report.since == since:
                due = now + report.after.draw(message.account.dice)
                if due <= now:
                    self._tell((message, report), now)
                else:
                    self._agenda.at(due, self._tell, (message, report))

    def clear(self) -> None:
        """Forget what waits to be overtaken."""
        self._overtaking.clear()

    def _tell(self, told: tuple[Message, Report], now: float) -> None:
        message, report = told
        say = self.notify if report.notification else self.receipt
        say(message, report.state, now, err=report.err)

    def _report(
        self,
        message: Message,
        state: str,
        err: str | None,
        network_error: _NetworkError | None,
        intermediate: bool,
        now: float,
    ) -> None:
        account, behaviour = message.account, message.behaviour
        vary, dice = behaviour.receipts_vary, account.dice
        if vary and happens(behaviour.receipts_lost, dice):
            self._stats.receipts_withheld += 1
            return
        pdu = write_receipt(
            message,
            wall=self._wall(),
            state=state,
            err=err,
            network_error=network_error,
            intermediate=intermediate,
            message_id=message.foreign_id if vary and happens(behaviour.receipts_orphaned, dice) else None,
        )
        bind = behaviour.receipt_bind
        receipt = Delivery(account, pdu, origin=message.origin, bind=bind, receipt=True)
        if not vary:
            self._deliveries.send(receipt, now)
            return
        late = behaviour.receipts_late_by.draw(dice) if happens(behaviour.receipts_late, dice) else 0.0
        aside = happens(behaviour.receipts_reordered, dice)
        copies = [receipt]
        if happens(behaviour.receipts_doubled, dice):
            copies.append(Delivery(account, pdu, origin=message.origin, bind=bind, receipt=True))
        for copy in copies:
            if late:
                self._agenda.at(now + late, self._deliveries.send, copy)
            elif aside:
                self._overtaking.step_aside(account.system_id, copy, now)
            else:
                self._deliveries.send(copy, now)
        if not late and not aside:
            self._overtaking.passed(account.system_id, now)
