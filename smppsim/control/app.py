"""The control API as one ASGI application: its routes, its errors, and who may call it.

It knows no route of its own; `cli` serves it, tests call it in process.
"""

from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from smppsim.control import behaviour, faults, handsets, injecting, looking, page, pdus, phones, scenarios
from smppsim.simulator import Simulator

_LOCAL_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_ABOUT: Final = """Read handsets, sessions, PDUs and counters, change behaviour, cause faults, start again.

Statuses are numbers, `"0x58"`, or names with or without `ESME_`. Nothing shows a password."""
_TAGS: Final = (
    {"name": "looking", "description": "Accounts, sessions and counters."},
    {"name": "handsets", "description": "What people got, and what they answer."},
    {"name": "pdus", "description": "What was on the wire, as it was and as it is."},
    {"name": "behaviour", "description": "What messages and links meet from now on."},
    {"name": "injecting", "description": "PDUs that no handset and no submit asked for."},
    {"name": "faults", "description": "An operator's bad days."},
)


def control_app(simulator: Simulator, *, any_host: bool = False) -> ASGIApp:
    """The ASGI application; `any_host` is for listeners beyond loopback."""
    app = FastAPIOffline(title="smppsim", description=_ABOUT, version="1", openapi_tags=list(_TAGS))
    for error in (ValidationError, RequestValidationError):
        app.add_exception_handler(error, _invalid)
    app.add_exception_handler(KeyError, _unknown)
    add_routes(app, simulator)
    page.add_routes(app)
    return OwnPages(app) if any_host else LocalNames(OwnPages(app))


def add_routes(app: FastAPI, simulator: Simulator) -> None:
    """Every route there is, in the order in which they are described."""
    for theme in (looking, handsets, phones, pdus, behaviour, scenarios, injecting, faults):
        theme.add_routes(app, simulator)


class LocalNames:
    """Answers only requests addressed to this machine by name, so that no web page can rebind its way in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and _without_port(Headers(scope=scope).get("host", "")) not in _LOCAL_NAMES:
            await JSONResponse({"detail": "unknown host"}, 421)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class OwnPages:
    """Refuses what a browser sends on behalf of another site: no foreign page resets a simulator or sends a PDU."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2] != headers.get("host"):
                await JSONResponse({"detail": "another site's page may not call this"}, 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rsplit(":", 1)[0]


async def _unknown(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"unknown: {error.args[0] if error.args else ''}"}, 404)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    """Which field is wrong and why; what was sent is not repeated, it may hold a password."""
    assert isinstance(error, ValidationError | RequestValidationError)
    rows = [{"type": row["type"], "loc": row["loc"], "msg": row["msg"]} for row in error.errors()]
    return JSONResponse({"detail": rows}, 422)
