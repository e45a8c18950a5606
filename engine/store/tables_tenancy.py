"""The tables of who may call and who is told: applications, keys, profiles, idempotency, webhooks, process runs.

Secrets are stored as digests or sealed. Nothing here runs a query.
"""

from typing import ClassVar

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import SQLModel

from engine.store import columns as col


class Application(SQLModel, table=True):
    """The tenant: owns keys, profiles, webhooks and every row that carries its id."""

    __tablename__: ClassVar[str] = "application"

    id: str = col.key()
    name: str = col.text()
    state: str = col.text("active")  # active | closed
    created_at: int = col.instant()


class ApiKey(SQLModel, table=True):
    """A bearer key: its public id, a digest of its secret, its scopes."""

    __tablename__: ClassVar[str] = "api_key"
    __table_args__ = (Index("ix_api_key_application", "application_id", "id"),)

    id: str = col.key()
    application_id: str = col.text()
    name: str = col.text()
    environment: str = col.text()  # test | live
    secret_digest: str = col.text()
    scopes: str = col.text()  # JSON list
    addresses: str = col.text("[]")  # JSON list of CIDR blocks; empty allows any
    created_at: int = col.instant()
    expires_at: int | None = col.instant(None)
    revoked_at: int | None = col.instant(None)
    last_used_at: int | None = col.instant(None)


class ProfileRow(SQLModel, table=True):
    """The settings of one use of an application."""

    __tablename__: ClassVar[str] = "profile"

    application_id: str = col.key()
    name: str = col.key()
    settings: str = col.text()  # JSON
    updated_at: int = col.instant()


class Idempotency(SQLModel, table=True):
    """The stored answer of one Idempotency-Key; an answer that carried a secret is stored without it."""

    __tablename__: ClassVar[str] = "idempotency"
    __table_args__ = (Index("ix_idempotency_created", "created_at"),)

    application_id: str = col.key()
    route: str = col.key()
    key: str = col.key()
    fingerprint: str = col.text()  # keyed HMAC of the request body
    status: int = col.number()
    body: str = col.text()
    created_at: int = col.instant()


class Endpoint(SQLModel, table=True):
    """A webhook endpoint."""

    __tablename__: ClassVar[str] = "endpoint"
    __table_args__ = (Index("ix_endpoint_application", "application_id", "id"),)

    id: str = col.key()
    application_id: str = col.text()
    url: str = col.text()
    secrets_sealed: str = col.text()  # JSON list of whsec_ secrets, newest first, sealed to the row
    scheme: str = col.text("v1")  # v1 (HMAC) | v1a (Ed25519)
    event_types: str = col.text("[]")  # JSON list; empty means all
    mode: str = col.text("single")  # single | batch
    full_numbers: int = col.number(0)
    concurrency: int = col.number(4)
    state: str = col.text("enabled")  # enabled | disabled | deleted
    disabled_reason: str | None = col.text(None)
    created_at: int = col.instant()


class WebhookDelivery(SQLModel, table=True):
    """One event owed to one endpoint."""

    __tablename__: ClassVar[str] = "webhook_delivery"
    __table_args__ = (
        Index(
            "ix_delivery_pending",
            "endpoint_id",
            "next_at",
            "position",
            sqlite_where=sql("state = 'pending'"),
            postgresql_where=sql("state = 'pending'"),
        ),
        Index("ix_delivery_subject", "subject_id", "endpoint_id", "position"),
    )

    endpoint_id: str = col.key()
    position: int = col.number(primary_key=True)
    application_id: str = col.text()
    subject_id: str = col.text()
    state: str = col.text("pending")  # pending | delivered | dead
    batch_id: str | None = col.text(None)  # fixed at the first claim in batch mode
    attempts: int = col.number(0)
    next_at: int = col.instant()
    last_status: int | None = col.number(None)  # HTTP status, 0 for none
    delivered_at: int | None = col.instant(None)


class Run(SQLModel, table=True):
    """One life of one process of one node; on-wire rows of an ended run are in doubt."""

    __tablename__: ClassVar[str] = "run"

    id: str = col.key()
    node: str = col.text()
    version: str = col.text()
    started_at: int = col.instant()
    ended_at: int | None = col.instant(None)
