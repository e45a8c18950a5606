"""Full numbers in the events that tell who wrote, for endpoints that ask for them; others get them masked.

A store function over rows just read: events keep masked numbers, and the full ones are looked up where they are kept.
Who was erased, or whose reply is no longer kept, stays masked.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import select

from engine.keyring import KeyRing
from engine.store.statements import Dialect, Statement
from engine.store.tables import Reply
from engine.store.tables_cases import Case
from engine.store.transaction import Tx
from engine.webhooks.claims import Due

_OF_REPLIES: Final = frozenset({"message.received"})
_OF_REVERSES: Final = frozenset({"reverse.received", "reverse.approved"})


def with_numbers(tx: Tx, rows: Sequence[Due], keyring: KeyRing) -> list[Due]:
    """Return due events with `from` in full where they tell who wrote."""
    known: dict[str, str] = {}
    if replies := [due.subject_id for due in rows if due.type in _OF_REPLIES]:
        known |= dict(tx.joined(_SOURCES, [(one,) for one in replies]))
    if reverses := [due.subject_id for due in rows if due.type in _OF_REVERSES]:
        for case_id, data in tx.joined(_SENDERS, [(one,) for one in reverses]):
            if sealed := json.loads(data)["sender"]:
                known[case_id] = keyring.unseal(sealed, case_id).decode()
    told = _OF_REPLIES | _OF_REVERSES
    return [
        _filled(due, known[due.subject_id]) if due.type in told and due.subject_id in known else due for due in rows
    ]


def _filled(due: Due, number: str) -> Due:
    data = json.loads(due.data)
    return due._replace(data=json.dumps(data | {"from": number}, ensure_ascii=False, separators=(",", ":")))


_reply: Any = Reply.__table__  # type: ignore[attr-defined]
_case: Any = Case.__table__  # type: ignore[attr-defined]


def _build_sources(dialect: Dialect) -> Any:
    given = dialect.given(id=str)
    return select(_reply.c.id, _reply.c.source).join(given, given.c.id == _reply.c.id)


def _build_senders(dialect: Dialect) -> Any:
    given = dialect.given(id=str)
    return select(_case.c.id, _case.c.data).join(given, given.c.id == _case.c.id)


_SOURCES: Final = Statement(_build_sources)
_SENDERS: Final = Statement(_build_senders)
