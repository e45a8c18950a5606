"""The shapes of what the control API answers, for its OpenAPI description; each is read off one thing of the simulator.

No route and no decision is here.
"""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from smppsim.accounts import Account
from smppsim.behaviour import Behaviour, Link
from smppsim.handsets import InboxMessage, code_in
from smppsim.messages import Message
from smppsim.phone import Handset
from smppsim.scenario_files import Mistake
from smppsim.session import Session


class View(BaseModel):
    """What every answer is made of."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class Problem(View):
    """Why a call was refused."""

    detail: str


Described = dict[int | str, dict[str, Any]]

UNKNOWN: Final[Described] = {404: {"model": Problem, "description": "Nothing has this name here"}}
IMPOSSIBLE: Final[Described] = {409: {"model": Problem, "description": "Nothing can be sent there as things are"}}


class SessionView(View):
    """One connection from a client."""

    session: int
    """Its number, from 1 on since the start."""
    peer: str
    """The client's address and port."""
    account: str | None
    """The account that bound; null before the bind."""
    state: str
    interface_version: int
    unanswered: int
    """Requests of the client that have no answer yet."""
    unacknowledged: int
    """deliver_sm that have no answer yet, or wait for a place in the window."""
    cut: str | None
    """How the link shall end, once that is decided."""

    @classmethod
    def of(cls, session: Session) -> "SessionView":
        """As it is now."""
        return cls(
            session=session.number,
            peer=session.peer,
            account=session.account.system_id if session.account else None,
            state=session.state,
            interface_version=session.version,
            unanswered=session.unanswered,
            unacknowledged=len(session.outstanding) + len(session.ready),
            cut=session.cut,
        )


class AccountView(View):
    """One customer of the operator, with counts since the start or the last reset."""

    system_id: str
    sessions: list[int]
    submits: int
    busiest_second: int
    """Most submits that arrived within one second."""
    most_sessions: int
    widest_window: int
    """Most submits that one session had unanswered."""
    waiting: int
    """deliver_sm that wait for a receiver."""
    parked: int
    """deliver_sm that were sent in vain too often; they go out when a receiver binds anew."""

    @classmethod
    def of(cls, account: Account) -> "AccountView":
        """As it is now."""
        return cls(
            system_id=account.system_id,
            sessions=[session.number for session in account.sessions],
            submits=account.submits,
            busiest_second=account.busiest_second,
            most_sessions=account.most_sessions,
            widest_window=account.widest_window,
            waiting=len(account.waiting),
            parked=len(account.parked),
        )


class InboxView(View):
    """One message as a person reads it."""

    source: str
    destination: str
    text: str
    received: int
    """When the last part came, UTC microseconds."""
    parts: int
    total: int
    complete: bool
    """Whether no part is missing."""
    duplicates: int
    """Parts that came once more."""
    data_coding: int
    account: str
    message_ids: list[str]
    code: str | None
    """The one-time code in the text."""

    @classmethod
    def of(cls, message: InboxMessage) -> "InboxView":
        """As the handset shows it."""
        return cls.model_validate({**message._asdict(), "complete": message.complete, "code": code_in(message.text)})


class HandsetView(View):
    """A phone and who holds it."""

    number: str
    state: str
    """on, off, full, ported, unknown or barred."""
    waiting: int
    """Messages that wait until it is on."""
    parts: int
    """PDUs it has received."""
    person: str | None
    """The name of the person who holds it."""

    @classmethod
    def of(cls, handset: Handset) -> "HandsetView":
        """As it is now."""
        person = handset.person
        return cls(
            number=handset.number,
            state=handset.state,
            waiting=handset.waiting,
            parts=len(handset.parts),
            person=None if person is None else person.name,
        )


class DeliveryView(View):
    """How often one text reached one handset."""

    number: str
    text: str
    count: int


class MessageView(View):
    """An accepted submit and what became of it."""

    message_id: str
    receipt_id: str
    """The id as receipts write it."""
    account: str
    session: int
    source: str
    destination: str
    state: str
    submitted: int
    """UTC microseconds."""
    done: int | None
    """When it got its final state, UTC microseconds."""

    @classmethod
    def of(cls, message: Message) -> "MessageView":
        """As it is now."""
        return cls(
            message_id=message.message_id.decode("latin-1"),
            receipt_id=message.receipt_id.decode("latin-1"),
            account=message.account.system_id,
            session=message.origin.number,
            source=message.pdu.source_addr.decode("latin-1"),
            destination=message.pdu.destination_addr.decode("latin-1"),
            state=message.state,
            submitted=message.submitted,
            done=message.done or None,
        )


class HeldView(View):
    """A response that waits for its release."""

    session: int
    sequence: int
    status: int


class BehaviourView(View):
    """What one account's messages and links meet now."""

    behaviour: dict[str, Any]
    """Fields of Behaviour."""
    link: dict[str, Any]
    """Fields of Link."""
    unusual: dict[str, dict[str, Any]]
    """Of both, what differs from an operator on its best day."""
    rules: list[dict[str, Any]]
    """The first rule that matches a destination wins; only what it names differs."""

    @classmethod
    def of(cls, account: Account) -> "BehaviourView":
        """As it is now."""
        return cls(
            behaviour=account.behaviour.model_dump(mode="json"),
            link=account.link.model_dump(mode="json"),
            unusual={"behaviour": _unusual(account.behaviour), "link": _unusual(account.link)},
            rules=[rule.model_dump(mode="json", exclude_unset=True) for rule in account.rules],
        )


def _unusual(settings: Behaviour | Link) -> dict[str, Any]:
    usual = type(settings)().model_dump(mode="json")
    return {name: value for name, value in settings.model_dump(mode="json").items() if value != usual[name]}


class MistakeView(View):
    """One thing that is wrong with a scenario."""

    line: int
    field: str
    why: str

    @classmethod
    def of(cls, mistake: Mistake) -> "MistakeView":
        """As it was found."""
        return cls(**mistake._asdict())


class Mistakes(View):
    """All of them, in the order of the text."""

    detail: list[MistakeView]


class PduView(View):
    """One frame of the PDU log."""

    serial: int
    """Its place in the log, from 1 on since the start: the cursor of `before` and `after`."""
    at: int
    """UTC microseconds."""
    session: int
    account: str | None
    direction: str
    """`in` from the client, `out` from the simulator."""
    command: str | None
    """The specification's name; null if there are not even 16 octets."""
    status: str | None
    sequence: int | None
    fields: dict[str, Any] | None
    """The body, octet strings as text where they are printable; null if it is malformed."""
    text: str | None
    """What a person would read of it, user data header taken off."""
    part: int | None
    """Which part of a long message it is."""
    hex: str
    """The frame as it was on the wire, passwords of binds starred out."""


class Parts(View):
    """How many PDUs it took."""

    parts: int


class Released(View):
    """How many held responses were given."""

    released: int


class Hit(View):
    """What a fault found to hit."""

    hit: int
    """Links or accounts there are for it now."""
