"""Reading messages as rows: one, and a page. Store functions only; every query names the application.

`messages` calls them; what changes messages is `engine.transit`'s, their timeline `engine.cases.timeline`'s.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import bindparam, select

from engine.clock import to_rfc3339
from engine.phones import mask
from engine.store.statements import Statement
from engine.store.tables import Message
from engine.store.transaction import Tx

COLUMNS: Final = (
    "id", "case_id", "category", "state", "recipient", "sender", "reference", "parts", "attempts", "doubts", "account",
    "status", "reason", "number_unverified", "simulated", "created_at", "expires_at", "sent_at", "accepted_at",
    "final_at",
)  # fmt: skip
_INSTANTS: Final = ("created_at", "expires_at", "sent_at", "accepted_at", "final_at")


def read(tx: Tx, application_id: str, message_id: str) -> dict[str, Any] | None:
    """Return a message's columns; None for a foreign id as for an unknown one."""
    row = tx.one(_ONE, id=message_id, application=application_id)
    return None if row is None else dict(zip(COLUMNS, row, strict=True))


def page(tx: Tx, application_id: str, before: str, most: int) -> list[dict[str, Any]]:
    """Return an application's messages, newest first, older than `before`."""
    rows = tx.all(_PAGE, application=application_id, before=before, most=most)
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def shown(columns: Mapping[str, Any], *, in_full: bool) -> dict[str, Any]:
    """Return a message as the caller sees it; the number `in_full` or masked."""
    made = dict(columns)
    made["to"] = columns["recipient"] if in_full else mask(columns["recipient"])
    del made["recipient"]
    for name in _INSTANTS:
        made[name] = None if columns[name] is None else to_rfc3339(columns[name])
    for name in ("number_unverified", "simulated"):
        made[name] = bool(columns[name])
    made["possible_duplicates"] = made.pop("doubts")
    return made


# Statements.

_message: Any = Message.__table__  # type: ignore[attr-defined]

_ONE: Final = Statement(
    lambda _: select(*[_message.c[name] for name in COLUMNS]).where(
        _message.c.id == bindparam("id"), _message.c.application_id == bindparam("application")
    )
)
_PAGE: Final = Statement(
    lambda _: (
        select(*[_message.c[name] for name in COLUMNS])
        .where(_message.c.application_id == bindparam("application"), _message.c.id < bindparam("before"))
        .order_by(_message.c.id.desc())
        .limit(bindparam("most"))
    )
)
