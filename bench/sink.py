"""A webhook endpoint in a process of its own that reads, counts events and answers 200, no more.

`GET /` tells how many events came and when the last one did, on the clock that all processes of a machine share.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import trio

_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_EVENT = b'"subject_id":'


@contextmanager
def sink() -> Iterator[str]:
    """Run an endpoint; give its URL."""
    process = subprocess.Popen([sys.executable, "-m", "bench.sink"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def heard(url: str) -> tuple[int, float]:
    """Return how many events a sink got, and when the last of them was whole."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        events, at = json.load(answer)
    return int(events), float(at)


@dataclass(slots=True)
class _Sink:
    events: int = 0
    at: float = field(default=0.0)

    async def receive(self, stream: Any) -> None:
        buffer = b""
        while octets := await stream.receive_some(1 << 18):
            buffer += octets
            while (end := buffer.find(b"\r\n\r\n")) >= 0:
                if buffer.startswith(b"GET"):
                    said = json.dumps([self.events, self.at]).encode()
                    await stream.send_all(
                        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(said), said)
                    )
                    return
                at = buffer.index(b"content-length: ") + 16
                whole = end + 4 + int(buffer[at : buffer.index(b"\r\n", at)])
                if len(buffer) < whole:
                    break
                self.events += buffer.count(_EVENT, end, whole)
                self.at = perf_counter()
                buffer = buffer[whole:]
                await stream.send_all(_OK)


async def _serve() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(listener.socket.getsockname()[1], flush=True)
    await trio.serve_listeners(_Sink().receive, [listener])


if __name__ == "__main__":
    trio.run(_serve)
