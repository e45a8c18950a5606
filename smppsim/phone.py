"""One phone, as tests and the control API hold it: its inbox, what it writes, who holds it, its state.

It keeps and decides nothing; everything is in `handsets`, `replies`, `crowd` and `subscribers`. The simulator
hands it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from engine.smpp.pdu import DeliverSm
from smppsim.handsets import InboxMessage, Part, code_in, handset_key
from smppsim.people import Person
from smppsim.replies import Reply
from smppsim.subscribers import PhoneState

if TYPE_CHECKING:
    from smppsim.simulator import Simulator


class Handset:
    """One phone."""

    def __init__(self, simulator: Simulator, number: str) -> None:
        self._simulator = simulator
        self.number = number

    @property
    def messages(self) -> list[InboxMessage]:
        """The inbox, oldest first."""
        return self._simulator.smsc.handsets.messages(self.number)

    @property
    def parts(self) -> list[Part]:
        """What arrived, PDU by PDU."""
        return self._simulator.smsc.handsets.parts(self.number)

    @property
    def code(self) -> str | None:
        """The code in the latest message that has one."""
        found = [code_in(message.text) for message in self.messages]
        return next((code for code in reversed(found) if code), None)

    async def wait(self, count: int = 1) -> list[InboxMessage]:
        """The inbox as soon as it holds `count` complete messages."""
        await self._simulator.until(lambda: sum(message.complete for message in self.messages) >= count)
        return self.messages

    def reply(
        self,
        text: str,
        to: str | None = None,
        *,
        account: str | None = None,
        source: str | None = None,
        source_form: tuple[int, int] = (1, 1),
        cut: str | None = None,
    ) -> list[DeliverSm]:
        """Answer the latest message, or write `to` another number of ours; the deliver_sm that were queued.

        `account`: whose receivers get it, else as its settings or the last message say. `source` and
        `source_form` (TON, NPI) write the handset's number in another form; `cut` is one of udh16, udh8, sar and
        payload. NoRoute, TooManyParts.
        """
        return self._simulator.reply(self.number, Reply(text, to, account, source, source_form, cut))

    def give_to(self, person: Person | None) -> None:
        """Let a person hold it from now on; None gives it back to whom the scenario says."""
        self._simulator.smsc.crowd.assign(self.number, person)

    @property
    def person(self) -> Person | None:
        """Who holds it."""
        return self._simulator.smsc.crowd.person(self.number)

    def switch(self, state: PhoneState | str, for_s: float | None = None) -> None:
        """Switch it on or off, fill it, port it …; with `for_s`, it is on again after so many seconds."""
        self._simulator.switch(self.number, state, for_s)

    @property
    def state(self) -> PhoneState:
        """On, off, full, ported, unknown or barred."""
        return self._simulator.smsc.subscribers.state(handset_key(self.number), trio.current_time())

    @property
    def waiting(self) -> int:
        """How many messages wait until it is on."""
        return len(self._simulator.smsc.subscribers.waiting(self.number))
