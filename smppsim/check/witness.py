"""Keeps a trace of one running simulator: every frame as it passes, every connection as it comes and goes.

It changes nothing. The conductor and `--passive` both stand on it.
"""

from __future__ import annotations

import trio

from engine.smpp.states import Side
from smppsim.behaviour import Cut
from smppsim.check.trace import Trace
from smppsim.pdulog import IN, LoggedPdu
from smppsim.session import Session
from smppsim.simulator import Simulator


class Witness:
    """`await nursery.start(witness.run)` before anybody connects."""

    def __init__(self, simulator: Simulator, trace: Trace) -> None:
        self._simulator = simulator
        self._trace = trace
        self._open: dict[int, Session] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch until cancelled."""
        self._simulator.smsc.log.listen(self._frame)
        self._look()
        task_status.started()
        while True:
            await self._simulator.server.change()
            self._look()

    def _frame(self, logged: LoggedPdu) -> None:
        by = Side.ESME if logged.direction == IN else Side.SMSC
        self._trace.add(logged.session, logged.at, by, logged.frame)

    def _look(self) -> None:
        now, trace = trio.current_time(), self._trace
        trace.now = now
        current = {session.number: session for session in self._simulator.sessions}
        for number, session in current.items():
            link = trace.opened(number, now)
            if session.cut in (Cut.black_hole, Cut.stall) and link.dead_at is None:
                link.dead_at = now
        for number in self._open.keys() - current.keys():
            ours = self._open[number].cut in (Cut.close, Cut.reset)
            trace.closed(number, now, Side.SMSC if ours else Side.ESME)
        self._open = current
