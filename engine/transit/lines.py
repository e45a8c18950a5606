"""One line: a session slot of one bind, with its two sending loops, its intake, and its part in the account's health.

It is what the bind reports to. It hands events to the inbox without waiting, counts slots and tokens, and keeps no
truth: what it knows is lost with the process, and the rows say what is left to do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.clock import Clock
from engine.smpp.events import (
    Alerted,
    Answered,
    Delivered,
    DuplicateAnswer,
    Event,
    Flagged,
    Heard,
    Lost,
    PeerUnbinding,
    Suspect,
    Unanswered,
)
from engine.smpp.link import Link, NotWritten
from engine.smpp.pdu import CancelSm, Disposition, Status, SubmitSm, Tag, tlv_int
from engine.transit.answers import FORM_REFUSED, Answer, meaning_of
from engine.transit.capacity import Capacity
from engine.transit.claiming import InFlight, Quirks
from engine.transit.health import Health, LineFigures
from engine.transit.inbox import Inbox
from engine.transit.reading import Reader
from engine.transit.sender import Sender

SIMULATOR: Final = b"SMPPSIM"
CANCEL: Final = "cancel_sm"  # the token of a cancel_sm: whatever becomes of it, only its slot is of interest
_QUEUES_FULL_TO_CUT: Final = 3
_FOR_GOOD: Final = frozenset({Disposition.PERM, Disposition.CFG, Disposition.DST})
_SESSION_FAULT_GRACE_S: Final = 5.0
_CANCEL_DEADLINE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Watch:
    """Whom a line tells what: alarms for operators, figures for metrics. No text, no number passes here."""

    alarm: Callable[[str, str, str], None]  # line, kind, detail
    answered: Callable[[str, int, float], None]  # line, status, seconds
    bound: Callable[[str, bool], None]  # line, up
    flagged: Callable[[str, str], None]  # line, kind


@dataclass(slots=True)
class Line:
    """The engine's side of one session slot; implements what `engine.smpp.bind` reports to."""

    name: str
    account: str
    lanes: frozenset[int]
    clock: Clock
    capacity: Capacity
    sender: Sender
    inbox: Inbox
    reader: Reader
    health: Health
    watch: Watch
    statuses: dict[int, Disposition]
    production: bool
    sends: bool = True
    quirks: Quirks = field(default_factory=Quirks)
    link: Link | None = None
    session: str = ""
    ended: dict[str, int] = field(default_factory=dict)  # sessions of this process, by their end in µs
    figures: LineFigures | None = None
    _full: dict[str, float] = field(default_factory=dict)  # destinations, with the instant of their last such answer

    # What the bind reports.

    def bound(self, link: Link) -> None:
        """A session is bound: send and take in on it, unless a simulator stands where an operator should."""
        simulated = link.bound is not None and link.bound.system_id == SIMULATOR
        if simulated and self.production:
            self.watch.alarm(self.name, "simulator_in_production", "")
            link.drain(0.0)
            return
        self.link = link
        if not link.tlvs_allowed:
            self.quirks.no_tlvs = True  # texts of several parts are cut by user data headers (B10)
        self.session = self.clock.new_id("ses")
        self.watch.bound(self.name, True)
        self._open(simulated=simulated)

    def events(self, events: list[Event]) -> None:
        """Take what happened on the link, in order; never waits."""
        freed = 0
        arrived: list[Delivered] = []
        for event in events:
            if type(event) is Answered:
                freed += self._answered(event)
            elif type(event) is Delivered:
                arrived.append(event)
            elif type(event) is Unanswered:
                freed += 1
                if type(event.token) is InFlight:
                    self._unanswered(event.token)
            else:
                self._odd(event)
        if freed:
            self.capacity.answered(freed)
            self.sender.ring()
        # No link: a simulator was refused (`bound`). What it delivers is nobody's; unanswered it stays its own.
        if arrived and self.link is not None:
            refused = [one for one in self.reader.read(arrived, self.session) if not self.inbox.arrive(one)]
            if refused:
                self.link.acknowledge([(one.sequence, one.command_id, Status.ESME_RX_T_APPN) for one in refused])

    def lost(self, lost: Lost) -> None:
        """The session ended: everything unanswered on it is in doubt."""
        rest = self._stop()
        tokens = [token for token in lost.unanswered if isinstance(token, InFlight)]
        if tokens or rest:
            self.inbox.silence([*tokens, *rest])

    # What the sender and the intake ask.

    async def send(self, submits: Sequence[tuple[InFlight, SubmitSm]], deadline_s: float) -> bool:
        """Write submits in one piece; False if the link was gone before any byte was handed to the socket.

        Raises `NotEncodable`, upon which none has left, if this session cannot carry one of them.
        """
        if self.link is None:
            return False
        try:
            await self.link.submit(submits, deadline_s)
        except NotWritten:
            self._quiet()
            return False
        return True

    async def cancel(self, requests: Sequence[CancelSm]) -> int:
        """Ask the SMSC to forget messages that it has taken, as far as there is room; return how many were asked."""
        link, now = self.link, self.clock.monotonic()
        count = min(len(requests), self.capacity.room(now, otp=False))
        if link is None or count <= 0 or self.sender.line is None:
            return 0
        self.capacity.claim(count, now)
        self.capacity.written(count, count, now, now)
        try:
            await link.submit([(CANCEL, request) for request in requests[:count]], _CANCEL_DEADLINE_S)
        except NotWritten:
            self._quiet()
            return 0
        return count

    def refused(self, status: int, next_try: int) -> None:
        """The peer refused the bind; the bind itself tries again as its class of failure says."""
        self.watch.flagged(self.name, f"bind_refused_{status:#x}")

    def alarm(self, kind: str, detail: str) -> None:
        """Pass an alarm of the bind on."""
        self.watch.alarm(self.name, kind, detail)

    def acknowledge(self, responses: Sequence[tuple[int, int, int]], session: str) -> bool:
        """Write responses to deliveries of `session`; False if that session is gone."""
        if self.link is None or session != self.session:
            return False
        return self.link.acknowledge(responses)

    def session_ended(self, session: str) -> int | None:
        """Return when a session of this process ended, None if it stands or was another process's."""
        return self.ended.get(session)

    def _stop(self) -> list[InFlight]:
        if self.link is None:
            return []
        self.link = None
        self.ended[self.session] = self.clock.now()
        while len(self.ended) > 1_000:
            self.ended.pop(next(iter(self.ended)))
        self.health.down(self.name)
        self.watch.bound(self.name, False)
        return self.sender.close()

    def _quiet(self) -> None:
        """Send nothing more on this session: it takes nothing, and its end will be told."""
        self.sender.line = None
        self.health.down(self.name)

    def _open(self, *, simulated: bool) -> None:
        if self.sends:
            self.figures = self.health.up(self.name, self.account, self.lanes)
            self.sender.open(self, simulated=simulated)

    def _unanswered(self, token: InFlight) -> None:
        self.inbox.silence([token])
        deadline_s = self.sender.response_deadline_s(token.lane)
        if self.figures is not None:
            self.figures.answered(deadline_s, self.clock.monotonic())
        if self.link is not None and self.sender.line is not None and self.link.silent_s >= deadline_s:
            # Not one octet since: whatever goes out now may share its fate, the second submit of a code too (B1). The
            # session has asked enquire_link: the answer opens the line again, or the link is dropped.
            self._quiet()
            self.link.listen()
            self.watch.flagged(self.name, "silent")

    def _answered(self, event: Answered) -> int:
        token = event.token
        if type(token) is not InFlight:
            return 0 if event.late else 1
        status = event.status
        nacked = bool(event.flags) and "nacked" in event.flags
        meaning = meaning_of(status, self.statuses, nacked=nacked)
        smsc_id = event.message_id.decode("latin-1") if status == Status.ESME_ROK else ""
        self.inbox.answer(Answer(token, status, smsc_id, event.late, nacked))
        seconds = event.now - event.sent_at
        if not event.late:
            if self.figures is not None:
                self.figures.answered(seconds, event.now)
            self.watch.answered(self.name, status, seconds)
        else:
            self.watch.flagged(self.name, "late_answer")
        if meaning is not Disposition.OK:
            self._refused(event, meaning, nacked=nacked)
            if meaning in _FOR_GOOD:
                self.inbox.unsent(self.sender.forgo(token.message_id))  # one part refused: the rest is of no use (E17)
        if status not in FORM_REFUSED and self.health.answered(self.account, meaning):
            self.watch.alarm(self.name, "breaker_open", self.account)
        congestion = tlv_int(event.tlvs, Tag.CONGESTION_STATE) if event.tlvs else None
        if congestion is not None and self.capacity.pace.congestion(congestion, event.now, self._round_trip):
            self.watch.flagged(self.name, "congestion")
        return 0 if event.late else 1

    def _refused(self, event: Answered, meaning: Disposition, *, nacked: bool) -> None:
        now = event.now
        if nacked:
            self.watch.alarm(self.name, "submit_nacked", hex(event.status))
        elif event.status in FORM_REFUSED:
            self._learn(event.status)
        elif event.status == Status.ESME_RMSGQFUL:
            # Full for one destination; for several within a round trip it is the account that is full (C2). The parts
            # of a message, and messages to the same number, are of one destination.
            since = now - max(self._round_trip, 0.1)
            self._full = {to: at for to, at in self._full.items() if at >= since}
            self._full[event.token.recipient] = now
            if len(self._full) >= _QUEUES_FULL_TO_CUT and self.capacity.pace.throttled(now, self._round_trip):
                self.watch.flagged(self.name, "queues_full")
        elif meaning is Disposition.THR:
            if self.capacity.pace.throttled(now, self._round_trip):
                self.watch.flagged(self.name, "throttled")
        elif meaning is Disposition.SES:
            self.watch.alarm(self.name, "session_refuses_submits", hex(event.status))
            self._quiet()
            if self.link is not None:
                self.link.drain(_SESSION_FAULT_GRACE_S)

    def _learn(self, status: int) -> None:
        """Do without what the account refuses: each message that met the refusal goes out once more."""
        quirks = self.quirks
        if status == Status.ESME_RINVEXPIRY and not quirks.no_validity:
            quirks.no_validity = True
            self.watch.alarm(self.name, "validity_refused", "")
        elif status != Status.ESME_RINVEXPIRY and not quirks.no_tlvs:
            quirks.no_tlvs = True
            self.watch.alarm(self.name, "tlvs_refused", "")

    @property
    def _round_trip(self) -> float:
        return self.figures.response_s if self.figures is not None else 0.0

    def _odd(self, event: Event) -> None:
        if isinstance(event, DuplicateAnswer):
            if event.status == Status.ESME_ROK and type(event.token) is InFlight:
                self.inbox.second_id(event.token, event.message_id.decode("latin-1"))
            self.watch.flagged(self.name, "duplicate_answer")
        elif isinstance(event, Heard):
            self._open(simulated=self.sender.simulated)
        elif isinstance(event, PeerUnbinding | Suspect):
            self._quiet()  # what is outstanding may still be answered
        elif isinstance(event, Flagged):
            self.watch.flagged(self.name, event.kind)
        elif isinstance(event, Alerted):
            self.watch.flagged(self.name, "alert_notification")
