"""What goes to the clients: receipts and handset messages, in each session's deliver window, again if refused.

It decides where and when a deliver_sm goes, never what it says (`receipts`, `handsets`). `submission` and the
simulator send through it; `smsc` hands it the answers, binds and losses.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from engine.smpp.pdu import DataSm, DeliverSm, Disposition, disposition, encode
from smppsim.accounts import Account
from smppsim.agenda import Agenda
from smppsim.session import Session
from smppsim.stats import Stats

_LONGEST_PAUSE_S: Final = 60.0
_TLVS_FROM: Final = 0x34
_TRY_AGAIN: Final = frozenset(
    {Disposition.TMP, Disposition.TMP_ONCE, Disposition.THR}
)  # 0x64 and its like: "redeliver later"


class Delivery:
    """One deliver_sm or data_sm to a client, until it is acknowledged or given up."""

    __slots__ = ("account", "attempts", "bind", "origin", "pdu", "receipt")

    def __init__(
        self,
        account: Account,
        pdu: DeliverSm | DataSm,
        *,
        origin: Session | None = None,
        bind: str = "any",
        receipt: bool = False,
    ) -> None:
        self.account = account
        self.pdu = pdu
        self.origin = origin
        self.bind = bind
        self.receipt = receipt
        self.attempts = 0


class Deliveries:
    """The queue of each account and the deliver window of each session."""

    def __init__(self, agenda: Agenda, stats: Stats) -> None:
        self._agenda = agenda
        self._stats = stats
        self.ready = 0
        """Deliveries of all sessions that wait for room in a window."""

    def send(self, delivery: Delivery, now: float) -> None:
        """Send now if a session has room, else when one has."""
        account = delivery.account
        session = account.receiver(delivery.origin, delivery.bind)
        if session is not None:
            self._offer(session, delivery, now)
            return
        self._keep(account.waiting, delivery)

    def _keep(self, queue: deque[Delivery], delivery: Delivery) -> None:
        """Append to a bounded queue; what falls out of it is counted."""
        self._stats.deliveries_dropped += len(queue) == queue.maxlen
        queue.append(delivery)

    def bound(self, account: Account, now: float) -> None:
        """A receiver has bound: what was parked or waited for one goes out."""
        waiting = [*account.parked, *account.waiting]
        for delivery in account.parked:
            delivery.attempts = 0
        account.parked.clear()
        account.waiting.clear()
        for delivery in waiting:
            self.send(delivery, now)

    def lost(self, session: Session, now: float) -> None:
        """A session has ended: what it had not acknowledged goes to another one, oldest first."""
        orphans = [delivery for delivery, _ in session.outstanding.values()]
        orphans += session.ready
        self.ready -= len(session.ready)
        session.outstanding.clear()
        session.ready.clear()
        for delivery in orphans:
            delivery.origin = None
            self.send(delivery, now)

    def answered(self, session: Session, sequence: int, status: int, now: float) -> None:
        """A deliver_sm_resp or data_sm_resp came in."""
        sent = session.outstanding.pop(sequence, None)
        if sent is None:
            self._stats.unexpected_responses += 1
            return
        if status == 0:
            self._stats.deliveries_acknowledged += 1
        elif disposition(status) in _TRY_AGAIN:
            self._again(sent[0], now)
        else:
            self._stats.deliveries_refused += 1
        self.advance(session, now)

    def advance(self, session: Session, now: float) -> None:
        """Fill the window from what waits for this session."""
        account = session.account
        if account is None:
            return
        window = account.link.deliver_window
        while session.ready and len(session.outstanding) < window:
            self.ready -= 1
            self._write(session, session.ready.popleft(), now)

    def _offer(self, session: Session, delivery: Delivery, now: float) -> None:
        if session.ready or len(session.outstanding) >= delivery.account.link.deliver_window:
            self.ready += 1
            session.ready.append(delivery)
        else:
            self._write(session, delivery, now)

    def _write(self, session: Session, delivery: Delivery, now: float) -> None:
        pdu = delivery.pdu
        if session.version < _TLVS_FROM and pdu.tlvs and delivery.receipt:
            pdu = pdu._replace(tlvs=())
        sequence = session.next_sequence()
        session.write(encode(pdu, sequence), now)
        session.outstanding[sequence] = (delivery, now)
        delivery.attempts += 1
        stats = self._stats
        if delivery.receipt:
            stats.receipts_sent += 1
        else:
            stats.replies_sent += 1
        if delivery.attempts > 1:
            stats.redelivered += 1
        if not session.delivery_check:
            session.delivery_check = True
            self._agenda.at(now + delivery.account.link.deliver_timeout_s, self._check, session)

    def _check(self, session: Session, now: float) -> None:
        """Take back what has gone unanswered for too long; one timer per session, not per PDU."""
        session.delivery_check = False
        if session.over or session.account is None:
            return
        timeout = session.account.link.deliver_timeout_s
        late = [sequence for sequence, (_, sent) in session.outstanding.items() if sent + timeout <= now]
        for sequence in late:
            self._stats.deliveries_unanswered += 1
            self._again(session.outstanding.pop(sequence)[0], now)
        self.advance(session, now)
        if session.outstanding and not session.delivery_check:
            oldest = next(iter(session.outstanding.values()))[1]
            session.delivery_check = True
            self._agenda.at(oldest + timeout, self._check, session)

    def _again(self, delivery: Delivery, now: float) -> None:
        link = delivery.account.link
        if delivery.attempts > link.redeliver_times:
            self._stats.deliveries_parked += 1
            self._keep(delivery.account.parked, delivery)
            return
        # The exponent is capped before it is applied: attempts may be in the thousands.
        pause = min(_LONGEST_PAUSE_S, link.redeliver_after_s * 2.0 ** min(delivery.attempts - 1, 16))
        self._agenda.at(now + pause, self._resend, delivery)

    def _resend(self, delivery: Delivery, now: float) -> None:
        self.send(delivery, now)
