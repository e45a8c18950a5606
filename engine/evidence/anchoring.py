"""Puts the heads of chains into their application's Merkle log, signs its root, and tells of it.

Duties: what is due at one look becomes leaves of one new root per application, under the lock of its feed's row; open
chains become due once a day. The chains themselves are only marked as anchored, if they have not grown meanwhile.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import bindparam, literal_column, select

from engine.clock import Clock, to_rfc3339
from engine.duties.rounds import Done
from engine.events import NewEvent, event_data, record
from engine.evidence.daily import Line
from engine.keyring import KeyRing
from engine.store.statements import Dialect, Statement, column_kinds, insert, insert_new
from engine.store.tables import Feed
from engine.store.tables_evidence import EvidenceChain, EvidenceLeaf, EvidenceNode, EvidenceRoot
from engine.store.transaction import Tx
from engine.transit.books import Bells
from workflows import evidence
from workflows.merkle import Frontier, Node, cover, leaf_hash

_MOST: Final = 200


Head = tuple[str, int, str, bool]  # case, entries, SHA-256 of the last one, whether it is closed


@dataclass(frozen=True, slots=True)
class Anchoring:
    """The duties. `wrote` hears each new root after its commit, for the daily file; with `stamped` each new root waits
    for a time stamp.
    """

    clock: Clock
    keyring: KeyRing
    wrote: Callable[[Line], None]
    stamped: bool = False

    def open_heads(self, tx: Tx, _now: int) -> Done:
        """Have the heads of open chains anchored too, if they have grown since they were."""
        marked = tx.run(_MARK_OPEN, most=_MOST)
        return Done(marked, more=marked == _MOST)

    def anchor(self, tx: Tx, now: int) -> Done:
        """Anchor what is due; the oldest cases first."""
        due: dict[str, list[Head]] = defaultdict(list)
        rows = tx.all(_DUE, most=_MOST)
        for application_id, case_id, count, head, closed_at in rows:
            due[application_id].append((case_id, int(count), head, closed_at is not None))
        done = Done(len(rows), more=len(rows) == _MOST)
        for application_id in sorted(due):
            done.bells += self._anchor(tx, application_id, due[application_id], now)
        return done

    def _anchor(self, tx: Tx, application_id: str, heads: list[Head], now: int) -> Bells:
        tx.batch(_OPEN_FEED, [(application_id, 0)])
        tx.one(_LOCK_FEED, application=application_id)
        frontier = frontier_of(tx, application_id)
        leaves: list[tuple[Any, ...]] = []
        nodes: list[tuple[Any, ...]] = []
        for case_id, count, head, closed in heads:
            octets = evidence.leaf(application_id, case_id, count, head, closed=closed)
            leaves.append((application_id, frontier.size, case_id, octets.decode(), int(closed), now))
            frontier, completed = frontier.grown(leaf_hash(octets))
            nodes += [(application_id, node.level, node.place, hashed.hex()) for node, hashed in completed]
        content = evidence.root(application_id, frontier.size, frontier.root, to_rfc3339(now)).decode()
        signature = self.keyring.sign(evidence.ROOT_LABEL + content.encode())
        key = self.keyring.current_evidence
        stamp_due = now if self.stamped else None
        tx.batch(_INSERT_LEAVES, leaves)
        tx.batch(_INSERT_NODES, nodes)
        last = tx.one(_LAST_ROOT, application=application_id)
        number = 1 if last is None else int(last[0]) + 1
        root = (application_id, frontier.size, number, content, signature, key, "[]", 0, stamp_due, now)
        tx.batch(_INSERT_ROOT, [root])
        tx.batch(_ANCHORED, [(case_id, count) for case_id, count, *_ in heads])
        data = event_data("evidence.anchored", size=frontier.size, content=content, signature=signature, key=key)
        event = NewEvent(application_id, "evidence.anchored", f"log_{application_id}", number, data)
        tx.tell(partial(self.wrote, Line(application_id, now, content, signature, key)))
        return record(tx, [event], self.clock.new_ids, now)


def frontier_of(tx: Tx, application_id: str) -> Frontier:
    """Return the frontier of an application's log; the caller holds the lock of its feed."""
    row = tx.one(_SIZE, application=application_id)
    size = 0 if row is None else int(row[0]) + 1
    nodes = nodes_of(tx, application_id, cover(0, size))
    return Frontier(size, tuple(nodes[node] for node in cover(0, size)))


def nodes_of(tx: Tx, application_id: str, wanted: Iterable[Node]) -> dict[Node, bytes]:
    """Return the hashes of these complete subtrees of an application's log."""
    rows = [(application_id, node.level, node.place) for node in dict.fromkeys(wanted)]
    return {Node(int(level), int(index)): bytes.fromhex(hashed) for level, index, hashed in tx.joined(_NODES, rows)}


# Statements.

_chain: Any = EvidenceChain.__table__  # type: ignore[attr-defined]
_leaf: Any = EvidenceLeaf.__table__  # type: ignore[attr-defined]
_node: Any = EvidenceNode.__table__  # type: ignore[attr-defined]
_root: Any = EvidenceRoot.__table__  # type: ignore[attr-defined]
_feed: Any = Feed.__table__  # type: ignore[attr-defined]

_DUE: Final = Statement(
    lambda dialect: dialect.locked(
        select(_chain.c.application_id, _chain.c.case_id, _chain.c.count, _chain.c.head, _chain.c.closed_at)
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
_LAST_ROOT: Final = Statement(
    lambda _: (
        select(_root.c.number)
        .where(_root.c.application_id == bindparam("application"))
        .order_by(_root.c.size.desc())
        .limit(1)
    )
)
_INSERT_LEAVES: Final = insert(EvidenceLeaf, column_kinds(EvidenceLeaf))
_INSERT_NODES: Final = insert(EvidenceNode, column_kinds(EvidenceNode))
_INSERT_ROOT: Final = insert(EvidenceRoot, column_kinds(EvidenceRoot))


def _build_anchored(dialect: Dialect) -> Any:
    given = dialect.given(case_id=str, count=int)
    return (
        _chain.update()
        .where(_chain.c.case_id == given.c.case_id, _chain.c.count == given.c.count)
        .values(anchored=given.c.count, anchor_due=0)
    )


def _build_mark_open(_: Dialect) -> Any:
    grown = (
        select(_chain.c.case_id)
        .where(_chain.c.closed_at.is_(None), _chain.c.anchor_due == 0, _chain.c.count > _chain.c.anchored)
        .limit(bindparam("most"))
    )
    return _chain.update().where(_chain.c.case_id.in_(grown)).values(anchor_due=literal_column("1"))


def _build_nodes(dialect: Dialect) -> Any:
    given = dialect.given(application_id=str, level=int, index=int)
    return select(_node.c.level, _node.c.index, _node.c.hash).where(
        _node.c.application_id == given.c.application_id,
        _node.c.level == given.c.level,
        _node.c.index == given.c.index,
    )


_ANCHORED: Final = Statement(_build_anchored)
_MARK_OPEN: Final = Statement(_build_mark_open)
_NODES: Final = Statement(_build_nodes)
