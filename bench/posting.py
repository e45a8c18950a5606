"""A caller of the API that costs next to nothing: requests are octets made beforehand, answers are cut by their length.

A library's client would take the core that the engine needs. One `Caller` is one keep-alive connection.
"""

from __future__ import annotations

import json
import re
import socket
from time import perf_counter
from typing import Any

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
# Well under the server's keep-alive: a connection that it is about to close would lose a request.
_IDLE_S = 2.0


def post(path: str, key: str, body: dict[str, Any]) -> bytes:
    """Return the octets of a request."""
    octets = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(octets)}\r\n\r\n"
    )
    return head.encode() + octets


class Refused(Exception):
    """An answer other than 2xx."""


class Caller:
    """One connection, opened when needed; one request at a time. `socket` may be selected on between the two halves."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._buffer = b""
        self._used_at = 0.0
        self._closes = True
        self.socket = socket.socket()

    def send(self, request: bytes) -> bool:
        """Send a request; tell whether it went out on a new socket."""
        fresh = self._closes or perf_counter() - self._used_at > _IDLE_S
        if fresh:
            self.socket.close()
            self.socket = socket.create_connection(("127.0.0.1", self._port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._buffer, self._closes = b"", False
        self.socket.sendall(request)
        return fresh

    def receive(self) -> bytes | None:
        """Read what is there; return the answer's body once it is whole. Raises `Refused`."""
        octets = self.socket.recv(1 << 18)
        if not octets:
            raise ConnectionError("the server closed the connection in the middle of an answer")
        self._buffer += octets
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self._buffer[: end + 4]
        length = _LENGTH.search(head)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < whole:
            return None
        body, self._buffer = self._buffer[end + 4 : whole], self._buffer[whole:]
        if not head.startswith(b"HTTP/1.1 20"):
            raise Refused((head.partition(b"\r\n")[0] + b" " + body[:300]).decode())
        self._closes = _CLOSES.search(head) is not None
        self._used_at = perf_counter()
        return body

    def call(self, request: bytes) -> bytes:
        """Send a request and wait for its answer."""
        self.send(request)
        while (body := self.receive()) is None:
            pass
        return body

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()
