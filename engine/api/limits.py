"""The gate before the application: sizes, deadlines, keys in addresses, security headers, request ids (S29).

Plain ASGI. It reads the whole body under one deadline, so that no route waits for a slow sender; it knows no route, but
those of batches and of couriers' logs may be larger, and a document's octets pass through as they come, counted and
under a deadline of their own.
"""

import ipaddress
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl

import trio

from engine.api.problems import Refused
from engine.clock import Clock
from engine.logs import logger
from engine.settings_service import Http

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_log = logger("api")
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
_KEY_NAMES: Final = frozenset({"api_key", "apikey", "api-key", "access_token", "token", "authorization", "bearer"})
_KEY_TEXT: Final = re.compile(r"sceau_(test|live)_")
_DOCUMENTS: Final = ("/docs", "/redoc", "/static-offline-docs")
_LARGE: Final = ("/batch", "/v1/handover-log")
_UPLOAD: Final = re.compile(r"/v1/signature-requests/[^/]+/documents/[^/]+/content")

_ALWAYS: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_API_ONLY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_PAGES: Final = ("/r/", "/h/")  # for people, with a policy of their own
_OVER_TLS: Final = (b"strict-transport-security", b"max-age=31536000")


class Gate:
    """The ASGI application around the application."""

    def __init__(self, app: App, http: Http, clock: Clock) -> None:
        self._app = app
        self._http = http
        self._clock = clock
        self._secure = http.tls or http.behind_proxy

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection's event as ASGI says."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        request_id = self._request_id(headers)
        added = [(b"x-request-id", request_id.encode())]
        if not scope["path"].startswith(_PAGES):
            added += _ALWAYS
            if not scope["path"].startswith(_DOCUMENTS):
                added.append(_API_ONLY)
        if self._secure:
            added.append(_OVER_TLS)
        outlet = _Outlet(send, added)
        try:
            self._check_address(scope)
            if self._http.behind_proxy:
                scope["client"] = self._client_behind_proxy(scope.get("client"), headers)
            if scope["method"] == "PUT" and _UPLOAD.fullmatch(scope["path"]):
                passed = self._passing(headers, receive)
            else:
                passed = _replay(await self._body(scope, headers, receive), receive)
            await self._app(scope, passed, outlet.put)
        except Refused as refused:
            await refused.response()(scope, receive, outlet.put)
        except Exception as error:
            _log.error("request.failed", request_id=request_id, exc=error)
            if not outlet.begun:
                await Refused("internal").response()(scope, receive, outlet.put)
        await outlet.flush()

    def _request_id(self, headers: dict[bytes, bytes]) -> str:
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        return given if _REQUEST_ID.fullmatch(given) else self._clock.new_id("req")

    def _check_address(self, scope: Message) -> None:
        if sum(len(name) + len(value) for name, value in scope["headers"]) > self._http.header_limit:
            raise Refused("headers_too_large")
        query: bytes = scope["query_string"]
        if "\0" in scope["path"] or b"%00" in query or b"\0" in query:
            raise Refused("bad_request")
        if query:
            text = query.decode("latin-1")
            if _KEY_TEXT.search(text) or any(name.lower() in _KEY_NAMES for name, _ in parse_qsl(text, True)):
                raise Refused("key_in_query")

    def _client_behind_proxy(self, peer: Any, headers: dict[bytes, bytes]) -> Any:
        """Return the nearest address in X-Forwarded-For that is no trusted proxy; the peer if it is none itself."""
        if not peer or not self.trusts(peer[0]):
            return peer
        hops = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
            if not _is_address(hop):
                return ("", 0)  # a proxy that writes nonsense vouches for nobody
            peer = (hop, 0)
            if not self.trusts(hop):
                break
        return peer

    def trusts(self, address: str) -> bool:
        """Tell whether an address is one of the configured proxies."""
        return _is_address(address) and any(
            ipaddress.ip_address(address) in network for network in self._http.trusted_proxies
        )

    def _passing(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """Return a `receive` that passes a body on as it comes; raises `Refused` once it is too large or too slow."""
        most = self._http.upload_limit
        _check_length(headers.get(b"content-length"), most)
        size, until, is_whole = 0, trio.current_time() + self._http.upload_deadline_s, False

        async def pass_on() -> Message:
            nonlocal size, is_whole
            if is_whole:
                return await receive()  # whether the caller is still there
            with trio.move_on_at(until):
                message = await receive()
                if message["type"] != "http.request":
                    raise Refused("bad_request")  # gone before the document was complete; nobody reads this
                size += len(message.get("body", b""))
                if size > most:
                    raise Refused("too_large")
                is_whole = not message.get("more_body", False)
                return message
            raise Refused("too_slow")

        return pass_on

    async def _body(self, scope: Message, headers: dict[bytes, bytes], receive: Receive) -> bytes:
        length = headers.get(b"content-length")
        if length is None and b"transfer-encoding" not in headers and scope["http_version"] < "2":
            return b""
        most = self._http.batch_body_limit if scope["path"].endswith(_LARGE) else self._http.body_limit
        _check_length(length, most)
        pieces: list[bytes] = []
        size = 0
        with trio.move_on_after(self._http.receive_deadline_s):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Refused("bad_request")  # gone before the body was complete; nobody reads this
                piece: bytes = message.get("body", b"")
                size += len(piece)
                if size > most:
                    raise Refused("too_large")
                pieces.append(piece)
                if not message.get("more_body", False):
                    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        raise Refused("too_slow")


def _check_length(length: bytes | None, most: int) -> None:
    if length is not None and (not length.isdigit() or int(length) > most):
        raise Refused("too_large" if length.isdigit() else "bad_request")


class _Outlet:
    """Adds header fields to an answer; one that is whole leaves when the application has returned.

    Sending waits several times, and each wait would walk the application's whole stack.
    """

    __slots__ = ("_added", "_held", "_send", "begun")

    def __init__(self, send: Send, added: list[tuple[bytes, bytes]]) -> None:
        self._send = send
        self._added = added
        self._held: list[Message] = []
        self.begun = False

    async def put(self, message: Message) -> None:
        """Take a message of the application's."""
        if message["type"] == "http.response.start":
            self.begun = True
            message["headers"] = [*message.get("headers", ()), *self._added]
        self._held.append(message)
        if message.get("more_body", False):
            await self.flush()

    async def flush(self) -> None:
        """Send what was held."""
        held, self._held = self._held, []
        for message in held:
            await self._send(message)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
