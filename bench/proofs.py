"""How long a bundle of evidence takes to be verified, in process: of one signed request, and of ten thousand entries.

The long chain repeats what really happened in one request, each time with salts and commitments of its own; one leaf
of one signed root holds its head.
"""

from __future__ import annotations

import json
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

from bench.signing import Proof
from engine.evidence.verify_bundle import verify
from workflows import evidence
from workflows.merkle import Frontier, leaf_hash

ENTRIES = 10_000
_SEED = 38123
_CASE = "sig_bench"
_APPLICATION = "app_bench"
_ONCE = {"chain.opened", "closed"}


def median_ms(proofs: Sequence[Proof]) -> float:
    """Return the median of the milliseconds that these bundles take, each verified once."""
    return statistics.median(_verified_ms(proof) for proof in proofs)


def long_ms(proof: Proof, entries: int = ENTRIES, rounds: int = 3) -> float:
    """Return the median of the milliseconds that a chain of so many entries takes."""
    long = _lengthened(proof, entries)
    return statistics.median(_verified_ms(long) for _ in range(rounds))


def _verified_ms(proof: Proof) -> float:
    bundle = proof.bundle()
    began = perf_counter()
    finding = verify(bundle, proof.outside)
    spent = perf_counter() - began
    assert finding.verdict == "valid", finding
    return spent * 1e3


def _lengthened(proof: Proof, count: int) -> Proof:
    dice = random.Random(_SEED)
    pattern = [json.loads(one) for one in proof.gathered.entries]
    pattern = [one for one in pattern if one["kind"] not in _ONCE]
    contents: list[str] = []
    openings: dict[str, dict[str, Any]] = {}
    prev = ""
    for seq in range(count):
        one = pattern[seq % len(pattern)]
        body = {name: _again(value, proof, dice, openings) for name, value in one["body"].items()}
        link = evidence.link(_APPLICATION, _CASE, seq, prev, one["at"], one["kind"], body, one["stated"])
        contents.append(link.content)
        prev = link.hash
    leaf = evidence.leaf(_APPLICATION, _CASE, count, prev, closed=True)
    frontier, _ = Frontier().grown(leaf_hash(leaf))
    root = evidence.root(_APPLICATION, frontier.size, frontier.root, pattern[-1]["at"]).decode()
    head = {
        "content": root,
        "signature": proof.keyring.sign(evidence.ROOT_LABEL + root.encode()),
        "key": proof.keyring.current_evidence,
    }
    anchor = {
        "leaf": leaf.decode(), "position": 0, "size": 1, "proof": [], "root": root, "tokens": [],
        "signature": head["signature"], "key": head["key"],
    }  # fmt: skip
    gathered = replace(
        proof.gathered, case_id=_CASE, entries=tuple(contents), openings=openings, anchors=(anchor,), closed=True
    )
    return replace(proof, gathered=gathered, outside=replace(proof.outside, heads=[head]))


def _again(value: Any, proof: Proof, dice: random.Random, openings: dict[str, dict[str, Any]]) -> Any:
    """Return a value of an entry's body, committed to anew if it is a commitment that was opened."""
    if not (isinstance(value, dict) and value.keys() == {"commitment"}):
        return value
    opened = proof.gathered.openings.get(value["commitment"])
    if opened is None:
        return value
    salt = dice.randbytes(32)
    made = evidence.committed(opened["value"], salt)
    openings[made["commitment"]] = {"salt": salt.hex(), "value": opened["value"]}
    return made
