"""How a call changes a case: a store function of `engine.cases` is run for the caller, its outcome told over HTTP.

Routes of conversations import it; what the functions do is decided behind them.
"""

from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from engine.api.endpoint import Call
from engine.api.idempotency import Answer
from engine.api.problems import Refused
from engine.api.verifications import answer
from engine.cases.outcomes import Outcome
from engine.clock import from_rfc3339
from engine.store.transaction import Tx


async def change(call: Call, run: Callable[..., Outcome], *given: Any, **successes: int) -> Response:
    """Run a store function of cases for the caller; `successes` are its codes with their HTTP status."""

    def job(tx: Tx) -> Answer:
        outcome = run(tx, call.application_id, *given, call.caller.actor, call.now)
        return answer(outcome, call.now, **successes)

    return await call.change(job, urgent=True)


def instant_of(text: str, name: str) -> Any:
    """Return an instant that a field gives, in microseconds; refuses what is none."""
    try:
        return from_rfc3339(text)
    except ValueError:
        raise Refused("invalid", f"{name} must be an instant of RFC 3339, UTC") from None
