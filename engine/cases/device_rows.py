"""Store functions for couriers' devices and the entries of their logs; rows in, rows out."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, select

from engine.store.statements import Dialect, Statement, column_kinds, insert
from engine.store.tables_handover import CourierDevice, HandoverEntry
from engine.store.transaction import Tx

UNKNOWN: Final = "not_found"
"""The result of an entry about no delivery of its application's: retention erases these by their age."""


class Device(NamedTuple):
    """A device's row, in the order of the table's columns."""

    id: str
    application_id: str
    courier: str
    name: str
    public_key: str
    seq: int
    head: str
    adjudicated: int
    created_at: int
    revoked_at: int | None


class EntryRow(NamedTuple):
    """A log entry's row, in the order of the table's columns."""

    device_id: str
    seq: int
    application_id: str
    delivery_id: str
    hash: str
    sealed: str | None
    result: str
    at: int
    received_at: int


def put_device(tx: Tx, device: Device) -> None:
    """Insert a new device."""
    tx.batch(_INSERT_DEVICE, [device])


def device_of(tx: Tx, application_id: str, device_id: str) -> Device | None:
    """Return an application's device, locked until commit."""
    row = tx.one(_DEVICE, id=device_id, application=application_id)
    return None if row is None else Device(*row)


def devices(tx: Tx, application_id: str, before: str | None, limit: int) -> list[Device]:
    """Return an application's devices, newest first, older than `before`."""
    return [Device(*row) for row in tx.all(_DEVICES, application=application_id, before=before or "~", most=limit)]


def store_device(tx: Tx, device: Device) -> None:
    """Write back how far a device's log is known, and whether it is revoked."""
    tx.run(
        _STORE_DEVICE,
        device=device.id,
        log_seq=device.seq,
        log_head=device.head,
        log_adjudicated=device.adjudicated,
        device_revoked_at=device.revoked_at,
    )


def put_entries(tx: Tx, rows: Sequence[EntryRow]) -> None:
    """Insert new entries of a log."""
    tx.batch(_INSERT_ENTRIES, rows)


def entries_of(tx: Tx, device_id: str, first: int, last: int) -> list[EntryRow]:
    """Return the entries of a log between two numbers, these included, in order."""
    return [EntryRow(*row) for row in tx.all(_ENTRIES, device=device_id, first=first, last=last)]


def settle_entries(tx: Tx, results: Sequence[tuple[str, int, str]]) -> None:
    """Write down what entries (device, number, result) came to; what was typed is forgotten."""
    tx.batch(_SETTLE, results)


# Statements.

_device: Any = CourierDevice.__table__  # type: ignore[attr-defined]
_entry: Any = HandoverEntry.__table__  # type: ignore[attr-defined]
assert Device._fields == tuple(column_kinds(CourierDevice))
assert EntryRow._fields == tuple(column_kinds(HandoverEntry))

_INSERT_DEVICE: Final = insert(CourierDevice, column_kinds(CourierDevice))
_INSERT_ENTRIES: Final = insert(HandoverEntry, column_kinds(HandoverEntry))
_DEVICE: Final = Statement(
    lambda dialect: dialect.locked(
        select(_device).where(_device.c.id == bindparam("id"), _device.c.application_id == bindparam("application"))
    )
)
_DEVICES: Final = Statement(
    lambda _: (
        select(_device)
        .where(_device.c.application_id == bindparam("application"), _device.c.id < bindparam("before"))
        .order_by(_device.c.id.desc())
        .limit(bindparam("most"))
    )
)
_STORE_DEVICE: Final = Statement(
    lambda _: (
        _device.update()
        .where(_device.c.id == bindparam("device"))
        .values(
            seq=bindparam("log_seq", type_=BigInteger()),
            head=bindparam("log_head"),
            adjudicated=bindparam("log_adjudicated", type_=BigInteger()),
            revoked_at=bindparam("device_revoked_at", type_=BigInteger()),
        )
    )
)
_ENTRIES: Final = Statement(
    lambda _: (
        select(_entry)
        .where(
            _entry.c.device_id == bindparam("device"),
            _entry.c.seq >= bindparam("first", type_=BigInteger()),
            _entry.c.seq <= bindparam("last", type_=BigInteger()),
        )
        .order_by(_entry.c.seq)
    )
)


def _build_settle(dialect: Dialect) -> Any:
    given = dialect.given(device_id=str, seq=int, result=str)
    return (
        _entry.update()
        .where(_entry.c.device_id == given.c.device_id, _entry.c.seq == given.c.seq)
        .values(result=given.c.result, sealed=None)
    )


_SETTLE: Final = Statement(_build_settle)
