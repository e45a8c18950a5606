"""One keep-alive connection to one endpoint: posts a body, returns the answer as a value, never raises for the peer.

No pool: each worker of a feeder owns a line. The whole exchange has one deadline, the answer's body a cap; a redirect
is an answer like any other.
"""

import ssl
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, NamedTuple

import httpcore2
import trio

from engine.webhooks.guard import Address, GuardedBackend, Refused
from engine.webhooks.options import WebhookOptions

Header = tuple[bytes, bytes]
_CLOSE_S: Final = 1.0


class Answer(NamedTuple):
    """What came of a post: the status (0 for none), its Retry-After, and what went wrong without an answer."""

    status: int
    retry_after: str | None = None
    problem: str = ""  # refused | unreachable | timeout | broken


@dataclass(frozen=True, slots=True)
class Dialer:
    """How lines connect: the guarded backend, the trusted certificates, the deadlines."""

    backend: GuardedBackend
    tls: ssl.SSLContext
    options: WebhookOptions

    async def dial(self, address: Address) -> httpcore2.AsyncHTTP11Connection:
        """Connect; raises httpcore2's errors."""
        seconds = self.options.connect_timeout_s
        stream: httpcore2.AsyncNetworkStream
        stream = await self.backend.connect_tcp(address.host, address.port, timeout=seconds)
        if address.scheme == "https":
            stream = await stream.start_tls(self.tls, server_hostname=address.host)
        return httpcore2.AsyncHTTP11Connection(address.origin, stream)


class Line:
    """A connection that is opened when needed and kept while the peer keeps it."""

    __slots__ = ("_address", "_connection", "_dialer", "_seen")

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._address: Address | None = None
        self._connection: httpcore2.AsyncHTTP11Connection | None = None
        self._seen: Answer | None = None  # an answer whose body is still being read

    async def post(self, address: Address, headers: list[Header], body: bytes) -> Answer:
        """Post a body and return the answer. A kept connection that turns out dead is replaced once."""
        self._seen = None
        request = httpcore2.Request(b"POST", address.url, content=body)
        request.headers = headers  # octets already: the constructor would look at each of them again
        try:
            with trio.move_on_after(self._dialer.options.timeout_s):
                return await self._exchange(address, request)
            problem = "timeout"
        except Refused:
            problem = "refused"
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
            problem = "unreachable"
        except (httpcore2.NetworkError, httpcore2.ProtocolError):
            problem = "broken"
        await self.aclose()
        # A status that came before the body failed to end is an answer all the same.
        seen: Answer | None = self._seen
        return Answer(0, None, problem) if seen is None else seen

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _CLOSE_S):
                await connection.aclose()

    async def _exchange(self, address: Address, request: httpcore2.Request) -> Answer:
        kept = self._connection
        if kept is not None:
            if self._address == address and kept.is_available() and not kept.has_expired():
                try:
                    return await self._converse(kept, request)
                except (httpcore2.NetworkError, httpcore2.RemoteProtocolError):
                    if self._seen is not None:
                        raise
            await self.aclose()
        self._address, self._connection = address, await self._dialer.dial(address)
        return await self._converse(self._connection, request)

    async def _converse(self, connection: httpcore2.AsyncHTTP11Connection, request: httpcore2.Request) -> Answer:
        response = await connection.handle_async_request(request)
        asked = next((value for name, value in response.headers if name.lower() == b"retry-after"), None)
        answer = self._seen = Answer(response.status, None if asked is None else asked.decode("latin-1"))
        size = 0
        try:
            async with aclosing(response.aiter_stream()) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._dialer.options.response_limit:
                        break
        finally:
            await response.aclose()  # an answer that was not read to its end closes the connection
        return answer
