"""How a call changes a case: a store function of `engine.cases` is run for the caller, its outcome told over HTTP.

Routes of conversations import it; what the functions do is decided behind them.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from engine.api.endpoint import Call
from engine.api.idempotency import Answer
from engine.api.problems import PROBLEMS, Refused, problem_body
from engine.api.types import as_json
from engine.cases.outcomes import Outcome
from engine.clock import SECOND, from_rfc3339
from engine.store.transaction import Tx


async def change(call: Call, run: Callable[..., Outcome], *given: Any, **successes: int) -> Response:
    """Run a store function of cases for the caller; `successes` are its codes with their HTTP status."""

    def job(tx: Tx) -> Answer:
        outcome = run(tx, call.application_id, *given, call.caller.actor, call.now)
        return answer(outcome, call.now, **successes)

    return await call.change(job, urgent=True)


def answer(outcome: Outcome, now: int, **successes: int) -> Answer:
    """Return an outcome as an HTTP answer: `successes` are the codes that are none of refusals, with their status."""
    status = successes.get(outcome.code)
    body = dict(outcome.body)
    headers = _limits(body, now)
    bells = list(outcome.bells)
    if status is None:
        refusal = problem_body(outcome.code, **body)
        refused = PROBLEMS[outcome.code].status
        return Answer(
            refused,
            refusal,
            outcome.queued,
            bells,
            headers=headers if refused == 429 else headers[:1],
            on_air=outcome.on_air,
        )
    kept = {name: None if name in outcome.secret else value for name, value in body.items()}
    return Answer(
        status,
        as_json(body),
        outcome.queued,
        bells,
        stored=as_json(kept) if outcome.secret else None,
        headers=headers[:1],
        on_air=outcome.on_air,
    )


def instant_of(text: str, name: str) -> Any:
    """Return an instant that a field gives, in microseconds; refuses what is none."""
    try:
        return from_rfc3339(text)
    except ValueError:
        raise Refused("invalid", f"{name} must be an instant of RFC 3339, UTC") from None


def _limits(body: Mapping[str, Any], now: int) -> tuple[tuple[str, str], ...]:
    """Return what the number's window still allows as RateLimit items, and when to come back as Retry-After."""
    instant = body.get("next_send_at")
    wait_s = 0 if instant is None else max(0, math.ceil((from_rfc3339(instant) - now) / SECOND))
    items = [
        f'"{name}";r={body[member]}' + (f";t={wait_s}" if name == "sends" else "")
        for name, member in (("attempts", "attempts_remaining"), ("sends", "sends_remaining"))
        if member in body
    ]
    return (("RateLimit", ", ".join(items)), ("Retry-After", str(max(1, wait_s)))) if items else ()
