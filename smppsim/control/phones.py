"""Routes that play with handsets: who holds one, and whether its phone is on, off or full."""

from typing import Annotated

from fastapi import FastAPI, HTTPException
from pydantic import Field

from smppsim.control.views import UNKNOWN, HandsetView
from smppsim.data import Data
from smppsim.people import CHARACTERS, Person
from smppsim.simulator import Simulator
from smppsim.subscribers import PhoneState


class PhoneChange(Data):
    """The state of a phone, or of every phone of a pattern."""

    state: PhoneState
    for_s: Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)] | None = None
    """On again after so many seconds; absent, until switched."""


def add_routes(app: FastAPI, simulator: Simulator) -> None:
    """People and phones."""

    @app.get("/people", tags=["handsets"])
    async def people() -> list[str]:
        """Characters that a person may be `like`."""
        return list(CHARACTERS)

    @app.post("/people", status_code=201, tags=["handsets"])
    async def place(person: Person) -> Person:
        """Give all handsets that match `number` to a person, before all who were there."""
        simulator.place(person)
        return person

    @app.get("/handsets/{number}", tags=["handsets"])
    async def handset(number: str) -> HandsetView:
        """A phone's state, what waits for it, what it has received, who holds it."""
        return HandsetView.of(simulator.handset(number))

    @app.patch("/handsets/{number}", tags=["handsets"])
    async def switch(number: str, change: PhoneChange) -> HandsetView:
        """Switch a phone: on, off, full, ported, unknown or barred; `{number}` may be a pattern."""
        simulator.switch(number, change.state, change.for_s)
        return HandsetView.of(simulator.handset(number))

    @app.get("/handsets/{number}/person", tags=["handsets"], responses=UNKNOWN)
    async def person(number: str) -> Person:
        """Who holds a handset."""
        held = simulator.handset(number).person
        if held is None:
            raise HTTPException(404, "nobody holds this handset")
        return held

    @app.put("/handsets/{number}/person", tags=["handsets"])
    async def give(number: str, person: Person) -> Person:
        """Give one handset to a person, e.g. `{"like": "obliging", "pace": 3}`."""
        simulator.handset(number).give_to(person)
        return person

    @app.delete("/handsets/{number}/person", status_code=204, tags=["handsets"])
    async def take(number: str) -> None:
        """Give it back to whom the scenario says."""
        simulator.handset(number).give_to(None)
