"""Every refusal in one table: its stable code, HTTP status and title; and the problem+json made of it (RFC 9457).

Routes raise `Refused` or return `problem_body`; nothing that the caller sent is repeated. The table also feeds the
OpenAPI document, so that no answer is undocumented.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from engine.api.types import as_json

MEDIA_TYPE: Final = "application/problem+json"


class Kind(NamedTuple):
    """One row of the table."""

    status: int
    title: str


PROBLEMS: Final[Mapping[str, Kind]] = {
    # The request as such.
    "malformed_json": Kind(400, "The body is not JSON"),
    "bad_request": Kind(400, "The request is malformed"),
    "key_in_query": Kind(400, "API keys and tokens do not belong in the address"),
    "bad_idempotency_key": Kind(400, "Idempotency-Key must be 1 to 255 printable ASCII characters"),
    "missing_key": Kind(401, "Send an API key as bearer token"),
    "invalid_key": Kind(401, "The API key is not valid"),
    "address_not_allowed": Kind(403, "The API key may not be used from this address"),
    "scope_missing": Kind(403, "The API key lacks a scope"),
    "not_found": Kind(404, "There is no such thing"),
    "method_not_allowed": Kind(405, "This address does not know the method"),
    "too_slow": Kind(408, "The body took too long to arrive"),
    "too_large": Kind(413, "The body is too large"),
    "unsupported_media_type": Kind(415, "Send JSON as application/json"),
    "invalid": Kind(422, "A field is missing or wrong"),
    "headers_too_large": Kind(431, "The headers are too large"),
    "rate_limited": Kind(429, "Too many requests"),
    "too_many_refused_keys": Kind(429, "Too many refused keys from this address"),
    "internal": Kind(500, "Something failed on our side"),
    "store_unavailable": Kind(503, "The database did not take the work; nothing was changed"),
    "commit_unknown": Kind(503, "Whether the work was stored is not known; repeat it with the same Idempotency-Key"),
    # Idempotency.
    "idempotency_in_flight": Kind(409, "The first request with this Idempotency-Key is still running"),
    "idempotency_mismatch": Kind(422, "This Idempotency-Key was used with another request"),
    # Destinations, senders and texts.
    "invalid_number": Kind(422, "This is not a phone number"),
    "impossible_number": Kind(422, "No such number can exist in its country"),
    "number_type_denied": Kind(422, "Numbers of this type are not served"),
    "number_needs_country": Kind(422, "The number is national: name its region or write it with + and country code"),
    "no_route": Kind(422, "No route serves this destination"),
    "no_sender": Kind(422, "No account carries this sender to this destination"),
    "no_reply_route": Kind(422, "The answer to this message could not come home"),
    "sender_unknown": Kind(422, "The sender is not one of the application's on this lane"),
    "too_many_parts": Kind(422, "The text needs too many parts"),
    "ttl_required": Kind(422, "A code needs ttl_s: how long it is worth delivering"),
    "already_sent": Kind(409, "The message has left, or has ended"),
    "belongs_to_case": Kind(409, "The message belongs to a conversation: cancel that"),
    # Verifications.
    "pending": Kind(409, "Another verification of this number is pending"),
    "already_approved": Kind(409, "The verification was approved before"),
    "canceled": Kind(410, "It was canceled"),
    "failed": Kind(410, "The verification has failed: no way led to the number"),
    "code_mismatch": Kind(422, "The code is not right"),
    "bad_format": Kind(422, "This cannot be a code; no attempt was spent"),
    "superseded": Kind(422, "A newer code was sent; no attempt was spent"),
    "binding_missing": Kind(422, "Repeat the binding that the verification was started with"),
    "binding_mismatch": Kind(422, "The binding differs from the one that the verification was started with"),
    "bad_binding": Kind(422, "The binding cannot be shown in a text"),
    "profile_unknown": Kind(422, "The application has no such profile"),
    "language_not_offered": Kind(422, "The profile has no text in this language"),
    "expired": Kind(410, "Its time is over"),
    "max_attempts": Kind(429, "No attempts are left"),
    "cooldown": Kind(429, "It is too early to send again"),
    "max_sends": Kind(429, "No sends are left"),
    "day_limit": Kind(429, "The number has had its day's messages"),
    "max_voice_codes": Kind(429, "No more codes are spelled for this verification"),
    "locked": Kind(429, "Verifications of this number are locked for a while"),
    "blocked": Kind(403, "Sending to this number is blocked"),
    # Reverse verifications.
    "no_number": Kind(422, "You have no such number that takes replies"),
    "wrong_secret": Kind(403, "The secret of the start is needed to read the result"),
    "already_ended": Kind(409, "The verification has ended before"),
    "not_received": Kind(409, "The code has not come, or needs no confirmation"),
    "refused": Kind(409, "The user said that it was not them"),
    # Deliveries.
    "already_delivered": Kind(409, "The delivery was confirmed before"),
    "returned": Kind(409, "The parcels went back"),
    "not_ready": Kind(409, "No code of this delivery can be entered yet; no attempt was spent"),
    "delivery_locked": Kind(429, "Too many wrong codes: a supervisor has to decide"),
    "courier_suspended": Kind(429, "The courier has entered too many wrong codes today; no attempt was spent"),
    "attempt_failed": Kind(409, "This attempt at delivering has failed: give it another slot"),
    "claim_pending": Kind(409, "Entries made offline wait for the rest of their log; no attempt was spent"),
    "bad_slot": Kind(422, "The slot cannot be"),
    "not_delegable": Kind(409, "The code of this delivery stays with its recipient"),
    "max_delegations": Kind(429, "The code was passed on as often as may be"),
    "not_delegated": Kind(409, "The code is the recipient's already"),
    "already_party": Kind(409, "This person may receive the delivery already, or could before"),
    "not_locked": Kind(409, "The delivery is not locked"),
    "max_unlocks": Kind(429, "The delivery was unlocked as often as may be"),
    "not_failed": Kind(409, "The delivery waits for its first attempt"),
    "bad_public_key": Kind(422, "Not an Ed25519 public key: 32 octets in base64url"),
    "device_revoked": Kind(409, "The device was revoked: its logs are not taken"),
    "log_malformed": Kind(422, "An entry of the log has not the form that it should have; nothing was taken"),
    "log_signature": Kind(422, "A signature of the log is not the device's; nothing was taken"),
    "log_gap": Kind(409, "Entries of the log are missing; nothing was taken"),
    "log_forked": Kind(409, "The log contradicts what came before; nothing was taken"),
    # Leads.
    "lead_closed": Kind(410, "The lead is closed"),
    "already_verified": Kind(409, "The lead's number is proven already"),
    "proven_by_reply": Kind(409, "This lead proves its number by answering yes"),
    "model_unknown": Kind(422, "The application has no such model"),
    "model_invalid": Kind(422, "The model cannot be"),
    "model_in_settings": Kind(409, "The settings file defines a model of this name: change it there"),
    "event_unknown": Kind(422, "The model knows no such event"),
    # Signature requests.
    "already_signed": Kind(409, "The document was signed before"),
    "declined": Kind(409, "The document was declined, which ended the request"),
    "completed": Kind(409, "Everybody has signed: the request is complete"),
    "signing_blocked": Kind(429, "Too many wrong codes: the signing waits for a reset"),
    "not_their_turn": Kind(409, "Others sign before this signer"),
    "no_code_sent": Kind(409, "No code of this signing is pending: send one"),
    "code_expired": Kind(410, "The code's life is over: send a new one"),
    "document_mismatch": Kind(422, "The document's hash is not the one that is signed; no attempt was spent"),
    "consent_implausible": Kind(422, "consent_at cannot be right; no attempt was spent"),
    "document_signed": Kind(409, "Somebody has signed the document as it is"),
    "signer_done": Kind(409, "This signer has nothing left to sign"),
    "not_blocked": Kind(409, "The signing is not blocked"),
    "max_resets": Kind(429, "The signing was reset as often as may be"),
    "nobody_signs": Kind(422, "A request needs a signer or an approver"),
    "bad_text": Kind(422, "A text cannot stand in an SMS of ours"),
    "on_hold": Kind(409, "A legal hold keeps evidence of this person"),
    "subject_active": Kind(409, "Something with this person is still under way"),
    "export_failed": Kind(503, "The dossier could not be made; try again"),
    # Managing.
    "profile_invalid": Kind(422, "The profile's settings contradict each other"),
    "scope_not_yours": Kind(403, "A key cannot give a scope that it does not have"),
    "too_many": Kind(409, "There are as many of these as there may be"),
    "endpoint_refused": Kind(422, "The address may not be called"),
    "endpoint_gone": Kind(409, "The endpoint is not enabled"),
    "event_not_kept": Kind(404, "The event is no longer kept, or never was"),
    "unreadable": Kind(409, "The text can no longer be opened"),
}

NUMBERS: Final = ("invalid_number", "impossible_number", "number_type_denied", "number_needs_country")
ROUTING: Final = ("no_route", "no_sender", "no_reply_route", "sender_unknown")

# What any call may be answered with, whatever it does; the rest is each route's own list.
ALWAYS: Final = (
    "bad_request", "key_in_query", "missing_key", "invalid_key", "address_not_allowed", "scope_missing", "not_found",
    "too_slow", "too_large", "invalid", "headers_too_large", "rate_limited", "too_many_refused_keys", "internal",
    "store_unavailable", "commit_unknown",
)  # fmt: skip
WITH_BODY: Final = ("malformed_json", "unsupported_media_type")
WITH_IDEMPOTENCY: Final = ("bad_idempotency_key", "idempotency_in_flight", "idempotency_mismatch")

_FIELD: Final = re.compile(r"[a-z][a-z_]{0,39}(_s)?")
_RETRY_AFTER_S: Final = {"store_unavailable": 1, "commit_unknown": 1, "idempotency_in_flight": 1}


class WrongField(BaseModel):
    """One field that is missing or wrong; what was sent is not repeated."""

    at: list[str | int] = Field(description="where: names and indexes; `*` stands for a name of the caller's own")
    code: str
    message: str


class Problem(BaseModel):
    """A refusal (RFC 9457); `code` is stable, members of a particular code stand beside it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str
    detail: str | None = None
    errors: list[WrongField] | None = None


class Refused(Exception):
    """A refusal on its way to the caller."""

    def __init__(self, code: str, detail: str | None = None, **members: Any) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.members = members
        self.headers: dict[str, str] = {}

    def with_headers(self, **headers: str) -> "Refused":
        """Add header fields (`Retry_After="3"`) and return the refusal."""
        self.headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return PROBLEMS[self.code].status

    def response(self) -> Response:
        """Return the HTTP answer."""
        headers = dict(self.headers)
        if self.code in _RETRY_AFTER_S:
            headers.setdefault("Retry-After", str(_RETRY_AFTER_S[self.code]))
        if self.status == 401:
            headers["WWW-Authenticate"] = 'Bearer realm="sceau"'
        body = problem_body(self.code, self.detail, **self.members)
        return Response(body, status_code=self.status, headers=headers, media_type=MEDIA_TYPE)


def problem(code: str, detail: str | None = None, **members: Any) -> dict[str, Any]:
    """Return a problem's members; a code outside the table is our bug and raises `KeyError`."""
    kind = PROBLEMS[code]
    made: dict[str, Any] = {
        "type": f"urn:sceau:problem:{code}",
        "title": kind.title,
        "status": kind.status,
        "code": code,
    }
    if detail is not None:
        made["detail"] = detail
    return made | members


def problem_body(code: str, detail: str | None = None, **members: Any) -> str:
    """Return a problem as JSON."""
    return as_json(problem(code, detail, **members))


def invalid(errors: Iterable[Mapping[str, Any]]) -> Refused:
    """Return the refusal of a body or parameters that pydantic found wrong, or of what is not JSON at all."""
    found = list(errors)
    if any(error["type"] == "json_invalid" for error in found):
        return Refused("malformed_json")
    return Refused("invalid", errors=[wrong_field(error) for error in found[:20]])


def wrong_field(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return one error of pydantic's without input and context, and without names that are the caller's own."""
    at = [piece if isinstance(piece, int) or _FIELD.fullmatch(piece) else "*" for piece in error["loc"]]
    if error["type"] == "extra_forbidden":
        at = [*at[:-1], "*"]
    return {"at": at, "code": error["type"], "message": error["msg"]}


def documented(codes: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for these codes: one entry a status, naming its codes."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(PROBLEMS[code].status, []).append(code)
    return {
        status: {
            "description": ", ".join(f"`{code}`" for code in by_status[status]),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted(by_status)
    }
