"""Store functions for many cases at once, for what comes in storms: one statement each, whatever the batch holds.

`casebook` has the same for one case. Rows in, rows out.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import literal_column, select

from engine.cases.casebook import Budget, CaseRow
from engine.store.moves import TIMER
from engine.store.statements import Dialect, Statement, column_kinds, insert, inserted
from engine.store.tables_cases import Allowance, Audit, Case, Timer
from engine.store.transaction import Tx


class Changed(NamedTuple):
    """A case that was stepped: the state in which it was loaded, and what a step changes of its row."""

    id: str
    was: str
    state: str
    data: str
    sequence: int
    final_at: int | None


class AuditRow(NamedTuple):
    """A row of the audit trail, in the order of the table's columns."""

    id: str
    application_id: str
    actor: str
    action: str
    subject_id: str
    detail: str
    at: int


def cases_by_id(tx: Tx, ids: Collection[str]) -> dict[str, CaseRow]:
    """Return cases by their ids, locked until commit in the order of these."""
    rows = tx.joined(_CASES, [(case_id,) for case_id in sorted(ids)])
    return {row[0]: CaseRow(*row) for row in rows}


def store_cases(tx: Tx, cases: Sequence[Changed]) -> None:
    """Write cases back, each under the guard of the state in which it was loaded; a lost one is our bug and raises."""
    if tx.batch(_STORE, cases) != len(cases):
        raise AssertionError("a case loaded in this transaction has moved")


def end_timers(tx: Tx, case_ids: Iterable[str]) -> None:
    """Disarm all timers of these cases."""
    tx.batch(_END_TIMERS, [(case_id,) for case_id in case_ids])


def put_audits(tx: Tx, rows: Sequence[AuditRow]) -> None:
    """Append to the audit trail."""
    tx.batch(_PUT_AUDITS, rows)


def allowances(tx: Tx, budgets: Iterable[Budget]) -> dict[Budget, Mapping[str, int]]:
    """Return the counters of those of the budgets that were ever used, locked until commit."""
    found = tx.joined(_ALLOWANCES, sorted(budgets))
    return {Budget(*key): json.loads(data) for *key, data in found}


def store_allowances(tx: Tx, counters: Mapping[Budget, Mapping[str, int]], now: int) -> None:
    """Write counters that `allowances` returned in this transaction, and new ones."""
    rows = [(*budget, json.dumps(dict(counted))) for budget, counted in sorted(counters.items())]
    tx.batch(_STORE_ALLOWANCES, rows, same_attempts=0, same_sends=0, same_updated_at=now)


_case: Any = Case.__table__  # type: ignore[attr-defined]
_timer: Any = Timer.__table__  # type: ignore[attr-defined]
_allowance: Any = Allowance.__table__  # type: ignore[attr-defined]
assert AuditRow._fields == tuple(column_kinds(Audit))
TIMER.check("armed", "disarmed")


def _build_cases(dialect: Dialect) -> Any:
    given = dialect.given(id=str)
    query = select(_case).join(given, given.c.id == _case.c.id).order_by(_case.c.id)
    return dialect.locked(query, of=_case)


def _build_store(dialect: Dialect) -> Any:
    given = dialect.given(id=str, was=str, state=str, data=str, sequence=int, final_at=int)
    return (
        _case.update()
        .where(_case.c.id == given.c.id, _case.c.state == given.c.was)
        .values({name: given.c[name] for name in ("state", "data", "sequence", "final_at")})
    )


def _build_end_timers(dialect: Dialect) -> Any:
    given = dialect.given(case_id=str)
    return (
        _timer.update()
        .where(_timer.c.case_id.in_(select(given.c.case_id)), _timer.c.state == literal_column("'armed'"))
        .values(state=literal_column("'disarmed'"))
    )


_BUDGET: Final = ("application_id", "profile", "phone_fp", "purpose")


def _build_allowances(dialect: Dialect) -> Any:
    given = dialect.given(**dict.fromkeys(_BUDGET, str))
    query = select(*[_allowance.c[name] for name in (*_BUDGET, "data")]).join(
        given, (given.c.phone_fp == _allowance.c.phone_fp)
        & (given.c.application_id == _allowance.c.application_id)
        & (given.c.profile == _allowance.c.profile)
        & (given.c.purpose == _allowance.c.purpose),
    )  # fmt: skip
    return dialect.locked(query.order_by(*[_allowance.c[name] for name in _BUDGET]), of=_allowance)


def _build_store_allowances(dialect: Dialect) -> Any:
    # The counters of before were locked. Where there were none and two processes begin at once, one batch's
    # guesses go uncounted.
    given = dict.fromkeys((*_BUDGET, "data"), str)
    made = inserted(dialect, Allowance, given, ("attempts", "sends", "updated_at"), {})
    changed = {"data": made.excluded.data, "updated_at": made.excluded.updated_at}
    return made.on_conflict_do_update(index_elements=list(_BUDGET), set_=changed)


_CASES: Final = Statement(_build_cases)
_STORE: Final = Statement(_build_store)
_END_TIMERS: Final = Statement(_build_end_timers)
_PUT_AUDITS: Final = insert(Audit, column_kinds(Audit))
_ALLOWANCES: Final = Statement(_build_allowances)
_STORE_ALLOWANCES: Final = Statement(_build_store_allowances)
