"""The tables of the message path: messages, their parts, receipts, replies, and the events that tell of them.

Every row carries its application; comments beside a state name the moves of `moves.py`. Nothing here runs a query.
"""

from typing import ClassVar

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import SQLModel

from engine.store import columns as col


class Message(SQLModel, table=True):
    """What a person reads, as one row from acceptance to its final state."""

    __tablename__: ClassVar[str] = "message"
    __table_args__ = (
        # The queue itself: only runnable rows are in it, so a claim is a seek however long the history is.
        Index(
            "ix_message_queue",
            "route",
            "lane",
            "application_id",
            "id",
            sqlite_where=sql("state = 'queued'"),
            postgresql_where=sql("state = 'queued'"),
        ),
        Index(
            "ix_message_waiting",
            "due_at",
            sqlite_where=sql("state = 'waiting'"),
            postgresql_where=sql("state = 'waiting'"),
        ),
        # Rows that are not final, by the instant at which they must be: no row outlives its life unseen.
        Index(
            "ix_message_open",
            "expires_at",
            sqlite_where=sql("final_at IS NULL"),
            postgresql_where=sql("final_at IS NULL"),
        ),
        Index(
            "ix_message_doubt",
            "account",
            "due_at",
            sqlite_where=sql("state = 'in_doubt'"),
            postgresql_where=sql("state = 'in_doubt'"),
        ),
        Index(
            "ix_message_on_wire",
            "run",
            sqlite_where=sql("state = 'on_wire'"),
            postgresql_where=sql("state = 'on_wire'"),
        ),
        Index("ix_message_application", "application_id", "id"),
        Index(
            "ix_message_case",
            "case_id",
            sqlite_where=sql("case_id IS NOT NULL"),
            postgresql_where=sql("case_id IS NOT NULL"),
        ),
    )

    id: str = col.key()
    application_id: str = col.text()
    case_id: str | None = col.text(None)
    category: str = col.text()  # otp | signature | handover | transactional | marketing
    message_class: str = col.text()  # engine.transit.classes: lane, in-doubt policy, life
    lane: int = col.number()  # 0 otp, 1 transactional, 2 bulk
    route: str = col.text()  # name of the matched route; accounts are chosen at sending
    state: str = col.text()
    recipient: str = col.text()  # E.164; purged with the row
    country: str = col.text()
    sender: str = col.text()  # the wanted sender's name; its form on the wire belongs to the account
    template: str | None = col.text(None)  # content hash of the pinned template text
    params: str | None = col.text(None)  # JSON values of the template, never a code
    seed: str | None = col.text(None)  # JSON CodeSeed; the code itself is derived at sending
    body: str | None = col.text(None)  # caller-written text of notices
    body_sealed: str | None = col.text(None)  # caller-written text of code categories, purged when final
    reference: str | None = col.text(None)  # the caller's own
    parts: int = col.number(1)  # estimated at creation, exact once on the wire
    open_parts: int = col.number(0)  # parts without a final state; 0 settles the message
    unanswered: int = col.number(0)  # parts without a response
    attempts: int = col.number(0)  # submits that may have reached the SMSC; throttled ones do not count
    doubts: int = col.number(0)  # how often an answer stayed out: each may be a duplicate
    throttles: int = col.number(0)
    resend: str | None = col.text(None)  # JSON indexes when only some parts are sent again
    concat_reference: int | None = col.number(None)
    account: str | None = col.text(None)
    bind: str | None = col.text(None)
    run: str | None = col.text(None)  # the process run that put it on the wire
    status: int | None = col.number(None)  # last command_status
    reason: str | None = col.text(None)
    worst: str | None = col.text(None)  # worst final state among its parts so far
    number_unverified: int = col.number(0)
    simulated: int = col.number(0)
    sequence: int = col.number(0)  # of its last event
    created_at: int = col.instant()
    due_at: int | None = col.instant(None)  # waiting: when to queue again; in_doubt: when the policy decides
    expires_at: int = col.instant()
    sent_at: int | None = col.instant(None)
    accepted_at: int | None = col.instant(None)
    final_at: int | None = col.instant(None)


class Part(SQLModel, table=True):
    """One PDU of a message and of one attempt at it."""

    __tablename__: ClassVar[str] = "part"
    __table_args__ = (
        # The submits without an answer: which of them a receipt of an unknown id may mean.
        Index(
            "ix_part_doubt",
            "account",
            "sent_at",
            sqlite_where=sql("state = 'in_doubt'"),
            postgresql_where=sql("state = 'in_doubt'"),
        ),
    )

    message_id: str = col.key()
    number: int = col.number(primary_key=True)  # from 1
    attempt: int = col.number(primary_key=True)  # from 1
    application_id: str = col.text()
    account: str = col.text()
    bind: str = col.text()
    run: str = col.text()
    state: str = col.text()
    throttles: int = col.number(0)
    status: int | None = col.number(None)
    smsc_id: str | None = col.text(None)
    text_digest: str | None = col.text(None)  # keyed digest: proof of what was sent, without the text
    submit_sm: str | None = col.text(None)  # JSON of its other fields, if the message belongs to a case
    sent_at: int = col.instant()
    answered_at: int | None = col.instant(None)
    final_at: int | None = col.instant(None)
    receipt_state: str | None = col.text(None)
    receipt_error: str | None = col.text(None)


class ReceiptKey(SQLModel, table=True):
    """A normalised SMSC message id of one operator account, by which receipts find their part."""

    __tablename__: ClassVar[str] = "receipt_key"
    __table_args__ = ({"sqlite_with_rowid": False},)

    account: str = col.key()
    key: str = col.key()
    message_id: str = col.key()
    number: int = col.number(primary_key=True)
    attempt: int = col.number(primary_key=True)
    application_id: str = col.text()
    sent_at: int = col.instant()


class ReceiptRow(SQLModel, table=True):
    """A receipt as it came; without a message it is quarantined until its id appears."""

    __tablename__: ClassVar[str] = "receipt"
    __table_args__ = (
        Index(
            "ix_receipt_message",
            "message_id",
            sqlite_where=sql("message_id IS NOT NULL"),
            postgresql_where=sql("message_id IS NOT NULL"),
        ),
        Index(
            "ix_receipt_orphan",
            "id",
            sqlite_where=sql("message_id IS NULL"),
            postgresql_where=sql("message_id IS NULL"),
        ),
        Index(
            "ix_receipt_quarantine",
            "account",
            "about_fp",
            sqlite_where=sql("message_id IS NULL"),
            postgresql_where=sql("message_id IS NULL"),
        ),
    )

    id: str = col.key()
    account: str = col.text()
    bind: str = col.text()
    application_id: str | None = col.text(None)
    message_id: str | None = col.text(None)
    part: int | None = col.number(None)
    attempt: int | None = col.number(None)
    keys: str = col.text()  # JSON: every key under which it may be looked up, while it waits
    smsc_id: str = col.text()
    state: str = col.text()
    final: int = col.number()
    stat: str = col.text()
    error: str = col.text()
    flags: str = col.text("")
    about_fp: str = col.text("")  # of an unmatched one: the number that it speaks of
    effect: str | None = col.text(None)  # applied | noted | duplicate | contradicts | orphan
    received_at: int = col.instant()


class OrphanKey(SQLModel, table=True):
    """A key under which a quarantined receipt waits for its response."""

    __tablename__: ClassVar[str] = "orphan_key"
    __table_args__ = ({"sqlite_with_rowid": False},)

    account: str = col.key()
    key: str = col.key()
    receipt_id: str = col.key()


class ReplyPart(SQLModel, table=True):
    """One deliver_sm of a handset, sealed, stored once, joined when its siblings are here."""

    __tablename__: ClassVar[str] = "reply_part"
    __table_args__ = (
        Index("ix_reply_part_digest", "account", "digest", "received_at"),
        Index(
            "ix_reply_part_reply",
            "reply_id",
            sqlite_where=sql("reply_id IS NOT NULL"),
            postgresql_where=sql("reply_id IS NOT NULL"),
        ),
        Index(
            "ix_reply_part_open",
            "account",
            "join_key",
            sqlite_where=sql("reply_id IS NULL"),
            postgresql_where=sql("reply_id IS NULL"),
        ),
    )

    id: str = col.key()
    account: str = col.text()
    bind: str = col.text()
    session: str = col.text()  # one link's life, to tell a redelivery from a repetition
    digest: str = col.text()  # keyed digest of the whole PDU body
    join_key: str = col.text()  # source, destination, reference, width, total; or its own id
    total: int = col.number(1)
    part: int = col.number(1)
    sealed: str = col.text()  # the raw PDU, AES-GCM
    smsc_id: str | None = col.text(None)
    acknowledged: int = col.number(0)
    reply_id: str | None = col.text(None)
    received_at: int = col.instant()


class Reply(SQLModel, table=True):
    """What a handset sent, joined and matched; the body is sealed."""

    __tablename__: ClassVar[str] = "reply"
    __table_args__ = (
        Index("ix_reply_application", "application_id", "id"),
        Index(
            "ix_reply_case",
            "case_id",
            sqlite_where=sql("case_id IS NOT NULL"),
            postgresql_where=sql("case_id IS NOT NULL"),
        ),
    )

    id: str = col.key()
    application_id: str | None = col.text(None)
    case_id: str | None = col.text(None)
    account: str = col.text()
    source: str = col.text()  # canonical form of the sender
    source_raw: str = col.text()
    source_fp: str = col.text()
    our_number: str = col.text()
    sealed: str = col.text()  # the joined text
    state: str = col.text()  # matched | unmatched | incomplete | binary
    choice: str = col.text("")  # why matching chose as it did
    flags: str = col.text("")
    received_at: int = col.instant()


class Parked(SQLModel, table=True):
    """A deliver_sm whose handling raised: kept, acknowledged, alarmed, and replayable by hand."""

    __tablename__: ClassVar[str] = "parked"

    id: str = col.key()
    account: str = col.text()
    bind: str = col.text()
    sealed: str = col.text()
    error: str = col.text()  # the exception's class only
    state: str = col.text()  # parked | replayed
    received_at: int = col.instant()
    replayed_at: int | None = col.instant(None)


class Event(SQLModel, table=True):
    """One entry of an application's feed; positions are dense and follow the commits."""

    __tablename__: ClassVar[str] = "event"
    __table_args__ = (Index("ix_event_subject", "subject_id", "sequence"),)

    application_id: str = col.key()
    position: int = col.number(primary_key=True)
    id: str = col.text()
    type: str = col.text()
    subject_id: str = col.text()  # message or case
    sequence: int = col.number()  # of the subject
    data: str = col.text()  # JSON
    occurred_at: int = col.instant()


class Feed(SQLModel, table=True):
    """The last position of an application's feed; its row lock puts positions in commit order."""

    __tablename__: ClassVar[str] = "feed"

    application_id: str = col.key()
    position: int = col.number(0)
