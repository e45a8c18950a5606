"""The `sceau` command: what `init` lays out, what `config show` prints, how errors end."""

from __future__ import annotations

import ast
import json
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from typer.testing import CliRunner

from engine.cli import app, main
from engine.commands.init import lay_out
from engine.errors import Conflict, SettingsError
from engine.keyring import KeyRing
from engine.settings import load
from engine.settings_warnings import start_warnings

RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_writes_settings_that_load_without_a_warning(folder: Path) -> None:
    ran = RUNNER.invoke(app, ["init"])
    assert ran.exit_code == 0
    settings = load(None, {})
    assert start_warnings(settings) == ()
    assert settings.environment == "development"
    assert settings.account("simulator").kind == "simulator"
    assert KeyRing.load(settings.keyring_file).current_kid


def test_everything_that_init_writes_is_for_the_owner_alone(folder: Path) -> None:
    """S26: file modes of secrets."""
    laid_out = lay_out(folder / "sceau.toml")
    assert {path.stat().st_mode & 0o777 for path in laid_out.made} == {0o600}
    assert laid_out.keyring.parent.stat().st_mode & 0o777 == 0o700


def test_the_simulator_gets_the_account_that_the_settings_bind_to(folder: Path) -> None:
    laid_out = lay_out(folder / "sceau.toml")
    (account,) = tomllib.loads(laid_out.simulator.read_text())["accounts"]
    bind = load(laid_out.settings, {}).account("simulator").binds[0]
    assert account == {"system_id": bind.system_id, "password": bind.password.get_secret_value()}
    assert len(account["password"]) == 8


def test_the_settings_file_explains_itself(folder: Path) -> None:
    text = lay_out(folder / "sceau.toml").settings.read_text()
    assert text.startswith("# Settings of Sceau.")
    assert "# PDUs a second" in text or "PDUs a second" in text


def test_the_model_of_leads_that_it_shows_is_one(folder: Path) -> None:
    path = lay_out(folder / "sceau.toml").settings
    path.write_text(path.read_text().replace("# [[lead_models", "[[lead_models", 1))
    with pytest.raises(SettingsError, match=r"lead_models\.fair"):
        load(path, {})  # half of it is none
    kept, _, model = path.read_text().partition("[[lead_models")
    path.write_text(kept + "[[lead_models" + model.replace("\n# ", "\n"))
    assert [one.name for one in load(path, {}).lead_models] == ["fair"]
    shown = tomllib.loads(RUNNER.invoke(app, ["config", "show"]).stdout)["lead_models"]["fair"]
    assert shown["questions"][0]["points"] == {"A": 1, "B": 5}


def test_init_never_touches_a_settings_file_that_is_there(folder: Path) -> None:
    (folder / "sceau.toml").write_text("# mine\n")
    with pytest.raises(Conflict, match="nothing was changed"):
        lay_out(folder / "sceau.toml")
    assert [path.name for path in folder.iterdir()] == ["sceau.toml"]
    assert (folder / "sceau.toml").read_text() == "# mine\n"


def test_init_keeps_a_key_ring_that_is_there(folder: Path) -> None:
    first = lay_out(folder / "sceau.toml")
    ring = KeyRing.load(first.keyring)
    first.settings.unlink()
    second = lay_out(folder / "sceau.toml")
    assert KeyRing.load(second.keyring) == ring
    assert second.keyring not in second.made


def test_init_says_nothing_secret(folder: Path) -> None:
    ran = RUNNER.invoke(app, ["init"])
    password = load(None, {}).account("simulator").binds[0].password.get_secret_value()
    assert password not in ran.output


def test_config_show_prints_every_setting_and_no_secret(folder: Path) -> None:
    """S26: a dump of the settings is masked."""
    lay_out(folder / "sceau.toml")
    password = load(None, {}).account("simulator").binds[0].password.get_secret_value()
    as_toml, as_json = (RUNNER.invoke(app, ["config", "show", *more]) for more in ([], ["--json"]))
    assert as_toml.exit_code == as_json.exit_code == 0
    assert password not in as_toml.output + as_json.output
    assert tomllib.loads(as_toml.stdout)["http"]["port"] == 8080
    assert json.loads(as_json.stdout)["accounts"]["simulator"]["binds"]["main"]["password"] == "**********"


def test_config_show_warns_on_standard_error(folder: Path) -> None:
    ran = RUNNER.invoke(app, ["config", "show"])
    assert ran.exit_code == 0
    assert "warning: there are no accounts" in ran.stderr
    assert "warning" not in ran.stdout


def test_an_error_of_ours_is_one_line_and_no_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sceau", "config", "show", "--file", "none.toml"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert capsys.readouterr().err == "sceau: there is no settings file none.toml\n"


def test_the_version_is_told() -> None:
    ran = RUNNER.invoke(app, ["--version"])
    assert ran.exit_code == 0
    assert ran.stdout.startswith("sceau 0.")


def test_a_command_loads_what_it_needs_and_no_other_command() -> None:
    code = "import sys, engine.cli; print(*[name for name in sys.modules if name.startswith('engine.commands')])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []
    everything = RUNNER.invoke(app, ["--help"]).stdout
    assert {"init", "serve", "demo", "keys", "evidence", "config"} <= set(everything.split())
    assert "No such command 'sing'" in RUNNER.invoke(app, ["sing"]).stderr


def test_the_reference_client_of_couriers_is_printed_and_works_without_sceau(folder: Path) -> None:
    printed = RUNNER.invoke(app, ["handover", "client"]).stdout
    named = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(printed))
        for name in (
            [one.name for one in node.names] if isinstance(node, ast.Import)
            else [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert named - sys.stdlib_module_names == {"cryptography"}
    (folder / "handover_client.py").write_text(printed)
    client = runpy.run_path("handover_client.py")
    key, public = client["new_key"]()
    log = client["Log"](folder / "log.json", key, "dev_1", lambda: 1_800_000_000.0)
    log.enter("dlv_1", "courier-17", "482913")
    [entry] = log.body()["entries"]
    octets = client["ENTRY_LABEL"] + entry["content"].encode()
    Ed25519PublicKey.from_public_bytes(client["from_text"](public)).verify(
        client["from_text"](entry["signature"]), octets
    )
