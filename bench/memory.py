"""The memory of a server on a queue of a million messages: filled by this process, served by a fresh one.

The whole server (`sceau serve`) is measured while it sends, and what is kept is the most that it ever held (VmHWM).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.installation import engine, fill, lay_out
from bench.operators import operator


def measure(messages: int = 1_000_000, seconds: float = 15.0) -> dict[str, float]:
    """Return `rss_mb` at its most, `started_mb` right after the start, and `empty_mb` of a server that has nothing."""
    with tempfile.TemporaryDirectory(prefix="sceau-bench-") as folder, operator(0.001) as (port, _control):
        installation = lay_out(Path(folder), port)
        with engine(installation) as running:
            empty = _most_mb(running.pid)
        fill(installation, messages)
        with engine(installation) as running:
            started = _most_mb(running.pid)
            time.sleep(seconds)
            return {"rss_mb": _most_mb(running.pid), "started_mb": started, "empty_mb": empty}


def _most_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [kib] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(kib) * 1024 / 1e6
