"""Processes that a command starts and ends: a server or a simulator that says in one JSON line where it listens.

A child sees no `SCEAU_` variable of its parent, so that it has its own settings alone, and never outlives the block.
"""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio

from engine.errors import EngineError
from engine.settings import environment_without_settings

_LINE_S: Final = 30.0
_LONGEST_LINE: Final = 65_536
_TAIL_OCTETS: Final = 2_000


class ChildFailed(EngineError):
    """A child said nothing, not what it should, or ended when it should not."""

    code = "child_failed"


@dataclass(slots=True)
class Child:
    """A running process. Its logs go to a file."""

    process: trio.Process
    log: Path

    async def line(self) -> dict[str, Any]:
        """Return its next line of output; raises `ChildFailed` if none comes in time or it is no JSON."""
        assert self.process.stdout is not None
        text = b""
        with trio.move_on_after(_LINE_S):
            while not text.endswith(b"\n") and len(text) < _LONGEST_LINE:
                octets = await self.process.stdout.receive_some(1)
                if not octets:
                    break
                text += octets
        try:
            said: dict[str, Any] = json.loads(text)
        except ValueError:
            raise ChildFailed(f"{self._name} did not start:\n{self.tail()}") from None
        return said

    async def end(self, within_s: float) -> int:
        """Ask it to end and return its exit code; raises `ChildFailed` if it takes longer."""
        self.process.send_signal(signal.SIGTERM)
        with trio.move_on_after(within_s):
            return await self.process.wait()
        raise ChildFailed(f"{self._name} did not end within {within_s:.0f} s")

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_bytes()[-_TAIL_OCTETS:].decode(errors="replace")

    @property
    def _name(self) -> str:
        return self.log.stem


@asynccontextmanager
async def child(module: str, arguments: Sequence[str], log: Path) -> AsyncIterator[Child]:
    """Run `python -m module …`; killed at the end of the block if it still runs."""
    with log.open("ab") as errors:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-P", "-m", module, *arguments],  # -P: not what lies in the present folder
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment_without_settings(),
        )
    try:
        yield Child(process, log)
    finally:
        if process.poll() is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            assert process.stdout is not None
            await process.stdout.aclose()
