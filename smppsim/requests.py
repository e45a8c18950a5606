"""What clients ask besides submit_sm: data_sm, submit_multi, query, cancel and replace, and 5.0's broadcasts.

It keeps nothing itself; `messages`, `submission` and `broadcasts` do. `smsc` hands it what is legal in the
session's state.
"""

from __future__ import annotations

from typing import Final

from engine.smpp.pdu import (
    BroadcastSm,
    CancelBroadcastSm,
    CancelBroadcastSmResp,
    CancelSm,
    CancelSmResp,
    DataSm,
    Header,
    Pdu,
    QueryBroadcastSm,
    QuerySm,
    ReplaceSm,
    ReplaceSmResp,
    SmeAddress,
    Status,
    SubmitMulti,
    SubmitSm,
    commands,
    encode,
)
from smppsim.accounts import Account
from smppsim.broadcasts import Broadcasts
from smppsim.messages import Messages
from smppsim.outcomes import Outcome
from smppsim.session import Session
from smppsim.submission import Submissions

_BROADCASTS_FROM: Final = 0x50


class Requests:
    """Answers for one operator."""

    def __init__(self, messages: Messages, submissions: Submissions) -> None:
        self._messages = messages
        self._submissions = submissions
        self.broadcasts = Broadcasts()

    def answer(self, account: Account, session: Session, header: Header, pdu: Pdu, now: float) -> bool:
        """Answer a request of a bound session; False if there is no such request here."""
        sequence = header.sequence_number
        match pdu:
            case DataSm():
                single = SubmitSm(**pdu._asdict())
                self._submissions.submit(account, session, sequence, single, now, commands.DATA_SM)
            case SubmitMulti():
                self._submit_multi(account, session, header, pdu, now)
            case QuerySm():
                status, found = self._messages.query(account, pdu)
                session.write(encode(found, sequence, status), now)
            case CancelSm():
                doomed = self._messages.cancellable(account, pdu)
                for message in doomed:
                    self._submissions.settle(message, Outcome(state="deleted"), now)
                session.write(encode(CancelSmResp(), sequence, 0 if doomed else Status.ESME_RCANCELFAIL), now)
            case ReplaceSm():
                session.write(encode(ReplaceSmResp(), sequence, self._messages.replace(account, pdu)), now)
            case _:
                return session.version >= _BROADCASTS_FROM and self._broadcast(account, session, header, pdu, now)
        return True

    def _broadcast(self, account: Account, session: Session, header: Header, pdu: Pdu, now: float) -> bool:
        sequence = header.sequence_number
        match pdu:
            case BroadcastSm():
                status, accepted = self.broadcasts.accept(account, pdu)
                session.write(encode(accepted, sequence, status), now)
            case QueryBroadcastSm():
                status, found = self.broadcasts.query(account, pdu)
                session.write(encode(found, sequence, status), now)
            case CancelBroadcastSm():
                status = self.broadcasts.cancel(account, pdu)
                session.write(encode(CancelBroadcastSmResp(), sequence, status), now)
            case _:
                return False
        return True

    def _submit_multi(self, account: Account, session: Session, header: Header, pdu: SubmitMulti, now: float) -> None:
        fields = pdu._asdict()
        addresses: dict[SmeAddress, None] = {}  # whoever is named twice gets it once
        for destination in fields.pop("dest_addresses"):
            if isinstance(destination, SmeAddress):
                addresses[destination] = None
                continue
            members = account.distribution_lists.get(destination.dl_name.decode("latin-1"))
            if members is None:
                session.refuse(header, Status.ESME_RINVDLNAME, now)
                return
            addresses |= dict.fromkeys(SmeAddress(1, 1, member.lstrip("+").encode()) for member in members)
        if not addresses:  # lists of nobody
            session.refuse(header, Status.ESME_RINVNUMDESTS, now)
            return
        singles = [SubmitSm(**fields, **address._asdict()) for address in addresses]
        self._submissions.submit_multi(account, session, header.sequence_number, singles, now)
