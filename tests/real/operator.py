"""A simulated operator as a process of its own, with its HTTP control API, for servers that are started and killed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import tomlkit

from engine.commands.children import child

SYSTEM_ID = "sceau"
PASSWORD = "secret08"


@dataclass
class Operator:
    """Where it listens, and its control API."""

    port: int
    control: httpx2.AsyncClient

    async def deliveries(self) -> dict[str, int]:
        """Return how often each text really reached a handset."""
        rows = (await self.control.get("/deliveries")).json()
        return {row["text"]: row["count"] for row in rows}

    def settings(self, **bind: Any) -> dict[str, Any]:
        """Return the account that binds here, as `sceau.toml` has it."""
        given = {"host": "127.0.0.1", "port": self.port, "system_id": SYSTEM_ID, "password": PASSWORD, "window": 20}
        # Quick reconnects: a killed server comes back at once.
        return {"sim": {"kind": "simulator", "binds": {"main": {**given, **bind}}}}


@asynccontextmanager
async def operator(folder: Path, **behaviour: Any) -> AsyncIterator[Operator]:
    """Run one on any free port; `behaviour` as in its settings file."""
    account = {"system_id": SYSTEM_ID, "password": PASSWORD, "behaviour": behaviour}
    settings = folder / "smppsim.toml"
    settings.write_text(tomlkit.dumps({"accounts": [account]}))
    arguments = ["serve", "--port", "0", "--scenario", str(settings), "--json"]
    async with child("smppsim", arguments, folder / "smppsim.log") as process:
        said = await process.line()
        async with httpx2.AsyncClient(base_url=said["http"], trust_env=False, timeout=30) as control:
            yield Operator(said["port"], control)
