"""A whole installation in a folder, for the benchmarks: settings, keys, database, a queue; and `sceau serve` on it.

The engine runs as a process of its own, as in production; nothing is measured here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import tomlkit

from bench.operators import ACCOUNT, PASSWORD
from engine.clock import SECOND, SystemClock
from engine.commands.init import first_key
from engine.commands.rows import write
from engine.keyring import KeyRing
from engine.private_files import write_private
from engine.settings import Settings, load
from engine.store.connections import Database
from engine.store.transaction import Tx
from engine.tenancy import DEFAULT_APPLICATION
from engine.transit import queue
from engine.transit.pool import router_of
from engine.transit.queue import NewMessage
from engine.webhooks import endpoints

TEXT = "Votre colis arrive demain entre 9 h et 12 h. Suivi sur votre espace client."
BULK = 2
_SLICE = 1_000
_START_S = 30.0
_UNLIMITED = {"count": 1_000_000, "per_s": 1}


@dataclass(frozen=True, slots=True)
class Installation:
    """What `lay_out` made: the settings (and their file), the database, and a key with every scope."""

    file: Path
    settings: Settings
    database: Database
    key: str


def lay_out(
    folder: Path,
    smpp_port: int,
    *,
    window: int = 100,
    rate: float | None = None,
    endpoint: str | None = None,
    number: str | None = None,
) -> Installation:
    """Write an installation with one TRX bind to the operator; `endpoint` is a webhook URL to call in batch mode, and
    `number` one of ours, from which all is sent and which handsets can answer.
    """
    bind = {"host": "127.0.0.1", "port": smpp_port, "system_id": ACCOUNT, "password": PASSWORD, "window": window}
    account: dict[str, Any] = {"kind": "simulator", "binds": {"main": {**bind, "mode": "TRX"}}}
    if rate is not None:
        account["rate"] = rate
    tree: dict[str, Any] = {
        "data_dir": str(folder / "data"),
        "http": {"port": 0},
        "operations": {"port": 0},
        "logs": {"level": "error"},
        "accounts": {"sim": account},
        "senders": {"main": {"address": number or "Sceau", "accounts": ["sim"]}},
        "webhooks": {"allow_http": True, "allow_loopback": True, "ports": []},
        # What is measured is the engine, not its manners towards one caller.
        "limits": {"requests_per_key": _UNLIMITED},
    }
    if number is not None:
        tree["numbers"] = {"main": {"address": number, "application": DEFAULT_APPLICATION, "accounts": ["sim"]}}
    file = folder / "sceau.toml"
    write_private(file, tomlkit.dumps(tree))
    settings = load(file, environ={})
    keyring, clock = KeyRing.generate(), SystemClock()
    keyring.save(settings.keyring_file)
    key = first_key(settings)
    assert key is not None
    database = Database.at(settings.store_url)
    if endpoint is not None:
        spec = endpoints.EndpointSpec(endpoint, mode="batch")
        draft = endpoints.draft(DEFAULT_APPLICATION, spec, keyring, clock)
        write(database, lambda tx: endpoints.create(tx, draft))
    return Installation(file, settings, database, key)


def bulk(settings: Settings, clock: SystemClock, count: int) -> list[NewMessage]:
    """Return `count` marketing messages, as the API would make them."""
    plan = router_of(settings).plan("main", "+33612345600", "FR", None, BULK)
    assert isinstance(plan, str)
    now = clock.now()
    return [
        NewMessage(
            id=clock.new_id("msg"), application_id=DEFAULT_APPLICATION, case_id=None, category="marketing",
            message_class="marketing", lane=BULK, route=plan, recipient=f"+336123456{number % 100:02}", country="FR",
            sender="main", created_at=now, expires_at=now + 86_400 * SECOND, body=TEXT,
        )
        for number in range(count)
    ]  # fmt: skip


def fill(installation: Installation, count: int) -> None:
    """Queue `count` messages; the engine must not run."""
    clock = SystemClock()
    for first in range(0, count, _SLICE):
        rows = bulk(installation.settings, clock, min(_SLICE, count - first))
        write(installation.database, partial(_enqueue, rows))


def _enqueue(rows: Sequence[NewMessage], tx: Tx) -> None:
    queue.enqueue(tx, rows)


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine: the port of its API and its process id."""

    port: int
    pid: int


@contextmanager
def engine(installation: Installation, *command: str) -> Iterator[Engine]:
    """Run `sceau serve` (or another command that announces itself so) until it listens; stop it at the end."""
    serve = command or (str(Path(sys.executable).parent / "sceau"), "serve", "--file", str(installation.file))
    process = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        yield Engine(int(said["api"].rpartition(":")[2]), int(said["pid"]))
    finally:
        process.terminate()
        try:
            process.wait(_START_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
