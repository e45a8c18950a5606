"""Time stamps asked for over real HTTP: a local authority with its own CA, and what else may answer at its address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from engine.api.limits import Message, Receive, Send
from engine.api.server import Listener, serve
from engine.evidence.authorities import NoStamp, TimeStampAuthority
from engine.settings_service import Authority, Http
from tests.authority import TestAuthority

pytestmark = pytest.mark.real

ROOT = b'{"log":"sceau.evidence","size":1}'
Answer = Callable[[bytes], tuple[int, bytes]]


@asynccontextmanager
async def listening(answer: Answer, asked: list[dict[bytes, bytes]], slow_s: float = 0.0) -> AsyncIterator[str]:
    """An HTTP server on loopback; its URL."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        asked.append(dict(scope["headers"]) | {b"method": scope["method"].encode()})
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        await trio.sleep(slow_s)
        status, content = answer(body)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": content})

    async with trio.open_nursery() as nursery:
        [address] = await nursery.start(serve, app, Listener("127.0.0.1", 0, Http()), trio.Event())
        yield f"http://127.0.0.1:{address.port}/tsa"
        nursery.cancel_scope.cancel()


def client(authority: TestAuthority, folder: Path, url: str, timeout_s: float = 15) -> TimeStampAuthority:
    settings = {**authority.settings(folder), "url": url, "timeout_s": timeout_s}
    return TimeStampAuthority.of(Authority(name="one", **settings))


async def test_an_authority_is_asked_as_rfc_3161_says_and_its_stamp_is_good(tmp_path: Path) -> None:
    authority, asked = TestAuthority(), list[dict[bytes, bytes]]()
    async with listening(lambda query: (200, authority.stamped(query)), asked) as url:
        answer, stamp = await client(authority, tmp_path, url).stamp(ROOT)
    assert (stamp.matches, stamp.trusted, stamp.at) == (True, True, authority.at)
    assert answer
    [request] = asked
    assert (request[b"method"], request[b"content-type"]) == (b"POST", b"application/timestamp-query")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda _: (500, b""), "status 500"),
        (lambda _: (302, b""), "status 302"),
        (lambda _: (200, b""), "no time stamp"),
        (lambda _: (200, b"<html>a captive portal</html>"), "no time stamp"),
        (lambda _: (200, bytes(100_000)), "too long"),
        (lambda query: (200, TestAuthority("Stranger").stamped(query)), "not signed under the configured roots"),
    ],
)
async def test_what_is_no_stamp_of_this_authority_is_refused(tmp_path: Path, answer: Answer, said: str) -> None:
    async with listening(answer, []) as url:
        with pytest.raises(NoStamp, match=said):
            await client(TestAuthority(), tmp_path, url).stamp(ROOT)


async def test_an_authority_that_keeps_silent_is_given_up(tmp_path: Path) -> None:
    async with listening(lambda _: (200, b""), [], slow_s=60) as url:
        with trio.fail_after(20), pytest.raises(NoStamp, match="not reached"):
            await client(TestAuthority(), tmp_path, url, timeout_s=1).stamp(ROOT)


async def test_an_address_where_nobody_listens_is_told_of(tmp_path: Path) -> None:
    async with listening(lambda _: (200, b""), []) as url:
        pass
    with pytest.raises(NoStamp, match="not reached"):
        await client(TestAuthority(), tmp_path, url).stamp(ROOT)
