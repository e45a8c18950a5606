"""The tables of evidence: each case's own chain, the openings of its commitments, and the application's Merkle log.

A case's rows are written under its case's lock alone; the log's by the duty that anchors. Nothing here runs a query.
"""

from typing import ClassVar

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import SQLModel

from engine.store import columns as col


class EvidenceChain(SQLModel, table=True):
    """The head of one case's chain: how long it is, whether it is closed, how far the log vouches for it."""

    __tablename__: ClassVar[str] = "evidence_chain"
    __table_args__ = (
        Index(
            "ix_evidence_due",
            "application_id",
            "case_id",
            sqlite_where=sql("anchor_due = 1"),
            postgresql_where=sql("anchor_due = 1"),
        ),
        Index(
            "ix_evidence_open",
            "case_id",
            sqlite_where=sql("closed_at IS NULL"),
            postgresql_where=sql("closed_at IS NULL"),
        ),
        Index(
            "ix_evidence_note",
            "case_id",
            sqlite_where=sql("stamp_note_due = 1"),
            postgresql_where=sql("stamp_note_due = 1"),
        ),
        Index("ix_evidence_retain", "retain_until"),
    )

    case_id: str = col.key()
    application_id: str = col.text()
    count: int = col.number(0)
    head: str = col.text("")  # SHA-256 of the last entry's octets, hex
    closed_at: int | None = col.instant(None)
    anchored: int = col.number(0)  # entries that the log's latest leaf of this case covers
    anchor_due: int = col.number(0)  # 1: its head is to become a leaf at the next round
    retain_until: int = col.instant()
    hold_reason: str | None = col.text(None)
    hold_until: int | None = col.instant(None)
    stamped_at: int | None = col.instant(None)  # when an authority first vouched for the closed chain
    stamp_note_due: int = col.number(0)  # 1: the chain is to say so


class EvidenceEntry(SQLModel, table=True):
    """One link of a chain: the exact octets that were hashed. Append-only."""

    __tablename__: ClassVar[str] = "evidence_entry"
    __table_args__ = ({"sqlite_with_rowid": False},)

    case_id: str = col.key()
    seq: int = col.number(primary_key=True)  # from 0
    application_id: str = col.text()
    content: str = col.text()  # canonical JSON (RFC 8785)
    hash: str = col.text()  # SHA-256 of its octets, hex


class EvidenceOpening(SQLModel, table=True):
    """What a commitment of a chain hides, sealed under its subject's key; gone once the subject is erased."""

    __tablename__: ClassVar[str] = "evidence_opening"
    __table_args__ = (Index("ix_evidence_subject", "application_id", "subject_fp"), {"sqlite_with_rowid": False})

    case_id: str = col.key()
    commitment: str = col.key()
    application_id: str = col.text()
    subject_fp: str = col.text()  # fingerprint of the number whose owner the value is about
    sealed: str = col.text()  # JSON {salt, value}
    guard: str = col.text("[]")  # JSON list: signings that must be closed before a bundle opens it


class EvidenceSubject(SQLModel, table=True):
    """The key of one person of one application; destroying the row erases what it sealed."""

    __tablename__: ClassVar[str] = "evidence_subject"

    application_id: str = col.key()
    subject_fp: str = col.key()
    sealed_key: str = col.text()
    created_at: int = col.instant()


class EvidenceLeaf(SQLModel, table=True):
    """One leaf of an application's Merkle log: the head of one chain at one length."""

    __tablename__: ClassVar[str] = "evidence_leaf"
    __table_args__ = (Index("ix_evidence_leaf_case", "case_id", "position"),)

    application_id: str = col.key()
    position: int = col.number(primary_key=True)  # from 0, dense
    case_id: str = col.text()
    content: str = col.text()  # canonical JSON
    closed: int = col.number(1)  # 1: the chain was closed at this length
    at: int = col.instant()


class EvidenceNode(SQLModel, table=True):
    """The hash of one complete subtree of an application's log; level 0 are the leaves. Append-only."""

    __tablename__: ClassVar[str] = "evidence_node"
    __table_args__ = ({"sqlite_with_rowid": False},)

    application_id: str = col.key()
    level: int = col.number(primary_key=True)
    index: int = col.number(primary_key=True)
    hash: str = col.text()  # RFC 6962, hex


class EvidenceRoot(SQLModel, table=True):
    """A signed root of an application's log, and the time-stamp tokens that vouch for it."""

    __tablename__: ClassVar[str] = "evidence_root"
    __table_args__ = (
        Index(
            "ix_evidence_stamp_due",
            "stamp_due_at",
            sqlite_where=sql("stamp_due_at IS NOT NULL"),
            postgresql_where=sql("stamp_due_at IS NOT NULL"),
        ),
    )

    application_id: str = col.key()
    size: int = col.number(primary_key=True)  # leaves under it
    number: int = col.number(0)  # of the event that tells of it
    content: str = col.text()  # canonical JSON; what is signed and time-stamped
    signature: str = col.text()  # Ed25519, base64url
    key_id: str = col.text()
    tokens: str = col.text("[]")  # JSON list of {authority, at, token (base64 of the DER response)}
    stamp_attempts: int = col.number(0)
    stamp_due_at: int | None = col.instant(None)
    created_at: int = col.instant()
