"""The HTTP control API: read handsets, sessions, PDUs and counters, change behaviour, cause faults, start again.

It only calls the simulator and shows what it says; passwords are never shown. Served by `cli`, on loopback
unless told otherwise.
"""

from dataclasses import asdict
from typing import Annotated, Any

import trio
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import Field, ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.smpp.errors import ProtocolError
from smppsim.accounts import Account
from smppsim.control_handsets import handset_routes
from smppsim.data import Data
from smppsim.faults import Fault
from smppsim.handsets import InboxMessage, code_in
from smppsim.replies import NoRoute
from smppsim.session import Session
from smppsim.simulator import Simulator

_LONGEST_WAIT_S = 30.0
_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Reply(Data):
    """What a handset sends."""

    text: Annotated[str, Field(max_length=2000)]
    to: Annotated[str, Field(min_length=1, max_length=20)] | None = None
    """Our number; absent, the sender of the handset's latest message."""
    account: str | None = None
    source: Annotated[str, Field(min_length=1, max_length=20)] | None = None


class BehaviourChange(Data):
    """Fields to change, for one account or all, for one destination pattern or all."""

    account: str | None = None
    destination: str | None = None
    behaviour: dict[str, Any] = Field(default_factory=dict)
    link: dict[str, Any] = Field(default_factory=dict)


def control_app(simulator: Simulator, *, any_host: bool = False) -> ASGIApp:
    """The ASGI application; `any_host` is for listeners beyond loopback."""
    app = FastAPIOffline(title="smppsim", description=__doc__, version="1")
    app.add_exception_handler(KeyError, _unknown)
    app.add_exception_handler(ValidationError, _invalid)
    _looking(app, simulator)
    _changing(app, simulator)
    handset_routes(app, simulator)
    return app if any_host else LocalNames(app)


class LocalNames:
    """Answers only requests addressed to this machine by name, so that no web page can rebind its way in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if not hosts or _without_port(hosts[0]) not in _LOCAL_NAMES:
                await JSONResponse({"detail": "unknown host"}, 421)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_port(host: str) -> str:
    return host if host.endswith("]") else host.rsplit(":", 1)[0]


async def _unknown(_request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": f"unknown: {error.args[0] if error.args else ''}"}, 404)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ValidationError)
    detail = error.errors(include_url=False, include_context=False, include_input=False)
    return JSONResponse({"detail": detail}, 422)


def _looking(app: FastAPI, simulator: Simulator) -> None:
    @app.get("/handsets")
    async def handsets() -> list[str]:
        """Numbers that received something."""
        return simulator.smsc.handsets.numbers()

    @app.get("/handsets/{number}/messages")
    async def messages(
        number: str,
        wait_s: Annotated[float, Query(ge=0, le=_LONGEST_WAIT_S)] = 0.0,
        count: Annotated[int, Query(ge=1)] = 1,
    ) -> list[dict[str, object]]:
        """The inbox, oldest first; `wait_s` waits that long for `count` complete messages."""
        handset = simulator.handset(number)
        with trio.move_on_after(wait_s):
            await handset.wait(count)
        return [_message(message) for message in handset.messages]

    @app.get("/deliveries")
    async def deliveries() -> list[dict[str, object]]:
        """How often each text really reached each handset."""
        counts = simulator.deliveries()
        return [{"number": number, "text": text, "count": n} for (number, text), n in counts.items()]

    @app.get("/sessions")
    async def sessions() -> list[dict[str, object]]:
        """Every connection."""
        return [_session(session) for session in simulator.sessions]

    @app.get("/accounts")
    async def accounts() -> list[dict[str, object]]:
        """Every account with its counts."""
        return [_account(account) for account in simulator.smsc.accounts.values()]

    @app.get("/pdus")
    async def pdus(
        limit: Annotated[int, Query(ge=1, le=10_000)] = 100, session: int | None = None
    ) -> list[dict[str, object]]:
        """The latest PDUs, oldest first."""
        rows = [row for row in simulator.pdus if session is None or row.session == session]
        return [row.as_json() for row in rows[-limit:]]

    @app.get("/stats")
    async def stats() -> dict[str, int]:
        """Counters since the start or the last reset."""
        return asdict(simulator.stats)


def _changing(app: FastAPI, simulator: Simulator) -> None:
    @app.post("/handsets/{number}/send", status_code=202)
    async def send(number: str, reply: Reply) -> dict[str, int]:
        """A reply from the handset; how many PDUs it takes."""
        try:
            pdus = simulator.handset(number).reply(reply.text, reply.to, account=reply.account, source=reply.source)
        except NoRoute as error:
            raise HTTPException(409, str(error)) from None
        except ProtocolError as error:
            raise HTTPException(422, str(error)) from None
        return {"parts": len(pdus)}

    @app.get("/behaviour")
    async def behaviour() -> dict[str, dict[str, object]]:
        """What each account's messages and links meet now."""
        return {name: _behaviour(account) for name, account in simulator.smsc.accounts.items()}

    @app.patch("/behaviour")
    async def change(change: BehaviourChange) -> dict[str, dict[str, object]]:
        """Change it from now on."""
        if change.behaviour:
            simulator.behave(change.account, change.destination, **change.behaviour)
        if change.link:
            simulator.link(change.account, **change.link)
        return await behaviour()

    @app.get("/held")
    async def held() -> list[dict[str, object]]:
        """Responses that wait for their release."""
        return [
            {"session": each.session.number, "sequence": each.sequence, "status": each.status}
            for each in simulator.held
        ]

    @app.post("/held/release", status_code=202)
    async def release() -> dict[str, int]:
        """Give all held responses."""
        count = len(simulator.held)
        simulator.release()
        return {"released": count}

    @app.post("/faults", status_code=202)
    async def faults(fault: Fault) -> dict[str, int]:
        """Cause a fault; how many links or accounts it hits now."""
        return {"hit": simulator.cause(fault)}

    @app.post("/reset", status_code=204)
    async def reset() -> None:
        """Back to the settings; links closed, everything kept forgotten."""
        simulator.reset()


def _message(message: InboxMessage) -> dict[str, object]:
    return {**message._asdict(), "complete": message.complete, "code": code_in(message.text)}


def _session(session: Session) -> dict[str, object]:
    return {
        "session": session.number,
        "peer": session.peer,
        "account": session.account.system_id if session.account else None,
        "state": session.state,
        "interface_version": session.version,
        "unanswered": session.unanswered,
        "unacknowledged": len(session.outstanding) + len(session.ready),
        "cut": session.cut,
    }


def _account(account: Account) -> dict[str, object]:
    return {
        "system_id": account.system_id,
        "sessions": [session.number for session in account.sessions],
        "submits": account.submits,
        "busiest_second": account.busiest_second,
        "most_sessions": account.most_sessions,
        "widest_window": account.widest_window,
        "waiting": len(account.waiting),
    }


def _behaviour(account: Account) -> dict[str, object]:
    return {
        "behaviour": account.behaviour.model_dump(mode="json"),
        "link": account.link.model_dump(mode="json"),
        "rules": [rule.model_dump(mode="json") for rule in account.rules],
    }
