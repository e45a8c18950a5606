"""The duties of messages: wake those that wait, end lives, settle doubts, take over what an earlier run left on the
wire.

Store functions; each takes a bounded number of rows in one look and says whether more wait. `rounds` calls them.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, or_, select

from engine.clock import SECOND
from engine.duties.rounds import Done
from engine.store.moves import MESSAGE
from engine.store.statements import Statement, is_one_of, move
from engine.store.tables import Message
from engine.store.tables_tenancy import Run
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.answers import apply_silence
from engine.transit.backlog import QueueKey
from engine.transit.books import Books
from engine.transit.claiming import InFlight
from engine.transit.classes import CLASSES, Classes
from engine.transit.receipting import about, apply_receipts
from engine.transit.reconciling import reconcile
from engine.transit.settling import LONGEST_WAIT, overdue, resolve_doubt
from engine.transit.tally import Tally

_MOST: Final = 200
# Longer than any response deadline: whatever is still on the wire then was committed while the database was failing.
_FORGOTTEN_US: Final = 900 * SECOND


@dataclass(frozen=True, slots=True)
class MessageDuties:
    """The duties that need routing's ways out, the keyed fingerprint of numbers, and the grace after a message's life.

    `grace_us` is how long a receipt may still come after a sent message's life has ended (D13).
    """

    books: Books
    elsewhere: Callable[[str, str], str | None]
    only_through: Callable[[str, str], str]
    fingerprint: Callable[[str], str]
    run: str
    node: str
    classes: Classes = field(default_factory=lambda: CLASSES)
    grace_us: int = 3_600_000_000

    def wake_waiting(self, tx: Tx, now: int) -> Done:
        """Queue the messages whose pause after a temporary refusal is over.

        One that seems to wait longer than any pause lasts was put to wait by a clock that was set back since (G1).
        """
        rows = tx.all(_DUE_WAITING, now=now, most=_MOST) or tx.all(_STRANDED, beyond=now + LONGEST_WAIT, most=_MOST)
        woken = tx.move(_WAKE, [(row[0],) for row in rows])
        queued = [QueueKey(int(lane), plan, application) for id_, lane, plan, application in rows if id_ in woken]
        return Done(len(woken), queued=queued, more=len(rows) == _MOST)

    def end_lives(self, tx: Tx, now: int) -> Done:
        """Expire what was never sent in its life; call unknown what was sent and told of by nobody."""
        rows = tx.all(_OVERDUE, now=now, late=now - self.grace_us, most=_MOST)
        tallies = queue.load(tx, [row[0] for row in rows])
        for tally in tallies.values():
            overdue(tally, now)
        return Done(len(tallies), bells=self._write(tx, tallies, now), more=len(rows) == _MOST)

    def settle_doubts(self, tx: Tx, now: int) -> Done:
        """Resolve the doubts whose hold is over: by a receipt that waits for an owner, else by the policy of the
        class. What seems to be held for longer than any class holds was put in doubt by a clock that was set back (G1).
        """
        longest = max(kind.doubt.hold_s for kind in self.classes.values())
        rows = tx.all(_DOUBTS_DUE, now=now, beyond=now + int(longest * SECOND), most=_MOST)
        tallies = queue.load(tx, [row[0] for row in rows])
        parts: dict[str, list[int]] = defaultdict(list)
        for message_id, number, _attempt, state in queue.parts_of(tx, list(tallies)):
            if state == "in_doubt":
                parts[message_id].append(number)
        for tally in tallies.values():
            if self._claimed_by_receipt(tx, tally, now):
                continue
            account = tally.account or ""
            resolve_doubt(
                tally,
                now,
                self.elsewhere(tally.route, account),
                self.only_through(tally.route, account),
                parts[tally.id],
                self.classes,
            )
        queued = [QueueKey(t.lane, t.route, t.application_id) for t in tallies.values() if t.state == "queued"]
        return Done(len(tallies), queued=queued, bells=self._write(tx, tallies, now), more=len(rows) == _MOST)

    def take_over(self, tx: Tx, now: int) -> Done:
        """Put in doubt what an earlier run of this node marked *on wire*, and what this one did but lost sight of."""
        rows = tx.all(_ABANDONED, run=self.run, node=self.node, since=now - _FORGOTTEN_US, most=_MOST)
        ids = [row[0] for row in rows]
        tallies = queue.load(tx, ids)
        tokens = [
            InFlight(message_id, number, attempt, tallies[message_id].lane, 0)
            for message_id, number, attempt, state in queue.parts_of(tx, ids)
            if state == "on_wire"
        ]
        apply_silence(tx, tallies, tokens, now, self.classes)
        return Done(len(tallies), bells=self._write(tx, tallies, now), more=len(rows) == _MOST)

    def _claimed_by_receipt(self, tx: Tx, tally: Tally, now: int) -> bool:
        if tally.account is None:
            return False
        orphans = about(tx, tally.account, self.fingerprint(tally.recipient))
        if not orphans:
            return False
        named = [orphan._replace(about=tally.recipient) for orphan in orphans]
        found, _left = reconcile(tx, tally.account, named, now)
        stored = frozenset(orphan.row_id for orphan in orphans)
        return apply_receipts(tx, tally.account, {tally.id: tally}, found, now, stored=stored) > 0

    def _write(self, tx: Tx, tallies: dict[str, Tally], now: int) -> list[tuple[str, str]]:
        return self.books.write(tx, list(tallies.values()), now) if tallies else []


# Statements.

_message: Any = Message.__table__  # type: ignore[attr-defined]
_run: Any = Run.__table__  # type: ignore[attr-defined]
_now: Final = bindparam("now", type_=BigInteger())
_beyond: Final = bindparam("beyond", type_=BigInteger())


def _waiting(when: Any) -> Statement:
    return Statement(
        lambda _: (
            select(_message.c.id, _message.c.lane, _message.c.route, _message.c.application_id)
            .where(_message.c.state == "waiting", when)
            .order_by(_message.c.due_at)
            .limit(bindparam("most"))
        )
    )


_DUE_WAITING: Final = _waiting(_message.c.due_at <= _now)
_STRANDED: Final = _waiting(_message.c.due_at > _beyond)
_WAKE: Final = move(
    MESSAGE,
    Message,
    expected=("waiting",),
    to="queued",
    given={"id": str},
    values=lambda _columns, _given: {"due_at": None},
)
_OVERDUE: Final = Statement(
    lambda _: (
        select(_message.c.id)
        .where(
            _message.c.final_at.is_(None),
            _message.c.expires_at <= _now,
            or_(
                is_one_of(_message.c.state, ("queued", "waiting")),
                (_message.c.expires_at <= bindparam("late", type_=BigInteger()))
                & is_one_of(_message.c.state, ("accepted", "in_doubt")),
            ),
        )
        .order_by(_message.c.expires_at)
        .limit(bindparam("most"))
    )
)
_DOUBTS_DUE: Final = Statement(
    lambda _: (
        select(_message.c.id)
        .where(_message.c.state == "in_doubt", or_(_message.c.due_at <= _now, _message.c.due_at > _beyond))
        .order_by(_message.c.account, _message.c.due_at)
        .limit(bindparam("most"))
    )
)
_ABANDONED: Final = Statement(
    lambda _: (
        select(_message.c.id)
        .where(
            _message.c.state == "on_wire",
            or_(_message.c.run != bindparam("run"), _message.c.sent_at < bindparam("since", type_=BigInteger())),
            _message.c.run.in_(select(_run.c.id).where(_run.c.node == bindparam("node"))),
        )
        .order_by(_message.c.id)
        .limit(bindparam("most"))
    )
)
