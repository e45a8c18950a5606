"""Has the newest root of each application's log time-stamped, by the first of the authorities that answers well.

A loop of its own, since it waits for other machines between reading rows and writing them; a root stands for all that
came before it, so older ones are not asked for again. `note` is the duty that tells closed chains who vouched for them.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import trio
from sqlalchemy import BigInteger, bindparam, func, literal_column, select

from engine.clock import MINUTE, SECOND, Clock, to_rfc3339
from engine.duties.rounds import Done
from engine.errors import CommitUnknown, StoreUnavailable
from engine.evidence.authorities import NoStamp, TimeStampAuthority
from engine.evidence.sealing import NewEntry, Sealer
from engine.logs import logger
from engine.store.doorway import Store
from engine.store.statements import Dialect, Statement
from engine.store.tables_evidence import EvidenceChain, EvidenceLeaf, EvidenceRoot
from engine.store.transaction import Tx
from workflows import evidence

log = logger("evidence")
_MOST: Final = 200
_LONGEST_WAIT: Final = 60 * MINUTE


class Due(NamedTuple):
    """A root that waits for a time stamp."""

    application_id: str
    size: int
    content: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Stamping:
    """The loop. `told` hears (authority, `granted` or `failed`) of each answer."""

    store: Store
    clock: Clock
    authorities: tuple[TimeStampAuthority, ...]
    told: Callable[[str, str], None]
    every_s: float

    async def run(self) -> None:
        """Stamp what is due, again and again, until cancelled; without an authority there is nothing to do."""
        while self.authorities:
            try:
                await self.look()
            except (StoreUnavailable, CommitUnknown):
                log.warning("evidence.stamping_store_unavailable")
            await trio.sleep(self.every_s)

    async def look(self) -> int:
        """Stamp the newest root of each application that waits for it; return how many were stamped."""
        now = self.clock.now()
        stamped = 0
        for row in await self.store.read(lambda tx: tx.all(_DUE, now=now, most=_MOST)):
            stamped += await self._stamp(Due(row[0], int(row[1]), row[2], int(row[3])))
        return stamped

    async def _stamp(self, due: Due) -> bool:
        for authority in self.authorities:
            name = authority.settings.name
            try:
                token, stamp = await authority.stamp(due.content.encode())
            except NoStamp as error:
                self.told(name, "failed")
                log.warning("evidence.no_time_stamp", authority=name, reason=str(error), attempt=due.attempts + 1)
                continue
            self.told(name, "granted")
            at = round(stamp.at.timestamp() * SECOND)
            kept = {"authority": name, "at": to_rfc3339(at), "token": base64.b64encode(token).decode()}
            await self.store.write(lambda tx, kept=kept, at=at: _keep(tx, due, kept, at))  # type: ignore[misc]
            return True
        wait = min(_LONGEST_WAIT, MINUTE << min(due.attempts, 6))
        again = self.clock.now() + wait
        await self.store.write(lambda tx: tx.run(_POSTPONE, application=due.application_id, size=due.size, again=again))
        return False


def _keep(tx: Tx, due: Due, kept: dict[str, str], at: int) -> None:
    """Keep a token, have nobody asked for older roots any more, and have the chains that it reaches say so."""
    before = tx.one(_STAMPED_BEFORE, application=due.application_id, size=due.size)
    first = 0 if before is None else int(before[0])
    tx.run(_KEEP, application=due.application_id, size=due.size, tokens=json.dumps([kept]))
    tx.run(_SPARE, application=due.application_id, size=due.size)
    tx.run(_REACHED, application=due.application_id, first=first, size=due.size, at=at)


@dataclass(frozen=True, slots=True)
class StampNotes:
    """The duty that writes into closed chains who vouched for them and when: late entries, anchored anew."""

    sealer: Sealer

    def note(self, tx: Tx, now: int) -> Done:
        """Append an entry to each chain that a time stamp has reached since the last look."""
        rows = tx.all(_NOTES_DUE, most=_MOST)
        for application_id, case_id in rows:
            root = tx.one(_FIRST_STAMPED, application=application_id, case=case_id)
            assert root is not None
            content, tokens = root
            stamp = json.loads(tokens)[0]
            body = {
                "root_sha256": evidence.digest(content.encode()),
                "authority": stamp["authority"],
                "stamped_at": stamp["at"],
                "token_sha256": evidence.digest(base64.b64decode(stamp["token"])),
            }
            self.sealer.seal(tx, application_id, case_id, [NewEntry("chain.stamped", body)], now)
        tx.batch(_NOTED, [(case_id,) for _, case_id in rows])
        return Done(len(rows), more=len(rows) == _MOST)


# Statements.

_chain: Any = EvidenceChain.__table__  # type: ignore[attr-defined]
_leaf: Any = EvidenceLeaf.__table__  # type: ignore[attr-defined]
_root: Any = EvidenceRoot.__table__  # type: ignore[attr-defined]
_size: Final = bindparam("size", type_=BigInteger())
_of_application: Final = _root.c.application_id == bindparam("application")
_is_stamped: Final = _root.c.tokens != literal_column("'[]'")


def _build_due(_: Dialect) -> Any:
    newest = (
        select(_root.c.application_id, func.max(_root.c.size).label("size"))
        .where(_root.c.stamp_due_at.is_not(None))
        .group_by(_root.c.application_id)
        .subquery()
    )
    return (
        select(_root.c.application_id, _root.c.size, _root.c.content, _root.c.stamp_attempts)
        .join(newest, (newest.c.application_id == _root.c.application_id) & (newest.c.size == _root.c.size))
        .where(_root.c.stamp_due_at <= bindparam("now", type_=BigInteger()))
        .order_by(_root.c.stamp_due_at)
        .limit(bindparam("most"))
    )


def _build_reached(_: Dialect) -> Any:
    reached = select(_leaf.c.case_id).where(
        _leaf.c.application_id == bindparam("application"),
        _leaf.c.position >= bindparam("first", type_=BigInteger()),
        _leaf.c.position < _size,
        _leaf.c.closed == literal_column("1"),
    )
    return (
        _chain.update()
        .where(_chain.c.case_id.in_(reached), _chain.c.stamped_at.is_(None))
        .values(stamped_at=bindparam("at", type_=BigInteger()), stamp_note_due=literal_column("1"))
    )


def _build_first_stamped(_: Dialect) -> Any:
    reached = (
        select(func.min(_leaf.c.position))
        .where(_leaf.c.case_id == bindparam("case"), _leaf.c.closed == literal_column("1"))
        .scalar_subquery()
    )
    return (
        select(_root.c.content, _root.c.tokens)
        .where(_of_application, _root.c.size > reached, _is_stamped)
        .order_by(_root.c.size)
        .limit(1)
    )


def _build_noted(dialect: Dialect) -> Any:
    given = dialect.given(case_id=str)
    return _chain.update().where(_chain.c.case_id == given.c.case_id).values(stamp_note_due=literal_column("0"))


_DUE: Final = Statement(_build_due)
_REACHED: Final = Statement(_build_reached)
_FIRST_STAMPED: Final = Statement(_build_first_stamped)
_NOTED: Final = Statement(_build_noted)
_KEEP: Final = Statement(
    lambda _: _root.update().where(_of_application, _root.c.size == _size).values(tokens=bindparam("tokens"))
)
_SPARE: Final = Statement(
    lambda _: (
        _root.update()
        .where(_of_application, _root.c.size <= _size, _root.c.stamp_due_at.is_not(None))
        .values(stamp_due_at=None)
    )
)
_POSTPONE: Final = Statement(
    lambda _: (
        _root.update()
        .where(_of_application, _root.c.size == _size)
        .values(
            stamp_attempts=_root.c.stamp_attempts + literal_column("1"),
            stamp_due_at=bindparam("again", type_=BigInteger()),
        )
    )
)
_STAMPED_BEFORE: Final = Statement(
    lambda _: (
        select(_root.c.size)
        .where(_of_application, _root.c.size < _size, _is_stamped)
        .order_by(_root.c.size.desc())
        .limit(1)
    )
)
_NOTES_DUE: Final = Statement(
    lambda dialect: dialect.locked(
        select(_chain.c.application_id, _chain.c.case_id)
        .where(_chain.c.stamp_note_due == 1)
        .order_by(_chain.c.case_id)
        .limit(bindparam("most")),
        skip=True,
    )
)
