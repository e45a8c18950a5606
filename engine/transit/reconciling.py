"""Store functions that find the message of a receipt whose id is unknown, because the answer with the id never came.

Asked by intake for each receipt that matched nothing, and by the duty of doubts before it sends anything again. It
changes no message: what it finds is applied as any other receipt.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, literal_column, select

from engine.store.statements import Statement
from engine.store.tables import Message, Part
from engine.store.transaction import Tx
from engine.transit.receipting import CLOCK_SLACK_US, Found, KeyRow, ReceivedReceipt, put_keys

_WITHIN_US: Final = 2 * 86_400 * 1_000_000


class Doubtful(NamedTuple):
    """A message with parts in doubt, as a receipt of an unknown id may mean them."""

    application_id: str
    sent_at: int  # the first of them
    parts: list[tuple[str, int, int, str]]


def doubtful(tx: Tx, account: str, since: int) -> dict[str, dict[str, Doubtful]]:
    """Return the messages of each number with parts in doubt that an account was sent since an instant.

    The message itself may have been sent again meanwhile, and delivered: its first submit is as doubtful as before.
    """
    found: dict[str, dict[str, Doubtful]] = defaultdict(dict)
    for message_id, number, attempt, state, recipient, application_id, sent_at in tx.all(
        _DOUBTFUL, account=account, since=since
    ):
        one = found[recipient].setdefault(message_id, Doubtful(application_id, int(sent_at), []))
        one.parts.append((message_id, int(number), int(attempt), state))
    return found


def reconcile(
    tx: Tx,
    account: str,
    orphans: Sequence[ReceivedReceipt],
    now: int,
    earlier: Callable[[str], Sequence[ReceivedReceipt]] = lambda _number: (),
) -> tuple[list[Found], list[ReceivedReceipt]]:
    """Match receipts of unknown ids with messages in doubt: exactly one message of the number, or nothing.

    Returns the matches, whose ids are known from now on, and the receipts that stay orphans. An ambiguous one leaves
    both sides visible: parts of several messages in doubt, other than one id for each of several parts (with the
    quarantined receipts of a number, `earlier`), or a submit that still waits for the answer which may bring the id.
    """
    if not orphans:
        return [], []
    candidates = doubtful(tx, account, now - _WITHIN_US)
    by_number: dict[str, list[ReceivedReceipt]] = defaultdict(list)
    for orphan in orphans:
        by_number[orphan.about].append(orphan)
    single = {
        number: next(iter(candidates[number].values())) for number in by_number if len(candidates.get(number, ())) == 1
    }
    if single:
        for (recipient,) in tx.all(_ON_WIRE, account=account):
            single.pop(recipient, None)
    matches: list[Found] = []
    left: list[ReceivedReceipt] = []
    keys: list[KeyRow] = []
    for number, group in by_number.items():
        message = single.get(number)
        if message is None:
            left += group
            continue
        several = len({part for _, part, _, _ in message.parts}) > 1
        if several:
            here = {orphan.row_id for orphan in group}
            group = [*(orphan for orphan in earlier(number) if orphan.row_id not in here), *group]
        later = [orphan for orphan in group if orphan.received_at >= message.sent_at - CLOCK_SLACK_US]
        ids = list(dict.fromkeys(orphan.smsc_id for orphan in later))
        # Which id is which part's cannot be known: that does not matter when all of them are here, and if some are
        # missing they may be any, so that all the parts go again.
        if len(ids) > len(message.parts) or (several and len(ids) < len(message.parts)):
            later = []
        part_of = dict(zip(ids, message.parts, strict=False))
        matches += [Found(orphan, *part_of[orphan.smsc_id]) for orphan in later]
        left += [orphan for orphan in by_number[number] if orphan not in later]
        for orphan in later:
            part_key = part_of[orphan.smsc_id][:3]
            keys += [(key, *part_key, message.application_id) for key in orphan.keys]
    put_keys(tx, account, keys, now)
    return matches, left


# Statements.

_part: Any = Part.__table__  # type: ignore[attr-defined]
_message: Any = Message.__table__  # type: ignore[attr-defined]
_DOUBTFUL: Final = Statement(
    lambda _: (
        select(
            _part.c.message_id,
            _part.c.number,
            _part.c.attempt,
            _part.c.state,
            _message.c.recipient,
            _message.c.application_id,
            _part.c.sent_at,
        )
        .join(_message, _message.c.id == _part.c.message_id)
        .where(
            _part.c.state == "in_doubt",
            _part.c.account == bindparam("account"),
            _part.c.sent_at >= bindparam("since", type_=BigInteger()),
        )
        .order_by(_part.c.sent_at, _part.c.message_id, _part.c.number)
    )
)
_ON_WIRE: Final = Statement(
    lambda _: select(_message.c.recipient).where(
        _message.c.state == literal_column("'on_wire'"), _message.c.account == bindparam("account")
    )
)
