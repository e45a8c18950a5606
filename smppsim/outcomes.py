"""What becomes of a submit, as data: its answer, its end, and what is reported beside the end.

It acts on nothing. `behaviour` holds distributions of these, `answers` and `submission` carry them out.
"""

from typing import Annotated, Literal

from pydantic import Field

from engine.smpp.pdu import Status
from smppsim.chances import Weighted
from smppsim.data import CommandStatus, Data
from smppsim.delays import NO_DELAY, Delay
from smppsim.receipt_text import State

Err = Annotated[str, Field(pattern=r"^[\x20-\x7e]{0,16}$")]


class Answer(Weighted):
    """A command_status for submit_sm_resp."""

    status: CommandStatus = Status.ESME_ROK


class Report(Data):
    """A receipt beside that of the end: an intermediate state, or a later one that contradicts the end."""

    state: State
    err: Err | None = None
    """`err:` of the receipt text; the state's usual value if absent."""
    since: Literal["answer", "end"] = "end"
    """What `after` counts from."""
    after: Delay = NO_DELAY
    notification: bool = False
    """An intermediate notification (esm_class 0x20), which registered_delivery asks for by a bit of its own;
    otherwise a receipt like any other."""


class Outcome(Weighted):
    """What becomes of an accepted message: a final state and what its receipts say."""

    state: State = "delivered"
    err: Err | None = None
    """`err:` of the receipt text; the state's usual value if absent."""
    network_error: tuple[Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=65535)]] | None = None
    """network_error_code: network type and error."""
    reaches_handset: bool | None = None
    """Whether the handset gets it; absent, only the state `delivered` does. An operator that lies says
    delivered and reaches nobody."""
    reports: tuple[Report, ...] = ()
    """More receipts, before and after that of the end."""

    @property
    def on_handset(self) -> bool:
        """Whether the message appears on the handset."""
        return self.state == "delivered" if self.reaches_handset is None else self.reaches_handset


class PartOutcome(Data):
    """What one part of a long message meets; what it does not name is as for any other message."""

    part: Annotated[int, Field(ge=1, le=255)]
    """Its number, from 1."""
    and_later: bool = False
    """The parts after it too."""
    status: CommandStatus | None = None
    outcome: Outcome | None = None
    receipt: bool = True
    """Some operators report on the first part alone."""
