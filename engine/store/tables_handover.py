"""The tables of deliveries: who may receive one, the devices of couriers, and what these logged without a network.

A delivery's own facts are its case's JSON. Nothing here runs a query.
"""

from typing import ClassVar

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import SQLModel

from engine.store import columns as col


class DeliveryParty(SQLModel, table=True):
    """A person who may receive a delivery; whoever holds its code has the seed, and the page of its QR code."""

    __tablename__: ClassVar[str] = "delivery_party"
    __table_args__ = (
        Index("ix_party_delivery", "delivery_id", "id"),
        Index("ix_party_token", "token_hash"),
        Index("ix_party_person", "application_id", "phone_fp"),
        # What a reply may mean, over all applications: people of open deliveries.
        Index(
            "ix_party_listening",
            "phone_fp",
            sqlite_where=sql("listening = 1"),
            postgresql_where=sql("listening = 1"),
        ),
    )

    id: str = col.key()
    application_id: str = col.text()
    delivery_id: str = col.text()
    phone_fp: str = col.text()
    sender: str = col.text()  # as whom we write to them, and whom their replies reach
    seed: str | None = col.text(None)  # JSON CodeSeed of the present code, if it is theirs
    token_hash: str = col.text("")  # of the page of that code
    listening: int = col.number(1)


class CourierDevice(SQLModel, table=True):
    """A device of a courier, the public key that its log is signed with, and how far that log is known."""

    __tablename__: ClassVar[str] = "courier_device"
    __table_args__ = (Index("ix_device_application", "application_id", "id"),)

    id: str = col.key()
    application_id: str = col.text()
    courier: str = col.text()
    name: str = col.text("")
    public_key: str = col.text()  # Ed25519, 32 octets in base64url
    seq: int = col.number(0)  # of the last entry that came
    head: str = col.text("")  # its hash
    adjudicated: int = col.number(0)  # up to this entry
    created_at: int = col.instant()
    revoked_at: int | None = col.instant(None)


class HandoverEntry(SQLModel, table=True):
    """One entry of a device's log; what was typed is sealed, and gone once the entry is adjudicated."""

    __tablename__: ClassVar[str] = "handover_entry"
    __table_args__ = (
        Index("ix_handover_delivery", "delivery_id"),
        # No evidence ends with these: they are about no delivery.
        Index(
            "ix_handover_unknown",
            "received_at",
            sqlite_where=sql("result = 'not_found'"),
            postgresql_where=sql("result = 'not_found'"),
        ),
        {"sqlite_with_rowid": False},
    )

    device_id: str = col.key()
    seq: int = col.number(primary_key=True)
    application_id: str = col.text()
    delivery_id: str = col.text()
    hash: str = col.text()
    sealed: str | None = col.text(None)  # JSON: the entry with its opening
    result: str = col.text("")  # empty until it is adjudicated
    at: int = col.instant()  # when it was made, by our clock
    received_at: int = col.instant()
