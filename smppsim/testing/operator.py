"""What a test holds: a running operator to wait for, look into and play tricks with, blocking or under trio.

Every call exists twice: `operator.wait_submit()` blocks, `await operator.wait_submit.trio()` waits. The simulator
and its data do the work; the fixtures of `pytest_plugin` hand operators out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

from pydantic import TypeAdapter

from engine.smpp.pdu import DataSm, DeliverSm, Pdu, SubmitSm, encode
from smppsim.behaviour import Cut
from smppsim.faults import AnyFault, Drop, Fault, Raw, Unbind
from smppsim.pdulog import IN, LoggedPdu
from smppsim.people import Person
from smppsim.scenario import Scenario
from smppsim.scenario_files import load_profile, load_scenario
from smppsim.simulator import Simulator
from smppsim.stats import Stats
from smppsim.testing.handset import HeldHandset
from smppsim.testing.submit import Submit
from smppsim.testing.threads import HOST, SimulatorThread, both
from smppsim.testing.watch import WITHIN_S, BoundSession, Watch, address, is_command

T = TypeVar("T")
AnyScenario: TypeAlias = Scenario | Mapping[str, Any] | Path | str | None

_FAULTS: Final = TypeAdapter[AnyFault](Fault)


def _read(scenario: AnyScenario) -> Scenario:
    match scenario:
        case Scenario():
            return scenario
        case Path():
            return load_scenario(scenario)
        case str():
            return load_profile(scenario)
        case _:
            return Scenario.model_validate(scenario or {})


class Operator:
    """A simulated operator on loopback, in a thread of its own. A context manager: it listens inside.

    It plays a scenario: a model, a file, the data of a file, or the name of a profile.

    Calls that wait take `within_s`, else the operator's own; they raise WaitFailed. Those that name an
    account raise KeyError for an unknown one; those that change settings raise pydantic's ValidationError.
    """

    def __init__(self, scenario: AnyScenario = None, *, seed: int = 0, within_s: float = WITHIN_S) -> None:
        read = _read(scenario)
        first = read.accounts[0]
        self.host = HOST
        self.system_id = first.system_id
        """Of the scenario's first account."""
        self.password = first.password
        self.thread = SimulatorThread(read, seed)
        self._watch = Watch(self.thread.simulator, within_s)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.thread.stop()

    @property
    def port(self) -> int:
        """Where it listens for SMPP."""
        return self.thread.port

    @property
    def _simulator(self) -> Simulator:
        return self.thread.simulator

    # -- waiting --------------------------------------------------------------------------------------------

    @both
    async def wait_bound(
        self, count: int = 1, account: str | None = None, within_s: float | None = None
    ) -> list[BoundSession]:
        """The bound sessions, as soon as there are at least `count`."""

        def enough(_simulator: Simulator) -> list[BoundSession] | None:
            found = [each for each in self._watch.bound() if account in (None, each.account)]
            return found if len(found) >= count else None

        return await self._watch.until(enough, f"{count} bound sessions", within_s)

    @both
    async def wait_unbound(self, within_s: float | None = None) -> None:
        """Wait until no session is left, bound or not."""
        await self._watch.until(
            lambda simulator: None if simulator.sessions else True, "the end of all sessions", within_s
        )

    @both
    async def wait_pdu(self, command: str, session: int | None = None, within_s: float | None = None) -> LoggedPdu:
        """The next PDU from a client that is a `command` (`submit_sm`, `deliver_sm_resp`, …).

        Each call gives the one after the call before, oldest first, also if it came before the call. Without a
        `session`, of any.
        """

        def is_next(row: LoggedPdu) -> bool:
            return is_command(row, command) and session in (None, row.session)

        return await self._watch.next_in((command, session), is_next, f"the next {command}", within_s)

    @both
    async def wait_submit(self, destination: str = "*", within_s: float | None = None) -> Submit:
        """The next submit_sm, in the manner of `wait_pdu`; `destination` is a number or a pattern."""
        wanted = destination.removeprefix("+")

        def is_next(row: LoggedPdu) -> bool:
            pdu = row.pdu
            return isinstance(pdu, SubmitSm) and fnmatchcase(address(pdu.destination_addr), wanted)

        row = await self._watch.next_in(
            ("submit_sm", destination), is_next, f"the next submit_sm to {destination}", within_s
        )
        return Submit(self.thread, self._watch, row)

    @both
    async def wait_until(
        self, condition: Callable[[Simulator], T | None], what: str = "the condition", within_s: float | None = None
    ) -> T:
        """What `condition` returns, as soon as it is true; it is called in the simulator's thread at every change."""
        return await self._watch.until(condition, what, within_s)

    @both
    async def expect_silence(self, command: str, for_s: float) -> None:
        """Wait so long and see no `command` come in; AssertionError shows it if one does."""
        await self._watch.silence(lambda row: is_command(row, command), command, for_s)

    # -- looking --------------------------------------------------------------------------------------------

    @both
    async def sessions(self) -> list[BoundSession]:
        """Who is bound now."""
        return self._watch.bound()

    @both
    async def pdus(
        self, command: str | None = None, direction: Literal["in", "out"] | None = None, session: int | None = None
    ) -> list[LoggedPdu]:
        """The PDU log, oldest first; `in` is what clients sent. Passwords are starred out."""
        return [
            row
            for row in self._simulator.pdus
            if (command is None or is_command(row, command))
            and direction in (None, row.direction)
            and session in (None, row.session)
        ]

    @both
    async def submits(self) -> list[Submit]:
        """Every submit_sm of the PDU log, oldest first."""
        return [
            Submit(self.thread, self._watch, row)
            for row in self._simulator.pdus
            if row.direction == IN and isinstance(row.pdu, SubmitSm)
        ]

    @both
    async def stats(self) -> Stats:
        """The counters, as they are now."""
        return copy(self._simulator.stats)

    @both
    async def deliveries(self) -> dict[tuple[str, str], int]:
        """How often each (number, text) really reached a handset."""
        return dict(self._simulator.deliveries())

    @both
    async def story(self) -> str:
        """Who is bound and the latest PDUs, as lines for people."""
        return self._watch.story()

    # -- the operator's moods -------------------------------------------------------------------------------

    @both
    async def behave(self, /, account: str | None = None, destination: str | None = None, **changes: Any) -> None:
        """Change fields of Behaviour from now on, for one account or all, for one destination pattern or all."""
        self._simulator.behave(account, destination, **changes)

    @both
    async def link(self, /, account: str | None = None, **changes: Any) -> None:
        """Change fields of Link from now on."""
        self._simulator.link(account, **changes)

    @both
    async def hold(self, destination: str | None = None) -> None:
        """Answer no submit from now on until told: by `release`, or submit by submit."""
        self._simulator.behave(None, destination, response="hold")

    @both
    async def release(self, status: int = 0) -> int:
        """Answer all that are held, oldest first, and hold no more of those to all; how many there were."""
        self._simulator.behave(response="given")
        held = self._simulator.held
        self._simulator.release(*held, status=status)
        return len(held)

    @both
    async def refuse(self, status: int | str, destination: str | None = None) -> None:
        """Answer submits with this status (`"RTHROTTLED"`, 0x58) from now on; 0 takes them again."""
        self._simulator.behave(None, destination, answers=[{"status": status}])

    @both
    async def reset(self) -> None:
        """Back to the scenario: links closed, inboxes, log and counters empty, faults over."""
        self._simulator.reset()

    # -- faults ---------------------------------------------------------------------------------------------

    @both
    async def cause(self, fault: AnyFault | Mapping[str, Any]) -> int:
        """Cause any fault there is, as a model of `faults` or as data; how many links or accounts it hits now."""
        return self._cause(fault)

    @both
    async def drop(self, how: Cut | str = "close", session: int | None = None) -> int:
        """End links: close, reset, black_hole or stall; how many."""
        return self._cause(Drop(how=Cut(how), session=session))

    @both
    async def unbind(self, session: int | None = None) -> int:
        """Send unbind without being asked; on how many links."""
        return self._cause(Unbind(session=session))

    @both
    async def send_octets(self, octets: bytes, session: int | None = None) -> int:
        """Write any octets, legal or not; on how many links."""
        return self._cause(Raw(hex=octets.hex(), session=session))

    @both
    async def send(self, pdu: Pdu, sequence: int, status: int = 0, session: int | None = None) -> int:
        """Write any PDU under any sequence number; on how many links."""
        return self._cause(Raw(hex=encode(pdu, sequence, status).hex(), session=session))

    def _cause(self, fault: AnyFault | Mapping[str, Any]) -> int:
        known = _FAULTS.validate_python(dict(fault)) if isinstance(fault, Mapping) else fault
        return self._simulator.cause(known)

    # -- handsets -------------------------------------------------------------------------------------------

    def handset(self, number: str) -> HeldHandset:
        """The phone with this number, in any usual spelling of E.164."""
        return HeldHandset(self.thread, self._watch, number)

    @both
    async def deliver(self, pdu: DeliverSm | DataSm, account: str | None = None) -> None:
        """Send a deliver_sm or data_sm to an account's receivers, again if refused; else to the first account's."""
        self._simulator.send(account or self.system_id, pdu)

    @both
    async def place(self, *people: Person) -> None:
        """Give the handsets that their patterns match to these persons."""
        self._simulator.place(*people)
