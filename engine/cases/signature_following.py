"""Tells signature requests what became of their messages and which timers came due, and keeps both as evidence.

Store functions called by `following`; the fields of a submit_sm, its answer and its receipts are read from the rows
of the message path, in the transaction that wrote them.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, select

from engine.cases.casebook import CaseRow
from engine.cases.outcomes import Wakes
from engine.cases.signature_conducting import SignatureConductor
from engine.clock import to_rfc3339
from engine.evidence.sealing import NewEntry
from engine.smpp.pdu import status_name
from engine.store.statements import Statement
from engine.store.tables import Part, ReceiptRow
from engine.store.transaction import Tx
from engine.transit.settling import Tally
from workflows import signature
from workflows.base import Outcome, Refused, Settled, TimerFired
from workflows.signature_case import Facts

_ENGINE: Final = "engine"
_SUBMITTED: Final = frozenset({Outcome.ACCEPTED, Outcome.IN_DOUBT})


@dataclass(frozen=True, slots=True)
class SignatureFollowers:
    """What signature requests are told without a call."""

    conductor: SignatureConductor

    def settled(self, tx: Tx, row: CaseRow, tally: Tally, outcome: Outcome, now: int, wakes: Wakes) -> None:
        """Tell a request that one of its messages moved."""
        held = self.conductor.hold(tx, row)
        role = held.roles.get(tally.id)
        if role is None:
            return
        entries = [_submitted(tx, tally) if outcome in _SUBMITTED else _settled(tx, tally, outcome)]
        decided = signature.step(held.case, Settled(role, outcome, tally.id, tally.reason or ""), Facts(), now)
        assert not isinstance(decided, Refused)
        if decided.effects or decided.case != held.case:
            self.conductor.apply(tx, held, decided, now, wakes, _ENGINE, before=entries)
        else:
            self.conductor.sealer.seal(tx, row.application_id, row.id, entries, now)

    def fired(self, tx: Tx, row: CaseRow, kind: str, now: int, wakes: Wakes) -> None:
        """Tell a request that a timer came due."""
        held = self.conductor.hold(tx, row)
        decided = signature.step(held.case, TimerFired(kind), Facts(), now)
        if not isinstance(decided, Refused) and (decided.effects or decided.case != held.case):
            self.conductor.apply(tx, held, decided, now, wakes, _ENGINE)


def _submitted(tx: Tx, tally: Tally) -> NewEntry:
    parts = [
        {
            "part": int(number),
            "attempt": int(attempt),
            "account": account,
            "bind": bind,
            "sent_at": to_rfc3339(int(sent_at)),
            "answered_at": None if answered_at is None else to_rfc3339(int(answered_at)),
            "command_status": None if status is None else status_name(int(status)),
            "smsc_message_id": smsc_id,
            "text_digest": digest,
            "state": state,
        }
        for number, attempt, account, bind, sent_at, answered_at, status, smsc_id, digest, state in tx.all(
            _PARTS, message=tally.id
        )
    ]
    body = {"message": tally.id, "state": tally.state, "simulated": bool(tally.simulated), "parts": parts}
    return NewEntry("message.submitted", body)


def _settled(tx: Tx, tally: Tally, outcome: Outcome) -> NewEntry:
    receipts = [
        {
            "smsc_message_id": smsc_id,
            "state": state,
            "stat": stat,
            "err": error,
            "bind": bind,
            "received_at": to_rfc3339(int(received_at)),
        }
        for smsc_id, state, stat, error, bind, received_at in tx.all(_RECEIPTS, message=tally.id)
    ]
    body = {"message": tally.id, "state": str(outcome), "reason": tally.reason or "", "receipts": receipts}
    return NewEntry("message.settled", body)


# Statements.

_part: Any = Part.__table__  # type: ignore[attr-defined]
_receipt: Any = ReceiptRow.__table__  # type: ignore[attr-defined]
_PARTS: Final = Statement(
    lambda _: (
        select(
            _part.c.number,
            _part.c.attempt,
            _part.c.account,
            _part.c.bind,
            _part.c.sent_at,
            _part.c.answered_at,
            _part.c.status,
            _part.c.smsc_id,
            _part.c.text_digest,
            _part.c.state,
        )
        .where(_part.c.message_id == bindparam("message"))
        .order_by(_part.c.attempt, _part.c.number)
    )
)
_RECEIPTS: Final = Statement(
    lambda _: (
        select(
            _receipt.c.smsc_id,
            _receipt.c.state,
            _receipt.c.stat,
            _receipt.c.error,
            _receipt.c.bind,
            _receipt.c.received_at,
        )
        .where(_receipt.c.message_id == bindparam("message"))
        .order_by(_receipt.c.id)
    )
)
