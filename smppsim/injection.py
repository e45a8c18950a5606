"""Causing faults: what each one changes in the running operator.

It decides what is hit and for how long; the sessions, accounts and the mangling act on it later. Called by
`Simulator.cause` alone.
"""

from __future__ import annotations

import math

from engine.smpp.pdu import AlertNotification, Status
from engine.smpp.pdu import Outbind as OutbindPdu
from engine.smpp.pdu import Unbind as UnbindPdu
from smppsim.behaviour import Cut
from smppsim.faults import (
    Alert,
    AnyFault,
    Drop,
    Ghost,
    IgnoreEnquireLinks,
    Mute,
    OnFrames,
    OnLinks,
    Outbind,
    Raw,
    RefuseBinds,
    RefuseConnections,
    StopReading,
    Throttle,
    Unbind,
)
from smppsim.session import Session
from smppsim.smsc import Smsc


def inject(smsc: Smsc, fault: AnyFault, now: float) -> int:
    """Cause a fault; how many links or accounts there are for it to hit. KeyError for an unknown account."""
    match fault:
        case RefuseConnections():
            smsc.refuses_connections_until = now + fault.for_s
            return 1
        case OnFrames():
            smsc.mangling.add(fault, now)
            return len(_links(smsc, fault))
        case OnLinks():
            return _on_links(smsc, fault, now)
        case _:
            return _on_accounts(smsc, fault, now)


def _on_accounts(smsc: Smsc, fault: Ghost | RefuseBinds | Throttle | IgnoreEnquireLinks, now: float) -> int:
    accounts = list(smsc.accounts.values()) if fault.account is None else [smsc.accounts[fault.account]]
    for account in accounts:
        match fault:
            case Ghost():
                for session in list(account.sessions):
                    smsc.cut(session, Cut.reset, now)
                account.refuse_binds(Status.ESME_RALYBND, now + fault.for_s, None)
            case RefuseBinds():
                once = fault.times is None and fault.for_s is None
                until = math.inf if fault.for_s is None else now + fault.for_s
                account.refuse_binds(fault.status, until, 1 if once else fault.times)
            case Throttle():
                account.throttled_until, account.throttled_share = now + fault.for_s, fault.share
            case IgnoreEnquireLinks():
                account.enquiries_ignored_until = now + fault.for_s
    return len(accounts)


def _on_links(smsc: Smsc, fault: Drop | Mute | StopReading | Unbind | Raw | Outbind | Alert, now: float) -> int:
    links = _links(smsc, fault)
    if isinstance(fault, Unbind):
        links = [session for session in links if session.account is not None]
    for session in links:
        match fault:
            case Drop():
                smsc.cut(session, fault.how, now)
            case Mute():
                session.mute_until = now + fault.for_s
            case StopReading():
                session.reading_from = now + fault.for_s
            case Unbind():
                session.unbinding = True
                session.request(UnbindPdu(), now)
            case Raw():
                session.write_raw(bytes.fromhex(fault.hex), now)
            case Outbind():
                session.outbind(OutbindPdu(fault.system_id.encode(), fault.password.encode()), now)
            case Alert():
                source, esme = fault.source_addr.lstrip("+").encode(), fault.esme_addr.lstrip("+").encode()
                session.request(AlertNotification(1, 1, source, 0, 0, esme), now)
    return len(links)


def _links(smsc: Smsc, fault: OnLinks) -> list[Session]:
    if fault.account is not None and fault.account not in smsc.accounts:
        raise KeyError(fault.account)
    return [
        session
        for session in smsc.sessions.values()
        if (fault.account is None or (session.account is not None and session.account.system_id == fault.account))
        and (fault.session is None or session.number == fault.session)
    ]
