"""Routes of the PDU log: a page of it, or each PDU as it comes.

`pdu_rows` chooses the rows and words them; nothing is decided here.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Final

import trio
from fastapi import FastAPI, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from smppsim.capture.pcap import file_header
from smppsim.capture.recorder import record_log
from smppsim.control.pdu_rows import Wanted, show
from smppsim.control.views import Described, PduView
from smppsim.simulator import Simulator

_BREATH_S: Final = 0.1
"""Between two goes of the stream: ten times a second is live enough, and a flood is decoded in part only."""
_AT_ONCE: Final = 200
_PCAP: Final = "application/vnd.tcpdump.pcap"
_CAPTURE: Final[Described] = {
    200: {"description": "The file", "content": {_PCAP: {"schema": {"type": "string", "format": "binary"}}}}
}


class Page(Wanted):
    """A filter and a place in the log."""

    limit: Annotated[int, Field(ge=1, le=10_000)] = 100
    after: Annotated[int, Field(ge=0, description="The first PDUs after this serial.")] = 0
    before: Annotated[int | None, Field(ge=1, description="The last PDUs before this serial.")] = None


class Live(Wanted):
    """A filter and where to begin."""

    after: Annotated[int | None, Field(ge=0, description="Begin after this serial, not now.")] = None


def add_routes(app: FastAPI, simulator: Simulator) -> None:
    """Reading the log, once or for ever."""
    log = simulator.smsc.log

    @app.get("/pdus", tags=["pdus"])
    async def pdus(page: Annotated[Page, Query()]) -> list[PduView]:
        """The latest PDUs, oldest first; `after` a serial the first ones, `before` one the last ones."""
        rows = [
            row
            for row in log.after(page.after)
            if (page.before is None or row.serial < page.before) and page.includes(row, log.connections)
        ]
        return [show(row, simulator) for row in (rows[: page.limit] if page.after else rows[-page.limit :])]

    @app.get("/capture.pcap", tags=["pdus"], response_class=Response, responses=_CAPTURE)
    async def capture(wanted: Annotated[Wanted, Query()]) -> Response:
        """What the log holds as a pcap file for Wireshark: a TCP stream a session, TLS taken off, passwords starred."""
        rows = [row for row in log if wanted.includes(row, log.connections)]
        octets = file_header() + b"".join(record_log(rows, log.connections, simulator.instant(0.0)))
        named = {"Content-Disposition": 'attachment; filename="smppsim.pcap"'}
        return Response(octets, media_type=_PCAP, headers=named)

    @app.get("/pdus/stream", tags=["pdus"], response_class=EventSourceResponse)
    async def stream(
        live: Annotated[Live, Query()], last_event_id: Annotated[int | None, Header(ge=0)] = None
    ) -> AsyncIterator[ServerSentEvent]:
        """Every PDU from now on, or after a serial, as server-sent events `pdu`; `missed` counts what went by too fast.

        At most 200 of them ten times a second. An event's id is its serial: a browser takes up where it was.
        """
        seen = next((given for given in (last_event_id, live.after) if given is not None), log.last)
        if seen > log.last:  # of an earlier run
            seen = 0
        while True:
            rows = log.after(seen)
            if not rows:
                await simulator.server.change()
                continue
            missed = rows[0].serial - seen - 1 + max(0, len(rows) - _AT_ONCE)
            seen = rows[-1].serial
            if missed:
                yield ServerSentEvent(event="missed", data={"missed": missed})
            for row in rows[-_AT_ONCE:]:
                if live.includes(row, log.connections):
                    yield ServerSentEvent(event="pdu", id=str(row.serial), data=show(row, simulator))
            await trio.sleep(_BREATH_S)
