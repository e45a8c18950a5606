"""/v1/verifications: start, check, resend, cancel, the code spelled for speech, the state and the timeline.

What these do is decided by the workflow behind `engine.cases.verifications`; here are shapes, scopes and the mapping
of outcomes to HTTP. The proof of an authentication is the 200 of a check, never a GET or a webhook.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints
from starlette.responses import Response

from engine.api import paging
from engine.api.accepting import destination
from engine.api.endpoint import Calling, Routes
from engine.api.idempotency import Answer
from engine.api.messages import Timeline
from engine.api.problems import NUMBERS, PROBLEMS, ROUTING, Refused, problem_body
from engine.api.types import (
    NO_NUL,
    Binding,
    Body,
    Instant,
    Language,
    Name,
    NumberText,
    OpenShown,
    Region,
    ShortText,
    Shown,
    as_json,
)
from engine.apikeys import Scope
from engine.cases.outcomes import Outcome
from engine.cases.verifications import StartVerification
from engine.clock import SECOND, from_rfc3339

routes = Routes("verifications")

_OVER: Final = ("already_approved", "expired", "max_attempts", "canceled", "failed", "blocked")
_WAITS: Final = ("cooldown", "max_sends", "day_limit", "locked")
_STARTS: Final = (
    *NUMBERS, *ROUTING, *_OVER, *_WAITS, "pending", "profile_unknown",
    "language_not_offered", "bad_binding",
)  # fmt: skip
_CHECKS: Final = (
    *_OVER, "code_mismatch", "bad_format", "superseded", "binding_missing", "binding_mismatch", "locked",
)  # fmt: skip


class StartBody(Body):
    """A verification to start."""

    to: NumberText = Field(description="E.164, or national with `region`", examples=["+33612345678"])
    region: Region | None = None
    profile: Name = "default"
    purpose: Name = "login"
    language: Language | None = None
    session: ShortText | None = Field(
        default=None, description="opaque; a second start joins a pending one only if session and binding are equal"
    )
    binding: Binding | None = Field(
        default=None, description="what is approved: `amount` and `payee` are shown in the text; repeated at the check"
    )
    sender: Name | None = None


class CheckBody(Body):
    """A code as somebody typed it."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=NO_NUL)] = Field(repr=False)
    binding: Binding | None = None


class VerificationShown(OpenShown):
    """A verification; its number is masked. `delivery` tells how far its message has come, beside the state."""

    id: str
    state: Literal["pending", "approved", "expired", "max_attempts", "canceled", "failed", "blocked"]
    profile: str
    purpose: str
    to: str
    language: str
    delivery: str
    generation: int
    created_at: Instant
    expires_at: Instant
    attempts_remaining: int
    sends_remaining: int
    next_send_at: Instant | None
    voice_codes_remaining: int
    final_at: Instant | None
    reason: str


class VoiceCode(VerificationShown):
    """A verification with its code spelled for speech (null when an idempotent request is repeated)."""

    spoken_code: str | None


class VerificationPage(Shown):
    """Verifications, newest first."""

    data: list[VerificationShown]
    next_cursor: str | None


@routes.post(
    "/v1/verifications",
    needs=(Scope.VERIFY_START,),
    answers={201: VerificationShown, 200: VerificationShown},
    refuses=_STARTS,
)
async def start_verification(call: Calling, body: StartBody) -> Response:
    """Send a code to a number. 200 instead of 201 means that a pending verification of the same session was joined."""
    context = call.context
    phone = destination(body.to, body.region)
    network = context.resolver.lookup(phone.e164).network_mccmnc if context.by_network else None
    request = StartVerification(
        to=phone.e164,
        country=phone.country,
        number_unverified=not phone.valid,
        network=network,
        profile=body.profile,
        purpose=body.purpose,
        language=body.language,
        session=body.session,
        binding=body.binding,
        sender=body.sender,
    )
    case = context.verifications
    return await call.change(
        lambda tx: answer(
            case.start(tx, call.application_id, call.caller.actor, request, call.now), call.now, created=201, joined=200
        ),
        urgent=True,
    )


@routes.post(
    "/v1/verifications/{verification_id}/checks",
    needs=(Scope.VERIFY_CHECK,),
    answers={200: VerificationShown},
    refuses=_CHECKS,
)
async def check_verification(call: Calling, verification_id: str, body: CheckBody) -> Response:
    """Check a code. The 200 of this call is the proof; an attempt is spent before anything is compared."""
    case = call.context.verifications
    return await call.change(
        lambda tx: answer(
            case.check(tx, call.application_id, verification_id, body.code, body.binding, call.caller.actor, call.now),
            call.now,
            approved=200,
        ),
        urgent=True,
    )


@routes.post(
    "/v1/verifications/{verification_id}/resend",
    needs=(Scope.VERIFY_START,),
    answers={200: VerificationShown},
    refuses=(*_OVER, *_WAITS, *ROUTING),
)
async def resend_verification(call: Calling, verification_id: str) -> Response:
    """Send the code again, or a new one, as the profile says; attempts are not given back."""
    case = call.context.verifications
    return await call.change(
        lambda tx: answer(
            case.resend(tx, call.application_id, verification_id, call.caller.actor, call.now), call.now, resent=200
        ),
        urgent=True,
    )


@routes.post(
    "/v1/verifications/{verification_id}/cancel",
    needs=(Scope.VERIFY_START,),
    answers={200: VerificationShown},
    refuses=_OVER,
)
async def cancel_verification(call: Calling, verification_id: str) -> Response:
    """End a verification; its code approves nothing any more."""
    case = call.context.verifications
    return await call.change(
        lambda tx: answer(
            case.cancel(tx, call.application_id, verification_id, call.caller.actor, call.now), call.now, canceled=200
        )
    )


@routes.post(
    "/v1/verifications/{verification_id}/voice-code",
    needs=(Scope.VERIFY_REVEAL,),
    answers={200: VoiceCode},
    refuses=(*_OVER, *_WAITS, "max_voice_codes"),
)
async def read_voice_code(call: Calling, verification_id: str) -> Response:
    """Give out the code spelled for a voice call, at most twice; audited, and counted as a send."""
    case = call.context.verifications
    return await call.change(
        lambda tx: answer(
            case.voice_code(tx, call.application_id, verification_id, call.caller.actor, call.now),
            call.now,
            voice_code=200,
        ),
        urgent=True,
    )


@routes.get("/v1/verifications", needs=(Scope.VERIFY_READ,), shows=VerificationPage)
async def list_verifications(call: Calling, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """List the application's verifications, newest first."""
    before = paging.after(cursor)
    case = call.context.verifications
    rows = await call.read(lambda tx: case.page(tx, call.application_id, before, limit + 1))
    return call.shown(paging.page(rows, limit))


@routes.get("/v1/verifications/{verification_id}", needs=(Scope.VERIFY_READ,), shows=VerificationShown)
async def read_verification(call: Calling, verification_id: str) -> Response:
    """Read a verification's state. Nothing is spent, and nothing is proven: only a check proves."""
    case = call.context.verifications
    found = await call.read(lambda tx: case.read(tx, call.application_id, verification_id))
    if found is None:
        raise Refused("not_found")
    return call.shown(as_json(found))


@routes.get("/v1/verifications/{verification_id}/timeline", needs=(Scope.VERIFY_READ,), shows=Timeline)
async def read_verification_timeline(call: Calling, verification_id: str) -> Response:
    """Read everything that happened: sends, answers, receipts, checks, webhooks, each with its time."""
    case = call.context.verifications
    entries = await call.read(lambda tx: case.timeline(tx, call.application_id, verification_id))
    if entries is None:
        raise Refused("not_found")
    return call.shown(as_json({"data": entries, "next_cursor": None}))


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
