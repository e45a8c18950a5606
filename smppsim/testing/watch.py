"""Waiting for something to happen to an operator, with a deadline and a failure that tells what did happen.

It runs in the simulator's thread and changes nothing. `operator`, `submit` and `handset` wait through it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

import trio

from engine.smpp.pdu import command_name
from smppsim.pdulog import IN, LoggedPdu
from smppsim.simulator import Simulator
from smppsim.testing.transcript import transcript

T = TypeVar("T")

WITHIN_S: Final = 5.0


class WaitFailed(AssertionError):
    """What a test waited for did not come in time; the message shows the PDU log."""


class BoundSession(NamedTuple):
    """A session as it was when it was looked at."""

    session: int
    account: str
    state: str
    """bound_tx, bound_rx or bound_trx."""
    interface_version: int
    unanswered: int
    """Submits without an answer."""


class Watch:
    """The waiting of one operator, and how far it has read the PDU log for each thing waited for."""

    def __init__(self, simulator: Simulator, within_s: float) -> None:
        self.simulator = simulator
        self.within_s = within_s
        """Seconds that a wait lasts unless it says otherwise."""
        self._seen: dict[tuple[object, ...], int] = {}

    async def until(self, look: Callable[[Simulator], T | None], what: str, within_s: float | None) -> T:
        """What `look` finds, as soon as it finds something; WaitFailed after `within_s`."""
        found: list[T] = []

        def is_there() -> bool:
            result = look(self.simulator)
            if result:
                found.append(result)
            return bool(result)

        within = self.within_s if within_s is None else within_s
        with trio.move_on_after(within):
            await self.simulator.until(is_there)
        if not found:
            raise WaitFailed(f"waited {within:g} s for {what}\n{self.story()}")
        return found[0]

    async def next_in(
        self, key: tuple[object, ...], fits: Callable[[LoggedPdu], bool], what: str, within_s: float | None
    ) -> LoggedPdu:
        """The next PDU from a client that fits and was not given out under this `key` before."""

        def look(simulator: Simulator) -> LoggedPdu | None:
            rows = simulator.smsc.log.after(self._seen.get(key, 0))
            return next((row for row in rows if row.direction == IN and fits(row)), None)

        row = await self.until(look, what, within_s)
        self._seen[key] = row.serial
        return row

    async def silence(self, fits: Callable[[LoggedPdu], bool], what: str, for_s: float) -> None:
        """Wait so long; AssertionError as soon as a PDU from a client fits."""
        log = self.simulator.smsc.log
        since = log.last
        with trio.move_on_after(for_s):
            await self.simulator.until(lambda: any(row.direction == IN and fits(row) for row in log.after(since)))
            raise AssertionError(f"one {what} came within {for_s:g} s\n{self.story()}")

    def bound(self) -> list[BoundSession]:
        """Who is bound."""
        return [
            BoundSession(each.number, each.account.system_id, str(each.state), each.version, each.unanswered)
            for each in self.simulator.sessions
            if each.account is not None
        ]

    def story(self) -> str:
        """Who is bound and the latest PDUs, as lines for people."""
        sessions = ", ".join(f"#{each.session} {each.account} {each.state}" for each in self.bound())
        log = transcript(self.simulator.smsc.log, trio.current_time())
        return f"bound: {sessions or 'nobody'}\nPDUs:\n{log}"


def is_command(row: LoggedPdu, command: str) -> bool:
    """Whether it is what the specification calls `command`."""
    return row.command_id is not None and command_name(row.command_id) == command


def address(octets: bytes) -> str:
    """An address or id as text, without `+`."""
    return octets.decode("latin-1").removeprefix("+")
