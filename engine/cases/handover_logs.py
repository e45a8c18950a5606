"""Couriers' devices and the logs that they bring home: taken in order, kept sealed, adjudicated when they are whole.

Store functions, one transaction each. A log that is cut holds its deliveries in `claimed` until the rest comes, or a
day is over; before that nobody learns which of its entries was right.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from engine import base64url
from engine.cases import casebook, device_rows
from engine.cases.couriers import Couriers
from engine.cases.device_rows import Device, EntryRow
from engine.cases.effects import kept
from engine.cases.outcomes import ENGINE, Outcome, Wakes, public
from engine.store.transaction import Tx
from workflows.handover_case import Door
from workflows.handover_events import Claimed, Entry, Released, Stated
from workflows.handover_log import (
    BadLog,
    Head,
    Logged,
    Opening,
    SignedText,
    StatedHead,
    adjudicate,
    content_hash,
    corrected,
    end_of,
    opens,
    read_entries,
    read_head,
    span_of,
)

_KEY_OCTETS: Final = 32
_PENDING: Final = "claimed"
_WHOLE: Final = "adjudicated"


@dataclass(frozen=True, slots=True)
class SentLog:
    """What a device sends: the head that it states, and entries, each with what its commitment hides."""

    head: SignedText
    entries: Sequence[tuple[SignedText, Opening]]


@dataclass(frozen=True, slots=True)
class HandoverLogs:
    """The store functions of devices and their logs."""

    couriers: Couriers

    # Devices.

    def register(
        self, tx: Tx, application_id: str, courier: str, name: str, public_key: str, actor: str, now: int
    ) -> Outcome:
        """Register a device by its public key (Ed25519, base64url)."""
        if _key(public_key) is None:
            return Outcome("bad_public_key")
        device_id = self.couriers.deliveries.conductor.clock.new_id("dev")
        device = Device(device_id, application_id, courier, name, public_key, 0, "", 0, now, None)
        device_rows.put_device(tx, device)
        self._audit(tx, device, "device.registered", actor, now)
        return Outcome("created", _shown(device))

    def devices(self, tx: Tx, application_id: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Return an application's devices, newest first."""
        return [_shown(one) for one in device_rows.devices(tx, application_id, before, limit)]

    def revoke(self, tx: Tx, application_id: str, device_id: str, actor: str, now: int) -> Outcome:
        """Take no more logs of a device: it was lost, or its courier has left."""
        device = device_rows.device_of(tx, application_id, device_id)
        if device is None:
            return Outcome("not_found")
        if device.revoked_at is None:
            device = device._replace(revoked_at=now)
            device_rows.store_device(tx, device)
            self._audit(tx, device, "device.revoked", actor, now)
        return Outcome("revoked", _shown(device))

    def _audit(self, tx: Tx, device: Device, action: str, actor: str, now: int) -> None:
        audit_id = self.couriers.deliveries.conductor.clock.new_id("aud")
        casebook.put_audit(tx, audit_id, device.application_id, actor, action, device.id, {}, now)

    # Logs.

    def sync(self, tx: Tx, application_id: str, device_id: str, log: SentLog, actor: str, now: int) -> Outcome:
        """Take entries of a device's log; once they reach the head that it states, adjudicate all that wait."""
        device = device_rows.device_of(tx, application_id, device_id)
        if device is None:
            return Outcome("not_found")
        key = _key(device.public_key)
        if device.revoked_at is not None or key is None:
            return Outcome("device_revoked")

        def verify(octets: bytes, signature: str) -> bool:
            try:
                key.verify(base64url.decode(signature.rstrip("=")), octets)
            except (InvalidSignature, ValueError):
                return False
            return True

        try:
            stated = read_head(log.head, device.id, verify)
            sent = [signed for signed, _ in log.entries]
            known = {one.seq: one.hash for one in device_rows.entries_of(tx, device.id, *span_of(sent))}
            fresh = read_entries(sent, device.id, Head(device.seq, device.head), known, verify)
            openings = {content_hash(signed.content): opening for signed, opening in log.entries}
            rows = [self._row(device, one, openings[one.hash], stated, now) for one in fresh]
            end = end_of(Head(device.seq, device.head), fresh, stated)
        except BadLog as bad:
            return Outcome(bad.code, {"seq": bad.seq, "expected_seq": device.seq + 1})
        if rows:
            self._audit(tx, device, "device.synced", actor, now)
        device_rows.put_entries(tx, rows)
        device = device._replace(seq=end.seq, head=end.hash)
        device_rows.store_device(tx, device)
        wakes = Wakes()
        whole = stated.head.seq == end.seq
        if whole:
            device = self._adjudicate(tx, device, now, wakes)
        else:
            self._claim(tx, application_id, device, rows, now, wakes)
        return wakes.outcome(_WHOLE if whole else _PENDING, self._report(tx, device, log, whole=whole))

    def close(self, tx: Tx, application_id: str, device_id: str, now: int, wakes: Wakes) -> None:
        """Adjudicate what came of a log whose rest has not come in time."""
        device = device_rows.device_of(tx, application_id, device_id)
        if device is not None:
            self._adjudicate(tx, device, now, wakes)

    def _row(self, device: Device, entry: Logged, opening: Opening, stated: StatedHead, now: int) -> EntryRow:
        if not opens(entry, opening):
            raise BadLog("log_malformed", entry.seq)
        facts = kept({"entry": asdict(entry), "value": opening.value})
        sealed = self.couriers.deliveries.conductor.keyring.seal(facts.encode(), _row_name(device.id, entry.seq))
        at = corrected(entry, stated, now)
        return EntryRow(device.id, entry.seq, device.application_id, entry.delivery, entry.hash, sealed, "", at, now)

    # Adjudicating.

    def _claim(
        self, tx: Tx, application_id: str, device: Device, rows: Sequence[EntryRow], now: int, wakes: Wakes
    ) -> None:
        """Hold the deliveries of a log that is cut; what is about none of ours waits for nothing, and is settled."""
        deliveries = self.couriers.deliveries
        for delivery_id in sorted({one.delivery_id for one in rows}):
            held = deliveries.load(tx, application_id, delivery_id)
            if held is not None:
                deliveries.take(tx, held, Claimed(device.id, device.courier), now, wakes, ENGINE)
            else:
                about = [one.seq for one in rows if one.delivery_id == delivery_id]
                device_rows.settle_entries(tx, [(device.id, seq, device_rows.UNKNOWN) for seq in about])

    def _adjudicate(self, tx: Tx, device: Device, now: int, wakes: Wakes) -> Device:
        """Adjudicate every entry that waits, in the order of the log, and let its deliveries go on."""
        waiting = device_rows.entries_of(tx, device.id, device.adjudicated + 1, device.seq)
        results = [(device.id, one.seq, self._settled(tx, device, one, now, wakes)) for one in waiting]
        device_rows.settle_entries(tx, results)
        deliveries = self.couriers.deliveries
        for delivery_id in sorted({one.delivery_id for one in waiting}):
            held = deliveries.load(tx, device.application_id, delivery_id)
            if held is not None:
                deliveries.take(tx, held, Released(device.id), now, wakes, ENGINE)
        device = device._replace(adjudicated=device.seq)
        device_rows.store_device(tx, device)
        return device

    def _settled(self, tx: Tx, device: Device, row: EntryRow, now: int, wakes: Wakes) -> str:
        """Return what one entry came to, having written what it does."""
        couriers = self.couriers
        held = couriers.deliveries.load(tx, device.application_id, row.delivery_id)
        if held is None or row.sealed is None:
            return device_rows.UNKNOWN
        keyring = couriers.deliveries.conductor.keyring
        opened = json.loads(keyring.unseal(row.sealed, _row_name(device.id, row.seq)))
        logged, door = opened["entry"], Door(opened["entry"]["door"])
        # An application that was tampered with names whom it likes: guesses count for whom the device was registered.
        suspended = couriers.is_suspended(tx, device.application_id, device.courier, now)
        stated = Stated(logged["courier"], logged["position"])
        entry = Entry(door, row.at, stated, device=device.id, logged=row.seq, suspended=suspended)
        verdict = couriers.verdict(held, door, opened["value"])
        step, result = adjudicate(held.case, verdict, entry, now)
        step = couriers.counted(tx, held, step, device.courier, now)
        if step.effects or step.case != held.case:
            couriers.deliveries.conductor.apply(tx, held, step, now, wakes, ENGINE)
        return result

    def _report(self, tx: Tx, device: Device, log: SentLog, *, whole: bool) -> dict[str, Any]:
        """Return what was sent, entry by entry, each with its result; while the log is cut, nothing but `claimed`."""
        sent = {content_hash(signed.content) for signed, _ in log.entries}
        found = device_rows.entries_of(tx, device.id, *span_of([signed for signed, _ in log.entries]))
        results = [
            {"seq": one.seq, "delivery_id": one.delivery_id, "result": one.result or _PENDING}
            for one in found
            if one.hash in sent
        ]
        return {
            "device_id": device.id,
            "state": _WHOLE if whole else _PENDING,
            "seq": device.seq,
            "hash": device.head,
            "entries": results,
        }


def signed_text(content: str, signature: str) -> SignedText:
    """Return a text as a device signed it."""
    return SignedText(content, signature)


def opening(salt: str, value: str) -> Opening:
    """Return what the commitment of an entry hides."""
    return Opening(salt, value)


def _shown(device: Device) -> dict[str, Any]:
    return public(
        {
            "id": device.id,
            "courier_id": device.courier,
            "name": device.name or None,
            "public_key": device.public_key,
            "seq": device.seq,
            "adjudicated": device.adjudicated,
            "created_at": device.created_at,
            "revoked_at": device.revoked_at or 0,
        }
    )


def _row_name(device_id: str, seq: int) -> str:
    return f"{device_id} {seq}"


def _key(public_key: str) -> Ed25519PublicKey | None:
    try:
        octets = base64url.decode(public_key.rstrip("="))  # registered with padding or without
        return Ed25519PublicKey.from_public_bytes(octets) if len(octets) == _KEY_OCTETS else None
    except ValueError:
        return None
