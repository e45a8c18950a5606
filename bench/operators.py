"""A simulated operator in a process of its own, for the benchmarks: started with fixed delays, stopped at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ACCOUNT = "bench"
PASSWORD = "bench123"


@contextmanager
def operator(response_delay_s: float = 0.0, receipt_delay_s: float = 0.0) -> Iterator[tuple[int, int]]:
    """Run `smppsim serve`; give its SMPP port and its control port."""
    command = [
        Path(sys.executable).parent / "smppsim", "serve", "--port", "0", "--http-port", "0", "--json",
        "--account", f"{ACCOUNT}:{PASSWORD}",
        "--response-delay", str(response_delay_s), "--receipt-delay", str(receipt_delay_s),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = json.loads(process.stdout.readline())
    try:
        yield int(said["port"]), int(said["http"].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()
