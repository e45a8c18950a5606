"""What a caller asks to send → the row that queues it: destination, sender, plan, parts, life; or the refusal.

It waits for nothing and writes nothing. `messages` gives it single bodies and batches; within a batch it remembers
texts and plans, since campaigns repeat them.
"""

from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field

from engine.api.auth import Caller
from engine.api.context import Context
from engine.api.problems import Refused
from engine.api.types import Body, BodyText, Name, NumberText, Region, ShortText, as_json
from engine.apikeys import Scope
from engine.clock import SECOND, to_rfc3339
from engine.consent import with_stop
from engine.phones import BadNumber, Phone, mask, parse_destination
from engine.smpp.text import DEFAULT_MAX_PARTS, part_count
from engine.transit.backlog import QueueKey
from engine.transit.classes import CATEGORIES, CLASSES
from engine.transit.queue import NewMessage
from engine.transit.routing import NoRoute

Category = Literal["otp", "signature", "handover", "transactional", "marketing"]

_SCOPES: Final = {
    "otp": Scope.SEND_OTP,
    "signature": Scope.SEND_OTP,
    "handover": Scope.SEND_OTP,
    "transactional": Scope.SEND_TRANSACTIONAL,
    "marketing": Scope.SEND_BULK,
}


class MessageBody(Body):
    """A message to send."""

    to: NumberText = Field(description="E.164, or national with `region`", examples=["+33612345678"])
    text: BodyText
    category: Category
    ttl_s: Annotated[int, Field(ge=30, le=604_800)] | None = Field(
        default=None, description="seconds it is worth delivering; required for otp, signature and handover"
    )
    region: Region | None = Field(default=None, description="ISO 3166-1 alpha-2, to read a national number by")
    sender: Name | None = Field(default=None, description="one of the application's senders; the lane's own if absent")
    reference: ShortText | None = Field(default=None, description="the caller's own; comes back in events")
    expects_reply: bool = Field(default=False, description="never leave through a route where answers cannot come home")


class Accepted(NamedTuple):
    """A message to queue and its JSON as the caller sees it."""

    row: NewMessage
    shown: str

    @property
    def queue(self) -> QueueKey:
        """Return the queue that it enters."""
        return QueueKey(self.row.lane, self.row.route, self.row.application_id)


@dataclass(slots=True)
class Acceptance:
    """One call's messages, at one instant."""

    context: Context
    caller: Caller
    now: int
    _parts: dict[str, int] = field(default_factory=dict)

    def accept(self, body: MessageBody) -> Accepted:
        """Return the message to queue; refuses what cannot be dialled, routed, cut or may not be sent."""
        context = self.context
        self.caller.need(_SCOPES[body.category])
        row_class = CLASSES[CATEGORIES[body.category]]
        if row_class.is_code and body.ttl_s is None:
            raise Refused("ttl_required")
        phone = destination(body.to, body.region)
        sender = context.router.sender_for(self.caller.application_id, row_class.lane, body.sender)
        if sender is None:
            raise Refused("no_sender" if body.sender is None else "sender_unknown")
        network = network_of(context, phone.e164)
        plan = context.router.plan(
            sender, phone.e164, phone.country, network, row_class.lane, expects_reply=body.expects_reply
        )
        if isinstance(plan, NoRoute):
            raise Refused(plan.code)
        text = body.text
        if body.category == "marketing":
            text = with_stop(text, context.router.stops.get(sender, ""), phone.country)
        parts = self._count(text, plan)
        life_s = context.lives_s[row_class.name] if body.ttl_s is None else body.ttl_s
        message_id = context.clock.new_id("msg")
        row = NewMessage(
            id=message_id,
            application_id=self.caller.application_id,
            case_id=None,
            category=body.category,
            message_class=row_class.name,
            lane=int(row_class.lane),
            route=plan,
            recipient=phone.e164,
            country=phone.country,
            sender=sender,
            created_at=self.now,
            expires_at=self.now + life_s * SECOND,
            body=None if row_class.is_code else text,
            body_sealed=context.keyring.seal(body.text.encode(), message_id) if row_class.is_code else None,
            reference=body.reference,
            parts=parts,
            number_unverified=0 if phone.valid else 1,
        )
        return Accepted(row, _shown(row))

    def _count(self, text: str, plan: str) -> int:
        parts = self._parts.get(text)
        if parts is None:
            parts = self._parts[text] = part_count(text)
        most = min(
            (self.context.most_parts.get(account, DEFAULT_MAX_PARTS) for account in self.context.router.accounts(plan)),
            default=DEFAULT_MAX_PARTS,
        )
        if parts > most:
            raise Refused("too_many_parts", parts=parts, most=most)
        return parts


def destination(text: str, region: str | None) -> Phone:
    """Return a destination; refuses (422) what is no number, cannot exist or is not served."""
    try:
        return parse_destination(text, region)
    except BadNumber as error:
        raise Refused(error.code) from None


def network_of(context: Context, e164: str) -> str | None:
    """Return the network that a number began in, if any route asks for it."""
    return context.resolver.lookup(e164).network_mccmnc if context.by_network else None


def _shown(row: NewMessage) -> str:
    return as_json(
        {
            "id": row.id,
            "state": row.state,
            "category": row.category,
            "to": mask(row.recipient),
            "sender": row.sender,
            "reference": row.reference,
            "parts": row.parts,
            "number_unverified": bool(row.number_unverified),
            "created_at": to_rfc3339(row.created_at),
            "expires_at": to_rfc3339(row.expires_at),
        }
    )
