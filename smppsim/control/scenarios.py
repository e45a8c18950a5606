"""Routes that begin anew with another scenario, a shipped one or one that is sent."""

from typing import Annotated, Final

from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse

from smppsim.control.views import UNKNOWN, BehaviourView, Described, Mistakes, MistakeView
from smppsim.scenario_files import ScenarioError, load_profile, profiles, read_scenario
from smppsim.simulator import Simulator

_TOML: Final = "application/toml"
_LONGEST: Final = 262_144
_MISTAKEN: Final[Described] = {422: {"model": Mistakes, "description": "Every mistake by its line and field"}}


def add_routes(app: FastAPI, simulator: Simulator) -> None:
    """Each closes all links and empties inboxes, log and counters first."""

    def begun() -> dict[str, BehaviourView]:
        return {name: BehaviourView.of(account) for name, account in simulator.smsc.accounts.items()}

    @app.get("/profiles", tags=["behaviour"])
    async def shipped() -> dict[str, str]:
        """The scenarios that are shipped, and what each rehearses."""
        return profiles()

    @app.post("/profiles/{name}", tags=["behaviour"], responses=UNKNOWN)
    async def profile(name: str) -> dict[str, BehaviourView]:
        """Begin anew with a shipped scenario; the accounts keep their names, passwords and numbers."""
        if name not in profiles():
            raise KeyError(name)
        simulator.load(load_profile(name))
        return begun()

    @app.put("/scenario", tags=["behaviour"], responses=_MISTAKEN, response_model=dict[str, BehaviourView])
    async def scenario(
        text: Annotated[bytes, Body(media_type=_TOML, max_length=_LONGEST)],
    ) -> dict[str, BehaviourView] | JSONResponse:
        """Begin anew with the scenario of a TOML text; one without accounts keeps those there are."""
        try:
            read = read_scenario(text.decode("utf-8", "replace"))
        except ScenarioError as error:
            found = Mistakes(detail=[MistakeView.of(mistake) for mistake in error.mistakes])
            return JSONResponse(found.model_dump(), 422)
        simulator.load(read)
        return begun()
