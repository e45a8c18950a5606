"""What the simulator shall do to messages and links, as frozen data with defaults of an operator on its best day.

It decides nothing by itself. Scenario files, the control API and tests write these values; `accounts`,
`submission` and `delivery` obey them.
"""

from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from engine.smpp.pdu import Status
from smppsim.chances import Lottery
from smppsim.data import CommandStatus, Data, Seconds, Share
from smppsim.delays import NO_DELAY, Delay, Fixed
from smppsim.dialects import DIALECTS
from smppsim.message_ids import IdForm
from smppsim.outcomes import Answer, Outcome, PartOutcome
from smppsim.receipt_text import ReceiptText


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


def _read_receipt_text(value: object) -> object:
    """A dialect's name, or a template: text with a field in it, as it is or as a table with `ucs2`."""
    if isinstance(value, str):
        if value in DIALECTS:
            return DIALECTS[value].text
        if "{" not in value:
            raise ValueError("neither the name of a dialect nor a template")
        return ReceiptText(value)
    return ReceiptText(**value) if isinstance(value, dict) else value


def _write_receipt_text(text: ReceiptText) -> str | dict[str, Any]:
    names = (name for name, dialect in DIALECTS.items() if dialect.text == text)
    return next(names, None) or {"template": text.template, "ucs2": text.ucs2}


class Behaviour(Data):
    """What happens to one submit_sm and its receipt. The defaults are an operator on its best day."""

    answers: Annotated[tuple[Answer, ...], Field(min_length=1)] = (Answer(),)
    response: Literal["given", "never", "hold", "ignored"] = "given"
    """`never`: taken but not answered; `hold`: taken, answered when released; `ignored`: as if it never came."""
    response_delay: Delay = NO_DELAY
    responses_lost: Share = 0.0
    responses_doubled: Share = 0.0
    responses_late: Share = 0.0
    responses_late_by: Delay = Fixed(seconds=60)
    responses_reordered: Share = 0.0
    """Of the responses, those that let the next one of their session pass, or wait a second for it."""
    queue_limit: Annotated[int, Field(ge=0)] | None = None
    """Undelivered messages of one destination above which submits get ESME_RMSGQFUL."""
    congestion_state: Annotated[int, Field(ge=0, le=100)] | None = None
    """The optional parameter of 5.0 in responses, for peers that know any; 90 and above is near congestion."""
    drop: Drop | None = None

    outcomes: Annotated[tuple[Outcome, ...], Field(min_length=1)] = (Outcome(),)
    receipt_when: Literal["before", "with", "after"] = "after"
    """Relative to the response; `with` is the same write and ignores the delay."""
    receipt_delay: Delay = NO_DELAY
    receipts: Literal["as_asked", "always", "never"] = "as_asked"
    receipts_lost: Share = 0.0
    receipts_doubled: Share = 0.0
    receipts_late: Share = 0.0
    receipts_late_by: Delay = Fixed(seconds=300)
    receipts_reordered: Share = 0.0
    """Of the receipts, those that let the next one of their account pass, or wait a second for it."""
    receipts_orphaned: Share = 0.0
    """Of the receipts, those with an id that no response ever carried."""
    receipt_bind: Literal["same", "sibling", "any"] = "same"
    """`sibling`: another session of the account than the one that submitted, where there is one."""
    receipt_text: Annotated[
        ReceiptText,
        BeforeValidator(_read_receipt_text),
        PlainSerializer(_write_receipt_text),
        Field(validate_default=True),
    ] = "standard"  # type: ignore[assignment]
    receipt_tlvs: bool = True
    receipt_pdu: Literal["deliver_sm", "payload", "data_sm"] = "deliver_sm"
    """`payload`: deliver_sm with the text in message_payload."""
    id_form: IdForm = IdForm.decimal
    receipt_id_form: IdForm | None = None
    """Form of the id in receipts; absent, as in the response."""
    parts: tuple[PartOutcome, ...] = ()
    """What single parts of long messages meet instead; the first that fits."""

    @cached_property
    def responses_vary(self) -> bool:
        """Whether any response may be lost, doubled, late or out of order."""
        return any((self.responses_lost, self.responses_doubled, self.responses_late, self.responses_reordered))

    @cached_property
    def receipts_vary(self) -> bool:
        """Whether anything of that kind may happen to a receipt."""
        shares = self.receipts_lost, self.receipts_doubled, self.receipts_late, self.receipts_reordered
        return any(shares) or self.receipts_orphaned > 0

    @cached_property
    def answer_lottery(self) -> Lottery[Answer]:
        """`answers`, ready to be drawn from."""
        return Lottery(self.answers)

    @cached_property
    def outcome_lottery(self) -> Lottery[Outcome]:
        """`outcomes`, ready to be drawn from."""
        return Lottery(self.outcomes)

    @cached_property
    def _of_parts(self) -> dict[int, "Behaviour"]:
        return {}

    def of_part(self, number: int) -> "Behaviour":
        """What part `number` of a long message meets."""
        known = self._of_parts.get(number)
        if known is None:
            known = self._of_parts[number] = self._for_part(number)
        return known

    def _for_part(self, number: int) -> "Behaviour":
        fits = (part for part in self.parts if part.part == number or (part.and_later and part.part < number))
        part = next(fits, None)
        if part is None:
            return self
        changes: dict[str, Any] = {}
        if part.status is not None:
            changes["answers"] = (Answer(status=part.status),)
        if part.outcome is not None:
            changes["outcomes"] = (part.outcome,)
        if not part.receipt:
            changes["receipts"] = "never"
        return self.changed(changes)


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
    abuse_limit: Annotated[int, Field(ge=1)] = 1000
    """Submits of one session that limits refuse within a second; beyond them nothing is read for a second, and the
    third time within a minute the link is closed."""
    duplicates: Literal["taken", "reference", "content"] = "taken"
    """What a submit that comes once more is: a new message, or, by its user_message_reference or its content, answered
    with the first one's id and nothing else."""
    duplicates_within_s: Seconds = 300.0
    deliver_window: Annotated[int, Field(ge=1)] = 500
    deliver_timeout_s: Seconds = 60.0
    redeliver_after_s: Seconds = 5.0
    """First pause before a refused deliver_sm is tried again; it doubles up to a minute."""
    redeliver_times: Annotated[int, Field(ge=0)] = 20
    alphabet: Literal["gsm7", "latin1"] = "gsm7"
    """What data_coding 0 means on this account."""
    concatenation: Literal["udh16", "udh8", "sar", "payload"] = "udh16"
    """How long replies are cut."""
