"""Kannel on free ports in a folder of its own: bearerbox and smsbox, their configuration, and whom they report to."""

from __future__ import annotations

import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx2
import trio

DEADLINE_S = 90
_USER, _PASSWORD = "tester", "secret08"
_SBIN = "/usr/sbin:/usr/local/sbin:/usr/bin"  # Debian's daemons are outside of a user's PATH


def installed() -> bool:
    """Whether both boxes are there."""
    return all(shutil.which(box, path=_SBIN) for box in ("bearerbox", "smsbox"))


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


class Reports:
    """The HTTP receiver of Kannel's reports: each request as (path, its query)."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        self._change = trio.Event()

    async def serve(self, *, task_status: trio.TaskStatus[int]) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        task_status.started(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(self._answer, listeners)

    async def _answer(self, stream: trio.SocketStream) -> None:
        async with stream:
            request = b""
            while b"\r\n\r\n" not in request:
                data = await stream.receive_some(65_536)
                if not data:
                    return
                request += data
            target = urlsplit(request.split(b" ", 2)[1].decode("ascii"))
            query = parse_qs(target.query, keep_blank_values=True, encoding="utf-8")
            self.seen.append((target.path, {name: values[0] for name, values in query.items()}))
            self._change.set()
            self._change = trio.Event()
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async def of(self, path: str, count: int) -> list[dict[str, str]]:
        """As soon as so many requests to `path` have come."""
        while len(found := [query for seen, query in self.seen if seen == path]) < count:
            await self._change.wait()
        return found


class _Ports(NamedTuple):
    """Who listens where."""

    admin: int
    box: int
    sendsms: int
    reports: int


class Kannel(NamedTuple):
    """A running pair of boxes."""

    sendsms_port: int
    reports_port: int
    reports: Reports

    async def send(self, text: str, to: str, *, unicode: bool) -> None:
        """Send through smsbox, asking for every report."""
        report = f"http://127.0.0.1:{self.reports_port}/dlr?type=%d&id=%F"
        asked = {
            "username": _USER, "password": _PASSWORD, "from": "38200", "to": to, "text": text, "charset": "UTF-8",
            "coding": "2" if unicode else "0", "dlr-mask": "31", "dlr-url": report,
        }  # fmt: skip
        url = f"http://127.0.0.1:{self.sendsms_port}/cgi-bin/sendsms"
        async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
            answer = await http.get(url, params=asked)
        assert answer.status_code == 202, answer.text


def _configuration(folder: Path, binds: Sequence[str], ports: _Ports) -> str:
    return f"""
group = core
admin-port = {ports.admin}
admin-password = {_PASSWORD}
smsbox-port = {ports.box}
box-allow-ip = "127.0.0.1"
box-deny-ip = "*.*.*.*"
log-file = "{folder}/bearerbox.log"
log-level = 0
dlr-storage = internal

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {ports.sendsms}
log-file = "{folder}/smsbox.log"
log-level = 0

group = sendsms-user
username = {_USER}
password = {_PASSWORD}
concatenation = true
max-messages = 10

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "http://127.0.0.1:{ports.reports}/mo?from=%p&to=%P&text=%b"
""" + "".join(map(_smsc, binds))


def _smsc(bind: str) -> str:
    """One bind; all share an smsc-id, by which Kannel matches receipts."""
    return f"""
group = smsc
smsc = smpp
smsc-id = simulator
host = 127.0.0.1
{bind}
smsc-username = demo
smsc-password = demo
system-type = ""
address-range = ""
enquire-link-interval = 5
reconnect-delay = 1
source-addr-ton = 3
source-addr-npi = 0
dest-addr-ton = 1
dest-addr-npi = 1
"""


@asynccontextmanager
async def running(folder: Path, binds: Sequence[str]) -> AsyncIterator[Kannel]:
    """Both boxes, ended on the way out; `binds` are the lines that say how and where to bind."""
    reports = Reports()
    file = folder / "kannel.conf"
    async with trio.open_nursery() as nursery:
        port: int = await nursery.start(reports.serve)
        admin, box, sendsms = free_ports(3)
        ports = _Ports(admin, box, sendsms, port)
        file.write_text(_configuration(folder, binds, ports))
        for name, listens_on in (("bearerbox", ports.box), ("smsbox", ports.sendsms)):
            command = [str(shutil.which(name, path=_SBIN)), str(file)]
            with (folder / f"{name}.out").open("wb") as out:
                await nursery.start(_run, command, out.fileno())
            await _listening(listens_on)
        yield Kannel(ports.sendsms, port, reports)
        nursery.cancel_scope.cancel()


async def _run(command: list[str], out: int, *, task_status: trio.TaskStatus[trio.Process]) -> None:
    # Cancelling ends the process with SIGTERM, and with SIGKILL five seconds later.
    ended = await trio.run_process(command, stdout=out, stderr=out, check=False, task_status=task_status)
    raise RuntimeError(f"{command[0]} ended by itself with {ended.returncode}")


async def _listening(port: int) -> None:
    while True:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            await trio.sleep(0.1)
        else:
            await stream.aclose()
            return
