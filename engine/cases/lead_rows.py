"""Store functions for what leads have besides their cases: models of applications, and the figures of funnels."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, func, literal_column, select

from engine.store.statements import Dialect, Statement, column_kinds, insert_new, inserted
from engine.store.tables_cases import Case, Timer
from engine.store.tables_leads import LeadCrm, LeadFunnel, LeadModel
from engine.store.transaction import Tx
from workflows.lead_model import Model
from workflows.lead_telling import DORMANCY

_FIRST: Final = "led_"
_LAST: Final = "led_g"  # after every id, which goes on in hexadecimal, in whatever collation


def model_of(tx: Tx, application_id: str, name: str) -> Model | None:
    """Return an application's own model, or None for a name that it does not have."""
    row = tx.one(_MODEL, application=application_id, name=name)
    return None if row is None else Model.load(name, json.loads(row[0]))


def put_model(tx: Tx, application_id: str, name: str, given: Mapping[str, Any], now: int) -> Model:
    """Store a model, new or in place of an earlier one; raises `ModelError`."""
    model = Model.load(name, given)
    text = json.dumps(model.dump(), ensure_ascii=False)
    now = max(now, models_stamp(tx)[1] + 1)  # later than every other, however long this one waited: see `models_stamp`
    tx.batch(_NEW_MODEL, [(application_id, name, text, now)])
    tx.run(_PUT_MODEL, application=application_id, name=name, model_text=text, now=now)
    return model


def models(tx: Tx, application_id: str) -> list[Model]:
    """Return an application's own models."""
    return [Model.load(name, json.loads(text)) for name, text in tx.all(_MODELS, application=application_id)]


def every_model(tx: Tx) -> list[Model]:
    """Return the own models of every application."""
    return [Model.load(name, json.loads(text)) for name, text in tx.all(_EVERY_MODEL)]


def models_stamp(tx: Tx) -> tuple[int, int]:
    """Return what is another pair once a model was written."""
    row = tx.one(_STAMP)
    assert row is not None
    return int(row[0]), int(row[1] or 0)


class Watched(NamedTuple):
    """An open lead: its id, its model's name, and when its timer of dormancy is due, if it is armed."""

    id: str
    model: str
    due_at: int | None


def open_after(tx: Tx, after: str, most: int) -> list[Watched]:
    """Return the open leads with proven numbers after an id, over all applications."""
    return [Watched(*row) for row in tx.all(_WATCHED, after=after or _FIRST, most=most)]


def open_leads(tx: Tx, phone_fp: str) -> list[str]:
    """Return the ids of open leads with a number, over all applications, the newest first."""
    return [str(row[0]) for row in tx.all(_OPEN, phone=phone_fp)]


def owe(tx: Tx, connectors: Iterable[str], application_id: str, lead_id: str, now: int) -> None:
    """Owe CRMs what a lead has become."""
    tx.batch(_OWE, [(connector, lead_id, application_id, now, now) for connector in connectors])


def count(tx: Tx, application_id: str, day: int, form: str, source: str, stages: Iterable[str]) -> None:
    """Count one lead more at each of these stages of a funnel."""
    tx.batch(_COUNT, [(application_id, day, form, source, stage, 1) for stage in sorted(stages)])


def funnel(tx: Tx, application_id: str, first: int, last: int) -> list[tuple[int, str, str, str, int]]:
    """Return (day, form, source, stage, count) of the days from `first` to `last`."""
    rows = tx.all(_FUNNEL, application=application_id, first=first, last=last)
    return [(int(day), form, source, stage, int(counted)) for day, form, source, stage, counted in rows]


# Statements.

_model: Any = LeadModel.__table__  # type: ignore[attr-defined]
_funnel: Any = LeadFunnel.__table__  # type: ignore[attr-defined]
_case: Any = Case.__table__  # type: ignore[attr-defined]
_timer: Any = Timer.__table__  # type: ignore[attr-defined]
_NEW_MODEL: Final = insert_new(LeadModel, column_kinds(LeadModel))
_MODEL: Final = Statement(
    lambda _: select(_model.c.settings).where(
        _model.c.application_id == bindparam("application"), _model.c.name == bindparam("name")
    )
)
_PUT_MODEL: Final = Statement(
    lambda _: (
        _model.update()
        .where(_model.c.application_id == bindparam("application"), _model.c.name == bindparam("name"))
        .values(settings=bindparam("model_text"), updated_at=bindparam("now", type_=BigInteger()))
    )
)
_MODELS: Final = Statement(
    lambda _: select(_model.c.name, _model.c.settings).where(_model.c.application_id == bindparam("application"))
)
_EVERY_MODEL: Final = Statement(lambda _: select(_model.c.name, _model.c.settings))
_STAMP: Final = Statement(lambda _: select(func.count(), func.max(_model.c.updated_at)).select_from(_model))
_WATCHED: Final = Statement(
    lambda _: (
        select(_case.c.id, _case.c.profile, _timer.c.due_at)
        .select_from(
            _case.outerjoin(
                _timer,
                (_timer.c.case_id == _case.c.id)
                & (_timer.c.kind == literal_column(f"'{DORMANCY}'"))
                & (_timer.c.state == literal_column("'armed'")),
            )
        )
        .where(
            _case.c.id > bindparam("after"),
            _case.c.id < literal_column(f"'{_LAST}'"),
            _case.c.state == literal_column("'open'"),
        )
        .order_by(_case.c.id)
        .limit(bindparam("most"))
    )
)
_OPEN: Final = Statement(
    lambda _: (
        select(_case.c.id)
        .where(_case.c.phone_fp == bindparam("phone"), _case.c.final_at.is_(None), _case.c.workflow == "lead")
        .order_by(_case.c.id.desc())
    )
)


def _build_count(dialect: Dialect) -> Any:
    made = inserted(dialect, LeadFunnel, column_kinds(LeadFunnel), (), {})
    keys = [column.name for column in _funnel.primary_key]
    return made.on_conflict_do_update(index_elements=keys, set_={"count": _funnel.c.count + made.excluded.count})


_COUNT: Final = Statement(_build_count)


def _build_owe(dialect: Dialect) -> Any:
    given = column_kinds(LeadCrm, "connector", "lead_id", "application_id", "changed_at", "due_at")
    made = inserted(dialect, LeadCrm, given, (), {})
    changed = {"changed_at": made.excluded.changed_at, "due_at": made.excluded.due_at, "attempts": literal_column("0")}
    return made.on_conflict_do_update(index_elements=["connector", "lead_id"], set_=changed)


_OWE: Final = Statement(_build_owe)
_FUNNEL: Final = Statement(
    lambda _: (
        select(_funnel.c.day, _funnel.c.form, _funnel.c.source, _funnel.c.stage, _funnel.c.count)
        .where(
            _funnel.c.application_id == bindparam("application"),
            _funnel.c.day >= bindparam("first", type_=BigInteger()),
            _funnel.c.day <= bindparam("last", type_=BigInteger()),
        )
        .order_by(_funnel.c.day, _funnel.c.form, _funnel.c.source, _funnel.c.stage)
    )
)
