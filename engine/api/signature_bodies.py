"""The bodies of signature requests: what a caller sends, and what is shown of a request and its signings.

Shapes only; `signature_requests` has the routes.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from engine.api.types import (
    NO_NUL,
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

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$"), Field(description="hex")]
Link = Annotated[
    str, StringConstraints(max_length=80, pattern=r"^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/?=&%+-]*)?$")
]
Reason = Annotated[str, StringConstraints(max_length=255, pattern=NO_NUL)]
_Title = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=NO_NUL)]
_MediaType = Annotated[str, StringConstraints(max_length=127, pattern=r"^[a-z]+/[A-Za-z0-9.+-]+$")]


class DocumentBody(Body):
    """A document: its name as signers read it, and the SHA-256 of its octets."""

    name: _Title
    sha256: Sha256
    media_type: _MediaType = "application/pdf"


class ConsentBody(Body):
    """The caller's own sentence, to which the signer agrees, and its version."""

    version: ShortText
    text: Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=NO_NUL)]


class SignerBody(Body):
    """A person: `mode` `reply` lets them sign by answering the SMS too; a `copy` is only told at the end."""

    phone: NumberText = Field(description="E.164, or national with `region`", examples=["+33612345678"])
    region: Region | None = None
    name: ShortText | None = None
    email: ShortText | None = None
    language: Language | None = None
    mode: Literal["code", "reply"] = "code"
    role: Literal["signer", "approver", "copy"] = "signer"
    link: Link | None = Field(default=None, description="where the document can be read; in every SMS to them")
    reference: ShortText | None = None
    consent: ConsentBody | None = None


class RequestBody(Body):
    """A signature request: every signer who is no copy signs every document, each with a code of its own."""

    documents: list[DocumentBody] = Field(min_length=1, max_length=50)
    signers: list[SignerBody] = Field(min_length=1, max_length=50)
    expires_at: Instant | None = Field(default=None, description="in 14 days if left out")
    order: Literal["parallel", "sequential"] = "parallel"
    auto_send: bool = Field(default=False, description="send the codes at once instead of an invitation")
    reminders_s: list[Annotated[int, Field(ge=60, le=5_184_000)]] = Field(
        default_factory=list, max_length=4, description="seconds after the creation, rising"
    )
    brand: Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=NO_NUL)] = "Sceau"
    reference: ShortText | None = None
    sender: Name | None = None


class SignBody(Body):
    """A code as the signer typed it, and what the platform states of the act."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=NO_NUL)] = Field(repr=False)
    document_sha256: Sha256
    consent_at: Instant
    ip: Annotated[str, StringConstraints(max_length=45, pattern=r"^[0-9A-Fa-f:.]*$")] = ""
    user_agent: Annotated[str, StringConstraints(max_length=512, pattern=NO_NUL)] = ""


class ReasonBody(Body):
    """Why."""

    reason: Reason = ""


class SignerChange(Body):
    """Another number for a signer."""

    phone: NumberText
    region: Region | None = None


class DocumentChange(Body):
    """Another content of a document: pending codes for the old one are void."""

    sha256: Sha256


class SigningShown(OpenShown):
    """A signing: one signer × one document."""

    id: str
    signer_id: str
    document_id: str
    state: Literal["created", "notified", "otp_sent", "blocked", "signed", "declined", "expired", "canceled"]
    its_turn: bool
    generation: int
    code_expires_at: Instant | None
    delivery: str | None
    attempts_remaining: int
    sends_remaining: int
    next_send_at: Instant | None
    resets_remaining: int
    assurance: Literal["otp_web", "sms_reply"] | None
    signed_at: Instant | None


class DocumentShown(OpenShown):
    """A document; `uploaded` if we hashed it ourselves."""

    id: str
    name: str
    media_type: str
    sha256: str
    uploaded: bool


class SignerShown(OpenShown):
    """A signer; the number is masked."""

    id: str
    reference: str
    to: str
    language: str
    mode: str
    role: str
    opted_out: bool
    consent_version: str
    consent_text: str


class RequestShown(OpenShown):
    """A signature request."""

    id: str
    state: Literal["open", "completed", "declined", "expired", "canceled"]
    reference: str
    order: str
    created_at: Instant
    expires_at: Instant
    final_at: Instant | None
    reason: str
    documents: list[DocumentShown]
    signers: list[SignerShown]
    signings: list[SigningShown]


class RequestPage(Shown):
    """Signature requests, newest first."""

    data: list[RequestShown]
    next_cursor: str | None
