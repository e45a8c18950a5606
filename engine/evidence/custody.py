"""How long evidence is kept: legal holds, the erasure of a person from it, and its end after the retention.

Store functions. What is erased are a person's key and the openings under it: the chains keep their commitments, verify
as before, and say that it was done (S37). A hold keeps both erasure and retention away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, or_, select

from engine.clock import to_rfc3339
from engine.duties.rounds import Done
from engine.evidence.sealing import NewEntry, Sealer
from engine.store import together
from engine.store.statements import Statement
from engine.store.tables_evidence import EvidenceChain, EvidenceOpening, EvidenceSubject
from engine.store.transaction import Tx

_MOST: Final = 50  # cases purged at one look: each has some hundred rows


class Hold(NamedTuple):
    """A legal hold: why, and until when (None: until it is lifted)."""

    reason: str
    until: int | None


class Kept(NamedTuple):
    """A chain that a person is in: whether it is closed, and what holds it now."""

    case_id: str
    closed: bool
    hold: Hold | None


@dataclass(frozen=True, slots=True)
class Custody:
    """The store functions for one installation."""

    sealer: Sealer

    def hold(self, tx: Tx, application_id: str, case_id: str, hold: Hold, actor: str, now: int) -> bool:
        """Put a hold on a case's evidence, or change it; False for a foreign id as for an unknown one."""
        until = None if hold.until is None else to_rfc3339(hold.until)
        body = {"actor": actor, "reason": hold.reason, "until": until}
        return self._hold(tx, application_id, case_id, hold, NewEntry("hold.set", body, stated=("reason",)), now)

    def lift(self, tx: Tx, application_id: str, case_id: str, actor: str, now: int) -> bool:
        """End the hold of a case's evidence; False for a foreign id as for an unknown one."""
        return self._hold(tx, application_id, case_id, None, NewEntry("hold.lifted", {"actor": actor}), now)

    def read_hold(self, tx: Tx, application_id: str, case_id: str) -> tuple[Hold | None, int] | None:
        """Return what holds a case's evidence and how long it is kept; None for a foreign or unknown id."""
        row = tx.one(_HELD, case=case_id, application=application_id)
        return None if row is None else (None if row[0] is None else Hold(row[0], row[1]), int(row[2]))

    def chains_with(self, tx: Tx, application_id: str, subject_fp: str, now: int) -> list[Kept]:
        """Return the chains in which a person's values can still be opened."""
        return [
            Kept(case_id, closed_at is not None, hold_of(reason, until, now))
            for case_id, closed_at, reason, until in tx.all(_CHAINS, application=application_id, subject=subject_fp)
        ]

    def erase(self, tx: Tx, application_id: str, subject_fp: str, chains: Sequence[Kept], actor: str, now: int) -> None:
        """Destroy a person's key and openings, and have each chain say so: its commitments stand as they were."""
        tx.run(_ERASE_OPENINGS, application=application_id, subject=subject_fp)
        tx.run(_ERASE_KEY, application=application_id, subject=subject_fp)
        for kept in chains:
            self.sealer.seal(tx, application_id, kept.case_id, [NewEntry("subject.erased", {"actor": actor})], now)

    def purge(self, tx: Tx, now: int) -> Done:
        """Delete closed evidence whose time is over and that nothing holds, with the case that it is about.

        The log keeps its leaves and nodes: they name a case and a hash, and prove what others still have.
        """
        rows = [(case_id,) for (case_id,) in tx.all(_OVER, now=now, most=_MOST)]
        for statement in together.EVIDENCE:
            tx.batch(statement, rows)
        return Done(len(rows), more=len(rows) == _MOST)

    def _hold(self, tx: Tx, application_id: str, case_id: str, hold: Hold | None, entry: NewEntry, now: int) -> bool:
        if tx.one(_HELD, case=case_id, application=application_id) is None:
            return False
        reason, until = (None, None) if hold is None else hold
        self.sealer.seal(tx, application_id, case_id, [entry], now)
        tx.run(_HOLD, case=case_id, reason=reason, until=until)
        return True


def hold_of(reason: str | None, until: int | None, now: int) -> Hold | None:
    """Return the hold that a chain's columns speak of, if it still stands."""
    return None if reason is None or (until is not None and until <= now) else Hold(reason, until)


# Statements.

_chain: Any = EvidenceChain.__table__  # type: ignore[attr-defined]
_opening: Any = EvidenceOpening.__table__  # type: ignore[attr-defined]
_subject: Any = EvidenceSubject.__table__  # type: ignore[attr-defined]
_now: Final = bindparam("now", type_=BigInteger())

_HELD: Final = Statement(
    lambda _: select(_chain.c.hold_reason, _chain.c.hold_until, _chain.c.retain_until).where(
        _chain.c.case_id == bindparam("case"), _chain.c.application_id == bindparam("application")
    )
)
_HOLD: Final = Statement(
    lambda _: (
        _chain.update()
        .where(_chain.c.case_id == bindparam("case"))
        .values(hold_reason=bindparam("reason"), hold_until=bindparam("until", type_=BigInteger()))
    )
)
_CHAINS: Final = Statement(
    lambda _: (
        select(_chain.c.case_id, _chain.c.closed_at, _chain.c.hold_reason, _chain.c.hold_until)
        .where(
            _chain.c.case_id.in_(
                select(_opening.c.case_id).where(
                    _opening.c.application_id == bindparam("application"),
                    _opening.c.subject_fp == bindparam("subject"),
                )
            )
        )
        .order_by(_chain.c.case_id)
    )
)


def _of_subject(table: Any) -> Statement:
    return Statement(
        lambda _: table.delete().where(
            table.c.application_id == bindparam("application"), table.c.subject_fp == bindparam("subject")
        )
    )


_ERASE_OPENINGS: Final = _of_subject(_opening)
_ERASE_KEY: Final = _of_subject(_subject)
_OVER: Final = Statement(
    lambda dialect: dialect.locked(
        select(_chain.c.case_id)
        .where(
            _chain.c.retain_until < _now,
            _chain.c.closed_at.is_not(None),
            or_(_chain.c.hold_reason.is_(None), _chain.c.hold_until <= _now),
        )
        .order_by(_chain.c.retain_until)
        .limit(bindparam("most")),
        skip=True,
    )
)
