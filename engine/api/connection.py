"""One HTTP connection: hypercorn's, with fewer system calls and tasks for each request.

An answer's head is written together with what follows it, and one watcher for the connection's life takes the place of
a task for each idle spell. `server` makes them.
"""

import math
from typing import Any, Final

import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.tcp_server import TCPServer

_MOST_READ: Final = 2**16
_HEAD: Final = b"HTTP/1.1 "
_INTERIM: Final = b"HTTP/1.1 1"


class Connection(TCPServer):
    """A connection that is closed when idle for the keep-alive time; a request whose head never ends is idle too.

    How long a body may take is the gate's affair, how long a write may take TCP_USER_TIMEOUT's.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._head = b""
        self._idle = trio.CancelScope(deadline=trio.current_time() + self.config.keep_alive_timeout)
        self._reading = trio.CancelScope()
        self._left = False

    async def protocol_send(self, event: Event) -> None:
        """Take what the protocol wants written or done (hypercorn calls this)."""
        if isinstance(event, Updated):
            wait_s = self.config.keep_alive_timeout if event.idle else math.inf
            self._idle.deadline = trio.current_time() + wait_s
            return
        if isinstance(event, RawData):
            if not self._head and event.data.startswith(_HEAD) and not event.data.startswith(_INTERIM):
                self._head = event.data
                return
            if not (self._head or event.data):
                return
            event, self._head = RawData(self._head + event.data), b""
        elif isinstance(event, Closed) and self._head:
            head, self._head = self._head, b""
            await super().protocol_send(RawData(head))
        await super().protocol_send(event)
        if isinstance(event, Closed):
            # Of an answer that was quicker than the reader, hypercorn would wait for the end for ever.
            self._reading.cancel()

    async def _read_data(self) -> None:
        data = b"?"
        try:
            with self._reading:
                while data:
                    data = bytes(await self.stream.receive_some(_MOST_READ))
                    await self.protocol.handle(RawData(data))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            pass
        await self.protocol.handle(Closed())
        self._left = True
        self._idle.cancel()

    async def _idle_timeout(self) -> None:
        with self._idle:
            await self.context.terminated.wait()
            if self._idle.deadline == math.inf:
                await trio.sleep_forever()  # the running request closes the connection itself
        if not self._left:
            with trio.CancelScope(shield=True):
                await self._initiate_server_close()
