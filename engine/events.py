"""The one table of event types, and the store function that records events with the change that they tell of.

An event gets its application's next position under the lock of the feed's row, so positions follow the commits; each
endpoint that listens is owed a delivery in the same transaction. `docs/events.md` is generated from the table.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, select

from engine.cases.vocabulary import (
    HANDOVER_EVENTS,
    LEAD_EVENTS,
    REVERSE_EVENTS,
    SIGNATURE_EVENTS,
    VERIFICATION_EVENTS,
)
from engine.clock import NewIds
from engine.errors import NotAllowed
from engine.store.statements import Dialect, Statement, column_kinds, insert, insert_new
from engine.store.tables import Event, Feed
from engine.store.tables_tenancy import Endpoint, WebhookDelivery
from engine.store.transaction import Tx

_MESSAGE_FIELDS: Final = {
    "message_id": "the message",
    "category": "otp, signature, handover, transactional or marketing",
    "state": "the message's state after this event",
    "to": "the recipient, masked",
    "reference": "the caller's own reference, or null",
    "parts": "PDUs of the message",
    "account": "operator account that carried it, or null",
    "reason": "why, for a state that needs a reason, or null",
    "status": "last SMPP command_status, or null",
    "simulated": "true if the bundled simulator stood in for an operator",
}

MESSAGE_EVENTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "message.accepted": ("An operator took every part of the message.", _MESSAGE_FIELDS),
    "message.delivered": ("Every part was delivered to the handset.", _MESSAGE_FIELDS),
    "message.undelivered": ("The network gave up on at least one part.", _MESSAGE_FIELDS),
    "message.expired": (
        "The message's life ended before it was delivered, or before it could be sent.",
        _MESSAGE_FIELDS,
    ),
    "message.rejected": ("An operator refused the message, or a part of it.", _MESSAGE_FIELDS),
    "message.failed": ("The message could not be rendered for any bind; nothing was sent.", _MESSAGE_FIELDS),
    "message.canceled": ("The message was canceled before it was sent.", _MESSAGE_FIELDS),
    "message.in_doubt": (
        "It was sent and no answer was seen; a second submit may follow: it may arrive twice.",
        _MESSAGE_FIELDS,
    ),
    "message.unknown": (
        "Its life ended without a final receipt; a late receipt may still settle it.",
        _MESSAGE_FIELDS,
    ),
    "message.received": (
        "A handset wrote to a number of yours and no open conversation claimed it; GET /v1/replies/{id} has the text.",
        {
            "reply_id": "the reply",
            "from": "the sender, masked",
            "to": "your number",
            "received_at": "when the first part came",
            "flags": "what was unusual about it",
        },
    ),
}

EVIDENCE_EVENTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "evidence.anchored": (
        "A signed root of your log of evidence: keep it, and nobody can rewrite what it covers.",
        {
            "size": "leaves under the root",
            "content": "the root's octets, as text: what is signed and time-stamped",
            "signature": "Ed25519, base64url",
            "key": "id of the key",
        },
    ),
}

_CONSENT: Final = {
    "from": "who wrote, masked",
    "to": "the number or stop address that they wrote to",
    "reply_id": "the reply; GET /v1/replies/{id} has the text",
    "category": "all, or marketing: notices may still be sent",
    "exact": "true if it was nothing but the word; else look at it: what it meant was guessed",
}

CONSENT_EVENTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "consent.revoked": ("Somebody wrote STOP, or words that mean it.", _CONSENT),
    "consent.granted": ("Somebody who had written STOP wants messages again.", _CONSENT),
}

EVENT_TYPES: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    **MESSAGE_EVENTS,
    **VERIFICATION_EVENTS,
    **SIGNATURE_EVENTS,
    **REVERSE_EVENTS,
    **HANDOVER_EVENTS,
    **LEAD_EVENTS,
    **EVIDENCE_EVENTS,
    **CONSENT_EVENTS,
}


_encoded: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class NewEvent(NamedTuple):
    """An event to record; `data` is its JSON payload, whose fields the table lists."""

    application_id: str
    type: str
    subject_id: str
    sequence: int
    data: str


def event_data(event_type: str, **fields: Any) -> str:
    """Return an event's payload as JSON; raises `NotAllowed` for a type or a field that the table does not list."""
    listed = EVENT_TYPES.get(event_type)
    if listed is None:
        raise NotAllowed(f"no such event type: {event_type}")
    if stray := fields.keys() - listed[1].keys():
        raise NotAllowed(f"{event_type} has no field {', '.join(sorted(stray))}")
    return _encoded(fields)


def record(tx: Tx, events: Sequence[NewEvent], new_ids: NewIds, now: int) -> list[tuple[str, str]]:
    """Append `events` to their applications' feeds and owe them to the endpoints that listen.

    Returns the (application, endpoint) pairs that now have work, for the webhook bell.
    """
    if not events:
        return []
    by_application: dict[str, list[NewEvent]] = defaultdict(list)
    for event in events:
        if event.type not in EVENT_TYPES:
            raise NotAllowed(f"no such event type: {event.type}")
        by_application[event.application_id].append(event)
    listeners = _listeners(tx, sorted(by_application))
    rows: list[tuple[Any, ...]] = []
    owed: list[tuple[Any, ...]] = []
    bells: set[tuple[str, str]] = set()
    for application_id in sorted(by_application):
        news = by_application[application_id]
        first = _advance(tx, application_id, len(news)) - len(news) + 1
        ids = new_ids("evt", len(news))
        rows += [
            (application_id, position, ids[position - first], *event[1:]) for position, event in enumerate(news, first)
        ]
        for endpoint_id, types in listeners.get(application_id, ()):
            heard = [
                (endpoint_id, position, application_id, event.subject_id)
                for position, event in enumerate(news, first)
                if not types or event.type in types
            ]
            if heard:
                owed += heard
                bells.add((application_id, endpoint_id))
    tx.put(_INSERT_EVENTS, rows, same_occurred_at=now)
    tx.put(_INSERT_DELIVERIES, owed, same_next_at=now)
    return sorted(bells)


def _listeners(tx: Tx, applications: list[str]) -> dict[str, list[tuple[str, frozenset[str]]]]:
    found: dict[str, list[tuple[str, frozenset[str]]]] = defaultdict(list)
    for application_id, endpoint_id, types in tx.joined(_ENDPOINTS, [(name,) for name in applications]):
        found[application_id].append((endpoint_id, frozenset(json.loads(types))))
    return found


def _advance(tx: Tx, application_id: str, count: int) -> int:
    row = tx.one(_ADVANCE_FEED, application=application_id, count=count)
    if row is None:
        tx.batch(_OPEN_FEED, [(application_id, 0)])
        row = tx.one(_ADVANCE_FEED, application=application_id, count=count)
    assert row is not None
    return int(row[0])


# Statements.

_feed: Any = Feed.__table__  # type: ignore[attr-defined]
_endpoint: Any = Endpoint.__table__  # type: ignore[attr-defined]


def _endpoints_of(dialect: Dialect) -> Any:
    given = dialect.given(application_id=str)
    return (
        select(_endpoint.c.application_id, _endpoint.c.id, _endpoint.c.event_types)
        .join(given, given.c.application_id == _endpoint.c.application_id)
        .where(_endpoint.c.state == "enabled")
    )


_ENDPOINTS: Final = Statement(_endpoints_of)
_OPEN_FEED: Final = insert_new(Feed, column_kinds(Feed))
_ADVANCE_FEED: Final = Statement(
    lambda _: (
        _feed.update()
        .where(_feed.c.application_id == bindparam("application"))
        .values(position=_feed.c.position + bindparam("count", type_=BigInteger()))
        .returning(_feed.c.position)
    )
)
_INSERT_EVENTS: Final = insert(
    Event,
    column_kinds(Event, "application_id", "position", "id", "type", "subject_id", "sequence", "data"),
    same=("occurred_at",),
)
_INSERT_DELIVERIES: Final = insert(
    WebhookDelivery,
    column_kinds(WebhookDelivery, "endpoint_id", "position", "application_id", "subject_id"),
    same=("next_at",),
)
