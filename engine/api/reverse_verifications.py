"""/v1/reverse-verifications: a code that the user sends by SMS; start, result with its secret, confirm, cancel.

What these do is decided by the workflow behind `engine.cases.reverse`; here are shapes, scopes, long polls and the
mapping of outcomes to HTTP. The result is read with the secret that the start returned, in the header `Reverse-Secret`.
"""

import json
from functools import partial
from typing import Annotated, Any, Final, Literal

import trio
from fastapi import Header, Query
from pydantic import Field, StringConstraints
from starlette.responses import Response

from engine.api import paging, reading
from engine.api.accepting import destination
from engine.api.changing import answer, change
from engine.api.endpoint import Call, Calling, Routes
from engine.api.idempotency import Answer
from engine.api.pages import beside, images_at, qr
from engine.api.problems import NUMBERS, Refused
from engine.api.types import NO_NUL, Body, Instant, Language, NumberText, OpenShown, Region, ShortText, Shown, as_json
from engine.apikeys import Scope
from engine.cases.outcomes import Outcome
from engine.cases.reverse import LIFE_LEAST_S, LIFE_MOST_S, StartReverse

routes = Routes("reverse verifications")

_PATH: Final = "/v1/reverse-verifications"
_ONE: Final = _PATH + "/{reverse_id}"
_CREATED: Final = 201
_OF_THE_BODY: Final = frozenset({"content-length"})
_OVER: Final = ("already_approved", "refused", "expired", "canceled", "failed")
SecretHeader = Annotated[str, Header(max_length=64)]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=NO_NUL)]


class StartBody(Body):
    """A reverse verification to start."""

    claimed: NumberText | None = Field(
        default=None, description="the number that must send the code; without it the sender is the result"
    )
    region: Region | None = Field(default=None, description="to read a national `claimed` by")
    number: NumberText | None = Field(default=None, description="one of your numbers that take replies; the first")
    language: Language | None = None
    life_s: Annotated[int, Field(ge=LIFE_LEAST_S, le=LIFE_MOST_S)] = 600
    confirm: bool = Field(default=False, description="the code alone approves nothing: `…/confirm` does")
    reference: ShortText | None = None
    qr: bool = Field(default=True, description="draw the QR code for the answer, which takes some milliseconds")


class ConfirmBody(Body):
    """What the user said when the application asked whether it was them."""

    secret: Secret = Field(repr=False)
    agreed: bool = True


class ReverseAsked(OpenShown):
    """What a reverse verification was started with."""

    id: str
    number: str
    claimed: str | None
    confirm: bool
    language: str
    reference: str | None
    created_at: Instant
    expires_at: Instant


class ReverseListed(ReverseAsked):
    """A reverse verification, without its result."""

    state: Literal["pending", "ended"]


class ReverseShown(ReverseAsked):
    """A reverse verification, without the sender's number."""

    state: Literal["pending", "received", "approved", "refused", "expired", "canceled", "failed"]
    assurance: Literal["mo_unauthenticated", "mo_trusted"] | None
    received_at: Instant | None
    final_at: Instant | None


class ReverseStarted(ReverseShown):
    """What is shown this once (null when an idempotent request is repeated): the code, ways to send it, the secret."""

    code: str | None
    text: str | None
    sms: dict[str, str] | None
    qr: dict[str, str] | None
    images: dict[str, str] | None = Field(description="where the QR code is an image, as long as it is waited for")
    page: str | None
    secret: str | None


class ReversePage(Shown):
    """Reverse verifications, newest first, without their results."""

    data: list[ReverseListed]
    next_cursor: str | None


class ReverseResult(ReverseShown):
    """The result: `from` is who sent the code, E.164."""

    sender: str | None = Field(alias="from")


@routes.post(
    _PATH,
    needs=(Scope.VERIFY_START,),
    answers={201: ReverseStarted},
    refuses=(*NUMBERS, "no_number", "language_not_offered"),
)
async def start_reverse_verification(call: Calling, body: StartBody) -> Response:
    """Get a code for a user to send by SMS. Nothing is sent by us, and nothing is charged."""
    claimed = None if body.claimed is None else destination(body.claimed, body.region)
    request = StartReverse(
        claimed=None if claimed is None else claimed.e164,
        number=body.number,
        language=body.language,
        life_s=body.life_s,
        confirm=body.confirm,
        reference=body.reference or "",
    )
    case = call.context.reverses

    def start(tx: Any) -> Answer:
        outcome = case.start(tx, call.application_id, call.caller.actor, request, call.now)
        return answer(outcome, call.now, created=201)

    return await _with_qr(await call.change(start, urgent=True), wanted=body.qr)


@routes.get(_PATH, needs=(Scope.VERIFY_READ,), shows=ReversePage)
async def list_reverse_verifications(call: Calling, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """List the application's reverse verifications, newest first: pending or ended, results need their secrets."""
    return await reading.listed(call, call.context.reverses.list_page, limit, cursor)


@routes.get(_ONE, needs=(Scope.VERIFY_READ,), shows=ReverseResult, refuses=("wrong_secret",))
async def read_reverse_verification(
    call: Calling,
    reverse_id: str,
    reverse_secret: SecretHeader = "",
    wait: Annotated[int, Query(ge=0, le=60)] = 0,
) -> Response:
    """Read the result with the secret in `Reverse-Secret`; `wait` holds the answer back until something happened."""
    with call.context.waiting.on(reverse_id) as changed:
        outcome = await _read(call, reverse_id, reverse_secret)
        if wait and outcome.code == "read" and outcome.body["state"] == "pending":
            with trio.move_on_after(wait):
                await changed.wait()
            outcome = await _read(call, reverse_id, reverse_secret)
    if outcome.code != "read":
        raise Refused(outcome.code)
    return call.shown(as_json(outcome.body))


@routes.get(f"{_ONE}/timeline", needs=(Scope.VERIFY_READ,), shows=reading.Timeline)
async def read_reverse_timeline(call: Calling, reverse_id: str, reverse_secret: SecretHeader = "") -> Response:
    """Read everything that happened, each with its time; without the secret in `Reverse-Secret`, its start alone."""
    return await reading.timeline(call, partial(call.context.reverses.timeline, secret=reverse_secret), reverse_id)


@routes.post(
    f"{_ONE}/confirm",
    needs=(Scope.VERIFY_CHECK,),
    answers={200: ReverseShown},
    refuses=(*_OVER, "wrong_secret", "not_received"),
)
async def confirm_reverse_verification(call: Calling, reverse_id: str, body: ConfirmBody) -> Response:
    """Tell whether the user says that it was them: only then is one approved that was started with `confirm`."""
    confirm = partial(call.context.reverses.confirm, agreed=body.agreed)
    return await change(call, confirm, reverse_id, body.secret, confirmed=200)


@routes.post(f"{_ONE}/cancel", needs=(Scope.VERIFY_START,), answers={200: ReverseShown}, refuses=("already_ended",))
async def cancel_reverse_verification(call: Calling, reverse_id: str) -> Response:
    """End one; its code approves nothing any more. Without its secret nothing is said of a code that has come."""
    return await change(call, call.context.reverses.cancel, reverse_id, canceled=200)


async def _read(call: Call, reverse_id: str, secret: str) -> Outcome:
    case = call.context.reverses
    found: Outcome = await call.read(
        lambda tx: case.read(tx, call.application_id, reverse_id, secret, call.context.clock.now())
    )
    return found


async def _with_qr(response: Response, *, wanted: bool) -> Response:
    """Add the images to an answer that has a text to send; drawn after the commit and beside the loop: they take ms."""
    if response.status_code != _CREATED:
        return response
    shown = json.loads(bytes(response.body))
    given = (shown["number"], shown["text"])
    shown["qr"] = None if shown["text"] is None or not wanted else await beside(_images, *given)
    shown["images"] = None if shown["page"] is None else images_at(shown["page"])
    headers = {name: value for name, value in response.headers.items() if name not in _OF_THE_BODY}
    return Response(as_json(shown), _CREATED, headers)


def _images(number: str, text: str) -> dict[str, str]:
    made = qr(number, text)
    return {"svg": made.svg_inline(scale=4, border=2), "png": made.png_data_uri(scale=5, border=2)}
