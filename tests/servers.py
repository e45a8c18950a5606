"""A real `sceau serve` in a process of its own, on free ports, for tests that need sockets and a real clock.

It prints one JSON line with its addresses once everything listens; the keys of two tenants are put into its database
before it starts.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
import trio

from engine.apikeys import make_key
from engine.clock import SystemClock
from engine.keyring import KeyRing
from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.schema import migrate
from engine.store.transaction import Tx
from tests.api_client import ALICE, BOB, EVERYTHING, insert_key, put_application

COMMAND = [sys.executable, "-c", "from engine.cli import main; main()", "serve"]
STARTS_WITHIN_S = 60.0
ENDS_WITHIN_S = 30.0


@dataclass
class RunningServer:
    """Where the server answers, the keys of its two tenants, and the process."""

    api: str
    operations: str
    alice: str
    bob: str
    folder: Path
    process: subprocess.Popen[str]

    def end(self) -> int:
        """Ask it to end; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(ENDS_WITHIN_S)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(ENDS_WITHIN_S)


def write_settings(folder: Path, database_url: str, given: Mapping[str, Any]) -> Path:
    """Write a `sceau.toml` with free ports, one simulator account that nobody answers, and what is given over it."""
    bind = {"host": "127.0.0.1", "port": 1, "system_id": "sceau", "password": "unused-here"}
    tree: dict[str, Any] = {
        "data_dir": str(folder / "data"),
        "database_url": database_url,
        "http": {"port": 0},
        "operations": {"port": 0},
        "accounts": {"sim": {"kind": "simulator", "binds": {"main": bind}}},
        "senders": {"sceau": {"address": "Sceau", "accounts": ["sim"]}},
        **given,
    }
    path = folder / "sceau.toml"
    path.write_text(tomlkit.dumps(tree))
    path.chmod(0o600)
    (folder / "data").mkdir(mode=0o700, exist_ok=True)
    KeyRing.generate().save(folder / "data" / "keyring.toml", overwrite=True)
    return path


def put_tenants(database_url: str) -> tuple[str, str]:
    """Migrate the database and put two tenants into it; return a key of each, with every scope."""
    database = Database.at(database_url)
    migrate(database)
    clock = SystemClock()
    made = [make_key("test", clock.new_id("key"), clock.entropy) for _ in range(2)]

    def put(tx: Tx) -> None:
        for tenant, key in zip((ALICE, BOB), made, strict=True):
            put_application(tx, tenant, clock.now())
            insert_key(tx, key, tenant, EVERYTHING, clock.now())

    async def write() -> None:
        store = Store(database, inline=True)
        store.open()
        await store.write(put)
        await store.close()

    trio.run(write)
    return made[0].text, made[1].text


@contextmanager
def running_server(folder: Path, database_url: str, **given: Any) -> Iterator[RunningServer]:
    """Start a server in a folder and end it afterwards; raises `RuntimeError` with its last words if it does not."""
    settings = write_settings(folder, database_url, given)
    alice, bob = put_tenants(database_url)
    said = (folder / "stderr.txt").open("w")
    process = subprocess.Popen(
        COMMAND,
        cwd=folder,
        env=_environment(settings),
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
    )
    try:
        started = json.loads(_first_line(process, folder))
        yield RunningServer(started["api"], started["operations"], alice, bob, folder, process)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        assert process.stdout is not None
        process.stdout.close()
        said.close()


def _environment(settings: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SCEAU_")}
    return {**clean, "SCEAU_SETTINGS": str(settings), "PYTHONPATH": str(Path(__file__).parents[1])}


def _first_line(process: subprocess.Popen[str], folder: Path) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], STARTS_WITHIN_S)
    line = process.stdout.readline() if ready else ""
    if not line.startswith("{"):
        process.kill()
        raise RuntimeError(f"the server did not start: {line}{(folder / 'stderr.txt').read_text()[-2_000:]}")
    return line
