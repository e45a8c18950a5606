"""Routes that change what happens from now on: behaviour, links, held responses, a fresh start."""

from typing import Any

from fastapi import FastAPI
from pydantic import Field

from smppsim.behaviour import Behaviour, Link
from smppsim.control.views import UNKNOWN, BehaviourView, HeldView, Released
from smppsim.data import Data
from smppsim.simulator import Simulator


class BehaviourChange(Data):
    """Fields to change, for one account or all, for one destination pattern or all."""

    account: str | None = None
    destination: str | None = None
    behaviour: dict[str, Any] = Field(default_factory=dict)
    link: dict[str, Any] = Field(default_factory=dict)


def add_routes(app: FastAPI, simulator: Simulator) -> None:
    """Behaviour as it is and as it shall be."""

    @app.get("/behaviour", tags=["behaviour"])
    async def behaviour() -> dict[str, BehaviourView]:
        """What each account's messages and links meet now."""
        return {name: BehaviourView.of(account) for name, account in simulator.smsc.accounts.items()}

    @app.patch("/behaviour", tags=["behaviour"], responses=UNKNOWN)
    async def change(change: BehaviourChange) -> dict[str, BehaviourView]:
        """Change it from now on."""
        if change.behaviour:
            simulator.behave(change.account, change.destination, **change.behaviour)
        if change.link:
            simulator.link(change.account, **change.link)
        return await behaviour()

    @app.get("/behaviour/schema", tags=["behaviour"])
    async def schema() -> dict[str, dict[str, Any]]:
        """The JSON Schemas of `behaviour` and `link`: every field, its values and its default."""
        return {"behaviour": Behaviour.model_json_schema(), "link": Link.model_json_schema()}

    @app.get("/held", tags=["behaviour"])
    async def held() -> list[HeldView]:
        """Responses that wait for their release."""
        return [
            HeldView(session=each.session.number, sequence=each.sequence, status=each.status) for each in simulator.held
        ]

    @app.post("/held/release", status_code=202, tags=["behaviour"])
    async def release() -> Released:
        """Give all held responses."""
        count = len(simulator.held)
        simulator.release()
        return Released(released=count)

    @app.post("/reset", status_code=204, tags=["behaviour"])
    async def reset() -> None:
        """Back to the settings; links closed, everything kept forgotten."""
        simulator.reset()
