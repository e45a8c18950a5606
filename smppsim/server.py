"""The trio shell: moves octets between streams and sessions, and wakes up when the agenda says so.

It decides nothing; `smsc` does. The simulator runs it on TCP listeners and on memory streams alike.
"""

from __future__ import annotations

import contextlib
import math
import socket
import ssl
import struct
from typing import Final

import trio

from engine.smpp.pdu import Outbind
from smppsim.behaviour import Cut
from smppsim.mangling import Pause
from smppsim.session import Session
from smppsim.smsc import Smsc

_CHUNK: Final = 65_536
_OUTBOX_LIMIT: Final = 2_000
"""Unsent frames above which nothing more is read: a client that does not read is not read either (row H4)."""
_BATCH: Final = 500
_LINGER_S: Final = 5.0
_RESET: Final = struct.pack("ii", 1, 0)


class _Link:
    """One stream, its session and who waits for it."""

    __slots__ = ("flushed", "scope", "session", "stream", "wake")

    def __init__(self, session: Session, stream: trio.abc.Stream) -> None:
        self.session = session
        self.stream = stream
        self.scope = trio.CancelScope()
        self.wake = trio.lowlevel.ParkingLot()
        self.flushed = trio.lowlevel.ParkingLot()


class Server:
    """Serves one operator on any number of streams."""

    def __init__(self, smsc: Smsc) -> None:
        self._smsc = smsc
        self._links: dict[int, _Link] = {}
        self._ticker = trio.lowlevel.ParkingLot()
        self._planned = math.inf
        self._watchers = trio.lowlevel.ParkingLot()

    async def tick(self) -> None:
        """Run the agenda, for ever."""
        while True:
            if self._smsc.agenda.run(trio.current_time(), _BATCH) == _BATCH:
                self.stir()
                await trio.lowlevel.checkpoint()
                continue
            self.stir()
            self._planned = self._smsc.agenda.next_due
            with trio.move_on_at(self._planned):
                await self._ticker.park()
            self._planned = -math.inf

    def stir(self) -> None:
        """After anything happened to the operator: wake the links that have something to write, and the watchers."""
        written = self._smsc.written
        if written:
            for session in written:
                link = self._links.get(session.number)
                if link is not None:
                    link.wake.unpark_all()
            written.clear()
        if self._smsc.agenda.next_due < self._planned:
            self._ticker.unpark_all()
        self._watchers.unpark_all()

    async def change(self) -> None:
        """Wait until something happens."""
        await self._watchers.park()

    async def serve_stream(
        self, stream: trio.abc.Stream, peer: str = "", local: str = "", outbind: Outbind | None = None
    ) -> None:
        """Be the operator on this stream until either side ends it; the stream is closed then.

        With `outbind` it was we who called, and this is what we say.
        """
        session = self._smsc.connected(peer, trio.current_time(), local)
        if outbind is not None:
            self._smsc.outbind(session, outbind, trio.current_time())
        link = self._links[session.number] = _Link(session, stream)
        self.stir()
        try:
            async with trio.open_nursery() as nursery:
                link.scope = nursery.cancel_scope
                nursery.start_soon(self._write, link)
                await self._read(link)
        finally:
            del self._links[session.number]
            self._smsc.lost(session, trio.current_time())
            self.stir()
            if session.cut is Cut.reset:
                _prepare_reset(stream)
            await trio.aclose_forcefully(stream)

    async def serve_socket(
        self, stream: trio.SocketStream, *, tls: ssl.SSLContext | None = None, outbind: Outbind | None = None
    ) -> None:
        """`serve_stream` with the socket's names, under TLS if told so; the handshake is part of the first read."""
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            peer = "{}:{}".format(*stream.socket.getpeername())
            local = "{}:{}".format(*stream.socket.getsockname())
        except OSError:
            peer = local = ""
        inner = stream if tls is None else trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
        await self.serve_stream(inner, peer, local, outbind)

    async def _read(self, link: _Link) -> None:
        """Until the peer ends the stream; what comes after the session's end is thrown away."""
        session, stream, smsc = link.session, link.stream, self._smsc
        while True:
            while len(session.outbox) > _OUTBOX_LIMIT:
                await link.flushed.park()
            await self._deafness(session)
            try:
                data = await stream.receive_some(_CHUNK)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if not data:
                break
            await self._deafness(session)
            smsc.receive(session, bytes(data), trio.current_time())
            self.stir()
        smsc.lost(session, trio.current_time())
        link.scope.cancel()

    async def _silence(self, session: Session) -> None:
        while session.cut is Cut.stall and not session.over:
            await self.change()
        if session.mute_until > trio.current_time():
            await trio.sleep_until(session.mute_until)

    async def _deafness(self, session: Session) -> None:
        await self._silence(session)
        if session.reading_from > trio.current_time():
            await trio.sleep_until(session.reading_from)

    async def _write(self, link: _Link) -> None:
        """Until the session is over and everything is written."""
        session, stream, outbox = link.session, link.stream, link.session.outbox
        while outbox or not session.over:
            if not outbox:
                await link.wake.park()
                continue
            await self._silence(session)
            data, then = session.take()
            try:
                await stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                link.scope.cancel()
                return
            if isinstance(then, Pause):
                await trio.sleep(then.seconds)
            elif then is not None:
                self._smsc.cut(session, then, trio.current_time())
                self.stir()
            link.flushed.unpark_all()
        if session.cut is not Cut.close:
            link.scope.cancel()
            return
        # Closing a socket with unread octets in it sends RST, which destroys what was just written: end our
        # half first and leave the peer a moment to end its own.
        link.scope.deadline = trio.current_time() + _LINGER_S
        transport = _transport(stream)
        if isinstance(transport, trio.abc.HalfCloseableStream):
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await transport.send_eof()
        else:
            link.scope.cancel()


def _transport(stream: trio.abc.Stream) -> trio.abc.Stream:
    """What carries the octets: below TLS, or the stream itself."""
    return stream.transport_stream if isinstance(stream, trio.SSLStream) else stream


def _prepare_reset(stream: trio.abc.Stream) -> None:
    """Let closing send RST instead of FIN, where there is a socket."""
    transport = _transport(stream)
    if isinstance(transport, trio.SocketStream):
        transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
