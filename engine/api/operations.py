"""The operations listener: /healthz (the process lives), /readyz (it can do its work), /metrics (Prometheus), /binds.

Plain ASGI without authentication, for loopback or a guarded network; nothing of a person is in it.
"""

import json
from typing import Any, Final

import trio
from sqlalchemy import select

from engine.api.context import Context
from engine.api.limits import App, Message, Receive, Send
from engine.api.stats import binds
from engine.api.types import as_json
from engine.metrics import CONTENT_TYPE
from engine.store.statements import Statement
from engine.store.tables_tenancy import Application
from engine.store.transaction import Tx

_READY_WITHIN_S: Final = 2.0
_JSON: Final = "application/json"


def build_operations(context: Context, draining: trio.Event) -> App:
    """Return the application; it is unready once `draining` is set, while binds are down, or when the store is."""

    async def missing() -> list[str]:
        found: list[str] = []
        if draining.is_set():
            found.append("draining")
        if not await _store_answers(context):
            found.append("store")
        if context.settings.accounts and not context.lines.bound():
            found.append("binds")
        return found

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        del receive
        if scope["type"] != "http":
            return
        path, method = scope["path"], scope["method"]
        if method not in {"GET", "HEAD"}:
            await _respond(send, 405, _JSON, b'{"code":"method_not_allowed"}')
        elif path == "/healthz":
            await _respond(send, 200, _JSON, b'{"status":"alive"}')
        elif path == "/readyz":
            lacks = await missing()
            body = json.dumps({"status": "unready" if lacks else "ready", "missing": lacks})
            await _respond(send, 503 if lacks else 200, _JSON, body.encode())
        elif path == "/binds":
            body = as_json({"data": binds(context)})
            await _respond(send, 200, _JSON, body.encode())
        elif path == "/metrics":
            await _respond(send, 200, CONTENT_TYPE, context.metrics.render())
        else:
            await _respond(send, 404, _JSON, b'{"code":"not_found"}')

    return answer


async def _store_answers(context: Context) -> bool:
    def nothing(tx: Tx) -> bool:
        return tx.one(_ANY) is None or True

    with trio.move_on_after(_READY_WITHIN_S):
        try:
            return await context.store.read(nothing)
        except Exception:
            return False
    return False


async def _respond(send: Send, status: int, kind: str, body: bytes) -> None:
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# Statements.

_application: Any = Application.__table__  # type: ignore[attr-defined]
_ANY: Final = Statement(lambda _: select(_application.c.id).limit(1))
