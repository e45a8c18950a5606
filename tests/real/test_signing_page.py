"""The commands of docs/signing.md, and of reverse verifications in docs/integrate.md, run in a shell as they stand
there, against a server and a simulated operator.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import trio
from rich.console import Console

from engine.commands.stage import Stage, expect, perform
from tests.test_docs import FOLDER, blocks

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]


class Shell:
    """A shell in a folder of its own, whose variables are an integrator's."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        key = stage.api.headers["Authorization"].removeprefix("Bearer ")
        self.variables = {"PATH": os.environ["PATH"], "SCEAU_KEY": key}

    async def run(self, command: str) -> Any:
        """Run one block of the page; return its output's JSON, None if it has none."""
        shown = command.replace("http://127.0.0.1:8080", str(self.stage.api.base_url).rstrip("/"))
        ran = await trio.run_process(
            ["bash", "-euc", shown], cwd=self.folder, env=self.variables, capture_stdout=True, capture_stderr=True
        )
        return json.loads(ran.stdout) if ran.stdout else None


async def prove_a_number(shell: Shell) -> None:
    """Run the commands of integrate.md as an integrator whose user sends the code."""
    start, read = blocks(FOLDER / "integrate.md", "bash")
    case = await shell.run(start)
    shell.variables |= {"REVERSE": case["id"], "SECRET": case["secret"]}
    written = {"text": case["text"], "to": case["number"]}
    expect(202, await shell.stage.handsets.post("/handsets/+33612345678/send", json=written))
    shown = await shell.run(read)
    assert (shown["state"], shown["from"], shown["claimed"]) == ("approved", "+33612345678", case["claimed"])


def test_the_commands_of_the_pages_have_a_document_signed_by_two_and_a_number_proven(tmp_path: Path) -> None:
    create, send, sign, download = blocks(FOLDER / "signing.md", "bash")
    (tmp_path / "bail.pdf").write_bytes(b"%PDF-1.7 a lease")

    async def play(stage: Stage) -> None:
        shell = Shell(stage, tmp_path)
        made = await shell.run(create)
        _anna, boris = made["signings"]
        shell.variables |= {"REQUEST": made["id"], "SIGNING": boris["id"]}
        await shell.run(send)
        shell.variables["CODE"] = (await stage.text("+33612345672", "Bail"))["code"]
        signed = await shell.run(sign)
        assert [one["state"] for one in signed["signings"] if one["id"] == boris["id"]] == ["signed"]
        # Anna answers her invitation, then the code: no page, no call.
        await stage.handsets.get("/handsets/+33612345671/messages", params={"wait_s": 20})
        await stage.handsets.post("/handsets/+33612345671/send", json={"text": "oui"})
        code = (await stage.text("+33612345671", "Bail"))["code"]
        await stage.handsets.post("/handsets/+33612345671/send", json={"text": f"OUI {code}"})
        completed = await stage.receiver.until("signature.completed", made["id"])
        assert completed.body["data"]["state"] == "completed"
        await shell.run(download)
        await prove_a_number(shell)  # here, since another server would take seconds to start

    perform(Console(file=io.StringIO()), play)
    with zipfile.ZipFile(tmp_path / "bail-evidence.zip") as bundle:
        assert {"chain.jsonl", "dossier.pdf", "manifest.sig"} <= set(bundle.namelist())
