"""What a signature request is told besides settled messages and timers, and the table of events that it raises.

Values only. Verdicts on codes and masked numbers come in; no code, no number, no name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from workflows.base import Canceled, Settled, TimerFired, Verdict


@dataclass(frozen=True, slots=True)
class SendAsked:
    """The platform wants the code of a signing to be sent."""

    signing_id: str


@dataclass(frozen=True, slots=True)
class SignAsked:
    """A code was typed on the page and compared, after an attempt was spent; the rest is what the platform states."""

    signing_id: str
    verdict: Verdict
    consent_at: int
    ip: str = field(default="", repr=False)
    user_agent: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class DeclineAsked:
    """The signer declined on the page."""

    signing_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ResetAsked:
    """The platform lets a blocked signing go on."""

    signing_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SignerChanged:
    """A signer has another number; `to` is its masked form."""

    signer_id: str
    to: str


@dataclass(frozen=True, slots=True)
class DocumentChanged:
    """The platform declares another content of a document; `uploaded` with its size if we hashed it ourselves."""

    document_id: str
    sha256: str
    uploaded: bool = False
    size: int = 0


@dataclass(frozen=True, slots=True)
class CodeReplied:
    """A handset sent a code, an attempt was spent on this signing and the code compared; `answered` if the signer was
    already told, since one wrong code counts for every signing it may have been meant for.
    """

    signing_id: str
    reply_id: str
    verdict: Verdict
    answered: bool = False


class Said(StrEnum):
    """What a reply without a code to compare comes to."""

    START = "start"  # a start word, or a bare yes
    REFUSAL = "refusal"
    SEVERAL_CODES = "several_codes"
    CODE_AND_REFUSAL = "code_and_refusal"
    NOT_BY_SMS = "not_by_sms"  # a code, from a signer who signs on the page
    EXPIRED_CODE = "expired_code"  # the right one, after its life
    TOO_LATE = "too_late"  # the signing is over
    BLOCKED = "blocked"  # a code, while the signing waits for a reset
    STOP = "stop"
    RESUME = "resume"  # an opt-in word, which takes a STOP back


@dataclass(frozen=True, slots=True)
class TextReplied:
    """A handset wrote something that is no code to compare; `signing_id` where it is about one of them."""

    signer_id: str
    reply_id: str
    said: Said
    signing_id: str = ""


Event: TypeAlias = (
    Settled
    | TimerFired
    | Canceled
    | SendAsked
    | SignAsked
    | DeclineAsked
    | ResetAsked
    | SignerChanged
    | DocumentChanged
    | CodeReplied
    | TextReplied
)

_REQUEST: Final = {"request_id": "the signature request", "state": "its state after this event"}
_SIGNER: Final = {**_REQUEST, "signer_id": "the signer", "to": "their number, masked"}
_SIGNING: Final = {
    **_SIGNER,
    "signing_id": "the signing",
    "document_id": "the document",
    "signing_state": "the signing's state after this event",
}

EVENTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "signature.created": (
        "A signature request was created and its first messages are queued.",
        {**_REQUEST, "expires_at": "when it ends unsigned"},
    ),
    "signature.otp_sent": (
        "An operator took the message with the code of a signing.",
        {**_SIGNING, "generation": "which of its codes", "send": "which of its messages"},
    ),
    "signature.reply_received": (
        "A signer answered by SMS.",
        {**_SIGNER, "reply_id": "the reply", "meaning": "what it was taken for"},
    ),
    "signature.reply_ambiguous": (
        "A signer's answer could mean several things: nothing was signed, declined or spent.",
        {**_SIGNER, "reply_id": "the reply", "reason": "several_codes, code_and_refusal or several_pending"},
    ),
    "signature.check_failed": (
        "A wrong code was entered.",
        {**_SIGNING, "attempts_remaining": "wrong codes still allowed", "assurance": "otp_web or sms_reply"},
    ),
    "signature.signed": (
        "A signer signed a document.",
        {
            **_SIGNING,
            "assurance": "otp_web: typed on the page; sms_reply: sent from the signer's number",
            "signed_at": "when",
            "document_sha256": "what was signed",
        },
    ),
    "signature.declined": ("A signer declined to sign a document: the request is over.", {**_SIGNING, "reason": "why"}),
    "signature.blocked": ("Too many wrong codes: the signing waits for a reset.", _SIGNING),
    "signature.reset": ("A blocked signing may go on.", {**_SIGNING, "resets_remaining": "how often still"}),
    "signature.opted_out": ("A signer answered STOP: no reminder follows, the signing stays open.", _SIGNER),
    "signature.completed": ("Everybody has signed everything.", _REQUEST),
    "signature.expired": ("The request's time is over.", _REQUEST),
    "signature.canceled": ("The request was given up.", {**_REQUEST, "reason": "requested or declined"}),
}
"""Event type → (what happened, payload field → its meaning); fields ending in `_at` or `_until` are instants."""
