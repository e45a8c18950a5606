"""Routes that show accounts, sessions, counters and accepted messages."""

from dataclasses import asdict
from itertools import islice
from typing import Annotated

from fastapi import FastAPI, Query

from smppsim.control.views import AccountView, MessageView, SessionView
from smppsim.simulator import Simulator


def add_routes(app: FastAPI, simulator: Simulator) -> None:
    """Looking changes nothing."""

    @app.get("/sessions", tags=["looking"])
    async def sessions() -> list[SessionView]:
        """Every connection."""
        return [SessionView.of(session) for session in simulator.sessions]

    @app.get("/accounts", tags=["looking"])
    async def accounts() -> list[AccountView]:
        """Every account with its counts."""
        return [AccountView.of(account) for account in simulator.smsc.accounts.values()]

    @app.get("/messages", tags=["looking"])
    async def messages(
        state: str | None = None, account: str | None = None, limit: Annotated[int, Query(ge=1, le=10_000)] = 100
    ) -> list[MessageView]:
        """The latest accepted submits with their ids and states, newest first."""
        wanted = (
            message
            for message in reversed(tuple(simulator.smsc.messages))
            if (state is None or message.state == state) and (account is None or message.account.system_id == account)
        )
        return [MessageView.of(message) for message in islice(wanted, limit)]

    @app.get("/stats", tags=["looking"])
    async def stats() -> dict[str, int]:
        """Counters since the start or the last reset."""
        return asdict(simulator.stats)
