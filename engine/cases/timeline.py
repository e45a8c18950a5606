"""Everything that happened to a case or a message, in order of time: sends, PDU statuses, receipts, checks, webhooks.

Read from the rows as they are; nothing is stored for it. No number, text or code is in it. The API and `sceau trace`
show it.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import select

from engine.cases import casebook
from engine.cases.casebook import CaseRow
from engine.clock import to_rfc3339
from engine.smpp.pdu import status_name
from engine.store.statements import Dialect, Statement
from engine.store.tables import Event, Message, Part, ReceiptRow
from engine.store.transaction import Tx
from engine.webhooks import replays
from engine.webhooks.replays import Delivery

Entry = tuple[int, int, dict[str, Any]]  # instant, rank among equals, what is shown

# Of entries at one instant, causes come before what they cause.
_CREATED, _SENT, _ANSWERED, _RECEIPT, _CHECK, _AUDIT, _EVENT, _WEBHOOK = range(8)


def of_case(tx: Tx, case: CaseRow) -> list[dict[str, Any]]:
    """Return a case's timeline, its messages' included."""
    entries: list[Entry] = [(case.created_at, _CREATED, {"what": "case.created", "case_id": case.id})]
    for answer, spent, at in casebook.checks_of(tx, case.id):
        entries.append((at, _CHECK, {"what": "check", "answer": answer, "attempt_spent": bool(spent)}))
    for actor, action, detail, at in casebook.audits_of(tx, case.id):
        entries.append((at, _AUDIT, {"what": "audit", "action": action, "actor": actor, "detail": json.loads(detail)}))
    messages = [message_id for message_id, _ in casebook.messages_of(tx, case.id)]
    return _ordered(entries + _messages(tx, messages) + _events(tx, case.application_id, [case.id, *messages]))


def of_message(tx: Tx, application_id: str, message_id: str) -> list[dict[str, Any]]:
    """Return a message's timeline; the caller has checked whose it is."""
    return _ordered(_messages(tx, [message_id]) + _events(tx, application_id, [message_id]))


def _ordered(entries: list[Entry]) -> list[dict[str, Any]]:
    ordered = sorted(entries, key=lambda entry: entry[:2])
    return [{"at": to_rfc3339(at), **shown} for at, _rank, shown in ordered]


def _messages(tx: Tx, ids: Sequence[str]) -> list[Entry]:
    given = [(message_id,) for message_id in ids]
    entries: list[Entry] = []
    for message_id, created_at, category in tx.joined(_MESSAGES, given):
        entries.append(
            (created_at, _CREATED, {"what": "message.queued", "message_id": message_id, "category": category})
        )
    for message_id, number, attempt, account, bind, throttles, sent_at, answered_at, status, smsc_id in tx.joined(
        _PARTS, given
    ):
        part = {"message_id": message_id, "part": number, "attempt": attempt, "account": account, "bind": bind}
        entries.append((sent_at, _SENT, {"what": "submit_sm", **part, "throttled_before": throttles}))
        if answered_at is not None:
            said = {"status": status, "status_name": status_name(int(status or 0)), "smsc_message_id": smsc_id}
            entries.append((answered_at, _ANSWERED, {"what": "submit_sm_resp", **part, **said}))
    for message_id, part_number, state, stat, error, effect, bind, received_at in tx.joined(_RECEIPTS, given):
        told = {"message_id": message_id, "part": part_number, "state": state, "stat": stat, "error": error}
        entries.append((received_at, _RECEIPT, {"what": "receipt", **told, "effect": effect, "bind": bind}))
    return entries


def _events(tx: Tx, application_id: str, subjects: Sequence[str]) -> list[Entry]:
    given = [(subject,) for subject in subjects]
    entries: list[Entry] = []
    # Ids rise in the order in which events were recorded: those of one instant are told as they happened.
    for event_id, kind, subject_id, sequence, occurred_at in sorted(tx.joined(_EVENTS, given)):
        told = {"what": kind, "event_id": event_id, "subject_id": subject_id, "sequence": sequence}
        entries.append((occurred_at, _EVENT, told))
    entries += [_webhook(one) for one in replays.deliveries_of(tx, application_id, subjects)]
    return entries


def _webhook(one: Delivery) -> Entry:
    told = {
        "what": f"webhook.{one.state}",
        "endpoint_id": one.endpoint_id,
        "event_id": one.event_id,
        "event": one.type,
        "attempts": one.attempts,
        "http_status": one.last_status,
    }
    if one.state == "pending":
        # Owed since its event: when it was tried last is not kept.
        return one.occurred_at, _WEBHOOK, {**told, "next_try_at": to_rfc3339(one.next_at)}
    at = one.next_at if one.delivered_at is None else one.delivered_at
    return at, _WEBHOOK, told


# Statements.

_message: Any = Message.__table__  # type: ignore[attr-defined]
_part: Any = Part.__table__  # type: ignore[attr-defined]
_receipt: Any = ReceiptRow.__table__  # type: ignore[attr-defined]
_event: Any = Event.__table__  # type: ignore[attr-defined]


def _of(table: Any, key: str, *columns: str) -> Statement:
    def build(dialect: Dialect) -> Any:
        given = dialect.given(subject=str)
        return select(*[table.c[name] for name in columns]).join(given, given.c.subject == table.c[key])

    return Statement(build)


_MESSAGES: Final = _of(_message, "id", "id", "created_at", "category")
_PARTS: Final = _of(
    _part, "message_id",
    "message_id", "number", "attempt", "account", "bind", "throttles", "sent_at", "answered_at", "status", "smsc_id",
)  # fmt: skip
_RECEIPTS: Final = _of(
    _receipt, "message_id", "message_id", "part", "state", "stat", "error", "effect", "bind", "received_at"
)
_EVENTS: Final = _of(_event, "subject_id", "id", "type", "subject_id", "sequence", "occurred_at")
