"""A trio stream as httpcore2 wants it, over sockets, TLS and memory alike.

A request's head waits for its body, so that both leave in one write; deadlines belong to the caller, who sets one for
the whole exchange.
"""

import ssl
from typing import Any

import httpcore2
import trio


class ClientStream(httpcore2.AsyncNetworkStream):
    """One connection's octets."""

    __slots__ = ("_head", "_stream")

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._head = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Return some octets, none at the end of the stream."""
        try:
            if self._head:
                head, self._head = self._head, b""
                await self._stream.send_all(head)
            return bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise httpcore2.ReadError("the connection broke") from None

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send octets; those that end a request's head are kept for its body."""
        if not self._head and buffer.endswith(b"\r\n\r\n"):
            self._head = buffer
            return
        head, self._head = self._head, b""
        try:
            await self._stream.send_all(head + buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise httpcore2.WriteError("the connection broke") from None

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> "ClientStream":
        """Return the stream inside TLS, once the peer's certificate is verified; raises `httpcore2.ConnectError`."""
        secured = trio.SSLStream(
            self._stream, ssl_context, server_hostname=server_hostname, https_compatible=True, server_side=False
        )
        try:
            await secured.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError, ssl.CertificateError):
            await trio.aclose_forcefully(self._stream)
            raise httpcore2.ConnectError("no trusted TLS session") from None
        return ClientStream(secured)

    def get_extra_info(self, info: str) -> Any:
        """Tell whether the peer has said something unasked (`is_readable`): an idle connection that is over."""
        if info != "is_readable":
            return None
        stream = self._stream
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        return stream.socket.is_readable() if isinstance(stream, trio.SocketStream) else False
