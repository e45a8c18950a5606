"""The commands of docs/leads.md, run in a shell as they stand there, against a server and a simulated operator."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from engine.clock import SystemClock, to_rfc3339
from engine.commands.stage import Stage, perform
from tests.real.test_signing_page import Shell
from tests.real.test_signing_page import pytestmark as needs_curl
from tests.test_docs import FOLDER, blocks

pytestmark = needs_curl


def test_the_commands_of_the_page_qualify_a_lead(tmp_path: Path) -> None:
    create, check, tell, read, funnel = blocks(FOLDER / "leads.md", "bash")
    now = to_rfc3339(SystemClock().now())

    async def play(stage: Stage) -> None:
        shell = Shell(stage, tmp_path)
        shell.variables |= {"NOW": now, "TODAY": now[:10]}
        shell.variables["LEAD"] = (await shell.run(create))["id"]
        shell.variables["CODE"] = (await stage.text("+33612345671"))["code"]
        assert (await shell.run(check))["state"] == "open"
        await stage.receiver.until("lead.question_asked", shell.variables["LEAD"])
        assert (await shell.run(tell))["intent"] == 40
        shown = await shell.run(read)
        assert (shown["asked"], shown["consented"]) == ("budget", True)
        [row] = (await shell.run(funnel))["data"]
        assert (row["created"], row["verified"], row["form"], row["source"]) == (1, 1, "demo", "fair")

    perform(Console(file=io.StringIO()), play)
