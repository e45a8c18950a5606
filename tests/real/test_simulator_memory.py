"""The simulator's memory under traffic that does not end, in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.simulator import measure

pytestmark = pytest.mark.real
SUBMITS = 50_000
NOISE_MB = 8.0


def test_memory_stands_still_once_the_rings_are_full(tmp_path: Path) -> None:
    """H4: eleven times the traffic that fills every ring takes no more memory."""
    scenario = tmp_path / "scenario.toml"
    scenario.write_text("[bounds]\nmessages = 2000\nhandset_parts = 2000\npdus = 2000\n")
    found = measure(SUBMITS, receipt_delay=0.05, scenario=scenario)
    assert found["rss_mb"] < found["warm_rss_mb"] + NOISE_MB
