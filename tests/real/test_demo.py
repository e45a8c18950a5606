"""`sceau demo`: a code and a signature, each the whole way, in one command, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.commands.stage import WHOLE_S
from engine.evidence import standalone
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
    assert ran.stdout.splitlines()[-1] == "approved, signed, proven, handed over, qualified"
    assert "✗" not in ran.stdout
    for step in (
        "smppsim serve",
        "sceau serve",
        "POST /v1/verifications",
        "submit_sm",
        "checks",
        "Standard Webhooks signature",
        "timeline",
        "POST /v1/signature-requests",
        "signature.signed: sms_reply",
        "signature.signed: otp_web",
        "evidence.anchored",
        "ok: a posted head: kept outside the bundle, and the same",
        "POST /v1/reverse-verifications",
        "approved, mo_unauthenticated",
        "POST /v1/deliveries",
        "code_mismatch, 4 left",
        "POST /v1/leads",
        "20 of 25, qualified; intent 40 of 100",
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


def test_a_file_of_ones_own_is_signed_and_its_evidence_is_left_for_others_to_verify(tmp_path: Path) -> None:
    document = tmp_path / "contrat v2.1 (final).pdf"
    document.write_bytes(b"%PDF-1.7 a contract")
    ran = demo(tmp_path, "sign", "--document", document.name, "--phone", "+33612345671", "--language", "fr")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    [bundle] = tmp_path.glob("sceau-evidence-sig_*.zip")
    name = bundle.stem
    assert {path.name for path in tmp_path.iterdir()} == {
        document.name, f"{name}.zip", f"{name}.pem", f"{name}.jsonl",
    }  # fmt: skip
    (tmp_path / "verify_bundle.py").write_text(standalone.program())
    told = ["--trust", f"{name}.pem", "--head", f"{name}.jsonl", "--document", document.name]
    verify = [sys.executable, "-I", "verify_bundle.py", bundle.name, *told]
    verified = subprocess.run(verify, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout.splitlines()[-1]) == (0, "valid"), verified.stdout + verified.stderr
    document.write_bytes(b"%PDF-1.7 another")
    verified = subprocess.run(verify, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert verified.returncode == 1


@pytest.mark.parametrize("document", ["nothing.pdf", ".", "empty.pdf"])
def test_what_cannot_be_signed_is_refused_before_anything_starts(tmp_path: Path, document: str) -> None:
    (tmp_path / "empty.pdf").touch()
    ran = demo(tmp_path, "sign", "--document", document)
    assert ran.returncode == 2
    assert "--document" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty.pdf"]
