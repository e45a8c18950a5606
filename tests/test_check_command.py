"""`smppsim check` as a command over real TCP: what it prints, and its exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import trio
from typer.testing import CliRunner

from engine.smpp.pdu import BindTransceiver, SubmitSmResp, Unbind
from smppsim.check.rules import Contract, rules
from smppsim.cli import app
from tests.smppsim_client import Client, submit_sm

DEADLINE_S = 60


def test_the_list_names_every_row() -> None:
    result = CliRunner().invoke(app, ["check", "--list"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert all(rule.id in result.stdout for rule in rules(Contract()))


def test_ids_of_rows_are_distinct_and_name_their_source() -> None:
    table = rules(Contract())
    assert len({rule.id for rule in table}) == len(table)
    assert all(rule.source for rule in table)


def test_a_row_that_does_not_exist_is_said_so() -> None:
    result = CliRunner().invoke(app, ["check", "--rows", "bind-*,nonsense"])
    assert result.exit_code == 2
    assert "nonsense" in result.stderr


@pytest.mark.real
def test_a_check_that_saw_nobody_has_not_passed() -> None:
    result = CliRunner().invoke(app, ["check", "--port", "0", "--for", "1", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["clients"] == []


async def _checked(text: bytes) -> tuple[int, dict[str, object]]:
    """Be a client of `smppsim check --passive` for a moment; its exit code and report."""
    command = [sys.executable, "-m", "smppsim", "check", "--port", "0", "--account", "demo:demo", "--json"]
    command += ["--passive", "--for", "4", "--rows", "bind-*,octets,state"]
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True)  # noqa: ASYNC220 - it only forks
    with process:
        assert process.stderr is not None
        waiting = await trio.to_thread.run_sync(process.stderr.readline)
        port = re.search(r":(\d+), account demo / demo", waiting)
        assert port is not None, waiting
        client = Client(await trio.open_tcp_stream("127.0.0.1", int(port[1])))
        await client.ask(BindTransceiver(b"demo", b"demo"))
        _, answer = await client.ask(submit_sm("")._replace(short_message=text))
        assert isinstance(answer, SubmitSmResp)
        await client.send(Unbind())
        await client.stream.aclose()
        output, _ = await trio.to_thread.run_sync(process.communicate)
    return process.returncode, json.loads(output)


@pytest.mark.real
@pytest.mark.parametrize(("text", "code", "verdict"), [(b"hello", 0, "right"), (b"h\xe9llo", 1, "wrong")])
async def test_a_client_is_judged_over_tcp(text: bytes, code: int, verdict: str) -> None:
    with trio.fail_after(DEADLINE_S):
        exit_code, report = await _checked(text)
    rows = {row["id"]: row["verdict"] for row in report["rows"]}  # type: ignore[attr-defined]
    assert rows == {"bind-first": "right", "bind-fields": "right", "state": "right", "octets": verdict}
    assert exit_code == code
