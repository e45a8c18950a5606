"""Who may bind: names, passwords, versions and limits, and the answer to a bind, now or later.

It ends no sessions. `smsc` hands it the binds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.smpp.pdu import (
    BODIES,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    Header,
    Status,
    Tag,
    Tlv,
    commands,
    encode,
)
from engine.smpp.states import BOUND_BY
from smppsim.accounts import Account
from smppsim.agenda import Agenda
from smppsim.behaviour import Link
from smppsim.guessing import Guessing
from smppsim.session import Session
from smppsim.stats import Stats

Bind = BindTransmitter | BindReceiver | BindTransceiver
_TLVS_FROM: Final = 0x34
_NEWEST: Final = 0x50


class Binding:
    """The bind desk of one operator."""

    def __init__(
        self,
        accounts: dict[str, Account],
        agenda: Agenda,
        stats: Stats,
        on_bound: Callable[[Session, Account, float], None],
    ) -> None:
        self._accounts = accounts
        self._agenda = agenda
        self._stats = stats
        self._on_bound = on_bound
        self.guessing = Guessing()

    def bind(self, session: Session, header: Header, pdu: Bind, now: float) -> None:
        """Answer a bind, in its time."""
        if session.account is not None:
            session.refuse(header, Status.ESME_RALYBND, now)
            return
        account = self._accounts.get(_name(pdu))
        if account is not None and account.link.bind_response == "never":
            return
        at = self.guessing.look_at(session.host, _name(pdu), now)
        if account is not None and account.admits(pdu.password):
            at += account.link.bind_delay.draw(account.dice)
        if at > now:
            self._agenda.at(at, self._late, (session, header, pdu))
        else:
            self._decide(session, header, pdu, now)

    def _late(self, asked: tuple[Session, Header, Bind], now: float) -> None:
        session, header, pdu = asked
        if not session.over and session.account is None:
            self._decide(session, header, pdu, now)

    def _decide(self, session: Session, header: Header, pdu: Bind, now: float) -> None:
        account = self._accounts.get(_name(pdu))
        if account is None or not account.admits(pdu.password):
            # One answer for an unknown name and a wrong password (row H2).
            self._stats.guessing_alarms += self.guessing.failed(session.host, _name(pdu), now)
            self._stats.binds_refused += 1
            session.refuse(header, Status.ESME_RINVPASWD, now)
            return
        self.guessing.succeeded(session.host, _name(pdu))
        status = account.refuses_bind(now)
        if status:
            self._stats.binds_refused += 1
            session.refuse(header, status, now)
            return
        self._stats.binds += 1
        session.version = pdu.interface_version
        session.account = account
        session.state = BOUND_BY[header.command_id | commands.RESPONSE]
        account.joined(session)
        body = BODIES[header.command_id | commands.RESPONSE]
        answer = body(system_id=account.link.system_id.encode(), tlvs=_version(account.link, session.version))  # type: ignore[call-arg]
        session.write(encode(answer, header.sequence_number), now)
        self._on_bound(session, account, now)


def _name(pdu: Bind) -> str:
    return pdu.system_id.decode("latin-1")


def _version(link: Link, peer: int) -> tuple[Tlv, ...]:
    if link.interface_version is None or peer < _TLVS_FROM:
        return ()
    return ((Tag.SC_INTERFACE_VERSION, bytes((max(link.interface_version, min(peer, _NEWEST)),))),)
