"""/v1/verifications: start, check, resend, cancel, the code spelled for speech, the state and the timeline.

What these do is decided by the workflow behind `engine.cases.verifications`; here are shapes, scopes and the mapping
of outcomes to HTTP. The proof of an authentication is the 200 of a check, never a GET or a webhook.
"""

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints
from starlette.responses import Response

from engine.api import paging, reading
from engine.api.accepting import destination, network_of
from engine.api.changing import answer, change
from engine.api.endpoint import Calling, Routes
from engine.api.problems import NUMBERS, ROUTING
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
)
from engine.apikeys import Scope
from engine.cases.verifications import StartVerification

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
    request = StartVerification(
        to=phone.e164,
        country=phone.country,
        number_unverified=not phone.valid,
        network=network_of(context, phone.e164),
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
    return await change(call, call.context.verifications.check, verification_id, body.code, body.binding, approved=200)


@routes.post(
    "/v1/verifications/{verification_id}/resend",
    needs=(Scope.VERIFY_START,),
    answers={200: VerificationShown},
    refuses=(*_OVER, *_WAITS, *ROUTING),
)
async def resend_verification(call: Calling, verification_id: str) -> Response:
    """Send the code again, or a new one, as the profile says; attempts are not given back."""
    return await change(call, call.context.verifications.resend, verification_id, resent=200)


@routes.post(
    "/v1/verifications/{verification_id}/cancel",
    needs=(Scope.VERIFY_START,),
    answers={200: VerificationShown},
    refuses=_OVER,
)
async def cancel_verification(call: Calling, verification_id: str) -> Response:
    """End a verification; its code approves nothing any more."""
    return await change(call, call.context.verifications.cancel, verification_id, canceled=200)


@routes.post(
    "/v1/verifications/{verification_id}/voice-code",
    needs=(Scope.VERIFY_REVEAL,),
    answers={200: VoiceCode},
    refuses=(*_OVER, *_WAITS, "max_voice_codes"),
)
async def read_voice_code(call: Calling, verification_id: str) -> Response:
    """Give out the code spelled for a voice call, at most twice; audited, and counted as a send."""
    return await change(call, call.context.verifications.voice_code, verification_id, voice_code=200)


@routes.get("/v1/verifications", needs=(Scope.VERIFY_READ,), shows=VerificationPage)
async def list_verifications(call: Calling, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """List the application's verifications, newest first."""
    return await reading.listed(call, call.context.verifications.page, limit, cursor)


@routes.get("/v1/verifications/{verification_id}", needs=(Scope.VERIFY_READ,), shows=VerificationShown)
async def read_verification(call: Calling, verification_id: str) -> Response:
    """Read a verification's state. Nothing is spent, and nothing is proven: only a check proves."""
    return await reading.one(call, call.context.verifications.read, verification_id)


@routes.get("/v1/verifications/{verification_id}/timeline", needs=(Scope.VERIFY_READ,), shows=reading.Timeline)
async def read_verification_timeline(call: Calling, verification_id: str) -> Response:
    """Read everything that happened: sends, answers, receipts, checks, webhooks, each with its time."""
    return await reading.timeline(call, call.context.verifications.timeline, verification_id)
