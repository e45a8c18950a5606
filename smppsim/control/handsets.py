"""Routes of the phones: read an inbox, wait for a message, answer it."""

from typing import Annotated, Final

import trio
from fastapi import FastAPI, HTTPException, Query
from pydantic import Field

from engine.smpp.errors import ProtocolError
from smppsim.control.views import IMPOSSIBLE, UNKNOWN, DeliveryView, InboxView, Parts
from smppsim.data import Data
from smppsim.replies import NoRoute
from smppsim.simulator import Simulator

_LONGEST_WAIT_S: Final = 30.0


class Reply(Data):
    """What a handset sends."""

    text: Annotated[str, Field(max_length=2000)]
    to: Annotated[str, Field(min_length=1, max_length=20)] | None = None
    """Our number; absent, the sender of the handset's latest message."""
    account: str | None = None
    source: Annotated[str, Field(min_length=1, max_length=20)] | None = None


def add_routes(app: FastAPI, simulator: Simulator) -> None:
    """Inboxes and replies."""

    @app.get("/handsets", tags=["handsets"])
    async def handsets(limit: Annotated[int, Query(ge=1)] = 100_000) -> list[str]:
        """Numbers that received something, the newest `limit` of them."""
        return simulator.smsc.handsets.numbers()[-limit:]

    @app.get("/handsets/{number}/messages", tags=["handsets"])
    async def messages(
        number: str,
        wait_s: Annotated[float, Query(ge=0, le=_LONGEST_WAIT_S)] = 0.0,
        count: Annotated[int, Query(ge=1)] = 1,
    ) -> list[InboxView]:
        """The inbox, oldest first; `wait_s` waits that long for `count` complete messages."""
        handset = simulator.handset(number)
        with trio.move_on_after(wait_s):
            await handset.wait(count)
        return [InboxView.of(message) for message in handset.messages]

    @app.get("/deliveries", tags=["handsets"])
    async def deliveries() -> list[DeliveryView]:
        """How often each text really reached each handset."""
        counts = simulator.deliveries()
        return [DeliveryView(number=number, text=text, count=n) for (number, text), n in counts.items()]

    @app.post("/handsets/{number}/send", status_code=202, tags=["handsets"], responses=UNKNOWN | IMPOSSIBLE)
    async def send(number: str, reply: Reply) -> Parts:
        """A reply from the handset; how many PDUs it takes."""
        try:
            pdus = simulator.handset(number).reply(reply.text, reply.to, account=reply.account, source=reply.source)
        except NoRoute as error:
            raise HTTPException(409, str(error)) from None
        except ProtocolError as error:
            raise HTTPException(422, str(error)) from None
        return Parts(parts=len(pdus))
