"""The register of subscribers: which phones are on, off, full, gone to another operator, unknown or barred.

It keeps the states and the messages that wait for a phone, and decides how a delivery fails; it sends nothing.
`submission` asks it at each delivery, the simulator switches phones.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Annotated, Final, NamedTuple

from pydantic import Field

from smppsim.data import Data
from smppsim.handsets import handset_key, number_pattern
from smppsim.messages import Message
from smppsim.outcomes import Outcome
from smppsim.people import Glob
from smppsim.receipt_text import State

_WILD: Final = re.compile(r"[*?\[]")
_GSM: Final = 3  # network type of network_error_code (3.4 section 5.3.2.31)


class PhoneState(StrEnum):
    """What the network finds when it looks for a phone."""

    on = "on"
    off = "off"
    """Switched off or out of reach: messages wait until it is on, or expire."""
    full = "full"
    """Its memory is full: messages wait likewise."""
    ported = "ported"
    """Gone to another operator, who is not asked."""
    unknown = "unknown"
    """No such subscriber."""
    barred = "barred"
    """The subscriber receives nothing."""


class Failure(NamedTuple):
    """Why a phone takes nothing, as receipts say it. The numbers are MAP's user errors (3GPP TS 29.002)."""

    waits: bool
    """Whether the message is tried again when the phone's state changes."""
    map_error: int

    @property
    def err(self) -> str:
        """`err:` of the receipt's text."""
        return f"{self.map_error:03}"

    @property
    def network_error(self) -> tuple[int, int]:
        """network_error_code: type and number."""
        return _GSM, self.map_error

    def outcome(self, state: State) -> Outcome:
        """The end of a message that this phone never took."""
        return Outcome(state=state, err=self.err, network_error=self.network_error)


FAILURES: Final[dict[PhoneState, Failure]] = {
    PhoneState.off: Failure(waits=True, map_error=27),  # absentSubscriber
    PhoneState.full: Failure(waits=True, map_error=32),  # sm-DeliveryFailure: memoryCapacityExceeded
    PhoneState.ported: Failure(waits=False, map_error=1),  # unknownSubscriber, as the old network's register says
    PhoneState.unknown: Failure(waits=False, map_error=1),
    PhoneState.barred: Failure(waits=False, map_error=13),  # callBarred
}


class PhoneSettings(Data):
    """How some phones are when a run begins."""

    number: Glob
    """A pattern over the digits, as in rules; the first that matches counts."""
    state: PhoneState
    """See the table of states."""
    for_s: Annotated[float, Field(gt=0, le=31_536_000)] | None = None
    """Back on after so many seconds; absent, until switched."""


class _Setting(NamedTuple):
    state: PhoneState
    until: float


_ON: Final = _Setting(PhoneState.on, math.inf)


class Subscribers:
    """The state of every phone, and what waits for one."""

    def __init__(self) -> None:
        self._exact: dict[bytes, _Setting] = {}
        self._patterns: list[tuple[re.Pattern[bytes], _Setting]] = []
        self._waiting: dict[bytes, dict[int, Message]] = {}

    def switch(self, number: str, state: PhoneState, until: float) -> None:
        """Put one phone, or every phone of a pattern, into a state; at `until` it is on again."""
        setting = _Setting(state, until)
        if not _WILD.search(number):
            self._exact[handset_key(number)] = setting
            return
        pattern = number_pattern(number)
        self._exact = {key: known for key, known in self._exact.items() if not pattern.fullmatch(key)}
        self._patterns = [row for row in self._patterns if row[0] != pattern]
        self._patterns.insert(0, (pattern, setting))

    def clear(self) -> None:
        """Every phone on, nothing waiting."""
        self._exact.clear()
        self._patterns.clear()
        self._waiting.clear()

    def state(self, key: bytes, now: float) -> PhoneState:
        """The state of the phone with these digits."""
        setting = self._exact.get(key)
        if setting is None:
            setting = next((setting for pattern, setting in self._patterns if pattern.fullmatch(key)), _ON)
        return setting.state if now < setting.until else PhoneState.on

    def failure(self, destination: bytes, now: float) -> Failure | None:
        """Why the phone at a destination_addr takes nothing now; None if it does."""
        if not self._exact and not self._patterns:
            return None
        return FAILURES.get(self.state(destination.removeprefix(b"+"), now))

    # -- what waits -----------------------------------------------------------------------------------------

    def park(self, message: Message) -> None:
        """Let a message wait for its phone."""
        key = message.pdu.destination_addr.removeprefix(b"+")
        self._waiting.setdefault(key, {})[message.number] = message

    def unpark(self, message: Message) -> None:
        """It waits no longer; safe to say of any message."""
        key = message.pdu.destination_addr.removeprefix(b"+")
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.pop(message.number, None) is not None and not waiting:
            del self._waiting[key]

    def waiting(self, number: str) -> list[Message]:
        """What waits for a phone, oldest first."""
        return list(self._waiting.get(handset_key(number), {}).values())

    def released(self, now: float) -> list[Message]:
        """What waits for phones that are not off or full any more, oldest first for each."""
        due = [key for key in self._waiting if not _waits(self.state(key, now))]
        return [message for key in due for message in self._waiting[key].values()]


def _waits(state: PhoneState) -> bool:
    failure = FAILURES.get(state)
    return failure is not None and failure.waits
