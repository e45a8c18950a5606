"""The benchmark of the durable path ends when every message is delivered; its figures are nobody's business here."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.real
def test_the_durable_path_is_measured_to_its_end() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "bench.durable", "--count", "300"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert told.stdout.splitlines()[-1].endswith("msg/s")
