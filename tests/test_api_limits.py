"""The gate (S29): sizes, the receive deadline, headers of every answer; GCRA; in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from engine.api.limits import Gate
from engine.api.rates import RateLimit
from engine.clock import VirtualClock
from engine.settings_service import Http
from engine.store.doorway import Store
from tests.api_client import open_api

JSON = {"Content-Type": "application/json"}


class Caller:
    """Calls an ASGI application by hand, message by message."""

    def __init__(self, **scope: Any) -> None:
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/preview",
            "query_string": b"",
            "http_version": "1.1",
            "headers": [],
            "client": ("127.0.0.1", 1),
            **scope,
        }
        self.incoming: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if not self.incoming:
            await trio.sleep_forever()
        return self.incoming.pop(0)

    async def send(self, message: Any) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(dict(message))

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}


async def echo(_scope: Any, receive: Any, send: Any) -> None:
    """Answer with the body as it came."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"], "more_body": False})


def gate(app: Any = echo, **http: Any) -> Gate:
    return Gate(app, Http(**http), VirtualClock())


def pieces(*bodies: bytes, last: bool = True) -> list[dict[str, Any]]:
    made = [{"type": "http.request", "body": body, "more_body": True} for body in bodies]
    made[-1]["more_body"] = not last
    return made


async def test_a_body_arrives_whole_however_it_was_cut() -> None:
    caller = Caller(headers=[(b"content-length", b"5")])
    caller.incoming = pieces(b"he", b"", b"llo")
    await gate()(caller.scope, caller.receive, caller.send)
    assert (caller.status, caller.sent[1]["body"]) == (200, b"hello")


async def test_a_body_that_drips_is_cut_off_at_one_total_deadline(autojump_clock: trio.testing.MockClock) -> None:
    caller = Caller(headers=[(b"transfer-encoding", b"chunked")])

    async def drip() -> dict[str, Any]:
        await trio.sleep(1)
        return {"type": "http.request", "body": b"x", "more_body": True}

    began = trio.current_time()
    await gate(receive_deadline_s=10)(caller.scope, drip, caller.send)
    assert caller.status == 408
    assert trio.current_time() - began == pytest.approx(10)


async def test_a_body_said_to_be_too_large_is_not_read() -> None:
    caller = Caller(headers=[(b"content-length", b"262145")])
    await gate()(caller.scope, caller.receive, caller.send)
    assert caller.status == 413


async def test_a_body_that_grows_too_large_is_refused_at_the_limit() -> None:
    caller = Caller(headers=[(b"transfer-encoding", b"chunked")])
    caller.incoming = pieces(*[b"x" * 65_536] * 10, last=False)
    await gate()(caller.scope, caller.receive, caller.send)
    assert caller.status == 413
    assert len(caller.incoming) == 5


UPLOAD = {"method": "PUT", "path": "/v1/signature-requests/sig_1/documents/doc_1/content"}


async def hashing(_scope: Any, receive: Any, send: Any) -> None:
    """Answer with how many octets came, holding none of them."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode(), "more_body": False})


async def test_a_document_passes_piece_by_piece_as_it_comes() -> None:
    caller = Caller(headers=[(b"content-length", b"10000000")], **UPLOAD)
    held: list[int] = []

    async def come() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        held.append(1)
        return {"type": "http.request", "body": b"x" * 100_000, "more_body": len(held) < 100}

    await gate(hashing)(caller.scope, come, caller.send)
    assert (caller.status, caller.sent[1]["body"]) == (200, b"10000000")


@pytest.mark.parametrize(
    ("headers", "incoming", "status"),
    [
        ([(b"content-length", b"2049")], [], 413),
        ([(b"transfer-encoding", b"chunked")], pieces(*[b"x" * 1_000] * 5, last=False), 413),
        ([(b"content-length", b"2_000")], [], 400),
        ([(b"content-length", b"2000")], [*pieces(b"x", last=False), {"type": "http.disconnect"}], 400),
    ],
)
async def test_a_document_that_is_too_large_or_breaks_off_is_refused(
    headers: list[tuple[bytes, bytes]], incoming: list[dict[str, Any]], status: int
) -> None:
    caller = Caller(headers=headers, **UPLOAD)
    caller.incoming = [dict(one) for one in incoming]
    await gate(hashing, upload_limit=2_048)(caller.scope, caller.receive, caller.send)
    assert caller.status == status


async def test_a_document_that_drips_is_cut_off_at_its_own_deadline(autojump_clock: trio.testing.MockClock) -> None:
    caller = Caller(headers=[(b"transfer-encoding", b"chunked")], **UPLOAD)

    async def drip() -> dict[str, Any]:
        await trio.sleep(1)
        return {"type": "http.request", "body": b"x", "more_body": True}

    began = trio.current_time()
    await gate(hashing, upload_deadline_s=30)(caller.scope, drip, caller.send)
    assert caller.status == 408
    assert trio.current_time() - began == pytest.approx(30)


async def test_batches_may_be_larger() -> None:
    caller = Caller(path="/v1/messages/batch", headers=[(b"content-length", b"1000000")])
    caller.incoming = pieces(b"x" * 1_000_000)
    await gate()(caller.scope, caller.receive, caller.send)
    assert caller.status == 200


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"", b"12, 13"])
async def test_a_length_that_is_none_is_refused(length: bytes) -> None:
    caller = Caller(headers=[(b"content-length", length)])
    await gate()(caller.scope, caller.receive, caller.send)
    assert caller.status == 400


async def test_headers_beyond_the_limit_are_refused_over_any_protocol() -> None:
    caller = Caller(http_version="2", headers=[(b"x-filler", b"x" * 17_000)])
    await gate()(caller.scope, caller.receive, caller.send)
    assert caller.status == 431


async def test_a_failure_of_the_application_is_a_plain_500() -> None:
    async def fail(*_: Any) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("secret 482913")

    caller = Caller()
    await gate(fail)(caller.scope, caller.receive, caller.send)
    assert caller.status == 500
    assert b"482913" not in caller.sent[1]["body"]


async def test_websockets_are_refused() -> None:
    caller = Caller(type="websocket")
    caller.incoming = [{"type": "websocket.connect"}]
    await gate()(caller.scope, caller.receive, caller.send)
    assert caller.sent == [{"type": "websocket.close", "code": 1008}]


async def test_every_answer_carries_the_security_headers_and_a_request_id(store: Store) -> None:
    async with open_api(store) as api:
        answers = [
            await api.alice.get("/v1/applications"),
            await api.anonymous.get("/v1/applications"),
            await api.alice.get("/nothing"),
            await api.alice.post("/v1/preview", content=b"{", headers=JSON),
        ]
        for answer in answers:
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["content-security-policy"].startswith("default-src 'none'")
            assert answer.headers["x-request-id"].startswith("req_")
        given = await api.alice.get("/v1/applications", headers={"X-Request-Id": "trace-0001"})
        assert given.headers["x-request-id"] == "trace-0001"
        forged = await api.alice.get("/v1/applications", headers={"X-Request-Id": "a b"})
        assert forged.headers["x-request-id"].startswith("req_")


async def test_a_body_of_a_streamed_request_is_read_too(store: Store) -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in (b'{"te', b'xt":"h', b'i"}'):
            yield piece

    async with open_api(store) as api:
        answer = await api.alice.post("/v1/preview", content=body(), headers=JSON)
        assert answer.json()["parts"] == 1


@given(
    st.integers(1, 20),
    st.integers(1, 60),
    st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=60),
)
def test_no_span_of_the_period_lets_more_than_twice_the_count_pass_and_a_burst_no_more_than_the_count(
    count: int, per_s: int, pauses: list[float]
) -> None:
    limit = RateLimit("x", count, per_s)
    now, passed = 0.0, []
    for pause in pauses:
        now += pause
        verdict = limit.take("key", now)
        assert 0 <= verdict.remaining < count
        if verdict.allowed:
            passed.append(now)
        else:
            assert limit.take("key", now + verdict.retry_s).allowed
            passed.append(now + verdict.retry_s)
            now += verdict.retry_s
    for began in passed:
        within = [instant for instant in passed if began <= instant < began + per_s]
        assert len(within) < 2 * count + 1
    assert all(len([one for one in passed if one == instant]) <= count for instant in passed)


def test_keys_have_a_limit_each() -> None:
    limit = RateLimit("x", 1, 10)
    assert [limit.take(key, 0.0).allowed for key in ("a", "a", "b")] == [True, False, True]
    assert (limit.peek("a", 0.0), limit.peek("c", 0.0)) == (False, True)
    assert limit.take("a", 10.0).allowed
