"""The route that causes faults: one union, told apart by `kind`."""

from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from smppsim.control.views import UNKNOWN, Hit
from smppsim.faults import Fault
from smppsim.simulator import Simulator


def add_routes(app: FastAPI, simulator: Simulator) -> None:
    """One path for all."""

    @app.post("/faults", status_code=202, tags=["faults"], responses=UNKNOWN)
    async def faults(fault: Fault) -> Hit:
        """Cause a fault; how many links or accounts it hits now."""
        return Hit(hit=simulator.cause(fault))

    @app.get("/faults/schema", tags=["faults"])
    async def schema() -> dict[str, Any]:
        """The JSON Schema of a fault: every `kind` with what it is told."""
        described: dict[str, Any] = TypeAdapter(Fault).json_schema()
        return described
