"""The tables of signing and of consent: one row a signing, the ledger of consent, and who may not be written to.

A request's own facts are its case's JSON; a signing's are the JSON of its row. Nothing here runs a query.
"""

from typing import ClassVar

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import SQLModel

from engine.store import columns as col


class SigningRow(SQLModel, table=True):
    """One signer × one document of a signature request; the seed is that of its pending code."""

    __tablename__: ClassVar[str] = "signing"
    __table_args__ = (
        Index("ix_signing_request", "request_id", "id"),
        # What a reply may answer, over all applications: open signings, and for some days those that are over.
        Index(
            "ix_signing_listening",
            "phone_fp",
            sqlite_where=sql("listening = 1"),
            postgresql_where=sql("listening = 1"),
        ),
    )

    id: str = col.key()
    application_id: str = col.text()
    request_id: str = col.text()
    signer_id: str = col.text()
    document_id: str = col.text()
    state: str = col.text()
    phone_fp: str = col.text()  # canonical form, fingerprinted
    sender: str = col.text()  # as whom we write to the signer, and whom replies reach
    seed: str | None = col.text(None)  # JSON CodeSeed of the present generation
    old_seeds: str = col.text("[]")  # JSON list: generations that may still be typed or texted
    listening: int = col.number(1)  # 0: replies are no longer compared with it
    code_until: int | None = col.instant(None)  # end of the pending code's life
    data: str = col.text()  # the workflow's own state of the signing, JSON
    final_at: int | None = col.instant(None)


class ConsentEntry(SQLModel, table=True):
    """One line of the ledger of consent: who said what, when, in which words. Append-only."""

    __tablename__: ClassVar[str] = "consent_entry"
    __table_args__ = (Index("ix_consent_phone", "phone_fp", "application_id", "id"),)

    id: str = col.key()
    application_id: str = col.text()
    phone_fp: str = col.text()
    our_number: str = col.text()  # the sender that it was said to; empty for all of the application's
    kind: str = col.text()  # opt_out | opt_in | granted
    category: str = col.text()  # marketing | all
    source: str = col.text()  # reply | api | form
    source_id: str = col.text("")  # the reply, the key, or the lead
    legal_basis: str = col.text("")
    sealed: str = col.text("")  # the exact words, sealed to the row
    at: int = col.instant()


class OptOut(SQLModel, table=True):
    """A standing opt-out, looked at when a message is claimed; the ledger says how it came to be."""

    __tablename__: ClassVar[str] = "opt_out"
    __table_args__ = ({"sqlite_with_rowid": False},)

    application_id: str = col.key()
    phone_fp: str = col.key()
    our_number: str = col.key()  # the sender it silences; empty for all
    category: str = col.text()  # marketing | all
    entry_id: str = col.text()
    since: int = col.instant()


class MarketingReach(SQLModel, table=True):
    """Whose marketing has reached a number last, of the senders that name one stop address."""

    __tablename__: ClassVar[str] = "marketing_reach"
    __table_args__ = ({"sqlite_with_rowid": False},)

    stop_address: str = col.key()
    phone_fp: str = col.key()
    application_id: str = col.text()
    at: int = col.instant()
