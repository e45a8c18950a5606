"""A submit_sm in the hands of a test: what it says, its answer and its receipts.

It keeps what came in and asks the simulator for the rest. `operator` makes them.
"""

from __future__ import annotations

from typing import Any

from engine.smpp.pdu import SubmitSm
from engine.smpp.text import Alphabet, join, read_part
from smppsim.answers import Response
from smppsim.pdulog import OUT, LoggedPdu
from smppsim.simulator import Simulator
from smppsim.testing.threads import SimulatorThread, both
from smppsim.testing.watch import Watch, address, is_command


class Submit:
    """A submit_sm that came in."""

    def __init__(self, thread: SimulatorThread, watch: Watch, row: LoggedPdu) -> None:
        assert isinstance(row.pdu, SubmitSm)
        self.thread = thread
        self._watch = watch
        self.session = row.session
        self.sequence = row.header.sequence_number
        self.pdu: SubmitSm = row.pdu
        self._serial = row.serial

    def __repr__(self) -> str:
        return f"<Submit #{self.session} {self.sequence} to {self.destination}: {self.text!r}>"

    @property
    def source(self) -> str:
        """source_addr."""
        return address(self.pdu.source_addr)

    @property
    def destination(self) -> str:
        """destination_addr without `+`."""
        return address(self.pdu.destination_addr)

    @property
    def text(self) -> str:
        """Its text; of a long message, this part's."""
        return join([read_part(self.pdu)[0]], default=Alphabet.GSM7).text

    def _held(self) -> Response:
        for response in self.thread.simulator.held:
            if (response.session.number, response.sequence) == (self.session, self.sequence):
                return response
        raise LookupError("this submit is not held: call hold() before it comes, and answer it once")

    @both
    async def answer(self, status: int = 0) -> None:
        """Answer it, if it is held; another status than 0 refuses it. LookupError if it is not."""
        self.thread.simulator.release(self._held(), status=status)

    @both
    async def message_id(self, within_s: float | None = None) -> str:
        """The id that it was answered with, as soon as it is; empty if it was refused."""

        def look(simulator: Simulator) -> LoggedPdu | None:
            rows = simulator.smsc.log.after(self._serial)
            return next((row for row in rows if self._is_answer(row)), None)

        row = await self._watch.until(look, f"the answer to {self!r}", within_s)
        return address(getattr(row.pdu, "message_id", b""))

    def _is_answer(self, row: LoggedPdu) -> bool:
        ours = row.direction == OUT and row.session == self.session and is_command(row, "submit_sm_resp")
        return ours and row.header.sequence_number == self.sequence

    @both
    async def receipt(self, /, state: str = "delivered", **said: Any) -> None:
        """Send one more receipt for it, whatever was said before; `err`, `network_error`, `intermediate`, `message_id`.

        LookupError unless it was accepted.
        """
        answers = [row.pdu for row in self.thread.simulator.smsc.log.after(self._serial) if self._is_answer(row)]
        message_id = address(getattr(answers[0], "message_id", b"")) if answers else ""
        if not message_id:
            raise LookupError("only an accepted submit has receipts")
        self.thread.simulator.receipt(message_id, state, **said)
