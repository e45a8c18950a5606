"""Merkle trees of RFC 6962, section 2.1: the hash of a leaf, the root of a log, the proof that a leaf is in it.

Pure: octets and hashes in, hashes out. A `Frontier` grows by one leaf at a time and keeps as many hashes as the size
has binary ones; the nodes that it completes, once kept, prove any leaf in any later root with a few of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf's octets."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Node(NamedTuple):
    """A complete subtree: that of the leaves from `place`·2^`level` on, 2^`level` of them."""

    level: int
    place: int


def cover(first: int, last: int) -> tuple[Node, ...]:
    """Return the complete subtrees, largest first, under leaves `first` … `last` - 1 of one side of a split."""
    nodes: list[Node] = []
    while first < last:
        level = (last - first).bit_length() - 1
        nodes.append(Node(level, first >> level))
        first += 1 << level
    return tuple(nodes)


def proof_covers(position: int, size: int) -> list[tuple[Node, ...]]:
    """Return what each hash of an inclusion proof is made of, lowest first; raises `IndexError` outside the log."""
    if not 0 <= position < size:
        raise IndexError("no such leaf")
    start, end = 0, size
    halves: list[tuple[int, int]] = []  # of each level on the way down, the half that the leaf is not in
    while end - start > 1:
        middle = start + _greatest_power_below(end - start)
        if position < middle:
            halves.append((middle, end))
            end = middle
        else:
            halves.append((start, middle))
            start = middle
    return [cover(first, last) for first, last in reversed(halves)]


def inclusion_proof(nodes: Mapping[Node, bytes], position: int, size: int) -> list[bytes]:
    """Return the hashes that lead from leaf `position` to the root of `size` leaves, lowest first.

    `nodes` holds at least those of `proof_covers`. Raises `IndexError` outside the log.
    """
    return [_root([nodes[node] for node in covered]) for covered in proof_covers(position, size)]


@dataclass(frozen=True, slots=True)
class Frontier:
    """The roots of a log's complete subtrees, largest first: all that is needed to add leaves and tell the root."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def grown(self, leaf: bytes) -> tuple[Frontier, list[tuple[Node, bytes]]]:
        """Return the frontier with one leaf hash more, and the nodes that it completed, the leaf's own first."""
        peaks, carry, index, level = list(self.peaks), leaf, self.size, 0
        completed = [(Node(0, index), leaf)]
        while index & 1:
            carry = node_hash(peaks.pop(), carry)
            index, level = index >> 1, level + 1
            completed.append((Node(level, index), carry))
        return Frontier(self.size + 1, (*peaks, carry)), completed

    @property
    def root(self) -> bytes:
        """Return the root."""
        return _root(self.peaks)


def _root(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY_ROOT
    node = peaks[-1]
    for peak in reversed(peaks[:-1]):
        node = node_hash(peak, node)
    return node


def _greatest_power_below(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1
