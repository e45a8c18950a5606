"""What the simulator shall do, as frozen data: outcomes by weight, delays, silences, drops, receipts, links.

It decides nothing by itself but draws from its own distributions with the dice it is given. Settings files,
the control API and tests write these values; `accounts`, `submission` and `delivery` obey them.
"""

import random
import re
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from engine.smpp.pdu import Status
from smppsim.receipt_text import MESSAGE_STATES, ReceiptText, read_receipt_text

W = TypeVar("W", bound="Weighted")


class Data(BaseModel):
    """Immutable, and strict about names: a misspelt setting is an error, never a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _read_status(value: object) -> object:
    """A status as number, as `0x58`, or by its name with or without `ESME_`."""
    if not isinstance(value, str):
        return value
    text = value.strip().upper()
    if re.fullmatch(r"0X[0-9A-F]{1,8}|[0-9]{1,10}", text):
        return int(text, 0) if text.startswith("0X") else int(text)
    named = getattr(Status, text if text.startswith("ESME_") else f"ESME_{text}", None)
    if named is None:
        raise ValueError("not a command status: write its number, 0x58 or ESME_RTHROTTLED")
    return named


CommandStatus = Annotated[int, BeforeValidator(_read_status), Field(ge=0, le=0xFFFF_FFFF)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]


class Fixed(Data):
    """Always the same delay."""

    kind: Literal["fixed"] = "fixed"
    seconds: Seconds = 0.0

    def draw(self, dice: random.Random) -> float:
        """Seconds."""
        return self.seconds


class Uniform(Data):
    """Any delay between two bounds, all equally likely."""

    kind: Literal["uniform"] = "uniform"
    low: Seconds = 0.0
    high: Seconds

    @model_validator(mode="after")
    def _ordered(self) -> "Uniform":
        if self.low > self.high:
            raise ValueError("low is above high")
        return self

    def draw(self, dice: random.Random) -> float:
        """Seconds."""
        return dice.uniform(self.low, self.high)


class Normal(Data):
    """A bell curve, cut off at zero."""

    kind: Literal["normal"] = "normal"
    mean: Seconds
    deviation: Seconds

    def draw(self, dice: random.Random) -> float:
        """Seconds."""
        return max(0.0, dice.gauss(self.mean, self.deviation))


def _read_delay(value: object) -> object:
    return {"kind": "fixed", "seconds": value} if isinstance(value, (int, float)) else value


Delay = Annotated[Annotated[Fixed | Uniform | Normal, Field(discriminator="kind")], BeforeValidator(_read_delay)]
"""A delay; a bare number means fixed seconds."""

NO_DELAY: Final = Fixed()


class Weighted(Data):
    """One of several possibilities."""

    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0


class Answer(Weighted):
    """A command_status for submit_sm_resp."""

    status: CommandStatus = Status.ESME_ROK


class Outcome(Weighted):
    """What becomes of an accepted message: a final state and what its receipt says."""

    state: Literal[tuple(MESSAGE_STATES)] = "delivered"  # type: ignore[valid-type]
    err: Annotated[str, Field(pattern=r"^[\x20-\x7e]{0,16}$")] | None = None
    """`err:` of the receipt text; the state's usual value if absent."""
    network_error: tuple[Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=65535)]] | None = None
    """network_error_code: network type and error."""
    reaches_handset: bool | None = None
    """Whether the handset gets it; absent, only the state `delivered` does. An operator that lies says
    delivered and reaches nobody."""

    @property
    def on_handset(self) -> bool:
        """Whether the message appears on the handset."""
        return self.state == "delivered" if self.reaches_handset is None else self.reaches_handset


def choose(options: tuple[W, ...], dice: random.Random) -> W:
    """One of `options` by weight; the dice are left alone when there is only one."""
    if len(options) == 1:
        return options[0]
    return dice.choices(options, [option.weight for option in options])[0]


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


class IdForm(StrEnum):
    """How a message id is written."""

    decimal = "decimal"
    padded = "padded"
    """Decimal, zero-padded to ten digits."""
    hex = "hex"
    upper_hex = "upper_hex"
    padded_hex = "padded_hex"
    uuid = "uuid"
    huge = "huge"
    """Hexadecimal, above 2^63."""
    huge_decimal = "huge_decimal"
    """The same number in decimal."""


class Behaviour(Data):
    """What happens to one submit_sm and its receipt. The defaults are an operator on its best day."""

    answers: Annotated[tuple[Answer, ...], Field(min_length=1)] = (Answer(),)
    response: Literal["given", "never", "hold", "ignored"] = "given"
    """`never`: taken but not answered; `hold`: taken, answered when released; `ignored`: as if it never came."""
    unanswered_share: Share = 0.0
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


class Rule(Data):
    """Other behaviour for some destinations: what it names replaces the account's, the rest stays."""

    destination: Annotated[str, Field(min_length=1, max_length=64)]
    """A pattern over the digits: `*` any, `?` one, `[1-3]` a set; `+` is ignored."""
    behaviour: dict[str, Any]

    @model_validator(mode="after")
    def _sound(self) -> "Rule":
        Behaviour.model_validate(self.behaviour)
        return self


class AccountSettings(Data):
    """One customer of the simulated operator."""

    system_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,15}$")]
    password: Annotated[str, Field(pattern=r"^[\x20-\x7e]{0,64}$", repr=False)] = ""
    numbers: tuple[str, ...] = ()
    """Patterns of the numbers whose replies come to this account; without a match, the account that wrote last."""
    behaviour: Behaviour = Behaviour()
    link: Link = Link()
    rules: tuple[Rule, ...] = ()
    """The first rule that matches a destination wins."""


class Bounds(Data):
    """What the simulator keeps; the oldest goes first."""

    messages: Annotated[int, Field(ge=1)] = 50_000
    handset_parts: Annotated[int, Field(ge=1)] = 50_000
    pdus: Annotated[int, Field(ge=0)] = 10_000
    undelivered: Annotated[int, Field(ge=1)] = 200_000
    """Messages and receipts on their way; above it submits get ESME_RMSGQFUL."""


class SimulatorSettings(Data):
    """Everything a run depends on besides its seed."""

    accounts: tuple[AccountSettings, ...] = (
        AccountSettings(system_id="demo", password="demo"),  # noqa: S106 - a toy on loopback
    )
    bounds: Bounds = Bounds()

    @model_validator(mode="after")
    def _distinct(self) -> "SimulatorSettings":
        names = [account.system_id for account in self.accounts]
        if len(set(names)) != len(names):
            raise ValueError("two accounts have the same system_id")
        return self
