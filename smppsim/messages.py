"""What the operator has accepted: every message with its id and state, bounded, and the PDUs that ask about it.

It sends nothing; `submission` adds and finishes messages, `smsc` asks it for query_sm, cancel_sm and
replace_sm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from engine.smpp.errors import MalformedTime
from engine.smpp.pdu import CancelSm, QuerySm, QuerySmResp, ReplaceSm, Status, SubmitSm, absolute_time, parse_time
from smppsim.behaviour import Behaviour
from smppsim.message_ids import write_id
from smppsim.outcomes import Outcome
from smppsim.receipt_text import MESSAGE_STATES
from smppsim.session import Session

if TYPE_CHECKING:
    from smppsim.accounts import Account

ENROUTE: Final = "enroute"
_DEFAULT_VALIDITY_US: Final = 48 * 3600 * 1_000_000  # 3.4 section 5.2.16 leaves it to the SMSC
_NOBODYS: Final = 1_100_000_000
"""Above every number of ours and, added to it, below 2^31."""


class Message:
    """One accepted submit: what it was, where it came from, what became of it. Instants are UTC microseconds."""

    __slots__ = (
        "account",
        "behaviour",
        "counted",
        "done",
        "err",
        "expires",
        "key",
        "message_id",
        "number",
        "origin",
        "outcome",
        "parked",
        "pdu",
        "state",
        "submitted",
    )

    def __init__(
        self, number: int, account: Account, origin: Session, pdu: SubmitSm, behaviour: Behaviour, wall: int
    ) -> None:
        self.number = number
        self.message_id = self.key = write_id(number, behaviour.id_form)
        self.account = account
        self.origin = origin
        self.pdu = pdu
        self.behaviour = behaviour
        self.state = ENROUTE
        self.outcome: Outcome | None = None
        """What becomes of it; None until that is drawn."""
        self.err: str | None = None
        self.submitted = wall
        self.done = 0
        self.counted = False
        self.expires = False
        """Its validity ends before it could be delivered."""
        self.parked = False
        """It has waited for its phone: the end of its validity is on the agenda."""

    @property
    def receipt_id(self) -> bytes:
        """The id as receipts write it."""
        form = self.behaviour.receipt_id_form
        return self.message_id if form is None else write_id(self.number, form)

    @property
    def valid_until(self) -> int:
        """The end of its validity_period, UTC microseconds; 48 h after the submit if it names none."""
        try:
            read = parse_time(self.pdu.validity_period)
        except MalformedTime:
            read = None
        return self.submitted + _DEFAULT_VALIDITY_US if read is None else read.instant(self.submitted)

    @property
    def foreign_id(self) -> bytes:
        """An id that looks like the one in receipts and belongs to no message."""
        return write_id(self.number + _NOBODYS, self.behaviour.receipt_id_form or self.behaviour.id_form)


class Messages:
    """The last `bound` accepted messages by id."""

    def __init__(self, first: int, bound: int) -> None:
        self._next = first
        self._bound = bound
        self._by_id: dict[bytes, Message] = {}
        self._order: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Message]:
        return iter(tuple(self._by_id.values()))

    def add(
        self,
        account: Account,
        origin: Session,
        pdu: SubmitSm,
        behaviour: Behaviour,
        wall: int,
        beside: Message | None = None,
    ) -> Message:
        """Accept a message under the next id, or under the id of another destination of the same submit_multi."""
        if beside is None:
            self._next += 1
            message = Message(self._next, account, origin, pdu, behaviour, wall)
        else:
            message = Message(beside.number, account, origin, pdu, behaviour, wall)
            message.message_id = beside.message_id
            message.key = beside.message_id + b"#" + pdu.destination_addr  # the id alone finds the first one
        self._by_id[message.key] = message
        self._order.append(message.key)
        if len(self._order) > self._bound:
            self._by_id.pop(self._order.popleft(), None)
        return message

    def forget(self, message: Message) -> None:
        """As if it had never been accepted."""
        self._by_id.pop(message.key, None)

    def clear(self) -> None:
        """Forget all; ids go on."""
        self._by_id.clear()
        self._order.clear()

    def find(self, account: Account, message_id: bytes) -> Message | None:
        """A message of this account."""
        message = self._by_id.get(message_id)
        return message if message is not None and message.account is account else None

    # -- what clients ask -----------------------------------------------------------------------------------

    def query(self, account: Account, asked: QuerySm) -> tuple[int, QuerySmResp]:
        """Status and body of query_sm_resp (3.4 section 4.8)."""
        message = self.find(account, asked.message_id)
        if message is None or message.pdu.source_addr != asked.source_addr:
            return Status.ESME_RQUERYFAIL, QuerySmResp()
        state, _, err = MESSAGE_STATES[message.state]
        err = err if message.err is None else message.err
        error_code = int(err) & 0xFF if err.isdecimal() else 0
        final_date = absolute_time(message.done) if message.done else b""
        return Status.ESME_ROK, QuerySmResp(message.message_id, final_date, state, error_code)

    def cancellable(self, account: Account, asked: CancelSm) -> list[Message]:
        """The undelivered messages that a cancel_sm means: one id, or all of a source and destination."""
        if asked.message_id:
            message = self.find(account, asked.message_id)
            found = [] if message is None else [message]
        else:
            found = [message for message in self if message.account is account]
        return [
            message
            for message in found
            if message.state == ENROUTE
            and message.pdu.source_addr == asked.source_addr
            and (asked.message_id or message.pdu.destination_addr == asked.destination_addr)
        ]

    def replace(self, account: Account, asked: ReplaceSm) -> int:
        """Status of replace_sm_resp; the text of an undelivered message is changed (3.4 section 4.10)."""
        message = self.find(account, asked.message_id)
        if message is None or message.pdu.source_addr != asked.source_addr:
            return Status.ESME_RINVMSGID
        if message.state != ENROUTE:
            return Status.ESME_RREPLACEFAIL
        message.pdu = message.pdu._replace(
            short_message=asked.short_message,
            registered_delivery=asked.registered_delivery,
            schedule_delivery_time=asked.schedule_delivery_time or message.pdu.schedule_delivery_time,
            validity_period=asked.validity_period or message.pdu.validity_period,
            sm_default_msg_id=asked.sm_default_msg_id,
        )
        return Status.ESME_ROK
