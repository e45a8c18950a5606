"""`sceau trace`: everything that happened to a message or a case, in order of time.

It reads rows, with or without a running server. Numbers, texts and codes are not in a timeline.
"""

import json
from typing import Annotated, Any, Final, NamedTuple

import typer
from sqlalchemy import bindparam, select

from engine.cases import casebook, timeline
from engine.commands import showing
from engine.commands.rows import Rows, SettingsFile
from engine.errors import Conflict
from engine.store.statements import Statement
from engine.store.tables import Message
from engine.store.tables_cases import Case
from engine.store.transaction import Tx


class Found(NamedTuple):
    """A subject's kind (message, or a workflow), its state, and its timeline."""

    kind: str
    state: str
    entries: list[dict[str, Any]]


def trace(
    subject: Annotated[str, typer.Argument(help="The id of a message (msg_…) or of a verification (ver_…).")],
    ids: Annotated[bool, typer.Option("--ids", help="Show ids of messages, events and endpoints, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, as the API gives it.")] = False,
    file: SettingsFile = None,
) -> None:
    """Show a timeline: sends, answers of operators, receipts, checks, events, webhooks, each with its time."""
    found = Rows.of(file).read(lambda tx: read(tx, subject))
    if found is None:
        raise Conflict("there is no message and no case of this id")
    if as_json:
        typer.echo(json.dumps(found.entries, indent=2))  # what is not ASCII is escaped
    else:
        showing.console().print(showing.timeline(found.entries, f"{found.kind} {subject}: {found.state}", ids=ids))


def read(tx: Tx, subject: str) -> Found | None:
    """Return what happened to a message or a case, whosever it is; None if there is neither."""
    row = tx.one(_MESSAGE, id=subject)
    if row is not None:
        return Found("message", row[1], timeline.of_message(tx, row[0], subject))
    row = tx.one(_CASE, id=subject)
    if row is None:
        return None
    case = casebook.case_of(tx, row[0], subject, workflow=row[1], lock=False)
    return None if case is None else Found(case.workflow, case.state, timeline.of_case(tx, case))


# Statements.

_message: Any = Message.__table__  # type: ignore[attr-defined]
_case: Any = Case.__table__  # type: ignore[attr-defined]
_MESSAGE: Final = Statement(
    lambda _: select(_message.c.application_id, _message.c.state).where(_message.c.id == bindparam("id"))
)
_CASE: Final = Statement(
    lambda _: select(_case.c.application_id, _case.c.workflow).where(_case.c.id == bindparam("id"))
)
