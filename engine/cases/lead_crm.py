"""What CRMs are owed of leads, and what they say of them: store functions over one row for a connector and a lead.

Unverified leads are never owed. What a CRM says comes to a lead as an event of its model, in order of occurrence.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, select

from engine.cases import casebook
from engine.cases.leads import Leads
from engine.cases.outcomes import Wakes
from engine.clock import to_rfc3339
from engine.crm.hubspot import Change, Contact
from engine.store.statements import Dialect, Statement
from engine.store.tables_leads import LeadCrm
from engine.store.transaction import Tx
from workflows.lead import WORKFLOW, Happened

__all__ = ["Owed", "Tx", "due", "heard", "postpone", "taken"]


class Owed(NamedTuple):
    """A contact that a CRM is to be told of, as it is now; the row's change and attempts guard its settling."""

    contact: Contact
    changed_at: int
    attempts: int


def due(tx: Tx, leads: Leads, connector: str, now: int, most: int) -> list[Owed]:
    """Return the leads that a CRM is to be told of now, the longest waiting first."""
    found: list[Owed] = []
    for lead_id, changed_at, attempts in tx.all(_DUE, connector=connector, now=now, most=most):
        row = casebook.peek_case(tx, lead_id)
        if row is not None:
            found.append(Owed(leads.contact(tx, row, to_rfc3339(int(changed_at)), now), int(changed_at), int(attempts)))
    return found


def taken(tx: Tx, connector: str, owed: Sequence[Owed], ids: Mapping[str, str]) -> None:
    """Note that a CRM was told, and its own ids; a lead that changed meanwhile stays owed."""
    rows = [(connector, one.contact.lead_id, one.changed_at) for one in owed]
    tx.batch(_TAKEN, rows)
    named = [(connector, one.contact.lead_id, ids[one.contact.phone]) for one in owed if one.contact.phone in ids]
    tx.batch(_NAMED, named)


def postpone(tx: Tx, connector: str, one: Owed, again: int) -> None:
    """Try a lead again later."""
    tx.run(_POSTPONE, connector=connector, lead=one.contact.lead_id, again=again, tries=one.attempts + 1)


def heard(tx: Tx, leads: Leads, connector: str, changes: Sequence[Change], now: int) -> Wakes:
    """Tell leads what their CRM says of them; what is older than what was heard of the same property is left out."""
    wakes = Wakes()
    for change in changes:
        row = tx.one(_BY_CRM_ID, connector=connector, crm_id=change.crm_id)
        if row is None:
            continue
        lead_id, known = str(row[0]), json.loads(row[1])
        if change.occurred_at_ms <= known.get(change.property, 0):
            continue
        known[change.property] = change.occurred_at_ms
        tx.run(_HEARD, connector=connector, lead=lead_id, heard_of=json.dumps(known))
        case = casebook.case_by_id(tx, lead_id)
        if case is not None and case.workflow == WORKFLOW and case.final_at is None:
            event = Happened(f"crm:{connector}:{change.occurred_at_ms}", f"{change.property}_{change.value}")
            leads.take(tx, leads.hold(case), event, now, wakes)
    return wakes


# Statements.

_crm: Any = LeadCrm.__table__  # type: ignore[attr-defined]
_mine: Final = (_crm.c.connector == bindparam("connector")) & (_crm.c.lead_id == bindparam("lead"))
_DUE: Final = Statement(
    lambda _: (
        select(_crm.c.lead_id, _crm.c.changed_at, _crm.c.attempts)
        .where(_crm.c.connector == bindparam("connector"), _crm.c.due_at <= bindparam("now", type_=BigInteger()))
        .order_by(_crm.c.due_at)
        .limit(bindparam("most"))
    )
)


def _build_taken(dialect: Dialect) -> Any:
    given = dialect.given(connector=str, lead_id=str, changed_at=int)
    return (
        _crm.update()
        .where(
            _crm.c.connector == given.c.connector,
            _crm.c.lead_id == given.c.lead_id,
            _crm.c.changed_at == given.c.changed_at,
        )
        .values(due_at=None, attempts=0)
    )


def _build_named(dialect: Dialect) -> Any:
    given = dialect.given(connector=str, lead_id=str, crm_id=str)
    return (
        _crm.update()
        .where(_crm.c.connector == given.c.connector, _crm.c.lead_id == given.c.lead_id)
        .values(crm_id=given.c.crm_id)
    )


_TAKEN: Final = Statement(_build_taken)
_NAMED: Final = Statement(_build_named)
_POSTPONE: Final = Statement(
    lambda _: (
        _crm.update()
        .where(_mine)
        .values(due_at=bindparam("again", type_=BigInteger()), attempts=bindparam("tries", type_=BigInteger()))
    )
)
_BY_CRM_ID: Final = Statement(
    lambda _: select(_crm.c.lead_id, _crm.c.heard).where(
        _crm.c.connector == bindparam("connector"), _crm.c.crm_id == bindparam("crm_id")
    )
)
_HEARD: Final = Statement(lambda _: _crm.update().where(_mine).values(heard=bindparam("heard_of")))
