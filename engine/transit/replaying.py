"""Takes parked deliveries in once more, after whatever made them raise was mended.

The command `sceau replay` calls it; parking is `intake`'s. A delivery that raises again stays parked.
"""

from collections.abc import Callable
from typing import NamedTuple

from engine.clock import Clock
from engine.errors import Tampered, UnknownKey
from engine.smpp.errors import CodecError
from engine.smpp.events import Delivered
from engine.smpp.pdu import DataSm, DeliverSm, decode
from engine.store.doorway import Store
from engine.store.transaction import Tx
from engine.transit.inbox import Arrival, Batch
from engine.transit.intake import Desk, TakenIn, take_in
from engine.transit.parking import ParkedDelivery, parked, replayed
from engine.transit.reading import Reader
from engine.transit.redelivery import NO_SESSION
from engine.transit.replying import acknowledged


class Replayed(NamedTuple):
    """What became of a replay: `replayed`, `not_parked`, `unknown_account` or `unreadable`; `taken` wakes others."""

    code: str
    taken: TakenIn | None = None


async def replay(
    store: Store, row_id: str, desk_of: Callable[[str], tuple[Reader, Desk] | None], clock: Clock
) -> Replayed:
    """Read a parked delivery again as its account reads, and take it in as when it came.

    Raises what taking it in raises; then nothing has changed.
    """
    found = await store.read(lambda tx: parked(tx, row_id))
    if found is None:
        return Replayed("not_parked")
    known = desk_of(found.account)
    if known is None:
        return Replayed("unknown_account")
    reader, desk = known
    try:
        arrival = _read(reader, row_id, found)
    except (Tampered, UnknownKey, CodecError):
        return Replayed("unreadable")

    def take(tx: Tx) -> TakenIn | None:
        now = clock.now()
        if not replayed(tx, row_id, now):
            return None
        taken = take_in(tx, Batch(arrivals=[arrival]), desk, now)
        if arrival.part is not None:
            # It was acknowledged when it was parked.
            acknowledged(tx, found.account, [arrival.part.digest], now)
        return taken

    taken = await store.write(take)
    return Replayed("not_parked") if taken is None else Replayed("replayed", taken)


def _read(reader: Reader, row_id: str, found: ParkedDelivery) -> Arrival:
    raw = reader.keyring.unseal(found.sealed, row_id)
    header, pdu = decode(raw)
    assert isinstance(pdu, DeliverSm | DataSm)
    [arrival] = reader.read([Delivered(header.sequence_number, header.command_id, pdu, raw)], NO_SESSION)
    return arrival._replace(
        part=None if arrival.part is None else arrival.part._replace(received_at=found.received_at),
        receipt=None if arrival.receipt is None else arrival.receipt._replace(received_at=found.received_at),
    )
