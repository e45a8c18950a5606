"""How long evidence is kept: legal holds, the erasure of a person from it, and its end after the retention.

Store functions. What is erased are a person's key and the openings under it: the chains keep their commitments, verify
as before, and say that it was done (S37). A hold keeps both erasure and retention away.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, or_, select, tuple_

from engine.clock import to_rfc3339
from engine.duties.rounds import Done
from engine.evidence.chronology import PEOPLE
from engine.evidence.sealing import NewEntry, Sealer
from engine.store import together
from engine.store.statements import Dialect, Statement
from engine.store.tables_evidence import EvidenceChain, EvidenceEntry, EvidenceOpening, EvidenceSubject
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
        """Destroy a person's key and openings, and have each chain say so: its commitments stand as they were.

        What a chain holds of the person under a number that they had earlier in it goes too; that number's key stays,
        since it may be somebody else's elsewhere.
        """
        earlier = [(kept.case_id, fp) for kept in chains for fp in _earlier(tx, kept.case_id, subject_fp)]
        tx.batch(_ERASE_EARLIER, earlier)
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


def _earlier(tx: Tx, case_id: str, subject_fp: str) -> set[str]:
    """Return the other numbers' fingerprints under which a chain knows a person, and nobody else in it."""
    fp_of = {str(commitment): str(fp) for commitment, fp in tx.all(_SUBJECTS, case=case_id)}
    known: dict[str, set[str]] = defaultdict(set)
    for (content,) in tx.all(_DECLARATIONS, case=case_id):
        entry = json.loads(content)
        who = PEOPLE.get(entry["kind"])
        if who is not None:
            hidden = [value["commitment"] for value in entry["body"].values() if _is_commitment(value)]
            known[entry["body"][who]] |= {fp_of[one] for one in hidden if one in fp_of}
    theirs = set().union(*(fps for fps in known.values() if subject_fp in fps))
    others = set().union(*(fps for fps in known.values() if subject_fp not in fps))
    return theirs - others - {subject_fp}


def _is_commitment(value: object) -> bool:
    return isinstance(value, dict) and "commitment" in value


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


_entry: Any = EvidenceEntry.__table__  # type: ignore[attr-defined]
_SUBJECTS: Final = Statement(
    lambda _: select(_opening.c.commitment, _opening.c.subject_fp).where(_opening.c.case_id == bindparam("case"))
)
_DECLARATIONS: Final = Statement(
    lambda _: select(_entry.c.content).where(_entry.c.case_id == bindparam("case")).order_by(_entry.c.seq)
)


def _build_erase_earlier(dialect: Dialect) -> Any:
    given = dialect.given(case_id=str, subject_fp=str)
    return _opening.delete().where(
        tuple_(_opening.c.case_id, _opening.c.subject_fp).in_(select(given.c.case_id, given.c.subject_fp))
    )


_ERASE_EARLIER: Final = Statement(_build_erase_earlier)


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
