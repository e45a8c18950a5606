"""Legal holds on evidence, and the erasure of a person (GDPR, articles 17 and 17(3)): what is kept, what is not.

What is erased cannot be had back; the chains that it stood in verify as before.
"""

from typing import Annotated, Any

from pydantic import StringConstraints
from starlette.responses import Response

from engine.api.accepting import destination
from engine.api.endpoint import Calling, Routes
from engine.api.idempotency import Answer
from engine.api.problems import NUMBERS, Refused
from engine.api.types import NO_NUL, Body, NumberText, Region, Shown, as_json
from engine.apikeys import Scope
from engine.cases.erasing import Erasing, NotErased
from engine.clock import from_rfc3339, to_rfc3339
from engine.evidence.custody import Custody, Hold, hold_of
from engine.store.transaction import Tx

routes = Routes("custody")

_PATH = "/v1/signature-requests/{request_id}/hold"


class HoldBody(Body):
    """A legal hold: why (words that name nobody), and until when; without an end it stands until it is lifted."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=NO_NUL)]
    until: str | None = None


class HoldShown(Shown):
    """How long the evidence of a request is kept, and what holds it beyond that."""

    request_id: str
    retain_until: str
    on_hold: bool
    reason: str | None
    until: str | None


class ErasureBody(Body):
    """The person of a number, E.164 or national with `region`."""

    phone: NumberText
    region: Region | None = None


class ErasureShown(Shown):
    """How much was erased: chains that the person was in, verifications, messages and replies."""

    evidence: int
    cases: int
    messages: int
    replies: int


@routes.get(_PATH, needs=(Scope.EVIDENCE_HOLD, Scope.EVIDENCE_READ), shows=HoldShown)
async def read_hold(call: Calling, request_id: str) -> Response:
    """Read how long the evidence of a request is kept, and what holds it."""
    custody = call.context.custody
    return call.shown(
        as_json(await call.read(lambda tx: _shown(tx, custody, call.application_id, request_id, call.now)))
    )


@routes.put(_PATH, needs=(Scope.EVIDENCE_HOLD,), answers={200: HoldShown})
async def set_hold(call: Calling, request_id: str, body: HoldBody) -> Response:
    """Put the evidence of a request under a legal hold: it is neither erased nor purged. Kept in the chain."""
    until = None if body.until is None else _instant(body.until)
    if until is not None and until <= call.now:
        raise Refused("invalid", "until must be in the future")
    custody, hold = call.context.custody, Hold(body.reason, until)

    def job(tx: Tx) -> Answer:
        if not custody.hold(tx, call.application_id, request_id, hold, call.caller.actor, call.now):
            raise Refused("not_found")
        return Answer(200, as_json(_shown(tx, custody, call.application_id, request_id, call.now)))

    return await call.change(job)


@routes.delete(_PATH, needs=(Scope.EVIDENCE_HOLD,), answers={200: HoldShown})
async def lift_hold(call: Calling, request_id: str) -> Response:
    """Lift the legal hold of a request's evidence."""
    custody = call.context.custody

    def job(tx: Tx) -> Answer:
        if not custody.lift(tx, call.application_id, request_id, call.caller.actor, call.now):
            raise Refused("not_found")
        return Answer(200, as_json(_shown(tx, custody, call.application_id, request_id, call.now)))

    return await call.change(job)


@routes.post(
    "/v1/erasures",
    needs=(Scope.PII_ERASE,),
    answers={200: ErasureShown},
    refuses=(*NUMBERS, "on_hold", "subject_active"),
)
async def erase_person(call: Calling, body: ErasureBody) -> Response:
    """Erase a person from the application: what was kept of their number, name, texts and answers. Asked again, it
    goes on where it stopped, or finds nothing.
    """
    context = call.context
    erasing = Erasing(context.store, context.clock, context.keyring, context.custody)
    done = await erasing.erase(call.application_id, destination(body.phone, body.region).e164, call.caller.actor)
    if isinstance(done, NotErased):
        until = None if done.until is None else to_rfc3339(done.until)
        facts: dict[str, Any] = {"ids": list(done.ids[:20])}
        raise Refused(done.code, **(facts | ({"reason": done.reason, "until": until} if done.reason else {})))
    shown = as_json(done._asdict())
    return await call.change(lambda _tx: Answer(200, shown))  # so that a repeat under the same key is told the same


def _shown(tx: Tx, custody: Custody, application_id: str, request_id: str, now: int) -> dict[str, Any]:
    found = custody.read_hold(tx, application_id, request_id)
    if found is None:
        raise Refused("not_found")
    kept, retain_until = found
    hold = None if kept is None else hold_of(kept.reason, kept.until, now)
    return {
        "request_id": request_id,
        "retain_until": to_rfc3339(retain_until),
        "on_hold": hold is not None,
        "reason": None if hold is None else hold.reason,
        "until": None if hold is None or hold.until is None else to_rfc3339(hold.until),
    }


def _instant(text: str) -> int:
    try:
        return from_rfc3339(text)
    except ValueError:
        raise Refused("invalid", "until must be an instant of RFC 3339, UTC") from None
