"""What becomes of a submit, as data: the answers and the ends that are drawn by weight.

It draws with the dice it is given and acts on nothing. `behaviour` holds distributions of these, `submission`
carries them out.
"""

import random
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from engine.smpp.pdu import Status
from smppsim.data import CommandStatus, Data, Weight
from smppsim.receipt_text import MESSAGE_STATES

W = TypeVar("W", bound="Weighted")


class Weighted(Data):
    """One of several possibilities."""

    weight: Weight = 1.0


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
