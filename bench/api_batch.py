"""Messages a second from `POST /v1/messages/batch` to the last webhook: everything the engine does, all at once.

The engine is `sceau serve`; operator, caller and webhook endpoint are processes of their own. The clock runs from the
first request to the last event received, of which every message has two (accepted, delivered), in batch mode.
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

from sqlalchemy import func, select

from bench.installation import TEXT, Installation, engine, lay_out
from bench.operators import operator
from bench.posting import Caller, post
from bench.sink import heard, sink
from engine.store.statements import Statement
from engine.store.tables import Message
from engine.store.transaction import Tx
from engine.webhooks import replays

_CALLERS = 2
_BATCH = 1_000
_EVENTS_OF_ONE = 2
_LOOK_S = 0.2
_message: Any = Message.__table__  # type: ignore[attr-defined]
_OPEN = Statement(lambda _: select(func.count()).where(_message.c.final_at.is_(None)))
_DELIVERED = Statement(lambda _: select(func.count()).where(_message.c.state == "delivered"))


def measure(messages: int = 50_000, deadline_s: float = 120.0) -> dict[str, float]:
    """Return `per_s`, and `accepted_per_s`: how fast the API alone took the batches."""
    with (
        tempfile.TemporaryDirectory(prefix="sceau-bench-") as folder,
        operator(0.001) as (port, _control),
        sink() as url,
    ):
        installation = lay_out(Path(folder), port, endpoint=url)
        with engine(installation) as running:
            began = perf_counter()
            with ThreadPoolExecutor(_CALLERS) as callers:
                share = messages // _CALLERS
                list(callers.map(_call, [running.port] * _CALLERS, [installation.key] * _CALLERS, [share] * _CALLERS))
            accepted = perf_counter() - began
            seconds = _until_told(installation, url, messages, began, deadline_s)
    return {"per_s": messages / seconds, "accepted_per_s": messages / accepted}


def _call(port: int, key: str, messages: int) -> None:
    batch = [
        {"to": f"+336123456{number % 100:02}", "text": TEXT, "category": "marketing", "reference": f"order-{number}"}
        for number in range(_BATCH)
    ]
    request = post("/v1/messages/batch", key, {"messages": batch})
    caller = Caller(port)
    for _ in range(messages // _BATCH):
        answer = caller.call(request)
        assert answer.startswith(b'{"accepted":%d,' % _BATCH), answer[:200]
    caller.close()


def _until_told(installation: Installation, url: str, messages: int, began: float, deadline_s: float) -> float:
    """Return the seconds until every message was final and every event heard."""
    connection = installation.database.connect(read_only=True)
    try:
        tx = Tx(connection, installation.database.dialect)
        while perf_counter() - began < deadline_s:
            time.sleep(_LOOK_S)
            events, at = heard(url)
            if events >= messages * _EVENTS_OF_ONE and not _count(tx, _OPEN) and not replays.waiting(tx):
                assert _count(tx, _DELIVERED) == messages, "not every message was delivered"
                return at - began
        raise TimeoutError(f"{heard(url)[0]} events of {messages * _EVENTS_OF_ONE} after {deadline_s} s")
    finally:
        connection.close()


def _count(tx: Tx, statement: Statement) -> int:
    row = tx.one(statement)
    return 0 if row is None else int(row[0])
