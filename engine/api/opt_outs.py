"""/v1/opt-outs and /v1/opt-ins: what a customer told your people is written down, and kept to.

What handsets write comes by itself; here is what comes by telephone or on a page. The ledger keeps the words, sealed.
"""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field, StringConstraints
from starlette.responses import Response

from engine.api.accepting import destination
from engine.api.endpoint import Call, Calling, Routes
from engine.api.idempotency import Answer
from engine.api.problems import NUMBERS
from engine.api.types import NO_NUL, Body, Instant, Name, NumberText, Region, Shown, as_json
from engine.apikeys import Scope
from engine.cases.outcomes import public
from engine.consent import Said
from engine.store.transaction import Tx

routes = Routes("consent")

_Words = Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=NO_NUL)]
_RegionQuery = Annotated[str | None, Query(pattern=r"^[A-Z]{2}$")]


class OptBody(Body):
    """What somebody said of your messages."""

    phone: NumberText
    region: Region | None = None
    sender: Name | None = Field(default=None, description="one of your senders; left out: all of them")
    category: Literal["all", "marketing"] = Field(default="all", description="marketing: notices may still be sent")
    words: _Words = Field(description="what was said, exactly")


class OptOutShown(Shown):
    """A standing opt-out; an empty sender stands for all."""

    sender: str
    category: str
    since_at: Instant


class OptOutList(Shown):
    """The opt-outs that stand for a number."""

    data: list[OptOutShown]
    next_cursor: None = None


@routes.get("/v1/opt-outs", needs=(Scope.CONSENT_MANAGE,), shows=OptOutList, refuses=NUMBERS)
async def list_opt_outs(
    call: Calling, phone: Annotated[str, Query(max_length=40)], region: _RegionQuery = None
) -> Response:
    """Tell which opt-outs stand for a number; they are kept by a pseudonym of it, so that there is no list of all."""
    to = destination(phone, region)
    return call.shown(await call.read(lambda tx: _standing(call, tx, to.e164)))


@routes.post("/v1/opt-outs", needs=(Scope.CONSENT_MANAGE,), answers={200: OptOutList}, refuses=NUMBERS)
async def opt_out(call: Calling, body: OptBody) -> Response:
    """Write down that somebody wants no more messages: it holds from the next one on that has not left."""
    return await _write(call, body, is_out=True)


@routes.post("/v1/opt-ins", needs=(Scope.CONSENT_MANAGE,), answers={200: OptOutList}, refuses=NUMBERS)
async def opt_in(call: Calling, body: OptBody) -> Response:
    """Write down that somebody wants messages again."""
    return await _write(call, body, is_out=False)


async def _write(call: Call, body: OptBody, *, is_out: bool) -> Response:
    phone = destination(body.phone, body.region).e164
    said = Said(
        call.application_id, phone, body.sender or "", body.words, "api", call.caller.key.id, category=body.category
    )

    def job(tx: Tx) -> Answer:
        consent = call.context.consent
        if is_out:
            consent.opt_out(tx, said, call.now)
        else:
            consent.opt_in(tx, said, call.now)
        return Answer(200, _standing(call, tx, phone))

    return await call.change(job)


def _standing(call: Call, tx: Tx, phone: str) -> str:
    rows = call.context.consent.standing(tx, call.application_id, phone)
    return as_json({"data": [public(one) for one in rows], "next_cursor": None})
