"""Bounded memory between a bind and its intake: what came in waits here, and is taken out batch by batch.

The bind fills it without ever being blocked; nothing of it is the truth, for what is not committed is not acknowledged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

import trio

from engine.smpp.pdu import DataSm, DeliverSm
from engine.transit.answers import Answer
from engine.transit.backlog import Bell
from engine.transit.claiming import InFlight
from engine.transit.receipting import ReceivedReceipt
from engine.transit.redelivery import ReceivedPart

BATCH: Final = 200
REPLIES: Final = 32  # one costs several times what a receipt does, and a code behind them waits for all


class Arrival(NamedTuple):
    """A deliver_sm or data_sm that waits for its response: what it is, and how to answer it."""

    sequence: int
    command_id: int
    session: str
    receipt: ReceivedReceipt | None
    part: ReceivedPart | None
    raw: bytes
    row_id: str
    at: float
    pdu: DeliverSm | DataSm | None = None  # of a part


@dataclass(slots=True)
class Batch:
    """What one transaction takes in."""

    answers: list[Answer] = field(default_factory=list)
    silent: list[InFlight] = field(default_factory=list)
    unsent: list[InFlight] = field(default_factory=list)  # parts that stayed here when a sibling was refused
    arrivals: list[Arrival] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)  # digests of replies whose responses were written
    second_ids: list[tuple[InFlight, str]] = field(default_factory=list)

    def __len__(self) -> int:
        counted = len(self.answers) + len(self.silent) + len(self.unsent) + len(self.arrivals)
        return counted + len(self.acknowledged) + len(self.second_ids)


class Inbox:
    """Bounded memory between a bind and its intake."""

    def __init__(self, most_arrivals: int = 2_000) -> None:
        self._batch = Batch()
        self._most = most_arrivals
        self.bell = Bell()
        self.arrived = trio.Event()

    def answer(self, answer: Answer) -> None:
        """Note an answer."""
        self._batch.answers.append(answer)
        self.bell.ring()

    def silence(self, tokens: Sequence[InFlight]) -> None:
        """Note submits that got no answer."""
        self._batch.silent.extend(tokens)
        self.bell.ring()

    def unsent(self, tokens: Sequence[InFlight]) -> None:
        """Note parts that are not written after all."""
        if tokens:
            self._batch.unsent.extend(tokens)
            self.bell.ring()

    def arrive(self, arrival: Arrival) -> bool:
        """Note a deliver_sm; False if too many wait already: then answer it 0x64 at once."""
        if len(self._batch.arrivals) >= self._most:
            return False
        self._batch.arrivals.append(arrival)
        self.arrived.set()
        self.bell.ring()
        return True

    @property
    def oldest(self) -> Arrival | None:
        """The arrival that has waited longest, if any waits."""
        return self._batch.arrivals[0] if self._batch.arrivals else None

    def tired(self, since: float) -> list[Arrival]:
        """Take out the arrivals that wait since before an instant: the SMSC is asked to send them again."""
        waiting = self._batch.arrivals
        tired = [arrival for arrival in waiting if arrival.at <= since]
        self._batch.arrivals = waiting[len(tired) :]
        return tired

    def acknowledged(self, digests: Sequence[str]) -> None:
        """Note responses to replies that were written: an equal reply from now on is a new one."""
        if digests:
            self._batch.acknowledged.extend(digests)
            self.bell.ring()

    def second_id(self, token: InFlight, smsc_id: str) -> None:
        """Note another id that the SMSC gave for an answered submit: receipts may carry either (B16)."""
        self._batch.second_ids.append((token, smsc_id))
        self.bell.ring()

    def take(self) -> Batch:
        """Return up to `BATCH` entries of each kind, of replies `REPLIES`; rings again for the rest."""
        whole = self._batch
        taken, rest = Batch(), Batch()
        for name in Batch.__slots__:
            entries = getattr(whole, name)
            most = _most(entries) if name == "arrivals" else BATCH
            setattr(taken, name, entries[:most])
            setattr(rest, name, entries[most:])
        self._batch = rest
        if len(self._batch):
            self.bell.ring()
        return taken

    def __len__(self) -> int:
        return len(self._batch)


def _most(arrivals: Sequence[Arrival]) -> int:
    replies = (place for place, one in enumerate(arrivals[:BATCH]) if one.part is not None)
    return next(islice(replies, REPLIES, None), BATCH)
