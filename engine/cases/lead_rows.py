"""Store functions for what leads have besides their cases: models of applications, and the figures of funnels."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, literal_column, select

from engine.store.statements import Dialect, Statement, column_kinds, insert_new, inserted
from engine.store.tables_cases import Case
from engine.store.tables_leads import LeadCrm, LeadFunnel, LeadModel
from engine.store.transaction import Tx
from workflows.lead_model import BANT, Model


def model_of(tx: Tx, application_id: str, name: str) -> Model | None:
    """Return an application's model, or None for a name that it does not have; `bant` is everybody's."""
    row = tx.one(_MODEL, application=application_id, name=name)
    if row is not None:
        return Model.load(name, json.loads(row[0]))
    return BANT if name == BANT.name else None


def put_model(tx: Tx, application_id: str, name: str, given: Mapping[str, Any], now: int) -> Model:
    """Store a model, new or in place of an earlier one; raises `ModelError`."""
    model = Model.load(name, given)
    text = json.dumps(model.dump(), ensure_ascii=False)
    tx.batch(_NEW_MODEL, [(application_id, name, text, now)])
    tx.run(_PUT_MODEL, application=application_id, name=name, model_text=text, now=now)
    return model


def models(tx: Tx, application_id: str) -> list[Model]:
    """Return an application's models by name, the default among them."""
    own = {name: Model.load(name, json.loads(text)) for name, text in tx.all(_MODELS, application=application_id)}
    own.setdefault(BANT.name, BANT)
    return [own[name] for name in sorted(own)]


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
