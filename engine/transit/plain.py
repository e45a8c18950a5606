"""The plain way of most messages: one part, its first attempt, of no case, accepted, perhaps delivered at once.

What its answer changes is known when it is claimed, so that nothing is loaded and nothing decided: guarded statements
of constants write it. What does not fit them raises `GuardLost`, upon which a careful transaction goes the long way
(`answers`, `receipting`, `settling`), as everything else does from the start; intake calls both.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import and_, literal_column, null

from engine.events import MESSAGE_EVENTS, NewEvent
from engine.smpp.pdu import Status
from engine.smpp.receipts import IdStyle, submit_keys
from engine.store.moves import MESSAGE, PART
from engine.store.statements import Dialect, Kind, Statement, same_for_all
from engine.store.tables import Message, Part
from engine.store.transaction import Tx
from engine.transit.answers import AccountRules, Answer
from engine.transit.claiming import PlainMessage
from engine.transit.receipting import ReceivedReceipt, put_keys, put_receipts
from engine.transit.telling import around_state

_DELIVERED: Final = "delivered"
_ACCEPTED, _TOLD = "message.accepted", "message.delivered"
_ACCEPTED_EVENT, _DELIVERED_EVENT = 1, 2  # sequence numbers: a plain message has raised nothing before


@dataclass(slots=True)
class Plain:
    """What of a batch goes the plain way; the rest of it is left in `answers` and `receipts`."""

    taken: list[tuple[Answer, PlainMessage]] = field(default_factory=list)
    told: dict[str, ReceivedReceipt] = field(default_factory=dict)  # message id → the receipt that came with its answer
    answers: list[Answer] = field(default_factory=list)
    receipts: list[ReceivedReceipt] = field(default_factory=list)
    keys: list[tuple[str, PlainMessage]] = field(default_factory=list)

    @property
    def delivered(self) -> Counter[int]:
        """Messages delivered, by lane."""
        return Counter(message.lane for _, message in self.taken if message.id in self.told)


def sort_out(answers: Sequence[Answer], receipts: Sequence[ReceivedReceipt], rules: AccountRules) -> Plain:
    """Part what goes the plain way from the rest.

    A receipt does if it came with the answer that gave it its id, says `delivered`, speaks of the number that the
    message went to, and no other receipt of the batch has its id.
    """
    plain = Plain()
    ids: set[str] = set()
    for answer in answers:
        message = answer.token.plain
        if message is None or answer.status or answer.late or answer.nacked or message.id in ids:
            plain.answers.append(answer)
        else:
            ids.add(message.id)
            plain.taken.append((answer, message))
    plain.keys = _keys(plain.taken, rules.id_style)
    message_of = dict(plain.keys)
    times = Counter(key for receipt in receipts for key in receipt.keys) if plain.taken else {}
    for receipt in receipts:
        known = message_of.get(receipt.keys[0]) if len(receipt.keys) == 1 else None
        if (
            known is None
            or receipt.state != _DELIVERED
            or known.recipient != receipt.about
            or times[receipt.keys[0]] > 1
        ):
            plain.receipts.append(receipt)
        else:
            plain.told[known.id] = receipt
    return plain


def _keys(taken: Sequence[tuple[Answer, PlainMessage]], style: IdStyle) -> list[tuple[str, PlainMessage]]:
    return [(key, message) for answer, message in taken for key in submit_keys(answer.smsc_id, style)]


def settle(tx: Tx, plain: Plain, account: str, now: int) -> list[NewEvent]:
    """Write what goes the plain way; return the events that it raises. Raises `GuardLost` if a row is not so plain."""
    if not plain.taken:
        return []
    told = plain.told
    accepted = [(message.id, 1, 1, answer.smsc_id) for answer, message in plain.taken if message.id not in told]
    delivered = [
        (message.id, 1, 1, answer.smsc_id, told[message.id].error)
        for answer, message in plain.taken
        if message.id in told
    ]
    tx.exactly(_ACCEPT_PARTS, accepted, same_answered_at=now)
    tx.exactly(_DELIVER_PARTS, delivered, same_answered_at=now, same_final_at=now)
    put_keys(tx, account, [(key, message.id, 1, 1, message.application_id) for key, message in plain.keys], now)
    tx.exactly(_ACCEPT, [row[:1] for row in accepted], same_accepted_at=now)
    tx.exactly(_DELIVER, [row[:1] for row in delivered], same_accepted_at=now, same_final_at=now)
    part_of = {
        message.id: (message.application_id, message.id, 1, 1) for _, message in plain.taken if message.id in told
    }
    put_receipts(tx, account, [(receipt, part_of[of], "applied") for of, receipt in told.items()])
    events: list[NewEvent] = []
    for _, message in plain.taken:
        before, after = around_state(message, None)
        application_id, id_ = message.application_id, message.id
        events.append(NewEvent(application_id, _ACCEPTED, id_, _ACCEPTED_EVENT, f"{before}accepted{after}"))
        if id_ in told:
            events.append(NewEvent(application_id, _TOLD, id_, _DELIVERED_EVENT, f"{before}{_DELIVERED}{after}"))
    return events


# Statements.

_message: Any = Message.__table__  # type: ignore[attr-defined]
_part: Any = Part.__table__  # type: ignore[attr-defined]
_ONE: Final[Any] = literal_column("1")
_NONE_YET: Final[Any] = literal_column("0")

PART.check("on_wire", "accepted")
PART.check("accepted", _DELIVERED)
MESSAGE.check("on_wire", "accepted")
MESSAGE.check("accepted", _DELIVERED)


def _parts_to(state: str, given: dict[str, Kind], **more: Any) -> Statement:
    def build(dialect: Dialect) -> Any:
        rows = dialect.given(**given)
        # The whole key, number and attempt too: as constants they would look like a way in of their own.
        its_only = and_(*[_part.c[name] == rows.c[name] for name in _PART_KEY])
        values = {name: value(rows) for name, value in more.items()}
        values["answered_at"] = same_for_all(Part, "answered_at")
        return (
            _part.update()
            .where(its_only, _part.c.state == literal_column("'on_wire'"))
            .values(state=state, status=_NONE_YET, smsc_id=rows.c.smsc_id, **values)
        )

    return Statement(build)


def _messages_to(state: str, sequence: int, more: Callable[[], dict[str, Any]]) -> Statement:
    def build(dialect: Dialect) -> Any:
        rows = dialect.given(id=str)
        as_claimed = and_(
            _message.c.id == rows.c.id,
            dialect.no_way_in(_message.c.state) == literal_column("'on_wire'"),
            _message.c.attempts == _ONE,
            _message.c.open_parts == _ONE,
            _message.c.unanswered == _ONE,
            _message.c.sequence == _NONE_YET,
            _message.c.reason.is_(None),
            _message.c.worst.is_(None),
        )
        values = {"unanswered": _NONE_YET, "status": _NONE_YET, "accepted_at": same_for_all(Message, "accepted_at")}
        return _message.update().where(as_claimed).values(state=state, sequence=sequence, **values, **more())

    return Statement(build)


_PART_KEY: Final[dict[str, Kind]] = {"message_id": str, "number": int, "attempt": int}
_ACCEPT_PARTS: Final = _parts_to("accepted", {**_PART_KEY, "smsc_id": str})
_DELIVER_PARTS: Final = _parts_to(
    _DELIVERED,
    {**_PART_KEY, "smsc_id": str, "error": str},
    receipt_state=lambda _: _DELIVERED,
    receipt_error=lambda rows: rows.c.error,
    final_at=lambda _: same_for_all(Part, "final_at"),
)
_ACCEPT: Final = _messages_to("accepted", _ACCEPTED_EVENT, dict)
_DELIVER: Final = _messages_to(
    _DELIVERED,
    _DELIVERED_EVENT,
    lambda: {
        "open_parts": _NONE_YET,
        "worst": _DELIVERED,
        "final_at": same_for_all(Message, "final_at"),
        "body_sealed": null(),
    },
)
assert Status.ESME_ROK == 0
assert {_ACCEPTED, _TOLD} <= MESSAGE_EVENTS.keys()
