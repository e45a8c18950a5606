"""The operator itself: what each PDU means in each state, how links are cut and end.

Sans-IO: time comes in as an argument, octets leave through the sessions' outboxes, the future is on the
agenda. `server` feeds it from streams; the simulator calls its faults.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Final

from engine.smpp.errors import CodecError, FramingError
from engine.smpp.pdu import (
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Header,
    Outbind,
    Pdu,
    Status,
    SubmitSm,
    Unbind,
    UnbindResp,
    answer_to,
    commands,
    decode,
    encode,
    peek,
)
from engine.smpp.states import BindState, Side, allowed
from smppsim.accounts import Account
from smppsim.agenda import Agenda
from smppsim.behaviour import Cut
from smppsim.binding import Binding
from smppsim.crowd import Crowd
from smppsim.delivery import Deliveries
from smppsim.handsets import Handsets
from smppsim.mangling import Mangling
from smppsim.messages import Messages
from smppsim.pdulog import PduLog
from smppsim.replies import Replies
from smppsim.requests import Requests
from smppsim.scenario import Scenario
from smppsim.session import Session
from smppsim.stats import Stats
from smppsim.submission import Submissions
from smppsim.subscribers import PhoneState, Subscribers

_UNBOUND_YET: Final = frozenset({BindState.OPEN, BindState.OUTBOUND})
_VIOLATIONS: Final = 3  # "0x04, close after a few" (row H3)
_DELIVERED: Final = frozenset({commands.DELIVER_SM_RESP, commands.DATA_SM_RESP})


class Smsc:
    """Every account, session and message of one simulated operator."""

    def __init__(self, scenario: Scenario, seed: int, wall: Callable[[], int]) -> None:
        bounds = scenario.bounds
        self._undelivered = bounds.undelivered
        self.seed = seed
        self.wall = wall
        self.agenda = Agenda()
        self.stats = Stats()
        self.log = PduLog(bounds.pdus)
        dice = random.Random(seed)  # noqa: S311 - reproducible by intent
        self.mangling = Mangling(random.Random(f"{seed}:mangling"))  # noqa: S311 - reproducible by intent
        self.refuses_connections_until = 0.0
        self.messages = Messages(dice.randrange(100_000_000, 900_000_000), bounds.messages)
        self.handsets = Handsets(bounds.handset_parts)
        self.deliveries = Deliveries(self.agenda, self.stats)
        self.subscribers = Subscribers()
        self.submissions = Submissions(
            self.agenda,
            self.deliveries,
            self.messages,
            self.handsets,
            self.stats,
            wall,
            bounds.undelivered,
            self.subscribers,
        )
        self.submissions.on_cut = self.cut
        self.requests = Requests(self.messages, self.submissions)
        self.accounts: dict[str, Account] = {}
        self.engage(scenario)
        self.replies = Replies(self.accounts, self.handsets, self.deliveries)
        self.crowd = Crowd(
            self.agenda,
            self.handsets,
            self.subscribers,
            self.replies,
            self.stats,
            seed,
            bounds.handset_parts,
        )
        self.submissions.on_arrival = self.crowd.arrived
        self.binding = Binding(self.accounts, self.agenda, self.stats, self._bound)
        self.sessions: dict[int, Session] = {}
        self.written: list[Session] = []
        """Sessions with new octets or a new end since the shell last looked."""
        self._count = 0

    def engage(self, scenario: Scenario) -> None:
        """Serve this scenario's accounts: new ones begin, known ones keep their counts, the others are gone."""
        self.scenario = scenario
        known = dict(self.accounts)
        self.accounts.clear()
        for settings in scenario.customers():
            fresh = Account(settings, self.seed, self._undelivered)
            self.accounts[settings.system_id] = known.get(settings.system_id, fresh)
            self.handsets.alphabets[settings.system_id] = settings.link.alphabet

    # -- phones ---------------------------------------------------------------------------------------------

    def populate(self, now: float) -> None:
        """The people and phones of the scenario, as at the beginning of a run."""
        self.crowd.clear()
        self.crowd.place(*self.scenario.people)
        self.subscribers.clear()
        for phones in reversed(self.scenario.phones):
            self.switch(phones.number, phones.state, now, phones.for_s)

    def switch(self, number: str, state: PhoneState, now: float, for_s: float | None = None) -> None:
        """Put a phone, or all of a pattern, into a state, for a while or until switched; what waited moves on."""
        self.subscribers.switch(number, state, math.inf if for_s is None else now + for_s)
        self.submissions.switched(now)
        if for_s is not None:
            self.agenda.at(now + for_s, self._switch_over, None)

    def _switch_over(self, _argument: None, now: float) -> None:
        self.submissions.switched(now)

    # -- connections ----------------------------------------------------------------------------------------

    def connected(self, peer: str, now: float, local: str = "") -> Session:
        """A client has connected; it has `session_init_s` to bind (row H1)."""
        self._count += 1
        self.stats.connections += 1
        session = Session(self._count, peer, self.log, self.mangling, self.written, now)
        self.sessions[session.number] = session
        self.log.opened(session.number, peer, local, now)
        # Before the bind nobody knows whose link this is, so the shortest of all accounts' timers holds.
        patience = min(account.link.session_init_s for account in self.accounts.values())
        self.agenda.at(now + patience, self._init_timer, session)
        return session

    def outbind(self, session: Session, pdu: Outbind, now: float) -> None:
        """Ask a client that we have called to bind as a receiver (3.4 section 2.2.1)."""
        session.state = BindState.OUTBOUND
        session.outbind(pdu, now)

    def lost(self, session: Session, now: float) -> None:
        """The connection has ended; safe to say twice."""
        if session.over:
            return
        cleanly = session.state in (BindState.UNBOUND, BindState.OPEN)
        session.over = True
        session.state = BindState.CLOSED
        session.outbox.clear()
        del self.sessions[session.number]
        self.log.closed(session.number, now, reset=session.cut is Cut.reset, by_client=session.cut is None)
        if session.account is not None:
            session.account.left(session, cleanly=cleanly, now=now)
            self.deliveries.lost(session, now)
        if not cleanly:
            self.stats.sessions_lost += 1

    def cut(self, session: Session, how: Cut, now: float) -> None:
        """End a link from our side. A black hole and a stall leave the session standing."""
        if how is Cut.reset:
            session.outbox.clear()
        session.sever(how)
        if how in (Cut.close, Cut.reset):
            outbox = list(session.outbox)
            self.lost(session, now)
            session.outbox.extend(outbox)  # what was written before a close still goes out

    def _init_timer(self, session: Session, now: float) -> None:
        if session.state in _UNBOUND_YET and not session.over:
            self.cut(session, Cut.close, now)

    def _enquire_timer(self, session: Session, now: float) -> None:
        account = session.account
        if session.over or account is None or account.link.enquire_every_s is None:
            return
        every = account.link.enquire_every_s
        if session.heard_at + every <= now:
            session.request(EnquireLink(), now)
            session.enquiries += 1
            self.agenda.at(now + every, self._enquire_timer, session)
        else:
            self.agenda.at(session.heard_at + every, self._enquire_timer, session)

    # -- octets ---------------------------------------------------------------------------------------------

    def receive(self, session: Session, data: bytes, now: float) -> None:
        """Octets from a client. Nothing that they contain raises."""
        if session.is_cut():
            return
        if self.mangling.active and self.mangling.resets(session.pending + len(data), session, now):
            self.cut(session, Cut.reset, now)
            return
        try:
            frames = session.feed(data, now)
            fault = None
        except FramingError as error:
            frames, fault = list(error.frames), error
        for frame in frames:
            self._handle(session, frame, now)
            if session.is_cut():
                return
        if fault is not None:
            self.stats.malformed += 1
            session.write(encode(GenericNack(), 0, fault.status), now)
            self.cut(session, Cut.close, now)

    def _handle(self, session: Session, frame: bytes, now: float) -> None:
        header = peek(frame)
        command_id = header.command_id
        session.log_in(frame, command_id, now)
        if command_id in _DELIVERED:  # its body says nothing
            self.deliveries.answered(session, header.sequence_number, header.command_status, now)
            return
        try:
            _, pdu = decode(frame)
        except CodecError as error:
            self.stats.malformed += 1
            answer = answer_to(error)
            if answer is not None:
                session.write(answer, now)
            return
        if command_id & commands.RESPONSE:
            self._answered(session, command_id, now)
        elif not allowed(Side.ESME, session.state, command_id) and not self._tolerated(session, command_id):
            self._not_allowed(session, header, now)
        else:
            self._request(session, header, pdu, now)

    def _tolerated(self, session: Session, command_id: int) -> bool:
        # 5.0 lets either side probe a link before the bind; a second bind gets its own answer.
        return command_id == commands.ENQUIRE_LINK or (
            command_id in commands.BINDS and session.state is not BindState.OUTBOUND
        )

    def _not_allowed(self, session: Session, header: Header, now: float) -> None:
        self.stats.not_allowed += 1
        session.refuse(header, Status.ESME_RINVBNDSTS, now)
        session.violations += 1
        if session.account is None and session.violations >= _VIOLATIONS:
            self.cut(session, Cut.close, now)

    def _answered(self, session: Session, command_id: int, now: float) -> None:
        if command_id == commands.ENQUIRE_LINK_RESP and session.enquiries:
            session.enquiries -= 1
        elif command_id == commands.UNBIND_RESP and session.unbinding:
            session.state = BindState.UNBOUND
            self.cut(session, Cut.close, now)
        else:
            self.stats.unexpected_responses += 1

    # -- requests -------------------------------------------------------------------------------------------

    def _request(self, session: Session, header: Header, pdu: Pdu, now: float) -> None:
        sequence, account = header.sequence_number, session.account
        match pdu:
            case BindTransmitter() | BindReceiver() | BindTransceiver():
                self.binding.bind(session, header, pdu, now)
            case EnquireLink():
                if account is None or account.answers_enquiries(now):
                    session.write(encode(EnquireLinkResp(), sequence), now)
            case SubmitSm() if account is not None:
                self.submissions.submit(account, session, sequence, pdu, now)
            case Unbind():
                self._unbind(session, sequence, now)
            case _:
                if account is None or not self.requests.answer(account, session, header, pdu, now):
                    session.refuse(header, Status.ESME_RINVCMDID, now)

    # -- the ends of a bind ---------------------------------------------------------------------------------

    def _bound(self, session: Session, account: Account, now: float) -> None:
        self.log.bound(session.number, account.system_id)
        if account.link.enquire_every_s is not None:
            self.agenda.at(now + account.link.enquire_every_s, self._enquire_timer, session)
        if session.receives:
            self.deliveries.bound(account, now)

    def _unbind(self, session: Session, sequence: int, now: float) -> None:
        account = session.account
        if account is not None and account.link.unbind == "ignored":
            return
        self.stats.unbinds += 1
        session.write(encode(UnbindResp(), sequence), now)
        session.state = BindState.UNBOUND
        self.cut(session, Cut.close, now)
