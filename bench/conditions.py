"""What the figures were measured on: processor, versions, disk, date, commit. Figures without them mean nothing."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter

from engine.clock import SystemClock, to_rfc3339
from engine.store.connections import sqlite_version

_SYNCS = 200
_BLOCK = os.urandom(8_192)
_FSYNC_LIMIT_MS = 2.0


def conditions() -> list[tuple[str, str]]:
    """Return names and values, in the order in which they are shown."""
    sync_ms = sync_median_ms()
    fit = "" if sync_ms <= _FSYNC_LIMIT_MS else f" (the figures hold up to {_FSYNC_LIMIT_MS:g} ms)"
    return [
        ("date", to_rfc3339(SystemClock().now())[:16] + "Z"),
        ("commit", _commit()),
        ("processor", f"{_processor()}, {len(os.sched_getaffinity(0))} cores"),
        ("load before", " ".join(f"{load:.2f}" for load in os.getloadavg())),
        ("system", f"{platform.system()} {platform.release().partition('-')[0]}, Python {platform.python_version()}"),
        ("SQLite", ".".join(map(str, sqlite_version())) + ", WAL, synchronous = FULL"),
        ("disk", f"fdatasync of 8 KiB: median {sync_ms:.2f} ms of {_SYNCS}{fit}"),
    ]


def sync_median_ms() -> float:
    """Return the median time in which the disk of the temporary folder keeps 8 KiB appended to a file."""
    spent = []
    with tempfile.TemporaryFile(prefix="sceau-bench-") as file:
        for _ in range(_SYNCS):
            file.write(_BLOCK)
            file.flush()
            began = perf_counter()
            os.fdatasync(file.fileno())
            spent.append(perf_counter() - began)
    return statistics.median(spent) * 1e3


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(("git", *arguments), capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = " and changes not committed" if git("status", "--porcelain", "--untracked-files=no") else ""
        return git("rev-parse", "--short", "HEAD") + changed
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
