"""Finds, for all the numbers of a batch of replies at once, those that an open conversation listens to.

A superset of what the conversations' own look-ups find, which also ask who carries a reply: a number that is not in it
is nobody's. `hearing` is the caller.
"""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import literal_column, or_, select

from engine.store.statements import Dialect, Statement
from engine.store.tables_cases import Case
from engine.store.tables_handover import DeliveryParty
from engine.store.tables_signing import SigningRow
from engine.store.transaction import Tx


def listened_to(tx: Tx, phones: Iterable[str]) -> set[str]:
    """Return which of these fingerprints of numbers may be answering a signing, a delivery or a lead."""
    return {str(row[0]) for row in tx.joined(_LISTENED_TO, [(phone,) for phone in phones])}


_signing: Any = SigningRow.__table__  # type: ignore[attr-defined]
_party: Any = DeliveryParty.__table__  # type: ignore[attr-defined]
_case: Any = Case.__table__  # type: ignore[attr-defined]
_ONE: Any = literal_column("1")  # written out: SQLite uses a partial index only where its condition stands


def _build(dialect: Dialect) -> Any:
    phone = dialect.given(phone_fp=str).c.phone_fp
    return select(phone).where(
        or_(
            select(_ONE).where(_signing.c.phone_fp == phone, _signing.c.listening == _ONE).exists(),
            select(_ONE).where(_party.c.phone_fp == phone, _party.c.listening == _ONE).exists(),
            select(_ONE)
            .where(_case.c.phone_fp == phone, _case.c.final_at.is_(None), _case.c.workflow == "lead")
            .exists(),
        )
    )


_LISTENED_TO: Final = Statement(_build)
