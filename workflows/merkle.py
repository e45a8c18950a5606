"""Merkle trees of RFC 6962, section 2.1: the hash of a leaf, the root of a log, the proof that a leaf is in it.

Pure: octets and hashes in, hashes out. A `Frontier` grows by one leaf at a time and keeps as many hashes as the size
has binary ones, so that the root of a long log costs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf's octets."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes; of none it is the hash of nothing."""
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.with_leaf(leaf)
    return frontier.root


def inclusion_proof(leaves: Sequence[bytes], position: int) -> list[bytes]:
    """Return the hashes that lead from leaf `position` to the root, lowest first; raises `IndexError` outside."""
    if not 0 <= position < len(leaves):
        raise IndexError("no such leaf")
    proof: list[bytes] = []
    start, end = 0, len(leaves)
    halves: list[tuple[int, int]] = []  # of each level on the way down, the half that the leaf is not in
    while end - start > 1:
        middle = start + _greatest_power_below(end - start)
        if position < middle:
            halves.append((middle, end))
            end = middle
        else:
            halves.append((start, middle))
            start = middle
    for first, last in reversed(halves):
        proof.append(root_of(leaves[first:last]))
    return proof


@dataclass(frozen=True, slots=True)
class Frontier:
    """The roots of a log's complete subtrees, largest first: all that is needed to add leaves and tell the root."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def with_leaf(self, leaf: bytes) -> Frontier:
        """Return the frontier with one leaf hash more."""
        peaks, carry, size = list(self.peaks), leaf, self.size
        while size & 1:
            carry = node_hash(peaks.pop(), carry)
            size >>= 1
        return Frontier(self.size + 1, (*peaks, carry))

    @property
    def root(self) -> bytes:
        """Return the root."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = node_hash(peak, node)
        return node


def _greatest_power_below(count: int) -> int:
    return 1 << (count - 1).bit_length() - 1
