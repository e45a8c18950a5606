"""Builds the API's ASGI application: every route table, the OpenAPI document and its pages, the gate around it all.

Routes are declared in their modules; nothing is decided here.
"""

from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from engine.api import (
    applications,
    couriers,
    crm,
    custody,
    deliveries,
    events,
    evidence,
    keys,
    lead_models,
    leads,
    messages,
    numbers,
    opt_outs,
    pages,
    profiles,
    replies,
    reverse_verifications,
    signature_requests,
    stats,
    verifications,
    webhook_endpoints,
)
from engine.api.context import Context
from engine.api.endpoint import ApiRoute, Routes
from engine.api.limits import Gate
from engine.api.problems import Problem, Refused

# Routes are matched in this order: the busiest first.
TABLES: Final[tuple[Routes, ...]] = (
    messages.routes,
    verifications.routes,
    reverse_verifications.routes,
    evidence.routes,
    signature_requests.routes,
    deliveries.routes,
    couriers.routes,
    leads.routes,
    lead_models.routes,
    opt_outs.routes,
    events.routes,
    webhook_endpoints.routes,
    numbers.routes,
    replies.routes,
    profiles.routes,
    keys.routes,
    custody.routes,
    applications.routes,
    stats.routes,
)

_ABOUT: Final = """\
Codes and messages by SMS over your own binds.

Authenticate with `Authorization: Bearer sceau_…`. Every POST honours `Idempotency-Key`. Refusals are
`application/problem+json` with a stable `code`. Times are RFC 3339, numbers E.164. The proof of an authentication is
the 200 of a check, never a GET or a webhook.
"""
_BY_STATUS: Final = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


def build_app(context: Context) -> Gate:
    """Return the application, with the context in its routes."""
    app: FastAPI = FastAPIOffline(
        title="Sceau",
        description=_ABOUT,
        version=version("sceau"),
        redirect_slashes=False,
        exception_handlers={HTTPException: _refused_by_framework, Exception: _failed_in_framework},
    )
    for table in TABLES:
        app.router.routes.extend(ApiRoute(context, endpoint) for endpoint in table.endpoints)
    app.router.routes.extend(pages.routes(context))
    app.router.routes.extend(crm.routes(context))
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(made())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return Gate(Dispatch(app), context.settings.http, context.clock)


class Dispatch:
    """Runs operations with a body at a fixed path without the framework's layers; leaves everything else to it."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._fixed = {
            (method, route.path): route.app
            for route in app.router.routes
            if isinstance(route, ApiRoute) and route.body_field is not None and "{" not in route.path
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's event as ASGI says."""
        fixed = self._fixed.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if fixed is None:
            await self._app(scope, receive, send)
        else:
            scope["path_params"] = {}
            await fixed(scope, receive, send)


def endpoints() -> list[tuple[str, str]]:
    """Return (method, path) of every operation."""
    return [(endpoint.method, endpoint.path) for table in TABLES for endpoint in table.endpoints]


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    problem = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs", {}) | {"Problem": problem}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "an API key"}}
    for path in document["paths"].values():
        for method, operation in path.items():
            if method == "post":
                operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
    return document


_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeats of a request with the same key get the first one's answer, for 24 hours.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


async def _refused_by_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refused = Refused(_BY_STATUS.get(error.status_code, "bad_request"))
    if error.status_code == 405:
        refused.with_headers(Allow=", ".join(sorted(_allowed(request))))
    return refused.response()


async def _failed_in_framework(_request: Request, _error: Exception) -> Response:
    return Refused("internal").response()  # the gate logs it


def _allowed(request: Request) -> set[str]:
    found: set[str] = set()
    for route in request.app.router.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= route.methods or set()
    return found
