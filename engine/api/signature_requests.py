"""/v1/signature-requests: create, send, sign, decline, reset, cancel, change signers and documents, read.

What these do is decided by the workflow behind `engine.cases.signatures`; here are scopes, the reading of bodies and
the mapping of outcomes to HTTP. The proof of a signature is the 200 of a sign call or the evidence, never a webhook.
"""

import hashlib
from typing import Final

from starlette.responses import Response

from engine.api import paging, reading
from engine.api.accepting import destination, network_of
from engine.api.changing import change, instant_of
from engine.api.endpoint import Call, Calling, Routes
from engine.api.problems import NUMBERS, ROUTING, Refused
from engine.api.signature_bodies import (
    DocumentChange,
    ReasonBody,
    RequestBody,
    RequestPage,
    RequestShown,
    SignBody,
    SignerBody,
    SignerChange,
)
from engine.apikeys import Scope
from engine.cases.signatures import (
    AskedDocument,
    AskedSigner,
    ChangedNumber,
    CreateRequest,
    Statement,
    changed_document,
)
from engine.clock import DAY

routes = Routes("signatures")

_LIFE_US: Final = 14 * DAY
_LONGEST_US: Final = 366 * DAY
_OVER: Final = ("completed", "declined", "expired", "canceled")
_SIGNING: Final = ("already_signed", "signing_blocked", "not_their_turn", *_OVER)
_PATH: Final = "/v1/signature-requests/{request_id}"
_SIGNING_PATH: Final = f"{_PATH}/signings/{{signing_id}}"


@routes.post(
    "/v1/signature-requests",
    needs=(Scope.SIGN_REQUEST,),
    answers={201: RequestShown},
    refuses=(*NUMBERS, *ROUTING, "language_not_offered", "bad_text", "nobody_signs"),
)
async def create_signature_request(call: Calling, body: RequestBody) -> Response:
    """Create a request. Its signers are told by SMS at once, or sent their codes with `auto_send`."""
    expires_at = call.now + _LIFE_US if body.expires_at is None else instant_of(body.expires_at, "expires_at")
    if not call.now < expires_at <= call.now + _LONGEST_US:
        raise Refused("invalid", "expires_at must be in the future, within a year")
    if sorted(set(body.reminders_s)) != body.reminders_s:
        raise Refused("invalid", "reminders_s must rise")
    request = CreateRequest(
        documents=[AskedDocument(one.name, one.sha256, one.media_type) for one in body.documents],
        signers=[_signer(call, one) for one in body.signers],
        expires_at=expires_at,
        brand=body.brand,
        sequential=body.order == "sequential",
        auto_send=body.auto_send,
        reminders_s=tuple(body.reminders_s),
        reference=body.reference or "",
        sender=body.sender,
    )
    return await change(call, call.context.signatures.create, request, created=201)


@routes.get("/v1/signature-requests", needs=(Scope.SIGN_READ,), shows=RequestPage)
async def list_signature_requests(call: Calling, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """List the application's signature requests, newest first."""
    return await reading.listed(call, call.context.signatures.page, limit, cursor)


@routes.get(_PATH, needs=(Scope.SIGN_READ,), shows=RequestShown)
async def read_signature_request(call: Calling, request_id: str) -> Response:
    """Read a request with its signings. Nothing is spent, and nothing has an effect."""
    return await reading.one(call, call.context.signatures.read, request_id)


@routes.get(f"{_PATH}/timeline", needs=(Scope.SIGN_READ,), shows=reading.Timeline)
async def read_signature_timeline(call: Calling, request_id: str) -> Response:
    """Read everything that happened: sends, answers, receipts, checks, webhooks, each with its time."""
    return await reading.timeline(call, call.context.signatures.timeline, request_id)


@routes.post(
    f"{_SIGNING_PATH}/send",
    needs=(Scope.SIGN_REQUEST,),
    answers={200: RequestShown},
    refuses=(*_SIGNING, "cooldown", "max_sends", "day_limit"),
)
async def send_signing_code(call: Calling, request_id: str, signing_id: str) -> Response:
    """Send the code of a signing: the same within its life, else a new one that voids the old."""
    return await change(call, call.context.signatures.send, request_id, signing_id, sent=200)


@routes.post(
    f"{_SIGNING_PATH}/sign",
    needs=(Scope.SIGN_SIGN,),
    answers={200: RequestShown},
    refuses=(
        *_SIGNING, "code_mismatch", "bad_format", "superseded", "no_code_sent", "code_expired", "document_mismatch",
        "consent_implausible",
    ),
)  # fmt: skip
async def sign_document(call: Calling, request_id: str, signing_id: str, body: SignBody) -> Response:
    """Sign with a code typed on your page; an attempt is spent before anything is compared."""
    stated = Statement(body.document_sha256, instant_of(body.consent_at, "consent_at"), body.ip, body.user_agent)
    return await change(call, call.context.signatures.sign, request_id, signing_id, body.code, stated, signed=200)


@routes.post(f"{_SIGNING_PATH}/decline", needs=(Scope.SIGN_SIGN,), answers={200: RequestShown}, refuses=_SIGNING)
async def decline_document(call: Calling, request_id: str, signing_id: str, body: ReasonBody) -> Response:
    """Decline to sign a document: the request is over."""
    return await change(call, call.context.signatures.decline, request_id, signing_id, body.reason, declined=200)


@routes.post(
    f"{_SIGNING_PATH}/reset",
    needs=(Scope.SIGN_RESET,),
    answers={200: RequestShown},
    refuses=(*_OVER, "not_blocked", "max_resets"),
)
async def reset_signing(call: Calling, request_id: str, signing_id: str, body: ReasonBody) -> Response:
    """Let a blocked signing go on, three times at most; audited."""
    return await change(call, call.context.signatures.reset, request_id, signing_id, body.reason, reset=200)


@routes.post(f"{_PATH}/cancel", needs=(Scope.SIGN_REQUEST,), answers={200: RequestShown}, refuses=_OVER)
async def cancel_signature_request(call: Calling, request_id: str) -> Response:
    """Give a request up; its codes sign nothing any more."""
    return await change(call, call.context.signatures.cancel, request_id, canceled=200)


@routes.patch(
    f"{_PATH}/signers/{{signer_id}}",
    needs=(Scope.SIGN_REQUEST,),
    answers={200: RequestShown},
    refuses=(*NUMBERS, *ROUTING, *_OVER, "signer_done"),
)
async def change_signer(call: Calling, request_id: str, signer_id: str, body: SignerChange) -> Response:
    """Give a signer another number: pending codes are void, and they are told anew; audited."""
    phone = destination(body.phone, body.region)
    to = ChangedNumber(phone.e164, phone.country, network_of(call.context, phone.e164), not phone.valid)
    return await change(call, call.context.signatures.change_signer, request_id, signer_id, to, changed=200)


@routes.put(
    f"{_PATH}/documents/{{document_id}}",
    needs=(Scope.SIGN_REQUEST,),
    answers={200: RequestShown},
    refuses=(*_OVER, "document_signed"),
)
async def change_document(call: Calling, request_id: str, document_id: str, body: DocumentChange) -> Response:
    """Declare another content of a document: pending codes for the old one are void."""
    to = changed_document(document_id, body.sha256)
    return await change(call, call.context.signatures.change_document, request_id, to, changed=200)


@routes.put(
    f"{_PATH}/documents/{{document_id}}/content",
    needs=(Scope.SIGN_REQUEST,),
    answers={200: RequestShown},
    refuses=(*_OVER, "document_signed"),
)
async def upload_document(call: Calling, request_id: str, document_id: str) -> Response:
    """Send a document's octets, so that its hash is one that we made ourselves; they are not kept."""
    digest, size = hashlib.sha256(), 0
    async for octets in call.request.stream():
        digest.update(octets)
        size += len(octets)
    to = changed_document(document_id, digest.hexdigest(), uploaded=True, size=size)
    return await change(call, call.context.signatures.change_document, request_id, to, changed=200)


def _signer(call: Call, body: SignerBody) -> AskedSigner:
    phone = destination(body.phone, body.region)
    return AskedSigner(
        phone=phone.e164,
        country=phone.country,
        name=body.name or "",
        email=body.email or "",
        network=network_of(call.context, phone.e164),
        number_unverified=not phone.valid,
        language=body.language,
        mode=body.mode,
        role=body.role,
        link=body.link or "",
        reference=body.reference or "",
        consent=None if body.consent is None else (body.consent.version, body.consent.text),
    )
