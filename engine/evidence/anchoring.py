"""Puts the heads of chains into their application's Merkle log, signs its root, and tells of it.

A duty: what is due at one look becomes leaves of one new root per application, under the lock of its feed's row. The
chains themselves are only marked as anchored, if they have not grown meanwhile.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import bindparam, select

from engine.clock import Clock, to_rfc3339
from engine.duties.rounds import Done
from engine.events import NewEvent, event_data, record
from engine.evidence.daily import Line
from engine.keyring import KeyRing
from engine.store.statements import Dialect, Statement, column_kinds, insert, insert_new
from engine.store.tables import Feed
from engine.store.tables_evidence import EvidenceChain, EvidenceLeaf, EvidenceRoot
from engine.store.transaction import Tx
from workflows import evidence
from workflows.merkle import Frontier, leaf_hash

_MOST: Final = 200


@dataclass(slots=True)
class Anchoring:
    """The duty. `wrote` hears each new root after its commit, for the daily file; frontiers are kept as a hint: they
    are read again whenever the log is longer or shorter than they say.
    """

    clock: Clock
    keyring: KeyRing
    wrote: Callable[[Line], None]

    _frontiers: dict[str, Frontier] = field(default_factory=dict)

    def anchor(self, tx: Tx, now: int) -> Done:
        """Anchor what is due; the oldest cases first."""
        due: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
        rows = tx.all(_DUE, most=_MOST)
        for application_id, case_id, count, head in rows:
            due[application_id].append((case_id, int(count), head))
        done = Done(len(rows), more=len(rows) == _MOST)
        for application_id in sorted(due):
            done.bells += self._anchor(tx, application_id, due[application_id], now)
        return done

    def _anchor(self, tx: Tx, application_id: str, heads: list[tuple[str, int, str]], now: int) -> Any:
        tx.batch(_OPEN_FEED, [(application_id, 0)])
        tx.one(_LOCK_FEED, application=application_id)
        frontier = self._frontier(tx, application_id)
        leaves: list[tuple[Any, ...]] = []
        for case_id, count, head in heads:
            octets = evidence.leaf(application_id, case_id, count, head, closed=True)
            hashed = leaf_hash(octets)
            leaves.append((application_id, frontier.size, case_id, octets.decode(), hashed.hex(), now))
            frontier = frontier.with_leaf(hashed)
        content = evidence.root(application_id, frontier.size, frontier.root, to_rfc3339(now)).decode()
        signature = self.keyring.sign(evidence.ROOT_LABEL + content.encode())
        key = self.keyring.current_evidence
        tx.batch(_INSERT_LEAVES, leaves)
        tx.batch(_INSERT_ROOT, [(application_id, frontier.size, content, signature, key, "[]", 0, None, now)])
        tx.batch(_ANCHORED, [(case_id, count) for case_id, count, _ in heads])
        data = event_data("evidence.anchored", size=frontier.size, content=content, signature=signature, key=key)
        event = NewEvent(application_id, "evidence.anchored", f"log_{application_id}", frontier.size, data)
        line = Line(application_id, now, content, signature, key)

        def committed() -> None:
            self._frontiers[application_id] = frontier
            self.wrote(line)

        tx.tell(committed)
        return record(tx, [event], self.clock.new_id, now)

    def _frontier(self, tx: Tx, application_id: str) -> Frontier:
        row = tx.one(_SIZE, application=application_id)
        size = 0 if row is None else int(row[0]) + 1
        known = self._frontiers.get(application_id)
        if known is not None and known.size == size:
            return known
        frontier = Frontier()
        for (hashed,) in tx.all(_HASHES, application=application_id):
            frontier = frontier.with_leaf(bytes.fromhex(hashed))
        return frontier


# Statements.

_chain: Any = EvidenceChain.__table__  # type: ignore[attr-defined]
_leaf: Any = EvidenceLeaf.__table__  # type: ignore[attr-defined]
_feed: Any = Feed.__table__  # type: ignore[attr-defined]

_DUE: Final = Statement(
    lambda dialect: dialect.locked(
        select(_chain.c.application_id, _chain.c.case_id, _chain.c.count, _chain.c.head)
        .where(_chain.c.anchor_due == 1)
        .order_by(_chain.c.application_id, _chain.c.case_id)
        .limit(bindparam("most")),
        skip=True,
    )
)
_OPEN_FEED: Final = insert_new(Feed, column_kinds(Feed))
_LOCK_FEED: Final = Statement(
    lambda dialect: dialect.locked(select(_feed.c.position).where(_feed.c.application_id == bindparam("application")))
)
_SIZE: Final = Statement(
    lambda _: (
        select(_leaf.c.position)
        .where(_leaf.c.application_id == bindparam("application"))
        .order_by(_leaf.c.position.desc())
        .limit(1)
    )
)
_HASHES: Final = Statement(
    lambda _: select(_leaf.c.hash).where(_leaf.c.application_id == bindparam("application")).order_by(_leaf.c.position)
)
_INSERT_LEAVES: Final = insert(EvidenceLeaf, column_kinds(EvidenceLeaf))
_INSERT_ROOT: Final = insert(EvidenceRoot, column_kinds(EvidenceRoot))


def _build_anchored(dialect: Dialect) -> Any:
    given = dialect.given(case_id=str, count=int)
    return (
        _chain.update()
        .where(_chain.c.case_id == given.c.case_id, _chain.c.count == given.c.count)
        .values(anchored=given.c.count, anchor_due=0)
    )


_ANCHORED: Final = Statement(_build_anchored)
