"""What the simulator shall do to messages and links, as frozen data with defaults of an operator on its best day.

It decides nothing by itself. Scenario files, the control API and tests write these values; `accounts`,
`submission` and `delivery` obey them.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from engine.smpp.pdu import Status
from smppsim.data import CommandStatus, Data, Seconds, Share
from smppsim.delays import NO_DELAY, Delay, Fixed
from smppsim.message_ids import IdForm
from smppsim.outcomes import Answer, Outcome
from smppsim.receipt_text import ReceiptText, read_receipt_text


class Cut(StrEnum):
    """How a link ends."""

    close = "close"
    """What was written goes out, then FIN."""
    reset = "reset"
    """RST."""
    black_hole = "black_hole"
    """The connection stands, nothing comes out of it any more and whatever goes in is lost."""
    stall = "stall"
    """The connection stands and nothing is read: the peer's window runs full."""


class Drop(Data):
    """A link lost around a submit_sm."""

    at: Literal["before_taking", "before_response", "after_response"] = "before_response"
    """`before_taking`: the message is lost with the link; `before_response`: it was taken, its answer is lost."""
    how: Cut = Cut.close
    share: Share = 1.0


class Behaviour(Data):
    """What happens to one submit_sm and its receipt. The defaults are an operator on its best day."""

    answers: Annotated[tuple[Answer, ...], Field(min_length=1)] = (Answer(),)
    response: Literal["given", "never", "hold", "ignored"] = "given"
    """`never`: taken but not answered; `hold`: taken, answered when released; `ignored`: as if it never came."""
    responses_lost: Share = 0.0
    response_delay: Delay = NO_DELAY
    queue_limit: Annotated[int, Field(ge=0)] | None = None
    """Undelivered messages of one destination above which submits get ESME_RMSGQFUL."""
    drop: Drop | None = None

    outcomes: Annotated[tuple[Outcome, ...], Field(min_length=1)] = (Outcome(),)
    receipt_when: Literal["before", "with", "after"] = "after"
    """Relative to the response; `with` is the same write and ignores the delay."""
    receipt_delay: Delay = NO_DELAY
    receipts: Literal["as_asked", "always", "never"] = "as_asked"
    receipts_lost: Share = 0.0
    receipts_doubled: Share = 0.0
    receipts_late: Share = 0.0
    late_by: Delay = Fixed(seconds=300)
    receipt_bind: Literal["same", "sibling", "any"] = "same"
    """`sibling`: another session of the account than the one that submitted, where there is one."""
    receipt_text: Annotated[ReceiptText, BeforeValidator(read_receipt_text)] = ReceiptText()
    receipt_tlvs: bool = True
    receipt_pdu: Literal["deliver_sm", "data_sm"] = "deliver_sm"
    id_form: IdForm = IdForm.decimal
    receipt_id_form: IdForm | None = None
    """Form of the id in receipts; absent, as in the response."""

    def changed(self, changes: dict[str, Any]) -> "Behaviour":
        """A copy with `changes`, validated; pydantic's ValidationError names the field."""
        return Behaviour.model_validate({**self.model_dump(exclude_unset=True), **changes})


class Link(Data):
    """How an account's sessions are treated: binding, limits, timers, what comes the other way."""

    system_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]{0,15}$")] = "SMPPSIM"
    """The name the simulator answers binds with."""
    interface_version: Annotated[int, Field(ge=0, le=255)] | None = 0x34
    """sc_interface_version, told to peers from 3.4 on (5.0 peers get theirs back); None says nothing."""
    bind_status: CommandStatus = Status.ESME_ROK
    bind_response: Literal["given", "never"] = "given"
    bind_delay: Delay = NO_DELAY
    max_binds: Annotated[int, Field(ge=1)] = 10
    bind_limit_status: CommandStatus = Status.ESME_RALYBND
    ghost_s: Seconds = 0.0
    """How long a session lost without unbind keeps its place among `max_binds`."""
    session_init_s: Seconds = 10.0
    enquire_link: Literal["answered", "ignored"] = "answered"
    unbind: Literal["answered", "ignored"] = "answered"
    enquire_every_s: Seconds | None = None
    """The simulator's own enquire_link on an idle session."""
    window: Annotated[int, Field(ge=1)] | None = None
    """Unanswered submits of one session; the next one gets `window_status`."""
    window_status: CommandStatus = Status.ESME_RTHROTTLED
    rate: Annotated[int, Field(ge=1)] | None = None
    """Submits accepted in any second over all sessions; the next one gets ESME_RTHROTTLED."""
    deliver_window: Annotated[int, Field(ge=1)] = 500
    deliver_timeout_s: Seconds = 60.0
    redeliver_after_s: Seconds = 5.0
    """First pause before a refused deliver_sm is tried again; it doubles up to a minute."""
    redeliver_times: Annotated[int, Field(ge=0)] = 20
    alphabet: Literal["gsm7", "latin1"] = "gsm7"
    """What data_coding 0 means on this account."""
    concatenation: Literal["udh16", "udh8", "sar", "payload"] = "udh16"
    """How long replies are cut."""

    def changed(self, changes: dict[str, Any]) -> "Link":
        """A copy with `changes`, validated."""
        return Link.model_validate({**self.model_dump(exclude_unset=True), **changes})
