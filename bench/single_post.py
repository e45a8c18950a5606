"""Requests a second of single `POST /v1/messages`, each answered 202 after its commit, over 16 keep-alive connections.

The engine is `sceau serve`, sending meanwhile what it accepted; the caller is this process, one loop over sockets.
"""

from __future__ import annotations

import selectors
import tempfile
from pathlib import Path
from time import perf_counter

from bench.installation import TEXT, engine, lay_out
from bench.operators import operator
from bench.posting import Caller, post

CONNECTIONS = 16
_STALL_S = 15.0


def measure(requests: int = 15_000) -> dict[str, float]:
    """Return `per_s`, and the answers' `p50_ms` and `p99_ms` as the caller sees them."""
    with tempfile.TemporaryDirectory(prefix="sceau-bench-") as folder, operator(0.001) as (port, _control):
        installation = lay_out(Path(folder), port)
        with engine(installation) as running:
            _blast(running.port, installation.key, requests // 10)
            seconds, latencies = _blast(running.port, installation.key, requests)
    latencies.sort()
    return {
        "per_s": requests / seconds,
        "p50_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1e3,
    }


def _blast(port: int, key: str, requests: int) -> tuple[float, list[float]]:
    bodies = [
        post("/v1/messages", key, {"to": f"+336123456{number:02}", "text": TEXT, "category": "transactional"})
        for number in range(100)
    ]
    selector = selectors.DefaultSelector()
    callers = [Caller(port) for _ in range(CONNECTIONS)]
    sent_at: dict[Caller, float] = {}
    latencies: list[float] = []
    sent = 0

    def send(caller: Caller) -> None:
        nonlocal sent
        sent_at[caller] = perf_counter()
        old = caller.socket
        if old.fileno() >= 0 and old in selector.get_map():
            selector.unregister(old)
        caller.send(bodies[sent % len(bodies)])
        selector.register(caller.socket, selectors.EVENT_READ, caller)
        sent += 1

    began = perf_counter()
    for caller in callers:
        send(caller)
    while len(latencies) < requests:
        ready = selector.select(_STALL_S)
        if not ready:
            raise TimeoutError(f"no answer for {_STALL_S} s")
        for chosen, _ in ready:
            caller = chosen.data
            if caller.receive() is None:
                continue
            latencies.append(perf_counter() - sent_at[caller])
            if sent < requests:
                send(caller)
    seconds = perf_counter() - began
    selector.close()
    for caller in callers:
        caller.close()
    return seconds, latencies
