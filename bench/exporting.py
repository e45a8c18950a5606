"""How long a code takes while somebody downloads bundles of evidence, one a second, against the same without them.

Codes are those of `otp_latency`, the clock is its probe. The requests whose bundles are downloaded were signed before,
over the same API and operator.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter
from typing import Any

from bench.otp_latency import Latencies, Site, idle
from bench.posting import Caller, post
from engine.clock import SystemClock, to_rfc3339

PER_MINUTE = 60
_SIGNED = 10
_SHA256 = hashlib.sha256(b"%PDF").hexdigest()
_CODE = re.compile(r"(?<!\w)\d{6}(?!\w)")
_SECOND_S = 60.0 / PER_MINUTE
_DOWNLOADERS = 8
"""At once at most: a download that takes longer than a second must not thin out those behind it."""


@dataclass
class Beside:
    """Codes alone and codes beside exports; how many bundles were asked for and came, a minute; what one took."""

    alone: Latencies
    beside: Latencies
    per_minute: float
    median_s: float


@dataclass
class _Exports:
    port: int
    key: str
    requests: list[str]
    took: list[float] = field(default_factory=list)
    began: float = 0.0
    ended: float = 0.0


def measure(codes: int = 500, per_s: float = 2.0) -> Beside:
    """Return the figures; the two runs follow each other, so that neither slows the other."""
    alone = idle(codes, per_s)
    downloads: list[_Exports] = []

    @contextmanager
    def exporting(site: Site) -> Iterator[None]:
        exports = _Exports(site.port, site.key, [_signed(site, number) for number in range(_SIGNED)])
        downloads.append(exports)
        with _downloading(exports):
            yield

    beside = idle(codes, per_s, exporting)
    [exports] = downloads
    took = sorted(exports.took)
    return Beside(alone, beside, len(took) / (exports.ended - exports.began) * 60, took[len(took) // 2])


def _signed(site: Site, number: int) -> str:
    """Have a request of two signers signed on the page; return its id."""
    caller = Caller(site.port)
    phones = [f"+33613{number:06}", f"+33614{number:06}"]
    people = [{"phone": phone, "language": "fr", "name": "Anna Martin"} for phone in phones]
    body = {"documents": [{"name": "Bail", "sha256": _SHA256}], "signers": people, "auto_send": True}
    made = json.loads(caller.call(post("/v1/signature-requests", site.key, body)))
    for phone, signing in zip(phones, made["signings"], strict=True):
        stated = {
            "code": _code(site.control, phone),
            "document_sha256": _SHA256,
            "consent_at": to_rfc3339(SystemClock().now()),
        }
        caller.call(post(f"/v1/signature-requests/{made['id']}/signings/{signing['id']}/sign", site.key, stated))
    caller.close()
    return str(made["id"])


def _code(control: int, phone: str) -> str:
    url = f"http://127.0.0.1:{control}/handsets/{phone}/messages?wait_s=20"
    with urllib.request.urlopen(url, timeout=30) as answer:
        texts: list[dict[str, Any]] = json.load(answer)
    found = _CODE.search(texts[-1]["text"])
    assert found is not None, "no code came"
    return found[0]


@contextmanager
def _downloading(exports: _Exports) -> Iterator[None]:
    """Download a bundle each second, whatever the one before does, until the end."""
    over = threading.Event()
    free = threading.Semaphore(_DOWNLOADERS)
    started: list[threading.Thread] = []

    def download(request: str) -> None:
        with free:
            if over.is_set():
                return
            asked = perf_counter()
            wanted = urllib.request.Request(
                f"http://127.0.0.1:{exports.port}/v1/signature-requests/{request}/evidence.zip",
                headers={"Authorization": f"Bearer {exports.key}"},
            )
            with urllib.request.urlopen(wanted, timeout=120) as answer:
                assert answer.read(2) == b"PK"
                answer.read()
            exports.took.append(perf_counter() - asked)

    def ask() -> None:
        due = perf_counter()
        for request in cycle(exports.requests):
            if over.is_set():
                return
            started.append(threading.Thread(target=download, args=(request,)))
            started[-1].start()
            due += _SECOND_S
            time.sleep(max(0.0, due - perf_counter()))

    exports.began = perf_counter()
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        exports.ended = perf_counter()
        in_time = len(exports.took)
        over.set()
        asking.join()
        for thread in started:
            thread.join()
        del exports.took[in_time:]
