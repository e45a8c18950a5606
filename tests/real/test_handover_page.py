"""The commands of docs/handover.md, run in a shell as they stand there, against a server and a simulated operator."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from rich.console import Console

from engine.clock import HOUR, SystemClock, to_rfc3339
from engine.commands.stage import Stage, perform
from tests.real.test_signing_page import Shell
from tests.real.test_signing_page import pytestmark as needs_curl
from tests.test_docs import FOLDER, blocks

pytestmark = needs_curl


def test_the_commands_of_the_page_hand_a_parcel_over(tmp_path: Path) -> None:
    create, position, arriving, confirm, download = blocks(FOLDER / "handover.md", "bash")
    now = SystemClock().now()

    async def play(stage: Stage) -> None:
        shell = Shell(stage, tmp_path)
        shell.variables |= {"FROM": to_rfc3339(now), "TO": to_rfc3339(now + HOUR)}
        made = await shell.run(create)
        assert "id" in made, made
        shell.variables["DELIVERY"] = made["id"]
        assert (await shell.run(position))["state"] == "scheduled"
        assert (await shell.run(arriving))["state"] == "arriving"
        shell.variables["CODE"] = (await stage.text("+33612345671", "colis 4471"))["code"]
        await stage.receiver.until("handover.code_sent", shell.variables["DELIVERY"])
        assert (await shell.run(confirm))["state"] == "delivered"
        confirmed = await stage.receiver.until("handover.confirmed", shell.variables["DELIVERY"])
        assert confirmed.body["data"]["door"] == "code"
        await shell.run(download)

    perform(Console(file=io.StringIO()), play)
    with zipfile.ZipFile(tmp_path / "proof.zip") as bundle:
        assert {"chain.jsonl", "dossier.pdf", "manifest.sig"} <= set(bundle.namelist())


def test_the_client_of_the_page_logs_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [shown] = blocks(FOLDER / "handover-offline.md", "python")
    known: dict[str, object] = {}
    exec(compile(shown, "handover-offline.md", "exec"), known)  # our own page
    monkeypatch.chdir(tmp_path)
    key, _public = known["new_key"]()  # type: ignore[operator]
    told = [
        known["at_the_door"](key, "dev_1", "dlv_1", given, {}, lambda: 1.0)  # type: ignore[operator]
        for given in ("482913", "SCEAU1.e30.AAAA")
    ]
    assert told == [None, False]
    log = known["Log"](tmp_path / "log.json", key, "dev_1", lambda: 1.0)  # type: ignore[operator]
    assert [entry["value"] for entry in log.entries] == ["482913", "SCEAU1.e30.AAAA"]
