"""What is posted in one piece, and which due events go into it: one event, or a batch with its own id.

Pure: `gather` decides the members, the builders make the octets. Order within a subject is kept because an event goes
only with, or after, every earlier one that is owed.
"""

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from engine.webhooks.claims import Due, earlier_first
from engine.webhooks.payload import BATCH_OVERHEAD, batch_body, event_text

# The words of an event's JSON, its timestamp, a sequence of any length, a comma.
_FRAME: Final = 132


@dataclass(frozen=True, slots=True)
class Parcel:
    """One Standard Webhooks message: its id, its octets, and the rows that it settles, in order."""

    webhook_id: str
    body: bytes = field(repr=False)
    rows: tuple[Due, ...] = field(repr=False)
    batch_id: str | None = None


def body_of(due: Due) -> bytes:
    """Return one event's octets."""
    return event_text(due.event_id, due.type, due.subject_id, due.sequence, due.data, due.occurred_at).encode()


def most_octets(due: Due) -> int:
    """Return a bound on one event's octets in a batch, cheaper than making them."""
    return len(due.data.encode()) + len(due.event_id) + len(due.type) + len(due.subject_id) + _FRAME


def single(due: Due) -> Parcel:
    """Return the parcel of one event, under the event's own id."""
    return Parcel(due.event_id, body_of(due), (due,))


def batch(batch_id: str, rows: Iterable[Due]) -> Parcel:
    """Return the parcel of a batch, the same octets whenever it is built from the same members."""
    members = earlier_first(rows)
    body = batch_body([body_of(due) for due in members], members[-1].occurred_at)
    return Parcel(batch_id, body, tuple(members), batch_id)


def gather(candidates: Iterable[Due], busy: Container[str], *, events: int, octets: int) -> list[list[Due]]:
    """Return groups of rows that may go now, each of at most so many events and octets (one event always fits).

    Left out are rows whose subject is `busy` (another parcel of it is under way), whose subject is in an earlier group,
    or whose predecessor is owed and not in the same group: they are found again when that one is settled.
    """
    groups: list[list[Due]] = []
    group: list[Due] = []
    size = BATCH_OVERHEAD
    closed: set[str] = set()
    taken: Counter[str] = Counter()  # rows of each subject in the open group
    for due in earlier_first(candidates):
        if due.subject_id in closed or due.subject_id in busy:
            continue
        length = most_octets(due)
        if group and (len(group) >= events or size + length > octets):
            groups.append(group)
            closed.update(taken)
            group, size, taken = [], BATCH_OVERHEAD, Counter()
            if due.subject_id in closed:
                continue
        if due.earlier != taken[due.subject_id]:
            closed.add(due.subject_id)  # a gap: nothing of it may overtake
            continue
        group.append(due)
        taken[due.subject_id] += 1
        size += length
    if group:
        groups.append(group)
    return groups


def known_batches(members: Sequence[Due]) -> list[Parcel]:
    """Return the parcels of batches whose membership was fixed before."""
    found: dict[str, list[Due]] = {}
    for due in members:
        if due.batch_id is not None:
            found.setdefault(due.batch_id, []).append(due)
    return [batch(batch_id, rows) for batch_id, rows in found.items()]
