"""`sceau demo`: the whole way of one code, in one command, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.commands.demo import WHOLE_S
from engine.settings import environment_without_settings

pytestmark = pytest.mark.real


def demo(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the demo with its temporary folders in `folder`."""
    environment = {**environment_without_settings(), "TMPDIR": str(folder), **variables}
    command = [sys.executable, "-m", "engine", "demo", *arguments]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=WHOLE_S + 30, check=False
    )


def test_the_demo_takes_a_code_to_a_handset_and_back_and_leaves_nothing_behind(tmp_path: Path) -> None:
    # A database of somebody's own is none of its business.
    ran = demo(tmp_path, "--phone", "+61491570156", "--language", "fr", SCEAU_DATABASE_URL="sqlite:////nowhere/else.db")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1] == "approved"
    assert "✗" not in ran.stdout
    for step in (
        "smppsim serve",
        "sceau serve",
        "POST /v1/verifications",
        "submit_sm",
        "checks",
        "signature",
        "timeline",
    ):
        assert step in ran.stdout
    for entry in ("submit_sm_resp", "receipt", "check", "verification.approved", "webhook.delivered"):
        assert entry in ran.stdout.partition("timeline")[2]
    assert "+61491570156" not in ran.stdout  # the timeline and the steps show it masked
    assert list(tmp_path.iterdir()) == []


def test_the_demo_refuses_what_is_no_number(tmp_path: Path) -> None:
    ran = demo(tmp_path, "--phone", "12")
    assert ran.returncode == 2
    assert ran.stderr.startswith("sceau: --phone: ")
    assert list(tmp_path.iterdir()) == []


def test_a_step_that_fails_fails_the_demo(tmp_path: Path) -> None:
    ran = demo(tmp_path, "--language", "tlh")  # no text in Klingon: the API refuses to start
    assert ran.returncode == 2
    assert "approved" not in ran.stdout
    assert "POST /v1/verifications: 422, not 201" in ran.stderr
    assert list(tmp_path.iterdir()) == []
