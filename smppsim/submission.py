"""The life of a submit: refused or taken, answered, delivered, receipted as its behaviour says.

It waits for nothing: what comes later is on the agenda. `smsc` hands it submits, `answers` gives its
responses, `delivery` carries its receipts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.smpp.errors import MalformedTime
from engine.smpp.pdu import Status, SubmitSm, UnsuccessSme, commands, parse_time
from engine.smpp.text import concat_of
from smppsim.agenda import Agenda
from smppsim.answers import Answers, Response
from smppsim.behaviour import Behaviour, Cut
from smppsim.chances import happens
from smppsim.delivery import Deliveries
from smppsim.messages import ENROUTE, Message, Messages
from smppsim.outcomes import Outcome
from smppsim.patience import PAUSE_S, Verdict
from smppsim.reporting import Reporting
from smppsim.session import Session
from smppsim.stats import Stats

if TYPE_CHECKING:
    from smppsim.accounts import Account
    from smppsim.handsets import Handsets
    from smppsim.subscribers import Failure, Subscribers

_EXPIRED = Outcome(state="expired")


class Submissions:
    """Takes submits and sees them through."""

    def __init__(
        self,
        agenda: Agenda,
        deliveries: Deliveries,
        messages: Messages,
        handsets: Handsets,
        stats: Stats,
        wall: Callable[[], int],
        undelivered: int,
        subscribers: Subscribers,
    ) -> None:
        self._agenda = agenda
        self._deliveries = deliveries
        self._messages = messages
        self._handsets = handsets
        self._stats = stats
        self._wall = wall
        self._undelivered = undelivered
        self._subscribers = subscribers
        self.answers = Answers(agenda, self._answered)
        self._reporting = Reporting(agenda, deliveries, stats, wall)
        self.on_cut: Callable[[Session, Cut, float], None] = lambda _session, _how, _now: None
        """How a link is dropped; `smsc` sets it."""
        self.on_arrival: Callable[[bytes, float], None] = lambda _destination, _now: None
        """Told of each part that reaches a handset; `smsc` sets it."""

    def submit(
        self,
        account: Account,
        session: Session,
        sequence: int,
        pdu: SubmitSm,
        now: float,
        command_id: int = commands.SUBMIT_SM,
    ) -> None:
        """Take or refuse one submit_sm (or a data_sm in its form) and arrange its answer."""
        stats = self._stats
        stats.submits += 1
        account.arrived(now)
        behaviour = self._behaviour(account, pdu)
        drop = behaviour.drop
        if drop is not None and not happens(drop.share, account.dice):
            drop = None
        if behaviour.response == "ignored":
            stats.unanswered += 1
            return
        if drop is not None and drop.at == "before_taking":
            self.on_cut(session, drop.how, now)
            return
        limit = self._limit(account, session, pdu, behaviour, now)
        status = limit or behaviour.answer_lottery.draw(account.dice).status
        message = None
        twin = None
        if status == Status.ESME_ROK:
            twin = self._twin(account, pdu, now)
            if twin is None:
                message = self._accept(account, session, pdu, behaviour, now)
        else:
            stats.refused += 1
        if drop is not None and drop.at == "before_response":
            if message is not None:
                self._finish_after(message, now, behaviour.receipt_delay.draw(account.dice))
            self.on_cut(session, drop.how, now)
            return
        response = Response(session, sequence, command_id, status, message, behaviour)
        response.twin = twin
        if drop is not None:
            response.cut = drop.how
        # What a limit refuses is refused at once, whatever happens to the others.
        self._arrange(response, account, "given" if limit else behaviour.response, now)
        if limit:
            self._lose_patience(session, account.link.abuse_limit, now)

    def submit_multi(
        self, account: Account, session: Session, sequence: int, singles: list[SubmitSm], now: float
    ) -> None:
        """Take or refuse each destination of a submit_multi; one id and one answer stand for all.

        The first destination's behaviour says when the answer goes and the messages end. What was refused is told
        as unsuccess_sme; where nothing was taken, the answer is their status if they agree (3.4 section 4.5.2).
        """
        behaviour = self._behaviour(account, singles[0])
        taken: list[Message] = []
        refused: list[UnsuccessSme] = []
        for single in singles:
            self._stats.submits += 1
            account.arrived(now)
            own = self._behaviour(account, single)
            status = self._limit(account, session, single, own, now) or own.answer_lottery.draw(account.dice).status
            if status == Status.ESME_ROK:
                taken.append(self._accept(account, session, single, own, now, beside=taken[0] if taken else None))
            else:
                self._stats.refused += 1
                address = single.dest_addr_ton, single.dest_addr_npi, single.destination_addr
                refused.append(UnsuccessSme(*address, status))
        statuses = {each.error_status_code for each in refused}
        failed = statuses.pop() if len(statuses) == 1 else Status.ESME_RSUBMITFAIL
        status = Status.ESME_ROK if taken else failed
        first = taken[0] if taken else None
        response = Response(session, sequence, commands.SUBMIT_MULTI, status, first, behaviour)
        response.others = tuple(taken[1:])
        response.unsuccess = tuple(refused)
        self._arrange(response, account, behaviour.response, now)

    def _twin(self, account: Account, pdu: SubmitSm, now: float) -> Message | None:
        """The message that this submit repeats, if the account wants that to be seen (row H7)."""
        link = account.link
        if link.duplicates == "taken":
            return None
        twin = account.duplicates.first(link.duplicates, pdu, link.duplicates_within_s, now)
        self._stats.duplicates_recognised += twin is not None
        return twin

    def _lose_patience(self, session: Session, limit: int, now: float) -> None:
        match session.patience.refused(now, limit):
            case Verdict.PAUSE:
                session.reading_from = now + PAUSE_S
            case Verdict.CLOSE:
                self.on_cut(session, Cut.close, now)

    def _behaviour(self, account: Account, pdu: SubmitSm) -> Behaviour:
        behaviour = account.behaviour_for(pdu.destination_addr)
        if behaviour.parts:
            concat = concat_of(pdu)
            if concat is not None:
                return behaviour.of_part(concat.sequence)
        return behaviour

    def _limit(self, account: Account, session: Session, pdu: SubmitSm, behaviour: Behaviour, now: float) -> int:
        link = account.link
        if link.window is not None and session.unanswered >= link.window:
            self._stats.window_overruns += 1
            return link.window_status
        if account.throttles(now):
            self._stats.throttled += 1
            return Status.ESME_RTHROTTLED
        limit = behaviour.queue_limit
        if len(self._agenda) + self._deliveries.ready >= self._undelivered or (
            limit is not None and account.pending[pdu.destination_addr] >= limit
        ):
            return Status.ESME_RMSGQFUL
        return Status.ESME_ROK

    def _accept(
        self,
        account: Account,
        session: Session,
        pdu: SubmitSm,
        behaviour: Behaviour,
        now: float,
        beside: Message | None = None,
    ) -> Message:
        self._stats.accepted += 1
        message = self._messages.add(account, session, pdu, behaviour, self._wall(), beside)
        if account.link.duplicates != "taken":
            account.duplicates.keep(account.link.duplicates, message, now)
        if behaviour.queue_limit is not None:
            message.counted = True
            account.pending[pdu.destination_addr] += 1
        return message

    # -- answers --------------------------------------------------------------------------------------------

    def _arrange(self, response: Response, account: Account, given: str, now: float) -> None:
        """Answer now, later, on release or never, with the receipt before, with or after."""
        behaviour, message, dice = response.behaviour, response.message, account.dice
        delay = behaviour.response_delay.draw(dice)
        wait = behaviour.receipt_delay.draw(dice) if message is not None else 0.0
        if behaviour.responses_vary and given == "given":
            if happens(behaviour.responses_lost, dice):
                given = "never"
            if happens(behaviour.responses_late, dice):
                delay += behaviour.responses_late_by.draw(dice)
            if happens(behaviour.responses_doubled, dice):
                response.copies = 2
            response.steps_aside = happens(behaviour.responses_reordered, dice)
        if given == "never":
            self._stats.unanswered += 1
            for each in response.messages:
                self._finish_after(each, now, delay + wait)
            return
        answer_at = now + delay
        when = behaviour.receipt_when
        if message is None or when == "after":
            response.final_wait = wait
        elif when == "with":
            response.final_wait = 0.0
        else:
            for each in response.messages:
                self._finish_after(each, now, wait)
            answer_at += wait
        if given == "hold":
            self.answers.hold(response)
        else:
            self.answers.give(response, answer_at, now)

    def _answered(self, response: Response, now: float) -> None:
        if response.final_wait is not None:
            for message in response.messages:
                self._finish_after(message, now, response.final_wait)
        if response.cut is not None:
            self.on_cut(response.session, response.cut, now)

    def release(self, response: Response, now: float, status: int | None = None) -> None:
        """Give a held answer; another `status` than ESME_ROK undoes the acceptance."""
        if status is not None:
            response.status = status
            if status:
                for message in response.messages:
                    self._uncount(message)
                    self._messages.forget(message)
                response.message, response.others = None, ()
        self.answers.release(response, now)

    # -- ends -----------------------------------------------------------------------------------------------

    def _finish_after(self, message: Message, now: float, wait: float) -> None:
        if wait > 0 or message.pdu.schedule_delivery_time:
            wait += self._seconds_until(message.pdu.schedule_delivery_time, 0.0)
            life = self._seconds_until(message.pdu.validity_period, wait)
            if life < wait:
                message.expires = True
                wait = life
        outcome = message.outcome = message.behaviour.outcome_lottery.draw(message.account.dice)
        if outcome.reports:
            self._reporting.plan(message, outcome, "answer", now)
        if wait <= 0:
            self._finish(message, now)
        else:
            self._agenda.at(now + wait, self._finish, message)

    def _seconds_until(self, time: bytes, otherwise: float) -> float:
        try:
            read = parse_time(time)
        except MalformedTime:
            return otherwise
        if read is None:
            return otherwise
        wall = self._wall()
        return max(0.0, (read.instant(wall) - wall) / 1_000_000)

    def _finish(self, message: Message, now: float) -> None:
        if message.state != ENROUTE or message.outcome is None:
            return
        failure = self._subscribers.failure(message.pdu.destination_addr, now)
        if failure is not None and failure.waits and not message.expires:
            self._park(message, failure, now)
        elif message.expires:
            self.settle(message, _EXPIRED if failure is None else failure.outcome("expired"), now)
        elif failure is not None:
            self.settle(message, failure.outcome("undeliverable"), now)
        else:
            self.settle(message, message.outcome, now)

    def _park(self, message: Message, failure: Failure, now: float) -> None:
        """Let a message wait for its phone until its validity ends, and say so to who asked for it."""
        self._subscribers.park(message)
        if message.parked:
            return
        message.parked = True
        wait = max(0.0, (message.valid_until - self._wall()) / 1_000_000)
        self._agenda.at(now + wait, self._expire, message)
        self._reporting.notify(message, ENROUTE, now, err=failure.err, network_error=failure.network_error)

    def _expire(self, message: Message, now: float) -> None:
        message.expires = True
        self._finish(message, now)

    def switched(self, now: float) -> None:
        """Phones have changed their state: deliver what waited for them, or fail it."""
        for message in self._subscribers.released(now):
            self._finish(message, now)

    def settle(self, message: Message, outcome: Outcome, now: float) -> None:
        """Give a message its final state, its place on the handset and its receipt."""
        wall = self._wall()
        message.outcome = outcome
        message.state, message.err, message.done = outcome.state, outcome.err, wall
        self._uncount(message)
        if message.parked:
            self._subscribers.unpark(message)
        if outcome.on_handset:
            self._stats.delivered_to_handsets += 1
            self._handsets.receive(message.account.system_id, message.pdu, message.message_id, wall)
            self.on_arrival(message.pdu.destination_addr, now)
        self._reporting.receipt(message, outcome.state, now, err=outcome.err, network_error=outcome.network_error)
        if outcome.reports:
            self._reporting.plan(message, outcome, "end", now)

    def _uncount(self, message: Message) -> None:
        if message.counted:
            message.counted = False
            pending = message.account.pending
            pending[message.pdu.destination_addr] -= 1
            if pending[message.pdu.destination_addr] <= 0:
                del pending[message.pdu.destination_addr]

    def clear(self) -> None:
        """Forget every answer and receipt that is owed."""
        self.answers.clear()
        self._reporting.clear()
