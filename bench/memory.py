"""The memory of a server on a queue of a million messages: filled by this process, served by a fresh one.

The whole server (`sceau serve`) is measured, from its start and while it sends: the largest of its resident set sizes,
looked at several times a second. `peak_mb` is the kernel's high-water mark, which catches instants too.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from time import perf_counter

from bench.installation import engine, fill, lay_out
from bench.operators import operator

_LOOK_S = 0.2


def measure(messages: int = 1_000_000, seconds: float = 15.0) -> dict[str, float]:
    """Return `rss_mb`, `peak_mb`, and `empty_mb` of a server that has nothing to do."""
    with tempfile.TemporaryDirectory(prefix="sceau-bench-") as folder, operator(0.001) as (port, _control):
        installation = lay_out(Path(folder), port)
        with engine(installation) as running:
            empty = _resident_mb(running.pid, "VmRSS")
        fill(installation, messages)
        with engine(installation) as running:
            most, ends = 0.0, perf_counter() + seconds
            while perf_counter() < ends:
                most = max(most, _resident_mb(running.pid, "VmRSS"))
                time.sleep(_LOOK_S)
            return {"rss_mb": most, "peak_mb": _resident_mb(running.pid, "VmHWM"), "empty_mb": empty}


def _resident_mb(pid: int, which: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [kib] = [line.split()[1] for line in lines if line.startswith(f"{which}:")]
    return int(kib) * 1024 / 1e6
