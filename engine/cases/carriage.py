"""How a message was carried and what a handset wrote, as entries of evidence: read from the rows of the message path.

Store functions, called in the transaction that wrote those rows; the conversations that keep evidence are the callers.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, func, select

from engine.cases.effects import Queued
from engine.clock import to_rfc3339
from engine.codes import CodeSeed
from engine.evidence.sealing import NewEntry
from engine.keyring import KeyRing
from engine.smpp.pdu import status_name
from engine.store.statements import Statement
from engine.store.tables import Message, Part, ReceiptRow, ReplyPart
from engine.store.transaction import Tx
from engine.transit.replying import JoinedReply
from engine.transit.tally import Tally
from workflows.base import Json, Outcome, Send
from workflows.wording import Templates

_SLOTS: Final = {"code": "0CODE0SLOT", "page": "https://page.invalid/0"}
"""What stands for code and link while a text is kept; nothing that a text may hold looks like them."""
_SUBMITTED: Final = frozenset({Outcome.ACCEPTED, Outcome.IN_DOUBT})


def queued(
    templates: Templates,
    keyring: KeyRing,
    message: Queued,
    send: Send,
    phone: str,
    about: Mapping[str, Json],
    code_for: Mapping[str, Json],
    seed: str | None,
) -> NewEntry:
    """Return the entry of a message that was queued: its text with `{code}` and `{page}` where they will stand.

    `about` says to whom it goes; of a text with a code, `code_for` what the code is for, its seed what it will be.
    """
    slots = {name: _SLOTS[name] for name in send.slots}
    params: dict[str, Any] = {**send.params, **slots}
    text = templates.render(message.path, params)
    for name, slot in slots.items():
        text = text.replace(slot, f"{{{name}}}")
    body: dict[str, Json] = {
        "message": message.message_id,
        "role": send.role.partition(":")[0],
        **about,
        "template": message.pinned,
        "language": send.language,
    }
    has_code = "code" in send.slots
    if has_code:
        body |= {**code_for, "generation": send.generation}
    code = CodeSeed.from_json(seed) if has_code and seed is not None else None
    return NewEntry("message.queued", body, {"text": text}, keyring.fingerprint("phone", phone), code=code)


def moved(tx: Tx, tally: Tally, outcome: Outcome) -> NewEntry:
    """Return the entry about what became of a message: how it was submitted, or how it ended, with its receipts."""
    return _submitted(tx, tally) if outcome in _SUBMITTED else _settled(tx, tally, outcome)


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
            "submit_sm": {} if fields is None else json.loads(fields),
            "state": state,
        }
        for number, attempt, account, bind, sent_at, answered_at, status, smsc_id, digest, fields, state in tx.all(
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


def replied(tx: Tx, keyring: KeyRing, reply: JoinedReply, choice: str, guard: Sequence[str]) -> NewEntry:
    """Return the entry of a reply; what it says opens once everything of `guard` is closed, whose codes are in it."""
    parts = tx.all(_REPLY_PARTS, reply=reply.id)
    body = {
        "reply": reply.id,
        "account": reply.account,
        "to": reply.our_number,
        "received_at": to_rfc3339(reply.received_at),
        "choice": choice,
        "flags": reply.flags,
        "parts": [
            {"bind": bind, "smsc_id": smsc_id or "", "received_at": to_rfc3339(int(at)), "part": int(number)}
            for _, bind, smsc_id, at, number, _ in parts
        ],
    }
    private = {
        "from": reply.source,
        "from_raw": reply.source_raw,
        "text": reply.text,
        "pdus": [keyring.unseal(sealed, part_id).hex() for part_id, _, _, _, _, sealed in parts],
    }
    return NewEntry("reply.received", body, private, keyring.fingerprint("phone", reply.source), guard=guard)


def wrote_last(tx: Tx, case_id: str, recipient: str) -> int:
    """Return when a case last had something written to a number (E.164), in µs; 0 if never."""
    row = tx.one(_WROTE_LAST, case=case_id, recipient=recipient)
    return 0 if row is None or row[0] is None else int(row[0])


# Statements.

_message: Any = Message.__table__  # type: ignore[attr-defined]
_WROTE_LAST: Final = Statement(
    lambda _: select(func.max(_message.c.created_at)).where(
        _message.c.case_id == bindparam("case"), _message.c.recipient == bindparam("recipient")
    )
)
_part: Any = Part.__table__  # type: ignore[attr-defined]
_receipt: Any = ReceiptRow.__table__  # type: ignore[attr-defined]
_reply_part: Any = ReplyPart.__table__  # type: ignore[attr-defined]
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
            _part.c.submit_sm,
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
_REPLY_PARTS: Final = Statement(
    lambda _: (
        select(
            _reply_part.c.id,
            _reply_part.c.bind,
            _reply_part.c.smsc_id,
            _reply_part.c.received_at,
            _reply_part.c.part,
            _reply_part.c.sealed,
        )
        .where(_reply_part.c.reply_id == bindparam("reply"))
        .order_by(_reply_part.c.part)
    )
)
