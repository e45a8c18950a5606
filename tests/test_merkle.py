"""The Merkle log against the definition of RFC 6962 written out, and its proofs against the verifier's own climb."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evidence.verify_bundle import _climb
from workflows.merkle import EMPTY_ROOT, Frontier, Node, inclusion_proof, leaf_hash, node_hash


def defined(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(defined(leaves[:split]), defined(leaves[split:]))


def made(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def grown(count: int) -> tuple[Frontier, dict[Node, bytes]]:
    frontier, nodes = Frontier(), {}
    for leaf in made(count):
        frontier, completed = frontier.grown(leaf)
        nodes |= dict(completed)
    return frontier, nodes


@pytest.mark.parametrize("count", [*range(35), 63, 64, 65, 127, 128, 129])
def test_the_root_of_a_growing_log_is_the_defined_one(count: int) -> None:
    frontier, _ = grown(count)
    assert frontier.root == defined(made(count))
    assert frontier.size == count
    assert Frontier().root == EMPTY_ROOT


@given(st.integers(1, 70), st.integers(0, 40), st.data())
def test_every_leaf_is_proven_to_be_in_the_root_and_no_other_is(size: int, later: int, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, size - 1))
    leaves = made(size)
    _, nodes = grown(size + later)  # a proof in an earlier root needs nothing but nodes that are kept
    proof = inclusion_proof(nodes, position, size)
    assert _climb(leaves[position], position, size, proof) == defined(leaves)
    assert _climb(leaf_hash(b"another"), position, size, proof) != defined(leaves)
    if size > 1:
        wrong = (position + data.draw(st.integers(1, size - 1))) % size
        assert _climb(leaves[position], wrong, size, proof) != defined(leaves)


def test_every_node_is_the_root_of_the_leaves_under_it() -> None:
    leaves, (_, nodes) = made(70), grown(70)
    for node, hashed in nodes.items():
        first = node.place << node.level
        assert hashed == defined(leaves[first : first + (1 << node.level)])


def test_there_is_no_proof_of_a_leaf_outside() -> None:
    with pytest.raises(IndexError):
        inclusion_proof(grown(3)[1], 3, 3)
