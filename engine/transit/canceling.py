"""Asks operators to forget messages that they have taken, where an account's contract says that this works: cancel_sm.

Best effort, after the commit that made the messages useless: what is asked too late, or finds no room, is delivered. A
receipt tells what became of each; nothing here changes a row.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol

import trio
from sqlalchemy import select

from engine.errors import StoreUnavailable
from engine.smpp.pdu import CancelSm
from engine.store.doorway import Store
from engine.store.statements import Dialect, Statement
from engine.store.tables import Message, Part
from engine.transit.backlog import Bell
from engine.transit.claiming import Wording

_MOST: Final = 100
_WAITING_MOST: Final = 10_000
_TRIES: Final = 20
_PAUSE_S: Final = 0.25


class Line(Protocol):
    """What is needed of a line of the account."""

    async def cancel(self, requests: Sequence[CancelSm]) -> int:
        """Send as many requests as there is room for; return how many."""


class OnAir(NamedTuple):
    """A part that an operator has taken and not told the end of."""

    account: str
    smsc_id: str
    recipient: str
    sender: str


@dataclass(slots=True)
class Canceling:
    """The loop. `lines_of` gives the bound lines of an account that allows cancel_sm, none for all others."""

    store: Store
    lines_of: Callable[[str], Sequence[tuple[Line, Wording]]]
    _wanted: deque[str] = field(default_factory=lambda: deque(maxlen=_WAITING_MOST))
    _bell: Bell = field(default_factory=Bell)

    def ask(self, message_ids: Iterable[str]) -> None:
        """Have these messages canceled as far as possible; call after the commit."""
        self._wanted.extend(message_ids)
        self._bell.ring()

    async def run(self) -> None:
        """Send requests for as long as the process runs."""
        while True:
            await self._bell.wait()
            while self._wanted:
                ids = list(islice(self._wanted, _MOST))
                for _ in ids:
                    self._wanted.popleft()
                await self._cancel(ids)

    async def _cancel(self, ids: Sequence[str]) -> None:
        try:
            rows = await self.store.read(lambda tx: tx.joined(_ON_AIR, [(one,) for one in ids]))
        except StoreUnavailable:
            return
        by_account: dict[str, list[OnAir]] = {}
        for row in rows:
            by_account.setdefault(row[0], []).append(OnAir(*row))
        for account, parts in by_account.items():
            await self._ask(account, parts)

    async def _ask(self, account: str, parts: list[OnAir]) -> None:
        for _ in range(_TRIES):
            for line, wording in self.lines_of(account):
                asked = await line.cancel([_request(part, wording) for part in parts])
                parts = parts[asked:]
                if not parts:
                    return
            await trio.sleep(_PAUSE_S)


def _request(part: OnAir, wording: Wording) -> CancelSm:
    sender = wording.form(part.sender)
    return CancelSm(
        service_type=wording.service_type,
        message_id=part.smsc_id.encode("latin-1"),
        source_addr_ton=sender.ton,
        source_addr_npi=sender.npi,
        source_addr=sender.address,
        dest_addr_ton=wording.recipient_ton,
        dest_addr_npi=wording.recipient_npi,
        destination_addr=wording.destination(part.recipient),
    )


def _build_on_air(dialect: Dialect) -> Any:
    given = dialect.given(id=str)
    return (
        select(_part.c.account, _part.c.smsc_id, _message.c.recipient, _message.c.sender)
        .select_from(given)
        .join(_message, _message.c.id == given.c.id)
        .join(_part, _part.c.message_id == given.c.id)
        .where(_part.c.state == "accepted", _part.c.smsc_id.is_not(None))
    )


_message: Any = Message.__table__  # type: ignore[attr-defined]
_part: Any = Part.__table__  # type: ignore[attr-defined]
_ON_AIR: Final = Statement(_build_on_air)
