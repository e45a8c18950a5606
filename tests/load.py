"""A client that keeps posting messages to a server that may die at any time, and remembers what was accepted.

Every text is unique and stands for its message at the simulator, in the rows (as `reference`) and here. A closed loop:
the next post leaves when the last one was answered or lost, so that nothing depends on the machine's speed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import trio

CATEGORIES = ("otp", "transactional", "marketing")
_TTL_S = 600


@dataclass
class Load:
    """The posting tasks share one of these. `accepted` maps ids that a 2xx gave to the tag of their text."""

    key: str
    batch: int = 5
    accepted: dict[str, str] = field(default_factory=dict)
    lost: int = 0  # posts without an answer: their messages may be stored or not
    _tags: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _url: str | None = None
    _news: trio.Event = field(default_factory=trio.Event)

    def serve_from(self, url: str | None) -> None:
        """Post to this server from now on, or to none."""
        self._url = url
        self._stir()

    async def post_for_ever(self) -> None:
        """Post batches one after the other, until cancelled."""
        while True:
            url = await self._server()
            async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
                while self._url == url:
                    try:
                        await self._post(client)
                    except httpx2.HTTPError:
                        self.lost += 1
                        if self._url == url:  # it died under our hands: the next one is told by `serve_from`
                            self._url = None

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when a condition holds; it is asked again after every answer."""
        while not condition():
            await self._news.wait()

    async def _server(self) -> str:
        while self._url is None:
            await self._news.wait()
        return self._url

    async def _post(self, client: httpx2.AsyncClient) -> None:
        bodies = [self._body(next(self._tags)) for _ in range(self.batch)]
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = await client.post("/v1/messages/batch", json={"messages": bodies}, headers=headers)
        if answer.status_code == 503:
            return  # refused, not accepted
        assert answer.status_code == 200, (answer.status_code, answer.text)
        for body, result in zip(bodies, answer.json()["results"], strict=True):
            assert result["status"] == 202, result
            self.accepted[result["message"]["id"]] = body["reference"]
        self._stir()

    def _body(self, number: int) -> dict[str, Any]:
        tag = f"m{number}"
        return {
            "to": f"+3361234567{number % 10}",
            "text": f"Bonjour {tag}.",
            "category": CATEGORIES[number % len(CATEGORIES)],
            "ttl_s": _TTL_S,
            "reference": tag,
        }

    def _stir(self) -> None:
        self._news.set()
        self._news = trio.Event()


def tag_of(text: str) -> str:
    """Return the tag in a text that arrived."""
    return text.removeprefix("Bonjour ").removesuffix(".")
