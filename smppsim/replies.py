"""The way of a reply: which account it comes in on, how it is cut, and its deliver_sm into the queue.

It decides nothing about what is said. Tests and the control API write through it by hand, `crowd` for the
persons.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from engine.smpp.pdu import DeliverSm
from smppsim.accounts import Account
from smppsim.delivery import Deliveries, Delivery
from smppsim.handsets import Handsets, Part, handset_key, write_reply

_REFERENCES: Final = 0x10000


class NoRoute(LookupError):
    """No account receives replies to this number."""


class Reply(NamedTuple):
    """What a handset writes. `source_form` is TON and NPI of `source`; `cut` says otherwise than the link does."""

    text: str
    to: str | None = None
    """Our number; None is the sender of the handset's latest message."""
    account: str | None = None
    """Whose receivers get it; None: as the accounts' numbers, else the last message say."""
    source: str | None = None
    source_form: tuple[int, int] = (1, 1)
    cut: str | None = None


class Replies:
    """Sends what handsets write."""

    def __init__(self, accounts: dict[str, Account], handsets: Handsets, deliveries: Deliveries) -> None:
        self._accounts = accounts
        self._handsets = handsets
        self._deliveries = deliveries
        self._reference = 0

    def send(self, number: str, reply: Reply, now: float) -> list[DeliverSm]:
        """Queue the deliver_sm of a reply; NoRoute, TooManyParts, KeyError for an unknown account."""
        inbox = self._handsets.parts(number)
        to = reply.to
        if to is None:
            if not inbox:
                raise NoRoute("there is nothing to answer on this handset; say whom to write to")
            to = inbox[-1].pdu.source_addr.decode("latin-1")
        ours = handset_key(to)
        last = next((part for part in reversed(inbox) if part.pdu.source_addr == ours), None)
        owner = self._owner(ours, reply.account, last)
        link = owner.link if reply.cut is None else owner.link.changed({"concatenation": reply.cut})
        self._reference = (self._reference + 1) % _REFERENCES
        pdus = write_reply(
            reply.text,
            source=handset_key(number).decode("latin-1") if reply.source is None else reply.source,
            destination=ours.decode("latin-1"),
            link=link,
            reference=self._reference,
            source_form=reply.source_form,
            destination_form=None if last is None else (last.pdu.source_addr_ton, last.pdu.source_addr_npi),
        )
        for pdu in pdus:
            self._deliveries.send(Delivery(owner, pdu), now)
        return pdus

    def _owner(self, ours: bytes, account: str | None, last: Part | None) -> Account:
        """Whose reply it is: as told, by the accounts' numbers, by the last message, or the only account there is."""
        if account is not None:
            return self._accounts[account]
        accounts = list(self._accounts.values())
        for each in accounts:
            if any(pattern.fullmatch(ours) for pattern in each.numbers):
                return each
        if last is not None:
            return self._accounts[last.account]
        if len(accounts) == 1:
            return accounts[0]
        raise NoRoute("no account receives replies to this number; name one, or set its numbers")
