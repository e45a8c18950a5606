"""The commands that read and write rows: keys, applications, trace, send, replay, binds; and what they print."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from engine.apikeys import parse_key
from engine.cli import app
from engine.clock import SystemClock
from engine.commands import showing
from engine.commands.init import first_key, lay_out
from engine.commands.rows import Rows
from engine.errors import Conflict, EngineError, SettingsError
from engine.settings import load
from engine.store.connections import Database
from engine.transit.parking import park

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a fresh installation."""
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path / "sceau.toml")
    first_key(load(tmp_path / "sceau.toml", {}))
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def refusal(ran: Result) -> EngineError:
    assert ran.exit_code == 1
    assert isinstance(ran.exception, EngineError)
    return ran.exception


def test_init_shows_a_key_that_opens_the_api_and_only_the_first_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    [shown] = [parse_key(line) for line in CliRunner().invoke(app, ["init"]).stdout.splitlines() if parse_key(line)]
    assert shown is not None
    rows = Rows.of(None)
    listed = json.loads(CliRunner().invoke(app, ["keys", "list", "--json"]).stdout)
    assert [(row["id"], row["application_id"]) for row in listed] == [(shown.id, "app_default")]
    Path("sceau.toml").unlink()
    again = CliRunner().invoke(app, ["init"])
    assert again.exit_code == 0
    assert "app_default has keys already" in again.stdout
    assert Database.at(rows.settings.store_url) == rows.database


def test_a_key_is_alone_on_standard_output_and_revoked_by_its_id(run: Run) -> None:
    ran = run("keys", "create", "--name", "shop", "--scope", "verify:start", "--days", "30")
    made = parse_key(ran.stdout.strip())
    assert made is not None
    assert made.id in ran.stderr
    assert run("keys", "revoke", made.id).exit_code == 0
    [row] = [row for row in json.loads(run("keys", "list", "--json").stdout) if row["id"] == made.id]
    assert (row["name"], row["scopes"]) == ("shop", ["verify:start"])
    assert row["revoked_at"] is not None
    assert "no such key" in str(refusal(run("keys", "revoke", made.id)))
    assert "revoked" in run("keys", "list").stdout


def test_what_is_no_scope_no_address_and_no_application_is_refused(run: Run) -> None:
    assert isinstance(refusal(run("keys", "create", "--scope", "everything")), SettingsError)
    assert isinstance(refusal(run("keys", "create", "--address", "home")), SettingsError)
    assert isinstance(refusal(run("keys", "create", "--application", "app_none")), Conflict)
    assert isinstance(refusal(run("applications", "create", "x", "--id", "tenant one")), SettingsError)


def test_applications_are_opened_once_and_listed(run: Run) -> None:
    assert run("applications", "create", "Courier", "--id", "app_courier").stdout.strip() == "app_courier"
    assert isinstance(refusal(run("applications", "create", "Courier", "--id", "app_courier")), Conflict)
    assert [row["id"] for row in json.loads(run("applications", "list", "--json").stdout)] == [
        "app_courier",
        "app_default",
    ]
    assert "Courier" in run("applications", "list").stdout


def test_a_message_is_queued_for_the_server_to_send_and_can_be_traced(run: Run) -> None:
    ran = run("send", "+33612345678", "Bonjour", "--category", "otp")
    assert ran.exit_code == 0
    message_id = ran.stdout.strip()
    assert "no server runs here" in ran.stderr
    traced = run("trace", message_id)
    assert f"message {message_id}: queued" in traced.stdout
    [entry] = json.loads(run("trace", message_id, "--json").stdout)
    assert (entry["what"], entry["category"]) == ("message.queued", "otp")
    assert isinstance(refusal(run("trace", "msg_0")), Conflict)


def test_a_message_that_the_api_would_refuse_is_refused_by_its_code_and_without_its_number(run: Run) -> None:
    error = refusal(run("send", "+33612", "Bonjour"))
    assert "impossible_number" in str(error) or "invalid_number" in str(error)
    assert "+33612" not in str(error)
    assert "sender_unknown" in str(refusal(run("send", "+33612345678", "x", "--sender", "nobody")))
    assert isinstance(refusal(run("send", "+33612345678", "x", "--application", "app_none")), Conflict)
    assert "text: " in str(refusal(run("send", "+33612345678", "")))


def test_parked_deliveries_are_listed_and_one_that_cannot_be_opened_stays(run: Run) -> None:
    assert run("replay").stdout.strip() == "nothing is parked"
    rows = Rows.of(None)
    sealed = "k0.AAAA.AAAA"  # with a key of another ring
    now = SystemClock().now()
    rows.write(lambda tx: park(tx, [("mo_1", "simulator", "simulator/main", sealed, "ValueError", now)]))
    assert "ValueError" in run("replay").stdout
    assert "cannot be opened" in str(refusal(run("replay", "mo_1")))
    assert "no parked delivery" in str(refusal(run("replay", "mo_2")))
    assert "mo_1" in run("replay").stdout


def test_binds_needs_a_server_that_runs(run: Run) -> None:
    assert "no server runs here" in str(refusal(run("binds")))
    assert "does not tell of binds" in str(refusal(run("binds", "--operations", "http://127.0.0.1:1")))


def test_a_database_that_is_not_there_yet_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path / "sceau.toml")
    assert "sceau serve" in str(refusal(CliRunner().invoke(app, ["keys", "list"])))


def test_a_timeline_shows_nothing_that_a_terminal_would_obey() -> None:
    """E23: controls and marks of reading direction of an operator's making are written out."""
    nasty = "a\x1b[31mb\u202ec\u2066d\r\ne[bold]f\x9bg\u200b"
    out = io.StringIO()
    entry = {"at": "2026-11-23T07:00:00.000Z", "what": "receipt", "error": nasty, "subject_id": "msg_1"}
    Console(file=out, width=200).print(showing.timeline([entry], nasty))
    shown = out.getvalue()
    assert not set(shown) & set("\x1b\u202e\u2066\r\x9b\u200b")
    assert shown.count("\\u202e") == 2
    assert "e[bold]f" in shown
    assert "msg_1" not in shown
    Console(file=out, width=200).print(showing.timeline([entry], "", ids=True))
    assert "subject_id=msg_1" in out.getvalue()


@pytest.mark.parametrize(
    "command",
    [
        "",
        "init",
        "serve",
        "demo",
        "keys",
        "keys create",
        "applications",
        "binds",
        "send",
        "trace",
        "replay",
        "config",
        "handover client",
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    ran = CliRunner().invoke(app, [*command.split(), "--help"])
    assert ran.exit_code == 0
    assert "Usage" in ran.output
