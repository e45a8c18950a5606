"""Store functions for delivery receipts: matched by operator account and normalised id, else quarantined durably.

A receipt that overtook its response is applied when the response brings the id; what one whose response never came may
mean is `reconciling`'s. Called by intake and by the doubt duty.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, and_, bindparam, select, tuple_

from engine.smpp.receipts import MessageState
from engine.store.statements import Dialect, Statement, column_kinds, insert_new
from engine.store.tables import Message, OrphanKey, Part, ReceiptKey, ReceiptRow
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.settling import OUTCOME_OF, PartFacts, received
from engine.transit.tally import Tally

# An id older than this is another message's: SMSCs reuse ids after restarts and months.
ID_LIFE_US: Final = 15 * 86_400 * 1_000_000
# A receipt that waits in quarantine cannot be about what was sent after it came, but for clocks that were set back.
CLOCK_SLACK_US: Final = 10 * 1_000_000


class ReceivedReceipt(NamedTuple):
    """A receipt as intake read it; `keys` are all the forms under which its id may have been stored."""

    row_id: str
    keys: tuple[str, ...]
    smsc_id: str
    state: str
    final: bool
    stat: str
    error: str
    flags: str
    about: str  # the recipient it speaks of, canonical
    bind: str
    received_at: int


class Found(NamedTuple):
    """A receipt and the part it speaks of."""

    receipt: ReceivedReceipt
    message_id: str
    number: int
    attempt: int
    part_state: str


KeyRow = tuple[str, str, int, int, str]
PartMove = tuple[str, int, int, str, str, str]


def find(tx: Tx, account: str, receipts: Sequence[ReceivedReceipt], now: int, *, waited: int = 0) -> list[Found]:
    """Return the parts of the receipts whose ids are known, in the order of the receipts, the likeliest part first.

    The first `waited` receipts come from quarantine. An id that was used more than once gives several parts of one
    receipt, of which `chosen` keeps one.
    """
    rows = [
        (index, place, account, key) for index, receipt in enumerate(receipts) for place, key in enumerate(receipt.keys)
    ]
    found: list[tuple[int, int, int, Found]] = []
    for index, place, message_id, number, attempt, state, sent_at in tx.joined(_FIND, rows, since=now - ID_LIFE_US):
        receipt = receipts[index]
        if index >= waited or sent_at <= receipt.received_at + CLOCK_SLACK_US:
            found.append((index, place, -sent_at, Found(receipt, message_id, int(number), int(attempt), state)))
    found.sort(key=_BY_LIKELIHOOD)
    return [entry[3] for entry in found]


def chosen(found: Sequence[Found], tallies: Mapping[str, Tally]) -> list[Found]:
    """Keep one part of each receipt: one sent to the number that the receipt speaks of before all others (D4)."""
    kept: dict[str, Found] = {}
    for one in found:
        other = kept.setdefault(one.receipt.row_id, one)
        if other is not one and _is_about(one, tallies) and not _is_about(other, tallies):
            kept[one.receipt.row_id] = one
    return list(kept.values())


def _is_about(one: Found, tallies: Mapping[str, Tally]) -> bool:
    return tallies[one.message_id].recipient == one.receipt.about


def apply_receipts(
    tx: Tx,
    account: str,
    tallies: Mapping[str, Tally],
    found: Sequence[Found],
    now: int,
    *,
    stored: frozenset[str] = frozenset(),
) -> int:
    """Apply matched receipts to loaded tallies, write their parts and the receipts themselves; return how many took
    effect.

    `stored` are the row ids of receipts that left quarantine: their rows are updated, not inserted.
    """
    states: dict[tuple[str, int, int], str] = {}
    siblings = _siblings(tx, tallies, found)
    moves: list[PartMove] = []
    rows: list[tuple[ReceivedReceipt, tuple[str, str, int, int], str]] = []
    freed: list[tuple[Any, ...]] = []
    freed_keys: list[tuple[str, str, str]] = []
    applied = 0
    for one in found:
        tally = tallies[one.message_id]
        key = (one.message_id, one.number, one.attempt)
        receipt = one.receipt
        sibling_final = _has_final_sibling(siblings[one.message_id], one) if tally.attempts > 1 else False
        part = PartFacts(one.number, one.attempt, states.get(key, one.part_state), sibling_final)
        effect, to = received(tally, part, MessageState(receipt.state), now, receipt.error)
        if to is not None:
            states[key] = to
            siblings[one.message_id][(one.number, one.attempt)] = to
            moves.append((*key, to, receipt.state, receipt.error))
        applied += effect == "applied"
        if receipt.row_id in stored:
            freed.append((receipt.row_id, tally.application_id, *key, effect))
            freed_keys += [(account, name, receipt.row_id) for name in receipt.keys]
        else:
            rows.append((receipt, (tally.application_id, *key), effect))
    queue.settle_parts(tx, _last_of_each(moves), now)
    put_receipts(tx, account, rows)
    tx.batch(_FREE, freed)
    tx.batch(_DROP_ORPHAN_KEYS, freed_keys)
    return applied


def quarantine(tx: Tx, account: str, receipts: Sequence[ReceivedReceipt], fingerprint: Callable[[str], str]) -> None:
    """Keep receipts whose id is not known: a response, a reconciliation or nobody will claim them."""
    rows = [
        (
            receipt.row_id, receipt.bind, json.dumps(receipt.keys), receipt.smsc_id, receipt.state, int(receipt.final),
            receipt.stat, receipt.error, receipt.flags, fingerprint(receipt.about), receipt.received_at,
        )
        for receipt in receipts
    ]  # fmt: skip
    tx.batch(_QUARANTINE, rows, same_account=account)
    tx.batch(_PUT_ORPHAN_KEYS, [(account, key, receipt.row_id) for receipt in receipts for key in receipt.keys])


def awaiting(tx: Tx, account: str, known: Sequence[str]) -> list[ReceivedReceipt]:
    """Return the quarantined receipts of these keys of an account, whose ids have just become known."""
    return [_from_row(row) for row in tx.joined(_AWAITING, [(account, key) for key in known])]


def forget_orphans(tx: Tx, before: str, most: int) -> int:
    """Delete the oldest quarantined receipts of ids below `before`, with the keys under which they waited."""
    rows = tx.all(_OLD_ORPHANS, before=before, most=most)
    tx.batch(_DROP_ORPHAN_KEYS, [(account, key, row_id) for row_id, account, keys in rows for key in json.loads(keys)])
    tx.batch(_DROP_ORPHANS, [(row[0],) for row in rows])
    return len(rows)


def about(tx: Tx, account: str, fingerprint: str) -> list[ReceivedReceipt]:
    """Return an account's quarantined receipts that speak of one number."""
    return [_from_row(row) for row in tx.all(_ABOUT_NUMBER, account=account, about=fingerprint)]


def put_receipts(
    tx: Tx, account: str, receipts: Sequence[tuple[ReceivedReceipt, tuple[str, str, int, int], str]]
) -> None:
    """Store receipts with what each speaks of (application, message, part, attempt) and its effect."""
    rows = [
        (
            receipt.row_id, receipt.bind, *part, receipt.smsc_id, receipt.state, int(receipt.final), receipt.stat,
            receipt.error, receipt.flags, effect, receipt.received_at,
        )
        for receipt, part, effect in receipts
    ]  # fmt: skip
    tx.put(_INSERT, rows, same_account=account)


def put_keys(tx: Tx, account: str, keys: Sequence[KeyRow], now: int) -> None:
    """Store the keys by which receipts find a part of an account: (key, message, part, attempt, application)."""
    tx.put(_PUT_KEYS, keys, same_account=account, same_sent_at=now)


_BY_LIKELIHOOD: Final = itemgetter(0, 1, 2)
_FINAL: Final = frozenset({"delivered", "undelivered", "expired", "rejected"})
assert frozenset(OUTCOME_OF.values()) - {"unknown"} == _FINAL


def _siblings(tx: Tx, tallies: Mapping[str, Tally], found: Sequence[Found]) -> dict[str, dict[tuple[int, int], str]]:
    resent = sorted({one.message_id for one in found if tallies[one.message_id].attempts > 1})
    parts: dict[str, dict[tuple[int, int], str]] = defaultdict(dict)
    for message_id, number, attempt, state in queue.parts_of(tx, resent) if resent else []:
        parts[message_id][(number, attempt)] = state
    return parts


def _has_final_sibling(parts: Mapping[tuple[int, int], str], one: Found) -> bool:
    return any(
        state in _FINAL for (number, attempt), state in parts.items() if number == one.number and attempt != one.attempt
    )


def _last_of_each(
    moves: Sequence[PartMove],
) -> list[PartMove]:
    # A part may pass through `unknown` to a final state within one batch; one statement moves it once.
    return list({row[:3]: row for row in moves}.values())


def _from_row(row: Sequence[Any]) -> ReceivedReceipt:
    return ReceivedReceipt(
        row[0],
        tuple(json.loads(row[1])),
        row[2],
        row[3],
        bool(row[4]),
        row[5],
        row[6],
        row[7],
        "",
        row[8],
        int(row[9]),
    )


# Statements.

_key: Any = ReceiptKey.__table__  # type: ignore[attr-defined]
_receipt: Any = ReceiptRow.__table__  # type: ignore[attr-defined]
_orphan: Any = OrphanKey.__table__  # type: ignore[attr-defined]
_part: Any = Part.__table__  # type: ignore[attr-defined]
_message: Any = Message.__table__  # type: ignore[attr-defined]
_KEPT: Final = ("id", "keys", "smsc_id", "state", "final", "stat", "error", "flags", "bind", "received_at")


def _build_find(dialect: Dialect) -> Any:
    given = dialect.given(row=int, place=int, account=str, key=str)
    return (
        select(
            given.c.row, given.c.place, _key.c.message_id, _key.c.number, _key.c.attempt, _part.c.state, _part.c.sent_at
        )
        .select_from(given)
        .join(_key, and_(_key.c.account == given.c.account, _key.c.key == given.c.key))
        .join(
            _part,
            and_(
                _part.c.message_id == _key.c.message_id,
                _part.c.number == _key.c.number,
                _part.c.attempt == _key.c.attempt,
            ),
        )
        .where(_key.c.sent_at >= bindparam("since", type_=BigInteger()))
    )


def _build_awaiting(dialect: Dialect) -> Any:
    given = dialect.given(account=str, key=str)
    return (
        select(*[_receipt.c[name] for name in _KEPT])
        .select_from(given)
        .join(_orphan, and_(_orphan.c.account == given.c.account, _orphan.c.key == given.c.key))
        .join(_receipt, _receipt.c.id == _orphan.c.receipt_id)
        .where(_receipt.c.message_id.is_(None))
        .distinct()
        .order_by(_receipt.c.received_at, _receipt.c.id)
    )


def _build_free(dialect: Dialect) -> Any:
    given = dialect.given(id=str, application_id=str, message_id=str, part=int, attempt=int, effect=str)
    return (
        _receipt.update()
        .where(_receipt.c.id == given.c.id, _receipt.c.message_id.is_(None))
        .values({name: given.c[name] for name in ("application_id", "message_id", "part", "attempt", "effect")})
    )


def _build_drop_orphan_keys(dialect: Dialect) -> Any:
    given = dialect.given(account=str, key=str, receipt_id=str)
    return _orphan.delete().where(
        tuple_(_orphan.c.account, _orphan.c.key, _orphan.c.receipt_id).in_(
            select(given.c.account, given.c.key, given.c.receipt_id)
        )
    )


def _build_drop_orphans(dialect: Dialect) -> Any:
    given = dialect.given(id=str)
    return _receipt.delete().where(_receipt.c.id.in_(select(given.c.id)))


_OLD_ORPHANS: Final = Statement(
    lambda _: (
        select(_receipt.c.id, _receipt.c.account, _receipt.c["keys"])
        .where(_receipt.c.id < bindparam("before"), _receipt.c.message_id.is_(None))
        .order_by(_receipt.c.id)
        .limit(bindparam("most"))
    )
)
_DROP_ORPHANS: Final = Statement(_build_drop_orphans)
_PUT_ORPHAN_KEYS: Final = insert_new(OrphanKey, column_kinds(OrphanKey))
_DROP_ORPHAN_KEYS: Final = Statement(_build_drop_orphan_keys)
_FIND: Final = Statement(_build_find)
_AWAITING: Final = Statement(_build_awaiting)
_FREE: Final = Statement(_build_free)
_TOLD: Final = ("smsc_id", "state", "final", "stat", "error", "flags")
_INSERT: Final = insert_new(
    ReceiptRow,
    column_kinds(
        ReceiptRow, "id", "bind", "application_id", "message_id", "part", "attempt", *_TOLD, "effect", "received_at"
    ),
    same=("account",),
    words={"keys": "[]"},
)
_QUARANTINE: Final = insert_new(
    ReceiptRow,
    column_kinds(ReceiptRow, "id", "bind", "keys", *_TOLD, "about_fp", "received_at"),
    same=("account",),
    words={"effect": "orphan"},
)
_ABOUT_NUMBER: Final = Statement(
    lambda _: (
        select(*[_receipt.c[name] for name in _KEPT])
        .where(
            _receipt.c.message_id.is_(None),
            _receipt.c.account == bindparam("account"),
            _receipt.c.about_fp == bindparam("about"),
        )
        .order_by(_receipt.c.received_at, _receipt.c.id)
    )
)
_PUT_KEYS: Final = insert_new(
    ReceiptKey,
    column_kinds(ReceiptKey, "key", "message_id", "number", "attempt", "application_id"),
    same=("account", "sent_at"),
)
