"""The values of a signature request: documents, signers, signings, their states and allowed moves, and its events.

A *signing* is one signer × one document, with a code of its own. `workflows.signature` conducts the conversation;
`engine.cases` stores a request and its signings apart, so that a step writes what it changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Self

from workflows.base import SECOND
from workflows.window import Day

SIGNERS_MOST: Final = 50
DOCUMENTS_MOST: Final = 50
CODE_LENGTH: Final = 6
ATTEMPTS: Final = 5
SENDS: Final = 5
RESETS: Final = 3
CODE_LIFE_US: Final = 600 * SECOND
COOLDOWN_S: Final = (15, 30, 60, 120)
DAY_SENDS: Final = 20
"""Limits of a signing (verification-behaviours 2.1); the last pause repeats, the day's are one number's."""


class State(StrEnum):
    """Where a signing stands. `blocked` ends by a reset or with the request; what follows `otp_sent` is final."""

    CREATED = "created"
    NOTIFIED = "notified"
    OTP_SENT = "otp_sent"
    BLOCKED = "blocked"
    SIGNED = "signed"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELED = "canceled"


_ENDS: Final = frozenset({State.SIGNED, State.DECLINED, State.EXPIRED, State.CANCELED})
_STOPS: Final = frozenset({State.EXPIRED, State.CANCELED})
MOVES: Final[Mapping[State, frozenset[State]]] = {
    State.CREATED: _STOPS | {State.NOTIFIED, State.OTP_SENT, State.DECLINED},
    State.NOTIFIED: _STOPS | {State.OTP_SENT, State.DECLINED},
    # Back to notified: its code was voided by another document or another number.
    State.OTP_SENT: _STOPS | {State.NOTIFIED, State.BLOCKED, State.SIGNED, State.DECLINED},
    State.BLOCKED: _STOPS | {State.NOTIFIED, State.DECLINED},
    **{state: frozenset() for state in _ENDS},
}


class RequestState(StrEnum):
    """Where a request stands; every state but `open` is final."""

    OPEN = "open"
    COMPLETED = "completed"
    DECLINED = "declined"
    EXPIRED = "expired"
    CANCELED = "canceled"


class Mode(StrEnum):
    """How a signer signs: on the page alone, or by answering the SMS too."""

    CODE = "code"
    REPLY = "reply"


class Role(StrEnum):
    """What a person does: approvers sign before signers, copies are told when all have signed."""

    SIGNER = "signer"
    APPROVER = "approver"
    COPY = "copy"


class Door(StrEnum):
    """Where a code was entered, and what it is worth: the assurance that the evidence claims."""

    PAGE = "otp_web"
    SMS = "sms_reply"


@dataclass(frozen=True, slots=True)
class Document:
    """One document: what it is called, and the SHA-256 (hex) that is signed; `uploaded` if we hashed it ourselves."""

    id: str
    name: str
    media_type: str
    sha256: str
    uploaded: bool = False
    size: int = 0

    @property
    def short_hash(self) -> str:
        """Return the eight digits that an SMS shows."""
        return self.sha256[:8]


@dataclass(frozen=True, slots=True)
class Consent:
    """The sentence that a signer agrees to, its version, and the SHA-256 of its UTF-8 octets."""

    version: str
    text: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Signer:
    """One person: the masked number, and what the conversation with them has come to."""

    id: str
    to: str
    language: str
    mode: Mode
    role: Role
    consent: Consent
    link: str = ""
    reference: str = ""
    notices: int = 0  # invitations and reminders
    opted_out: bool = False
    auto_replies: int = 0
    auto_replies_since: int = 0


@dataclass(frozen=True, slots=True)
class Signing:
    """One signer × one document. `generation` counts its codes (0: none yet), `code_until` ends the present one's life.

    `attempts` and `sends` are those since the last reset. `told_late` once a reply that came too late was answered.
    """

    id: str
    signer: str
    document: str
    state: State = State.CREATED
    generation: int = 0
    code_until: int = 0
    sends: int = 0
    next_send_at: int = 0
    attempts: int = 0
    resets: int = 0
    messages: tuple[str, ...] = ()  # roles of its code messages, in order
    delivery: str = ""
    door: str = ""
    signed_at: int = 0
    final_at: int = 0
    told_late: bool = False

    @property
    def is_open(self) -> bool:
        """Tell whether it may still be signed, after a reset perhaps."""
        return self.state not in _ENDS

    def has_code(self, now: int) -> bool:
        """Tell whether a code of it may be entered now."""
        return self.state is State.OTP_SENT and now < self.code_until

    def moved(self, state: State, **changes: Any) -> Self:
        """Return it in another state; raises `ValueError` for a move that the table does not list."""
        if state is not self.state and state not in MOVES[self.state]:
            raise ValueError(f"a signing may not move from {self.state} to {state}")
        return replace(self, state=state, **changes)


@dataclass(frozen=True, slots=True)
class SignatureCase:
    """A request with all that it holds; no code, no number and no name."""

    id: str
    brand: str
    created_at: int
    expires_at: int
    documents: tuple[Document, ...]
    signers: tuple[Signer, ...]
    signings: tuple[Signing, ...] = ()
    sequential: bool = False
    auto_send: bool = False
    reminders_s: tuple[int, ...] = ()
    reminded: int = 0
    state: RequestState = RequestState.OPEN
    reason: str = ""
    final_at: int = 0
    reference: str = ""

    @property
    def is_open(self) -> bool:
        """Tell whether it is still under way; its time may be over all the same."""
        return self.state is RequestState.OPEN

    def signing(self, signing_id: str) -> Signing | None:
        """Return a signing of this request, or None."""
        return next((one for one in self.signings if one.id == signing_id), None)

    def signer_of(self, signing: Signing) -> Signer:
        """Return who is to sign."""
        return next(one for one in self.signers if one.id == signing.signer)

    def document_of(self, signing: Signing) -> Document:
        """Return what is to be signed."""
        return next(one for one in self.documents if one.id == signing.document)

    def signer(self, signer_id: str) -> Signer | None:
        """Return a signer of this request, or None."""
        return next((one for one in self.signers if one.id == signer_id), None)

    def document(self, document_id: str) -> Document | None:
        """Return a document of this request, or None."""
        return next((one for one in self.documents if one.id == document_id), None)

    def signings_of(self, signer_id: str) -> tuple[Signing, ...]:
        """Return the signings of one signer."""
        return tuple(one for one in self.signings if one.signer == signer_id)

    def with_signing(self, *changed: Signing) -> Self:
        """Return the request with these signings in place of those of the same ids."""
        by_id = {one.id: one for one in changed}
        return replace(self, signings=tuple(by_id.get(one.id, one) for one in self.signings))

    def with_signer(self, changed: Signer) -> Self:
        """Return the request with this signer in place of the one of the same id."""
        return replace(self, signers=tuple(changed if one.id == changed.id else one for one in self.signers))

    def may_act(self, signer: Signer) -> bool:
        """Tell whether it is a signer's turn: approvers before signers, and one after another if so ordered."""
        if signer.role is Role.COPY:
            return False
        mine = self.signers.index(signer)
        for place, other in enumerate(self.signers):
            before = other.role is Role.APPROVER and signer.role is Role.SIGNER
            if self.sequential and other.role is signer.role:
                before = place < mine
            if before and any(one.state is not State.SIGNED for one in self.signings_of(other.id)):
                return False
        return True

    def dump(self) -> dict[str, Any]:
        """Return the request without its signings, as a JSON object."""
        return {name: value for name, value in asdict(self).items() if name != "signings"}

    @classmethod
    def load(cls, stored: Mapping[str, Any], signings: tuple[Signing, ...]) -> Self:
        """Return the request that `dump` wrote, with its signings."""
        signers = tuple(
            Signer(
                **{**one, "mode": Mode(one["mode"]), "role": Role(one["role"]), "consent": Consent(**one["consent"])}
            )
            for one in stored["signers"]
        )
        documents = tuple(Document(**one) for one in stored["documents"])
        given = {**stored, "signers": signers, "documents": documents, "state": RequestState(stored["state"])}
        return cls(**{**given, "reminders_s": tuple(stored["reminders_s"]), "signings": signings})


def dump_signing(signing: Signing) -> dict[str, Any]:
    """Return a signing as a JSON object."""
    return asdict(signing)


def load_signing(stored: Mapping[str, Any]) -> Signing:
    """Return the signing that `dump_signing` wrote."""
    return Signing(**{**stored, "state": State(stored["state"]), "messages": tuple(stored["messages"])})


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the case: the messages sent today to the number of the signer whom an event is about, and
    how many signings wait for the pair of numbers that a reply came over, in all requests.
    """

    day: Day = field(default_factory=Day)
    pending_of_pair: int = 1
