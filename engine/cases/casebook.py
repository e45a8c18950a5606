"""Store functions for cases and what belongs to them: allowances, timers, checks, audits, pinned template texts.

Rows in, rows out; what a case's state means is the workflow's, what a step causes is `conducting`'s.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, select

from engine.store.moves import TIMER
from engine.store.statements import Dialect, Statement, column_kinds, insert, insert_new, move
from engine.store.tables import Message
from engine.store.tables_cases import Allowance, Audit, Case, Check, TemplateText, Timer
from engine.store.transaction import Tx


class CaseRow(NamedTuple):
    """A case's row, in the order of the table's columns."""

    id: str
    application_id: str
    workflow: str
    profile: str
    purpose: str
    state: str
    phone: str
    phone_fp: str
    our_number: str
    language: str
    seed: str | None
    old_seeds: str
    data: str
    sequence: int
    created_at: int
    expires_at: int
    final_at: int | None


class Budget(NamedTuple):
    """The key of an allowance: whose counters these are."""

    application_id: str
    profile: str
    phone_fp: str
    purpose: str


def insert_case(tx: Tx, case: CaseRow) -> None:
    """Insert a new case."""
    tx.batch(_INSERT_CASE, [case])


def store_case(tx: Tx, case: CaseRow, *, was: str) -> None:
    """Write a case back under the guard of the state in which it was loaded; the lost guard is our bug and raises."""
    changed = tx.run(
        _STORE_CASE,
        case=case.id,
        was=was,
        to=case.state,
        case_language=case.language,
        case_seed=case.seed,
        case_old_seeds=case.old_seeds,
        case_data=case.data,
        case_sequence=case.sequence,
        case_expires_at=case.expires_at,
        case_final_at=case.final_at,
    )
    if changed != 1:
        raise AssertionError("a case loaded in this transaction has moved")


def case_of(tx: Tx, application_id: str, case_id: str, *, workflow: str, lock: bool = True) -> CaseRow | None:
    """Return an application's case, locked until commit if asked; None for a foreign id as for an unknown one."""
    row = tx.one(_CASE if lock else _PEEK_CASE, id=case_id, application=application_id, workflow=workflow)
    return None if row is None else CaseRow(*row)


def case_by_id(tx: Tx, case_id: str) -> CaseRow | None:
    """Return a case by its id alone, locked until commit: for timers and receipts, which name it themselves."""
    row = tx.one(_CASE_BY_ID, id=case_id)
    return None if row is None else CaseRow(*row)


def peek_case(tx: Tx, case_id: str) -> CaseRow | None:
    """Return a case by its id alone, without a lock."""
    row = tx.one(_PEEK_BY_ID, id=case_id)
    return None if row is None else CaseRow(*row)


def open_cases(tx: Tx, application_id: str, phone_fp: str, workflow: str) -> list[CaseRow]:
    """Return an application's open cases with a number, oldest first, locked until commit."""
    rows = tx.all(_OPEN, phone=phone_fp, application=application_id, workflow=workflow)
    return [CaseRow(*row) for row in rows]


def page(tx: Tx, application_id: str, workflow: str, before: str | None, limit: int) -> list[CaseRow]:
    """Return an application's cases, newest first, older than `before`."""
    rows = tx.all(_PAGE, application=application_id, workflow=workflow, before=before or "~", most=limit)
    return [CaseRow(*row) for row in rows]


# Allowances: JSON counters under a lock, made on first use.


def allowance(tx: Tx, budget: Budget, now: int) -> Mapping[str, int]:
    """Return the counters of a budget, locked until commit; empty if it was never used."""
    tx.batch(_OPEN_ALLOWANCE, [(*budget, 0, 0, "{}", now)])
    row = tx.one(_ALLOWANCE, **_budget_values(budget))
    assert row is not None
    counters: dict[str, int] = json.loads(row[0])
    return counters


def peek_allowance(tx: Tx, budget: Budget) -> Mapping[str, int]:
    """Return the counters of a budget without a lock, for a GET; empty if it was never used."""
    row = tx.one(_PEEK_ALLOWANCE, **_budget_values(budget))
    counters: dict[str, int] = {} if row is None else json.loads(row[0])
    return counters


def store_allowance(tx: Tx, budget: Budget, counters: Mapping[str, int], now: int) -> None:
    """Write the counters of a budget that `allowance` locked in this transaction."""
    tx.run(
        _STORE_ALLOWANCE,
        **_budget_values(budget),
        counters=json.dumps(dict(counters)),
        spent=counters.get("attempts", 0),
        sent=counters.get("sends", 0),
        now=now,
    )


def _budget_values(budget: Budget) -> dict[str, str]:
    return {
        "b_application": budget.application_id,
        "b_profile": budget.profile,
        "b_phone": budget.phone_fp,
        "b_purpose": budget.purpose,
    }


# Timers.


class DueTimer(NamedTuple):
    """A timer that came due."""

    id: str
    case_id: str
    kind: str


def arm(tx: Tx, timer_id: str, application_id: str, case_id: str, kind: str, at: int) -> None:
    """Arm a case's timer of a kind, in place of an earlier one."""
    disarm(tx, case_id, kind)
    tx.batch(_ARM, [(timer_id, application_id, case_id, kind, "armed", at, None)])


def disarm(tx: Tx, case_id: str, kind: str | None = None) -> None:
    """Disarm a case's timer of a kind, or all of them."""
    armed = tx.all(_ARMED, case=case_id)
    tx.move(_DISARM, [(timer_id,) for timer_id, timer_kind in armed if kind is None or timer_kind == kind])


def due_timers(tx: Tx, now: int, most: int) -> list[DueTimer]:
    """Return the armed timers that are due, the earliest first, locked until commit."""
    return [DueTimer(*row) for row in tx.all(_DUE, now=now, most=most)]


def fire(tx: Tx, timer_ids: Sequence[str], now: int) -> set[str]:
    """Mark timers as fired; return those that were still armed."""
    return tx.move(_FIRE, [(timer_id, now) for timer_id in timer_ids])


# Checks, audits, templates, messages of a case.


def put_check(tx: Tx, check_id: str, case: CaseRow, answer: str, *, spent: bool, now: int) -> None:
    """Write down that a code was entered and what the answer was; never what was entered."""
    tx.batch(_PUT_CHECK, [(check_id, case.application_id, case.id, answer, int(spent), now)])


def checks_of(tx: Tx, case_id: str) -> list[tuple[str, int, int]]:
    """Return (answer, spent, at) of every check of a case, oldest first."""
    return [(row[0], int(row[1]), int(row[2])) for row in tx.all(_CHECKS, case=case_id)]


def put_audit(
    tx: Tx, audit_id: str, application_id: str, actor: str, action: str, subject_id: str, detail: Any, now: int
) -> None:
    """Append to the audit trail."""
    tx.batch(_PUT_AUDIT, [(audit_id, application_id, actor, action, subject_id, json.dumps(detail), now)])


def audits_of(tx: Tx, subject_id: str) -> list[tuple[str, str, str, int]]:
    """Return (actor, action, detail, at) of a subject, oldest first."""
    return [(row[0], row[1], row[2], int(row[3])) for row in tx.all(_AUDITS, subject=subject_id)]


def keep_template(tx: Tx, pinned: str, name: str, text: str, now: int) -> None:
    """Keep a template's text under its hash, once."""
    tx.batch(_KEEP_TEMPLATE, [(pinned, name, text, now)])


def kept_templates(tx: Tx) -> dict[str, str]:
    """Return every template text ever used, by its hash."""
    return dict(tx.all(_KEPT))


def messages_of(tx: Tx, case_id: str) -> list[tuple[str, str]]:
    """Return (message, state) of a case's messages, oldest first."""
    return [(row[0], row[1]) for row in tx.all(_MESSAGES, case=case_id)]


# Statements.

_case: Any = Case.__table__  # type: ignore[attr-defined]
_allowance: Any = Allowance.__table__  # type: ignore[attr-defined]
_timer: Any = Timer.__table__  # type: ignore[attr-defined]
_check: Any = Check.__table__  # type: ignore[attr-defined]
_audit: Any = Audit.__table__  # type: ignore[attr-defined]
_template: Any = TemplateText.__table__  # type: ignore[attr-defined]
_message: Any = Message.__table__  # type: ignore[attr-defined]
assert CaseRow._fields == tuple(column_kinds(Case))

_INSERT_CASE: Final = insert(Case, column_kinds(Case))
_PUT_CHECK: Final = insert(Check, column_kinds(Check))
_PUT_AUDIT: Final = insert(Audit, column_kinds(Audit))
_ARM: Final = insert(Timer, column_kinds(Timer))
_OPEN_ALLOWANCE: Final = insert_new(Allowance, column_kinds(Allowance))
_KEEP_TEMPLATE: Final = insert_new(TemplateText, column_kinds(TemplateText))
_KEPT: Final = Statement(lambda _: select(_template.c.hash, _template.c.text))


def _build_store_case(_: Dialect) -> Any:
    return (
        _case.update()
        .where(_case.c.id == bindparam("case"), _case.c.state == bindparam("was"))
        .values(
            state=bindparam("to"),
            language=bindparam("case_language"),
            seed=bindparam("case_seed"),
            old_seeds=bindparam("case_old_seeds"),
            data=bindparam("case_data"),
            sequence=bindparam("case_sequence", type_=BigInteger()),
            expires_at=bindparam("case_expires_at", type_=BigInteger()),
            final_at=bindparam("case_final_at", type_=BigInteger()),
        )
    )


def _of_budget() -> Any:
    return (
        (_allowance.c.application_id == bindparam("b_application"))
        & (_allowance.c.profile == bindparam("b_profile"))
        & (_allowance.c.phone_fp == bindparam("b_phone"))
        & (_allowance.c.purpose == bindparam("b_purpose"))
    )


_STORE_CASE: Final = Statement(_build_store_case)
_CASE: Final = Statement(
    lambda dialect: dialect.locked(
        select(_case).where(
            _case.c.id == bindparam("id"),
            _case.c.application_id == bindparam("application"),
            _case.c.workflow == bindparam("workflow"),
        )
    )
)
_PEEK_CASE: Final = Statement(
    lambda _: select(_case).where(
        _case.c.id == bindparam("id"),
        _case.c.application_id == bindparam("application"),
        _case.c.workflow == bindparam("workflow"),
    )
)
_PEEK_BY_ID: Final = Statement(lambda _: select(_case).where(_case.c.id == bindparam("id")))
_CASE_BY_ID: Final = Statement(lambda dialect: dialect.locked(select(_case).where(_case.c.id == bindparam("id"))))
_OPEN: Final = Statement(
    lambda dialect: dialect.locked(
        select(_case)
        .where(
            _case.c.phone_fp == bindparam("phone"),
            _case.c.application_id == bindparam("application"),
            _case.c.workflow == bindparam("workflow"),
            _case.c.final_at.is_(None),
        )
        .order_by(_case.c.id)
    )
)
_PAGE: Final = Statement(
    lambda _: (
        select(_case)
        .where(
            _case.c.application_id == bindparam("application"),
            _case.c.workflow == bindparam("workflow"),
            _case.c.id < bindparam("before"),
        )
        .order_by(_case.c.id.desc())
        .limit(bindparam("most"))
    )
)
_ALLOWANCE: Final = Statement(lambda dialect: dialect.locked(select(_allowance.c.data).where(_of_budget())))
_PEEK_ALLOWANCE: Final = Statement(lambda _: select(_allowance.c.data).where(_of_budget()))
_STORE_ALLOWANCE: Final = Statement(
    lambda _: (
        _allowance.update()
        .where(_of_budget())
        .values(
            data=bindparam("counters"),
            attempts=bindparam("spent", type_=BigInteger()),
            sends=bindparam("sent", type_=BigInteger()),
            updated_at=bindparam("now", type_=BigInteger()),
        )
    )
)
_ARMED: Final = Statement(
    lambda _: select(_timer.c.id, _timer.c.kind).where(_timer.c.case_id == bindparam("case"), _timer.c.state == "armed")
)
_DISARM: Final = move(TIMER, Timer, expected=("armed",), to="disarmed", given={"id": str})
_FIRE: Final = move(
    TIMER,
    Timer,
    expected=("armed",),
    to="fired",
    given={"id": str, "fired_at": int},
    values=lambda _, given: {"fired_at": given.c.fired_at},
)
_DUE: Final = Statement(
    lambda dialect: dialect.locked(
        select(_timer.c.id, _timer.c.case_id, _timer.c.kind)
        .where(_timer.c.state == "armed", _timer.c.due_at <= bindparam("now", type_=BigInteger()))
        .order_by(_timer.c.due_at)
        .limit(bindparam("most")),
        skip=True,
    )
)
_CHECKS: Final = Statement(
    lambda _: (
        select(_check.c.answer, _check.c.spent, _check.c.checked_at)
        .where(_check.c.case_id == bindparam("case"))
        .order_by(_check.c.id)
    )
)
_AUDITS: Final = Statement(
    lambda _: (
        select(_audit.c.actor, _audit.c.action, _audit.c.detail, _audit.c.at)
        .where(_audit.c.subject_id == bindparam("subject"))
        .order_by(_audit.c.id)
    )
)
_MESSAGES: Final = Statement(
    lambda _: (
        select(_message.c.id, _message.c.state).where(_message.c.case_id == bindparam("case")).order_by(_message.c.id)
    )
)
