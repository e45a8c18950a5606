"""The tables of leads besides their cases: models of applications, and the figures of their funnels.

Nothing here runs a query.
"""

from typing import ClassVar

from sqlalchemy import Index
from sqlalchemy import text as sql
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


class LeadCrm(SQLModel, table=True):
    """What one CRM is owed of one lead, and what it has said of it."""

    __tablename__: ClassVar[str] = "lead_crm"
    __table_args__ = (
        Index(
            "ix_crm_due",
            "connector",
            "due_at",
            sqlite_where=sql("due_at IS NOT NULL"),
            postgresql_where=sql("due_at IS NOT NULL"),
        ),
        Index("ix_crm_id", "connector", "crm_id"),
        Index("ix_crm_lead", "lead_id"),
    )

    connector: str = col.key()
    lead_id: str = col.key()
    application_id: str = col.text()
    changed_at: int = col.instant()
    due_at: int | None = col.instant(None)
    attempts: int = col.number(0)
    crm_id: str = col.text("")
    heard: str = col.text("{}")  # JSON: property → instant (ms) of what was last heard of it
