"""A webhook receiver on loopback that does what an integrator's should: verify the signature, then answer 204.

For the demo and the tests, where it stands in for the platform that calls the API.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import trio

from engine.api.limits import Message, Receive, Send
from engine.api.server import Listener, serve
from engine.clock import SECOND, Clock
from engine.settings_service import Http
from engine.webhooks.signing import BadSignature, verify

_KEPT: Final = 1_000
_PATH: Final = "/webhooks"


class Received(NamedTuple):
    """One genuine webhook: its id, its event's type and subject, and all of it."""

    webhook_id: str
    type: str
    subject_id: str
    body: dict[str, Any]


@dataclass(slots=True)
class Receiver:
    """Takes webhooks that one of its keys confirms; `until` waits for one of them. Repeated ids are taken once."""

    clock: Clock
    keys: Sequence[str] = ()
    genuine: dict[str, Received] = field(default_factory=dict)
    refused: int = 0
    _news: trio.Event = field(default_factory=trio.Event)

    async def serve(self, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen on any free port of loopback until cancelled; reports the URL."""
        async with trio.open_nursery() as nursery:
            addresses = await nursery.start(serve, self._answer, Listener("127.0.0.1", 0, Http()), trio.Event())
            task_status.started(f"http://127.0.0.1:{addresses[0].port}{_PATH}")

    async def until(self, event_type: str, subject_id: str) -> Received:
        """Return the webhook of this type about this subject, as soon as it is there."""
        while True:
            for received in self.genuine.values():
                if (received.type, received.subject_id) == (event_type, subject_id):
                    return received
            await self._news.wait()

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        status = 204 if self._take(scope, body) else 401
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _take(self, scope: Message, body: bytes) -> bool:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            webhook_id = verify(self.keys, headers, body, self.clock.now() // SECOND)
        except BadSignature:
            self.refused += 1
            return False
        if webhook_id not in self.genuine and len(self.genuine) < _KEPT:
            said = json.loads(body)
            self.genuine[webhook_id] = Received(webhook_id, said["type"], said["subject_id"], said)
            self._news.set()
            self._news = trio.Event()
        return True
