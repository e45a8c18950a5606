"""A phone in the hands of a test: its inbox, what it writes, who holds it, whether it is on.

It asks the simulator for everything. `operator` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.smpp.pdu import DeliverSm
from smppsim.handsets import InboxMessage
from smppsim.people import Person
from smppsim.simulator import Simulator
from smppsim.subscribers import PhoneState
from smppsim.testing.threads import SimulatorThread, both
from smppsim.testing.watch import Watch


class HeldHandset:
    """A phone in the hands of a test."""

    def __init__(self, thread: SimulatorThread, watch: Watch, number: str) -> None:
        self.thread = thread
        self.number = number
        self._watch = watch
        self._phone = thread.simulator.handset(number)

    @both
    async def messages(self) -> list[InboxMessage]:
        """The inbox, oldest first, long messages joined."""
        return self._phone.messages

    @both
    async def wait(self, count: int = 1, within_s: float | None = None) -> list[InboxMessage]:
        """The inbox, as soon as it holds `count` complete messages."""

        def enough(_simulator: Simulator) -> list[InboxMessage] | None:
            inbox = self._phone.messages
            return inbox if sum(message.complete for message in inbox) >= count else None

        return await self._watch.until(enough, f"{count} messages on {self.number}", within_s)

    @both
    async def wait_code(self, within_s: float | None = None) -> str:
        """The code in the latest message that has one, as soon as there is one."""
        return await self._watch.until(lambda _simulator: self._phone.code, f"a code on {self.number}", within_s)

    @both
    async def reply(self, /, text: str, to: str | None = None, **how: Any) -> list[DeliverSm]:
        """Answer the latest message, or write `to` a number of ours; the deliver_sm that go out.

        `account`, `source`, `source_form` and `cut` as in `phone.Handset.reply`. NoRoute, TooManyParts.
        """
        return self._phone.reply(text, to, **how)

    @both
    async def give_to(self, person: Person | Mapping[str, Any] | None) -> None:
        """Let a person hold it from now on; None gives it back to whom the scenario says."""
        self._phone.give_to(None if person is None else Person.model_validate(person))

    @both
    async def switch(self, state: PhoneState | str, for_s: float | None = None) -> None:
        """Switch it on or off, fill it, port it; with `for_s`, it is on again after so many seconds."""
        self._phone.switch(state, for_s)
