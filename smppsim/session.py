"""One session as the SMSC sees it: frames in, octets out, sequence numbers, what is still owed on either side.

Sans-IO: it is fed octets and holds an outbox; `server` moves both over a stream and `smsc` decides what each
PDU means. It shares no code with the engine's session, so that it can misbehave.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, cast

from engine.smpp.pdu import BODIES, FrameBuffer, GenericNack, Header, Outbind, Pdu, commands, encode
from engine.smpp.states import BindState
from smppsim.behaviour import Cut
from smppsim.mangling import Mangling, Pause, Step
from smppsim.patience import Patience
from smppsim.pdulog import IN, OUT, PduLog, without_password

if TYPE_CHECKING:
    from smppsim.accounts import Account
    from smppsim.delivery import Delivery

_LAST_SEQUENCE = 0x7FFFFFFF
_SECRETIVE = commands.BINDS | {commands.OUTBIND}
_RECEIVING = frozenset({BindState.BOUND_RX, BindState.BOUND_TRX})
_SUBMITTING = frozenset({BindState.BOUND_TX, BindState.BOUND_TRX})


class Session:
    """A connection from a client, bound or not."""

    __slots__ = (
        "_frames",
        "_log",
        "_mangling",
        "_sequence",
        "_written",
        "account",
        "cut",
        "delivery_check",
        "enquiries",
        "heard_at",
        "mute_until",
        "number",
        "outbox",
        "outstanding",
        "over",
        "patience",
        "peer",
        "reading_from",
        "ready",
        "state",
        "unanswered",
        "unbinding",
        "version",
        "violations",
        "widest",
    )

    def __init__(
        self, number: int, peer: str, log: PduLog, mangling: Mangling, written: list[Session], now: float
    ) -> None:
        self.number = number
        self.peer = peer
        self.state = BindState.OPEN
        self.account: Account | None = None
        self.version = 0x34
        self.outbox: list[Step] = []
        self.outstanding: dict[int, tuple[Delivery, float]] = {}
        """Our deliver_sm without an answer: sequence → what and when."""
        self.ready: deque[Delivery] = deque()
        """What waits for room in the deliver window."""
        self.delivery_check = False
        self.unanswered = 0
        """The client's submits that we have not answered yet."""
        self.widest = 0
        self.violations = 0
        self.patience = Patience()
        self.enquiries = 0
        """Our enquire_links without an answer."""
        self.unbinding = False
        self.heard_at = now
        self.mute_until = 0.0
        """Until then nothing is read and nothing written."""
        self.reading_from = 0.0
        """Until then nothing is read."""
        self.cut: Cut | None = None
        """How the link shall end, once that is decided."""
        self.over = False
        """The operator has forgotten this session."""
        self._frames = FrameBuffer()
        self._log = log
        self._mangling = mangling
        self._written = written
        self._sequence = 0

    @property
    def receives(self) -> bool:
        """Whether deliver_sm may go out here."""
        return self.state in _RECEIVING

    @property
    def submits(self) -> bool:
        """Whether submit_sm may come in here."""
        return self.state in _SUBMITTING

    @property
    def pending(self) -> int:
        """Octets of a frame that has begun and not ended."""
        return self._frames.pending

    @property
    def host(self) -> str:
        """The client's address without its port; empty in memory."""
        return self.peer.rpartition(":")[0]

    def is_cut(self) -> bool:
        """Whether the end of the link is decided."""
        return self.cut is not None

    def feed(self, data: bytes, now: float) -> list[bytes]:
        """The frames that `data` completes; FramingError as FrameBuffer, the good frames on it."""
        self.heard_at = now
        return self._frames.feed(data)

    def log_in(self, frame: bytes, command_id: int, now: float) -> None:
        """Keep a received frame in the PDU log."""
        if command_id in _SECRETIVE:
            frame = without_password(frame)
        self._log.add(now, self.number, IN, frame)

    def write(self, frame: bytes, now: float) -> None:
        """Send a PDU, or what the faults at work make of it."""
        if self._mangling.active:
            self._put(self._mangling.outgoing(frame, self, now), now)
        else:
            self.write_raw(frame, now)

    def write_raw(self, octets: bytes, now: float, shown: bytes | None = None) -> None:
        """Put octets into the outbox as they are; a black hole swallows them. The log has `shown`, or the same."""
        if self.cut is Cut.black_hole or self.cut is Cut.stall or self.over:
            return
        if not self.outbox:
            self._written.append(self)
        self.outbox.append(octets)
        self._log.add(now, self.number, OUT, octets if shown is None else shown)

    def _put(self, steps: list[Step], now: float) -> None:
        octets = b"".join(step for step in steps if isinstance(step, bytes))
        self.write_raw(octets, now)
        if self.outbox:
            self.outbox[-1:] = steps

    def take(self) -> tuple[bytes, Pause | Cut | None]:
        """The octets to write next, and what is to be done after them."""
        outbox = self.outbox
        for at, step in enumerate(outbox):
            if not isinstance(step, bytes):
                octets = b"".join(cast("list[bytes]", outbox[:at]))
                del outbox[: at + 1]
                return octets, step
        octets = b"".join(cast("list[bytes]", outbox))
        outbox.clear()
        return octets, None

    def refuse(self, header: Header, status: int, now: float) -> None:
        """Answer a request with an error: its response, or generic_nack where it has none."""
        body = BODIES.get(header.command_id | commands.RESPONSE, GenericNack)
        self.write(encode(body(), header.sequence_number, status), now)

    def request(self, pdu: Pdu, now: float) -> int:
        """Send a request of ours; its sequence number."""
        sequence = self.next_sequence()
        self.write(encode(pdu, sequence), now)
        return sequence

    def outbind(self, pdu: Outbind, now: float) -> None:
        """Send outbind; the log does not have its password."""
        frame = encode(pdu, self.next_sequence())
        self.write_raw(frame, now, without_password(frame))

    def next_sequence(self) -> int:
        """1 to 0x7FFFFFFF, then 1 again."""
        self._sequence = self._sequence + 1 if self._sequence < _LAST_SEQUENCE else 1
        return self._sequence

    def sever(self, how: Cut) -> None:
        """Decide the end of the link; the first decision to close stands."""
        if self.cut in (Cut.close, Cut.reset):
            return
        if how is not Cut.close:
            self.outbox.clear()
        self.cut = how
        self._written.append(self)
