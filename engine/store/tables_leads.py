"""The tables of leads besides their cases: models of applications, and the figures of their funnels.

Nothing here runs a query.
"""

from typing import ClassVar

from sqlmodel import SQLModel

from engine.store import columns as col


class LeadModel(SQLModel, table=True):
    """How one use of an application qualifies its leads."""

    __tablename__: ClassVar[str] = "lead_model"

    application_id: str = col.key()
    name: str = col.key()
    settings: str = col.text()  # JSON
    updated_at: int = col.instant()


class LeadFunnel(SQLModel, table=True):
    """How many leads of a form, a source and a day (UTC, of their coming) have reached a stage."""

    __tablename__: ClassVar[str] = "lead_funnel"
    __table_args__ = ({"sqlite_with_rowid": False},)

    application_id: str = col.key()
    day: int = col.number(primary_key=True)  # days since 1970
    form: str = col.key()
    source: str = col.key()
    stage: str = col.key()
    count: int = col.number(0)
