"""How long a code takes from its request, read whole, to its submit_sm at the socket: idle, beside bulk, capped.

The engine is `sceau serve` under `probe`, operator and caller are other processes. Codes come at random (Poisson,
seeded), half by `POST /v1/verifications`, half by `POST /v1/messages`, one part each, every one to another number.
"""

from __future__ import annotations

import json
import math
import random
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, local
from time import perf_counter
from typing import Any, NamedTuple

from bench.installation import engine, fill, lay_out
from bench.operators import operator
from bench.posting import Caller, post
from bench.probe import CODE_PREFIX

SEED = 38123
WINDOW = 100
CAP_PER_S = 50
BULK_MESSAGES = 100_000
PHASES = 6  # with codes, each after one without them, to compare what bulk does
_PAUSE_SHARE = 7
_LEAST_PAUSE_S = 2.0
_SETTLE_S = 2.0
_CALLERS = 8
_one_at_a_time = Lock()  # alembic keeps its context in a global


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds from read to write; and, over `bulk_kept`, bulk's rate beside codes as a share of its rate alone."""

    p50: float
    p99: float
    worst: float
    p99_from_caller: float  # from the caller's send: it also counts the time until the engine looked at the socket
    bulk_per_s: float = 0.0
    bulk_kept: float = 0.0

    def rest(self) -> str:
        """Return what stands beside the p99, in words."""
        return f"p50 {self.p50:.1f}, worst {self.worst:.1f}; from the caller's send: p99 {self.p99_from_caller:.1f} ms"


class Site(NamedTuple):
    """Where a run takes place: the ports of the engine's API and of the operator's control, and a key."""

    port: int
    control: int
    key: str


Beside = Callable[[Site], AbstractContextManager[None]]
"""What goes on beside the codes; it is entered before the first of them and left after the last."""


def _nothing(_site: Site) -> AbstractContextManager[None]:
    return nullcontext()


def idle(codes: int = 500, per_s: float = 2.0, beside: Beside = _nothing) -> Latencies:
    """Codes alone, or beside something else than messages."""
    return _play(codes, per_s, response_s=0.001, beside=beside)


def capped(codes: int = 500, per_s: float = 2.0) -> Latencies:
    """Codes on a bind of 50 PDU/s that bulk keeps full, 20 ms from the operator."""
    backlog = int(CAP_PER_S * (codes / per_s * 1.3 + 15))
    return _play(codes, per_s, response_s=0.020, rate=CAP_PER_S, backlog=backlog)


def saturated(codes: int = 500, per_s: float = 2.0, backlog: int = BULK_MESSAGES, phases: int = PHASES) -> Latencies:
    """Codes on an uncapped bind that bulk saturates; the queue begins at `backlog` and is kept above half of it."""
    return _play(codes, per_s, response_s=0.001, backlog=backlog, keep=backlog // 2, phases=phases)


def quiet(codes: int = 500, per_s: float = 2.0) -> tuple[Latencies, Latencies]:
    """`idle` and `capped` side by side, which takes half the time and makes neither of them faster."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(idle, codes, per_s), pool.submit(capped, codes, per_s)
        return first.result(), second.result()


def _play(
    codes: int,
    per_s: float,
    *,
    response_s: float,
    rate: float | None = None,
    backlog: int = 0,
    keep: int = 0,
    phases: int = 1,
    beside: Beside = _nothing,
) -> Latencies:
    with (
        tempfile.TemporaryDirectory(prefix="sceau-bench-") as folder,
        operator(response_s) as (port, control),
    ):
        with _one_at_a_time:
            installation = lay_out(Path(folder), port, window=WINDOW, rate=rate)
        fill(installation, backlog)
        output = Path(folder) / "seen.json"
        probe = (sys.executable, "-m", "bench.probe", str(installation.file), str(output), str(keep), str(backlog))
        with engine(installation, *probe) as running:
            time.sleep(_SETTLE_S)
            pause_s = max(_LEAST_PAUSE_S, codes / per_s / phases / _PAUSE_SHARE) if keep else 0.0
            with beside(Site(running.port, control, installation.key)):
                sent, spans = send_codes(running.port, installation.key, codes, per_s, phases, pause_s)
            time.sleep(_SETTLE_S)
        seen = json.loads(output.read_text())
    return figures_of(sent, seen, spans if keep else [])


def send_codes(
    port: int, key: str, codes: int, per_s: float, phases: int = 1, pause_s: float = 0.0, first: int = 0
) -> tuple[dict[str, float], list[tuple[float, float, float]]]:
    """Send every code at its instant, to numbers from `first` on; return the instants, and of each phase: pause, codes'
    begin, end.
    """
    dice = random.Random(SEED)
    mine = local()
    sent: dict[str, float] = {}
    spans: list[tuple[float, float, float]] = []

    def call(number: str, request: bytes) -> None:
        if not hasattr(mine, "caller"):
            mine.caller = Caller(port)
        sent[number] = perf_counter()
        mine.caller.call(request)

    requests = _requests(key, first, codes)
    with ThreadPoolExecutor(_CALLERS) as callers:
        calls = []
        for phase in range(phases):
            paused = perf_counter()
            time.sleep(pause_s)
            due = begun = perf_counter()
            for _ in range(codes * (phase + 1) // phases - codes * phase // phases):
                due += dice.expovariate(per_s)
                time.sleep(max(0.0, due - perf_counter()))
                calls.append(callers.submit(call, *next(requests)))
            spans.append((paused, begun, perf_counter()))
        for one in calls:
            one.result()
    return sent, spans


def _requests(key: str, first: int, codes: int) -> Iterator[tuple[str, bytes]]:
    for number in range(first, first + codes):
        to = f"{CODE_PREFIX}{number:03}"
        body: dict[str, Any] = {"to": f"+{to}"}
        if number % 2:
            body |= {"text": f"{number:06} is your code.", "category": "otp", "ttl_s": 300}
            yield to, post("/v1/messages", key, body)
        else:
            yield to, post("/v1/verifications", key, body)


def figures_of(sent: dict[str, float], seen: dict[str, Any], spans: list[tuple[float, float, float]]) -> Latencies:
    """Return how long the codes took that were sent at these instants, by what the probe has seen."""
    read, written = seen["read"], seen["written"]
    missing = sent.keys() - written.keys()
    assert not missing, f"{len(missing)} of {len(sent)} codes never left"
    inside = sorted((written[number] - read[number]) * 1e3 for number in sent)
    outside = sorted((written[number] - at) * 1e3 for number, at in sent.items())
    alone = beside = 0.0
    if spans:
        alone = _rate(seen["samples"], [(paused, begun) for paused, begun, _ in spans])
        beside = _rate(seen["samples"], [(begun, ended) for _, begun, ended in spans])
    return Latencies(
        p50=inside[len(inside) // 2],
        p99=_p99(inside),
        worst=inside[-1],
        p99_from_caller=_p99(outside),
        bulk_per_s=beside,
        bulk_kept=beside / alone if alone else 0.0,
    )


def _p99(ascending: list[float]) -> float:
    return ascending[math.ceil(len(ascending) * 0.99) - 1]


def _rate(samples: list[tuple[float, int]], spans: list[tuple[float, float]]) -> float:
    """Return bulk submits a second within the spans."""
    instants = [at for at, _ in samples]
    count = seconds = 0.0
    for begin, end in spans:
        first, last = bisect_left(instants, begin), bisect_left(instants, end) - 1
        if last > first:
            count += samples[last][1] - samples[first][1]
            seconds += samples[last][0] - samples[first][0]
    return count / seconds if seconds else 0.0
