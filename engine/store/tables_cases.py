"""The tables of conversations: cases, their timers, allowances and checks, and what was audited.

A case's own facts are the workflow's JSON; what the engine queries has columns. Nothing here runs a query.
"""

from typing import ClassVar

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import SQLModel

from engine.store import columns as col


class Case(SQLModel, table=True):
    """One conversation of a workflow with one number."""

    __tablename__: ClassVar[str] = "cases"
    __table_args__ = (
        Index(
            "ix_case_open",
            "phone_fp",
            "our_number",
            sqlite_where=sql("final_at IS NULL"),
            postgresql_where=sql("final_at IS NULL"),
        ),
        Index("ix_case_application", "application_id", "workflow", "id"),
    )

    id: str = col.key()
    application_id: str = col.text()
    workflow: str = col.text()
    profile: str = col.text()
    purpose: str = col.text()
    state: str = col.text()
    phone: str = col.text()
    phone_fp: str = col.text()
    our_number: str = col.text("")
    language: str = col.text()
    seed: str | None = col.text(None)  # JSON CodeSeed of the present generation
    old_seeds: str = col.text("[]")  # JSON list: superseded generations that may still be typed
    data: str = col.text()  # the workflow's own state, JSON
    sequence: int = col.number(0)  # of its last event
    created_at: int = col.instant()
    expires_at: int = col.instant()
    final_at: int | None = col.instant(None)


class ReverseCode(SQLModel, table=True):
    """What finds a reverse verification: its code and its page, by keyed hashes alone; and who sent the code."""

    __tablename__: ClassVar[str] = "reverse_code"
    __table_args__ = (
        Index("ix_reverse_case", "case_id"),
        Index("ix_reverse_token", "token_hash"),
        Index("ix_reverse_sender", "application_id", "sender_fp"),
    )

    code_index: str = col.key()  # HMAC of the canonical code, the one secret that is looked up
    application_id: str = col.text()
    case_id: str = col.text()
    token_hash: str = col.text()
    secret_hash: str = col.text()
    sender_fp: str = col.text("")


class Allowance(SQLModel, table=True):
    """What is left to one (application, profile, number, purpose): attempts and sends outlive a code."""

    __tablename__: ClassVar[str] = "allowance"

    application_id: str = col.key()
    profile: str = col.key()
    phone_fp: str = col.key()
    purpose: str = col.key()
    attempts: int = col.number(0)
    sends: int = col.number(0)
    data: str = col.text()  # the workflow's own window facts, JSON
    updated_at: int = col.instant()


class Check(SQLModel, table=True):
    """One evaluated or refused check, for the timeline; never what was typed."""

    __tablename__: ClassVar[str] = "checks"
    __table_args__ = (Index("ix_check_case", "case_id", "id"),)

    id: str = col.key()
    application_id: str = col.text()
    case_id: str = col.text()
    answer: str = col.text()
    spent: int = col.number()
    checked_at: int = col.instant()


class Timer(SQLModel, table=True):
    """An instant at which a case steps."""

    __tablename__: ClassVar[str] = "timer"
    __table_args__ = (
        Index(
            "ix_timer_due",
            "due_at",
            sqlite_where=sql("state = 'armed'"),
            postgresql_where=sql("state = 'armed'"),
        ),
        Index("ix_timer_case", "case_id", "kind"),
    )

    id: str = col.key()
    application_id: str = col.text()
    case_id: str = col.text()
    kind: str = col.text()
    state: str = col.text()  # armed | fired | disarmed
    due_at: int = col.instant()
    fired_at: int | None = col.instant(None)


class Audit(SQLModel, table=True):
    """Who did what to which subject; append-only."""

    __tablename__: ClassVar[str] = "audit"
    __table_args__ = (
        Index("ix_audit_subject", "subject_id", "id"),
        Index("ix_audit_application", "application_id", "id"),
    )

    id: str = col.key()
    application_id: str = col.text()
    actor: str = col.text()  # key id, or "engine"
    action: str = col.text()
    subject_id: str = col.text()
    detail: str = col.text("{}")
    at: int = col.instant()


class TemplateText(SQLModel, table=True):
    """A template's text by its content hash, so that a resend after an upgrade gives the same bytes."""

    __tablename__: ClassVar[str] = "template_text"

    hash: str = col.key()
    name: str = col.text()
    text: str = col.text()
    first_used_at: int = col.instant()
