"""The queue as rows: messages enter it, are claimed onto the wire with their parts, and are written back when they
change.

Store functions only, each one statement per batch; the sender, intake and the duties call them within their
transactions.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, case, func, literal_column, null, select, tuple_

from engine.clock import NewIds
from engine.events import NewEvent, record
from engine.store.moves import MESSAGE, PART
from engine.store.statements import Dialect, Statement, column_kinds, insert, inserted, is_one_of, move, same_for_all
from engine.store.tables import Message, Part
from engine.store.transaction import Tx
from engine.transit.tally import TALLY_COLUMNS, Tally, tally_of
from engine.transit.telling import message_data

_message: Any = Message.__table__  # type: ignore[attr-defined]
_part: Any = Part.__table__  # type: ignore[attr-defined]


class NewMessage(NamedTuple):
    """A message to queue, in the order of the insert's columns; instants in µs."""

    id: str
    application_id: str
    case_id: str | None
    category: str
    message_class: str
    lane: int
    route: str
    recipient: str
    country: str
    sender: str
    created_at: int
    expires_at: int
    template: str | None = None
    params: str | None = None
    seed: str | None = None
    body: str | None = None
    body_sealed: str | None = None
    reference: str | None = None
    parts: int = 1
    number_unverified: int = 0
    state: str = "queued"
    due_at: int | None = None


class Claimable(NamedTuple):
    """A queued message as the sender needs it."""

    id: str
    application_id: str
    case_id: str | None
    category: str
    message_class: str
    recipient: str
    sender: str
    reference: str | None
    template: str | None
    params: str | None
    seed: str | None
    body: str | None
    body_sealed: str | None
    parts: int
    open_parts: int
    attempts: int
    resend: str | None
    concat_reference: int | None
    expires_at: int
    created_at: int


class OnWire(NamedTuple):
    """A message about to be marked *on wire*, in the order of `MARK`'s given columns."""

    id: str
    parts: int
    open_parts: int
    unanswered: int
    concat_reference: int | None


class PartOnWire(NamedTuple):
    """One of its parts, in the order of the insert's given columns."""

    message_id: str
    number: int
    attempt: int
    text_digest: str
    submit_sm: str | None = None  # its other fields as JSON, kept for evidence


class Carrier(NamedTuple):
    """What all messages of one claim have in common: through which bind of which account, in which run, and when."""

    application_id: str
    account: str
    bind: str
    run: str
    simulated: int
    sent_at: int


def enqueue(tx: Tx, messages: Sequence[NewMessage]) -> None:
    """Insert messages; they may be claimed as soon as this commits."""
    tx.batch(_ENQUEUE, messages)


def backlog(tx: Tx) -> list[tuple[int, str, str]]:
    """Return every (lane, route, application) that has a queued message: one seek each, whatever the backlog."""
    found: list[tuple[int, str, str]] = []
    route, lane, application = "", -1, ""
    while (row := tx.one(_NEXT_KEY, route=route, lane=lane, application=application)) is not None:
        route, lane, application = row[0], int(row[1]), row[2]
        found.append((lane, route, application))
    return found


def unfinished_references(tx: Tx) -> list[tuple[str, str, str, int]]:
    """Return (message, account, recipient, reference) of the long messages that have not ended."""
    return [(row[0], row[1], row[2], int(row[3])) for row in tx.all(_UNFINISHED_REFERENCES)]


def claimable(tx: Tx, lane: int, route: str, application_id: str, limit: int) -> list[Claimable]:
    """Return the oldest queued messages of one (lane, route, application), locked until commit, skipping those that
    others hold.
    """
    rows = tx.all(_CLAIMABLE, lane=lane, route=route, application=application_id, most=limit)
    return [Claimable(*row) for row in rows]


def mark(tx: Tx, messages: Sequence[OnWire], parts: Sequence[PartOnWire], carrier: Carrier) -> set[str]:
    """Mark messages of one application *on wire* with their parts; return the ids marked.

    Whoever lost the guard (canceled or expired meanwhile) is not marked and must not be written to the socket.
    """
    application_id, account, bind, run, simulated, sent_at = carrier
    same = {"same_account": account, "same_bind": bind, "same_run": run, "same_sent_at": sent_at}
    marked = tx.move(MARK, messages, same_simulated=simulated, **same)
    if marked:
        kept = parts if len(marked) == len(messages) else [part for part in parts if part.message_id in marked]
        tx.put(_PUT_PARTS, kept, same_application_id=application_id, **same)
    return marked


def load(tx: Tx, ids: Sequence[str]) -> dict[str, Tally]:
    """Return the tallies of these messages, locked in id order until commit."""
    rows = tx.joined(_LOAD, [(message_id,) for message_id in sorted(set(ids))])
    return {row[0]: tally_of(row) for row in rows}


def store(tx: Tx, tallies: Sequence[Tally], new_ids: NewIds, now: int) -> list[tuple[str, str]]:
    """Write changed tallies back under their guards and record the events that they raised.

    Returns the (application, endpoint) pairs whose webhook bell must ring. The tallies were loaded in this
    transaction, so a guard that fails is our bug and raises.
    """
    answered: list[tuple[Any, ...]] = []
    ended: list[tuple[Any, ...]] = []
    turned: list[tuple[Any, ...]] = []
    for tally in tallies:
        row = (
            tally.id, tally.was, tally.state, tally.open_parts, tally.unanswered, tally.status, tally.sequence,
            tally.accepted_at,
        )  # fmt: skip
        if tally.took_a_turn:
            rare = (tally.route, tally.attempts, tally.doubts, tally.throttles, tally.resend, tally.due_at)
            turned.append((*row, tally.worst, tally.reason, tally.final_at, *rare))
        elif tally.final_at is None and tally.reason is None and tally.worst is None:
            answered.append(row)
        else:
            ended.append((*row, tally.worst, tally.reason, tally.final_at))
    moved = tx.batch(_STORE_ANSWERED, answered) + tx.batch(_STORE_ENDED, ended) + tx.batch(_STORE_TURNED, turned)
    if moved != len(tallies):
        raise AssertionError("a message loaded in this transaction has moved")
    events = [
        NewEvent(
            tally.application_id,
            raised.type,
            tally.id,
            raised.sequence,
            message_data(tally, raised.type, raised.state, raised.reason),
        )
        for tally in tallies
        for raised in tally.raised
    ]
    return record(tx, events, new_ids, now)


def release(tx: Tx, claimed: Sequence[tuple[str, Sequence[int]]]) -> set[str]:
    """Return *on wire* messages of which no byte was handed to a socket to the queue, their parts to `unsent`.

    Each comes with the numbers of the parts that were claimed: if they were some of several, they alone go again.
    """
    rows = [(message_id, len(numbers), ",".join(map(str, numbers))) for message_id, numbers in claimed]
    released: set[str] = tx.move(_RELEASE, rows)
    tx.batch(_UNSEND, [(message_id,) for message_id in released])
    return released


def move_parts(tx: Tx, moves: Sequence[tuple[str, int, int, str, int | None, str]], now: int) -> set[Any]:
    """Write the answers of parts: rows of (message, number, attempt, to, status, smsc_id); return those moved."""
    return tx.move(_ANSWER_PARTS, moves, same_answered_at=now)


def settle_parts(tx: Tx, moves: Sequence[tuple[str, int, int, str, str, str]], now: int) -> None:
    """Write the receipts of parts: rows of (message, number, attempt, to, receipt_state, receipt_error)."""
    tx.move(_SETTLE_PARTS, moves, same_final_at=now)


def parts_of(tx: Tx, ids: Sequence[str]) -> list[tuple[str, int, int, str]]:
    """Return (message, number, attempt, state) of every part of these messages."""
    return [
        (row[0], int(row[1]), int(row[2]), row[3]) for row in tx.joined(_PARTS_OF, [(i,) for i in sorted(set(ids))])
    ]


# Statements.

_ENQUEUE: Final = insert(Message, column_kinds(Message, *NewMessage._fields))


def _build_claimable(dialect: Dialect) -> Any:
    query = (
        select(*[_message.c[name] for name in Claimable._fields])
        .where(
            _message.c.state == "queued",
            _message.c.route == bindparam("route"),
            _message.c.lane == bindparam("lane"),
            _message.c.application_id == bindparam("application"),
        )
        .order_by(_message.c.id)
        .limit(bindparam("most"))
    )
    return dialect.locked(query, skip=True)


def _build_next_key(_: Dialect) -> Any:
    key = (_message.c.route, _message.c.lane, _message.c.application_id)
    after = tuple_(bindparam("route"), bindparam("lane", type_=BigInteger()), bindparam("application"))
    return select(*key).where(_message.c.state == "queued", tuple_(*key) > after).order_by(*key).limit(1)


def _build_load(dialect: Dialect) -> Any:
    given = dialect.given(id=str)
    query = (
        select(*[_message.c[name] for name in TALLY_COLUMNS])
        .join(given, given.c.id == _message.c.id)
        .order_by(_message.c.id)
    )
    return dialect.locked(query, of=_message)


def _store_statement(*changed: str) -> Statement:
    def build(dialect: Dialect) -> Any:
        kinds: dict[str, type[str | int]] = {"id": str, "was": str}
        kinds |= column_kinds(Message, *changed)
        given = dialect.given(**kinds)
        values: dict[str, Any] = {name: given.c[name] for name in changed}
        if "final_at" in changed:
            # A caller's own text of a code category is gone with its message's final state.
            values["body_sealed"] = case((given.c.final_at.is_not(None), null()), else_=_message.c.body_sealed)
        return _message.update().where(_message.c.id == given.c.id, _message.c.state == given.c.was).values(values)

    return Statement(build)


def _build_put_parts(dialect: Dialect) -> Any:
    same = ("application_id", "account", "bind", "run", "sent_at")
    given = column_kinds(Part, *PartOnWire._fields)
    query = inserted(dialect, Part, given, same, {"state": "on_wire"})
    # A throttled or unsent part goes out again under the same attempt: its row is taken up again, without its answer.
    return query.on_conflict_do_update(
        index_elements=["message_id", "number", "attempt"],
        set_={
            "state": query.excluded.state,
            "account": query.excluded.account,
            "bind": query.excluded.bind,
            "run": query.excluded.run,
            "text_digest": query.excluded.text_digest,
            "submit_sm": query.excluded.submit_sm,
            "sent_at": query.excluded.sent_at,
            "answered_at": null(),
            "status": null(),
            "throttles": _part.c.throttles + 1,
        },
        where=is_one_of(_part.c.state, ("refused", "unsent")),
    )


def _build_unsend(dialect: Dialect) -> Any:
    given = dialect.given(message_id=str)
    return (
        _part.update()
        .where(_part.c.message_id == given.c.message_id, _part.c.state == "on_wire")
        .values(state="unsent")
    )


def _build_parts_of(dialect: Dialect) -> Any:
    given = dialect.given(id=str)
    return (
        select(_part.c.message_id, _part.c.number, _part.c.attempt, _part.c.state)
        .join(given, given.c.id == _part.c.message_id)
        .order_by(_part.c.message_id, _part.c.number, _part.c.attempt)
    )


# What an answer changes, what an end changes besides, and what only a retry, a doubt or another route changes: a
# message
# mostly needs the first two, and every column that is not written is time saved.
_BY_ANSWER: Final = ("state", "open_parts", "unanswered", "status", "sequence", "accepted_at")
_BY_END: Final = ("worst", "reason", "final_at")
_BY_TURN: Final = ("route", "attempts", "doubts", "throttles", "resend", "due_at")
_PART_KEY: Final = ("message_id", "number", "attempt")

_CLAIMABLE: Final = Statement(_build_claimable)
_NEXT_KEY: Final = Statement(_build_next_key)
_UNFINISHED_REFERENCES: Final = Statement(
    lambda _: select(_message.c.id, _message.c.account, _message.c.recipient, _message.c.concat_reference).where(
        _message.c.final_at.is_(None), _message.c.concat_reference.is_not(None), _message.c.account.is_not(None)
    )
)
_LOAD: Final = Statement(_build_load)
_STORE_ANSWERED: Final = _store_statement(*_BY_ANSWER)
_STORE_ENDED: Final = _store_statement(*_BY_ANSWER, *_BY_END)
_STORE_TURNED: Final = _store_statement(*_BY_ANSWER, *_BY_END, *_BY_TURN)
_PUT_PARTS: Final = Statement(_build_put_parts)
_UNSEND: Final = Statement(_build_unsend)
_PARTS_OF: Final = Statement(_build_parts_of)

MARK: Final = move(
    MESSAGE,
    Message,
    expected=("queued",),
    to="on_wire",
    given=column_kinds(Message, *OnWire._fields),
    values=lambda columns, given: {
        **{name: given.c[name] for name in OnWire._fields[1:]},
        **{name: same_for_all(Message, name) for name in ("account", "bind", "run", "simulated", "sent_at")},
        "attempts": columns.attempts + 1,
        "resend": null(),
        "due_at": null(),
    },
)
_RELEASE: Final = move(
    MESSAGE,
    Message,
    expected=("on_wire",),
    to="queued",
    given={"id": str, "claimed": int, "numbers": str},
    values=lambda columns, given: {
        "attempts": columns.attempts - 1,
        "resend": case((given.c.claimed < columns.parts, given.c.numbers)),
        "unanswered": 0,
    },
)
_ANSWER_PARTS: Final = move(
    PART,
    Part,
    expected=("on_wire", "in_doubt"),
    given={"message_id": str, "number": int, "attempt": int, "to": str, "status": int, "smsc_id": str},
    matched_on=_PART_KEY,
    values=lambda _, given: {
        "status": given.c.status,
        "smsc_id": func.nullif(given.c.smsc_id, literal_column("''")),
        "answered_at": same_for_all(Part, "answered_at"),
    },
)
_SETTLE_PARTS: Final = move(
    PART,
    Part,
    expected=("accepted", "in_doubt", "unknown", "superseded"),
    given={"message_id": str, "number": int, "attempt": int, "to": str, "receipt_state": str, "receipt_error": str},
    matched_on=_PART_KEY,
    values=lambda _, given: {
        "receipt_state": given.c.receipt_state,
        "receipt_error": given.c.receipt_error,
        # What only proves that the submit arrived is not the part's end.
        "final_at": case((given.c.to != literal_column("'accepted'"), same_for_all(Part, "final_at"))),
    },
)
