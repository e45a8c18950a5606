"""A storm of SMS on many pending reverse codes, half of them right: how many a second are taken, stored and decided,
and how long one-time codes take beside it.

`sceau serve` under `probe` is a process of its own; this one is the operator, whose handsets write five thousand texts
a second, and the caller. Every right code must approve its case once, and nothing else anything.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import trio
from sqlalchemy import func, select

from bench.installation import Installation, engine, lay_out
from bench.operators import ACCOUNT, PASSWORD
from bench.otp_latency import Latencies, figures_of, send_codes
from bench.posting import Caller, post
from engine.commands.rows import Rows
from engine.store.statements import Statement
from engine.store.tables import Event, Reply
from smppsim.scenario import AccountSettings, Bounds, Scenario
from smppsim.simulator import Simulator, wall_clock
from tests.signers import OURS

PENDING = 20_000
A_SECOND = 5_500  # a tenth more than is promised, so that it is the intake that is measured
CODES = 200
_CODES_PER_S = 28.0  # for as long as it rains
_SEED = 38123
_TICK_S = 0.05
_LOOK_S = 0.1
_PATIENCE_S = 300.0
_CALLERS = 4
_event, _reply = Event.__table__, Reply.__table__  # type: ignore[attr-defined]
_TAKEN = Statement(lambda _: select(func.count()).select_from(_reply))
_APPROVED = Statement(
    lambda _: select(func.count(), func.count(_event.c.subject_id.distinct())).where(
        _event.c.type == "reverse.approved"
    )
)


@dataclass(frozen=True, slots=True)
class Storm:
    """What came of it: texts, the seconds until all were decided, the engine's processor time for each, and cases
    approved, each once; and one-time codes before the storm and beside it.
    """

    texts: int
    seconds: float
    cpu_us: float
    approved: int
    twice: int
    alone: Latencies
    beside: Latencies


def measure(pending: int = PENDING, a_second: int = A_SECOND, codes: int = CODES) -> Storm:
    """Return the figures of one storm, twice as many texts as codes are pending."""
    with tempfile.TemporaryDirectory(prefix="sceau-bench-") as folder:
        return trio.run(_play, pending, a_second, codes, Path(folder))


async def _play(pending: int, a_second: int, codes: int, folder: Path) -> Storm:
    account = AccountSettings(system_id=ACCOUNT, password=PASSWORD, numbers=(OURS,))
    bounds = Bounds(messages=200_000, handset_parts=200_000, pdus=0)
    operator = Simulator(Scenario(accounts=(account,), bounds=bounds), seed=_SEED, wall=wall_clock)
    output = folder / "seen.json"
    async with trio.open_nursery() as nursery:
        await nursery.start(operator.run)
        installation = lay_out(folder, await operator.listen(), number=OURS)
        probe = (sys.executable, "-m", "bench.probe", str(installation.file), str(output), "0", "0")
        with ExitStack() as stack:
            running = await trio.to_thread.run_sync(stack.enter_context, engine(installation, *probe))
            reverse = await trio.to_thread.run_sync(_start, running.port, installation.key, pending)
            send = partial(send_codes, running.port, installation.key, codes, _CODES_PER_S)
            spent = [_cpu_s(running.pid)]
            alone, _ = await trio.to_thread.run_sync(send)
            spent.append(_cpu_s(running.pid))
            began = perf_counter()
            beside: dict[str, float] = {}

            async def send_beside() -> None:
                found, _ = await trio.to_thread.run_sync(partial(send, first=codes))
                beside.update(found)

            async with trio.open_nursery() as storm:
                storm.start_soon(_rain, operator, reverse, a_second)
                storm.start_soon(send_beside)
                approved, twice, decided = await _decided(installation, pending)
            spent.append(_cpu_s(running.pid))
            await trio.to_thread.run_sync(stack.pop_all().close)
        nursery.cancel_scope.cancel()
    seen = json.loads(output.read_text())
    cpu_s = spent[2] - spent[1] - (spent[1] - spent[0])  # as many codes were sent in both spans
    return Storm(
        2 * pending,
        decided - began,
        cpu_s / (2 * pending) * 1e6,
        approved,
        twice,
        figures_of(alone, seen, []),
        figures_of(beside, seen, []),
    )


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _start(port: int, key: str, pending: int) -> list[str]:
    request = post("/v1/reverse-verifications", key, {"life_s": 1_800, "qr": False})

    def some(count: int) -> list[str]:
        caller = Caller(port)
        found = [str(json.loads(caller.call(request))["code"]) for _ in range(count)]
        caller.close()
        return found

    with ThreadPoolExecutor(_CALLERS) as pool:
        return [code for found in pool.map(some, [pending // _CALLERS] * _CALLERS) for code in found]


async def _rain(operator: Simulator, codes: list[str], a_second: int) -> None:
    began, burst = trio.current_time(), int(a_second * _TICK_S / 2)
    for start in range(0, len(codes), burst):
        for number, code in enumerate(codes[start : start + burst], start):
            operator.handset(f"+3361{number:07}").reply(f"{code} Sceau", to=OURS)
            operator.handset(f"+3362{number:07}").reply(f"AAAA-{number % 10_000:04}", to=OURS)
        await trio.sleep_until(began + (start / burst + 1) * _TICK_S)


async def _decided(installation: Installation, pending: int) -> tuple[int, int, float]:
    """Return (cases approved, approvals too many, when) once every text has been stored, or patience has ended."""
    rows = Rows.of(installation.file)
    with trio.move_on_after(_PATIENCE_S):
        while (await trio.to_thread.run_sync(rows.read, lambda tx: tx.one(_TAKEN)))[0] < 2 * pending:
            await trio.sleep(_LOOK_S)
    decided = perf_counter()
    found = rows.read(lambda tx: tx.one(_APPROVED))
    assert found is not None
    return int(found[1]), int(found[0]) - int(found[1]), decided
