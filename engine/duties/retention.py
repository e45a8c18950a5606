"""Deletes what has been kept long enough: bodies, messages, cases, events, replies, orphan receipts, log entries about
no delivery, parked deliveries, idempotency; and lets signings that are long over hear no more replies.

A store function that takes a bounded slice of the oldest rows at each look, found by their time-ordered ids, never by
a scan; how long is long enough is the settings' to say.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, literal_column, select, tuple_

from engine.clock import DAY, HOUR, SECOND
from engine.duties.rounds import Done
from engine.settings_service import Retention as RetentionSettings
from engine.store import together
from engine.store.statements import Dialect, Statement, delete_of
from engine.store.tables import Event, Feed, Message, Parked, ReceiptKey, Reply, ReplyPart
from engine.store.tables_cases import Case
from engine.store.tables_handover import HandoverEntry
from engine.store.tables_signing import SigningRow
from engine.store.tables_tenancy import Idempotency, WebhookDelivery
from engine.store.transaction import Tx
from engine.transit.receipting import ID_LIFE_US, forget_orphans

_MOST: Final = 200


@dataclass(slots=True)
class Retention:
    """The duty, with the settings' ages; `bodies_to` is the id up to which bodies are gone already, `keys_to` the
    receipt key up to which this pass has looked.
    """

    ages: RetentionSettings
    listening_days: int = 7
    bodies_to: str = field(default="")
    keys_to: tuple[str, str] = field(default=("", ""))

    def purge(self, tx: Tx, now: int) -> Done:
        """Delete one slice of what is too old, of every kind."""
        ages = self.ages
        slices = [
            self._drop(tx, _MESSAGES, together.MESSAGES, id_before("msg", now - ages.messages_days * DAY)),
            self._drop(tx, _CASES, together.CASES, id_before("ver", now - ages.verifications_days * DAY)),
            self._drop(tx, _REVERSES, together.CASES, id_before("rev", now - ages.verifications_days * DAY)),
            self._drop(tx, _LEADS, together.CASES, id_before("led", now - ages.leads_days * DAY)),
            self._drop(tx, _REPLIES, _DROP_REPLIES, id_before("rpl", now - ages.replies_days * DAY)),
            self._drop(tx, _REPLY_PARTS, _DROP_REPLY_PARTS, id_before("mo", now - ages.replies_days * DAY)),
            self._drop(tx, _PARKED, _DROP_PARKED, id_before("mo", now - ages.parked_days * DAY)),
            forget_orphans(tx, id_before("mo", now - ages.unmatched_receipts_days * DAY), _MOST),
            self._entries(tx, now - ages.unmatched_entries_days * DAY),
            self._keys(tx, now),
            self._bodies(tx, id_before("msg", now - ages.bodies_days * DAY)),
            self._events(tx, now - ages.events_days * DAY),
        ]
        whole = [
            tx.run(_HEAR_NO_MORE, before=now - self.listening_days * DAY),
            tx.run(_DROP_IDEMPOTENCY, before=now - ages.idempotency_hours * HOUR),
        ]
        return Done(sum(slices) + sum(whole), more=max(slices) >= _MOST)

    def _drop(self, tx: Tx, find: Statement, drop: tuple[Statement, ...], before: str) -> int:
        ids = [row[0] for row in tx.all(find, before=before, most=_MOST)]
        for statement in drop:
            tx.batch(statement, [(key,) for key in ids])
        return len(ids)

    def _entries(self, tx: Tx, before: int) -> int:
        """Delete what devices logged about no delivery; the rest goes with the evidence of its delivery."""
        rows = tx.all(_UNKNOWN_ENTRIES, before=before, most=_MOST)
        tx.batch(_DROP_ENTRIES, rows)
        return len(rows)

    def _keys(self, tx: Tx, now: int) -> int:
        """Look at the next slice of receipt keys; return its size while the pass goes on.

        The keys have no index by age, which every message would pay for; what is past `ID_LIFE_US` is found by walking
        them, and only once a message is old enough.
        """
        if tx.one(_ANY_MESSAGE, before=id_before("msg", now - ID_LIFE_US)) is None:
            return 0
        account, key = self.keys_to
        rows = tx.all(_NEXT_KEYS, account=account, key=key, most=_MOST)
        tx.batch(_DROP_KEYS, [row[:2] for row in rows if row[2] < now - ID_LIFE_US])
        next_to = (rows[-1][0], rows[-1][1]) if len(rows) == _MOST else ("", "")
        tx.tell(lambda: setattr(self, "keys_to", next_to))  # not before: what is rolled back is looked at again
        return len(rows)

    def _bodies(self, tx: Tx, before: str) -> int:
        rows = tx.all(_BODIES, after=self.bodies_to, before=before, most=_MOST)
        tx.batch(_DROP_BODIES, [(row[0],) for row in rows])
        if rows:
            tx.tell(lambda: setattr(self, "bodies_to", rows[-1][0]))
        return len(rows)

    def _events(self, tx: Tx, before: int) -> int:
        dropped = 0
        for (application_id,) in tx.all(_FEEDS):
            oldest = tx.all(_OLDEST_EVENTS, application=application_id, most=_MOST)
            last = max((int(position) for position, at in oldest if at < before), default=None)
            if last is not None:
                # What is owed goes with its event: a delivery without one could never be posted.
                tx.run(_DROP_DELIVERIES, application=application_id, last=last)
                dropped += tx.run(_DROP_EVENTS, application=application_id, last=last)
        return dropped


def id_before(prefix: str, instant: int) -> str:
    """Return an id that sorts after every id of `prefix` drawn before `instant`, and before every later one
    (UUIDv7).
    """
    return f"{prefix}_{max(0, instant) // (SECOND // 1_000):012x}"


# Statements.


def _table(model: type[Any]) -> Any:
    return model.__table__


_key = _table(ReceiptKey)
_message, _event, _idempotency, _delivery = (
    _table(Message),
    _table(Event),
    _table(Idempotency),
    _table(WebhookDelivery),
)


def _oldest(model: type[Any], *more: Any) -> Statement:
    table = _table(model)
    return Statement(
        lambda _: (
            select(table.c.id)
            .where(table.c.id < bindparam("before"), *more)
            .order_by(table.c.id)
            .limit(bindparam("most"))
        )
    )


def _build_drop_keys(dialect: Dialect) -> Any:
    given = dialect.given(account=str, key=str)
    return _key.delete().where(tuple_(_key.c.account, _key.c.key).in_(select(given.c.account, given.c.key)))


def _build_drop_bodies(dialect: Dialect) -> Any:
    given = dialect.given(id=str)
    return _message.update().where(_message.c.id == given.c.id).values(body=None, params=None)


_entry: Any = _table(HandoverEntry)
_UNKNOWN_ENTRIES: Final = Statement(
    lambda _: (
        select(_entry.c.device_id, _entry.c.seq)
        .where(
            _entry.c.result == literal_column("'not_found'"),
            _entry.c.received_at < bindparam("before", type_=BigInteger()),
        )
        .order_by(_entry.c.received_at)
        .limit(bindparam("most"))
    )
)


def _build_drop_entries(dialect: Dialect) -> Any:
    given = dialect.given(device_id=str, seq=int)
    return _entry.delete().where(tuple_(_entry.c.device_id, _entry.c.seq).in_(select(given.c.device_id, given.c.seq)))


_DROP_ENTRIES: Final = Statement(_build_drop_entries)
_signing: Any = _table(SigningRow)
_HEAR_NO_MORE: Final = Statement(
    lambda _: (
        _signing.update()
        .where(
            _signing.c.listening == literal_column("1"), _signing.c.final_at < bindparam("before", type_=BigInteger())
        )
        .values(listening=literal_column("0"))
    )
)
_MESSAGES: Final = _oldest(Message, _message.c.final_at.is_not(None))
_case: Any = _table(Case)
_CASES: Final = _oldest(Case, _case.c.final_at.is_not(None), _case.c.workflow == literal_column("'verify'"))
_REVERSES: Final = _oldest(Case, _case.c.final_at.is_not(None), _case.c.workflow == literal_column("'reverse'"))
_LEADS: Final = _oldest(Case, _case.c.final_at.is_not(None), _case.c.workflow == literal_column("'lead'"))
_REPLIES: Final = _oldest(Reply)
_REPLY_PARTS: Final = _oldest(ReplyPart)
_PARKED: Final = _oldest(Parked)
_DROP_REPLIES: Final = (delete_of(Reply),)
_DROP_REPLY_PARTS: Final = (delete_of(ReplyPart),)
_DROP_PARKED: Final = (delete_of(Parked),)
_BODIES: Final = Statement(
    lambda _: (
        select(_message.c.id)
        .where(
            _message.c.id > bindparam("after"), _message.c.id < bindparam("before"), _message.c.final_at.is_not(None)
        )
        .order_by(_message.c.id)
        .limit(bindparam("most"))
    )
)
_DROP_BODIES: Final = Statement(_build_drop_bodies)
_FEEDS: Final = Statement(lambda _: select(_table(Feed).c.application_id))
_OLDEST_EVENTS: Final = Statement(
    lambda _: (
        select(_event.c.position, _event.c.occurred_at)
        .where(_event.c.application_id == bindparam("application"))
        .order_by(_event.c.position)
        .limit(bindparam("most"))
    )
)
_DROP_EVENTS: Final = Statement(
    lambda _: _event.delete().where(
        _event.c.application_id == bindparam("application"),
        _event.c.position <= bindparam("last", type_=BigInteger()),
    )
)
_DROP_DELIVERIES: Final = Statement(
    lambda _: _delivery.delete().where(
        _delivery.c.application_id == bindparam("application"),
        _delivery.c.position <= bindparam("last", type_=BigInteger()),
    )
)
_ANY_MESSAGE: Final = Statement(lambda _: select(_message.c.id).where(_message.c.id < bindparam("before")).limit(1))
_NEXT_KEYS: Final = Statement(
    lambda _: (
        select(_key.c.account, _key.c.key, _key.c.sent_at)
        .where(tuple_(_key.c.account, _key.c.key) > tuple_(bindparam("account"), bindparam("key")))
        .order_by(_key.c.account, _key.c.key)
        .limit(bindparam("most"))
    )
)
_DROP_KEYS: Final = Statement(_build_drop_keys)
_DROP_IDEMPOTENCY: Final = Statement(
    lambda _: _idempotency.delete().where(_idempotency.c.created_at < bindparam("before", type_=BigInteger()))
)
