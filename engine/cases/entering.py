"""Compares what somebody entered with the codes of a case, which are derived anew from their seeds.

Every workflow of codes comes here: always the same comparisons, whatever was entered (S4).
"""

import json

from engine.codes import CodeSeed, derive, equal, normalise
from engine.keyring import KeyRing
from workflows.base import Verdict


def code_of(keyring: KeyRing, stored: str) -> str:
    """Return the code of a stored seed."""
    seed = CodeSeed.from_json(stored)
    return derive(seed, keyring.code_key(seed.kid))


def generation_of(stored: str | None) -> int:
    """Return which code of its case a stored seed gives: the first is 1, none is 0."""
    return 0 if stored is None else CodeSeed.from_json(stored).generation


def with_superseded(old_seeds: str, present: str | None, most: int | None = None) -> str:
    """Return the superseded seeds (a JSON list, as rows keep it) with the present one; the latest `most` if given."""
    if present is None:
        return old_seeds
    old = [*json.loads(old_seeds), present]
    return json.dumps(old if most is None else old[-most:])


def verdict_on(
    entry: str, keyring: KeyRing, seed: str | None, old_seeds: str, *, alphabet: str, length: int
) -> Verdict:
    """Compare an entry with the present code and with superseded ones; `old_seeds` is a JSON list, as rows keep it."""
    typed = normalise(entry, alphabet, length)
    if typed is None:
        return Verdict.BAD_FORMAT
    right = seed is not None and equal(typed, code_of(keyring, seed))
    old = [equal(typed, code_of(keyring, stored)) for stored in json.loads(old_seeds)]
    if right:
        return Verdict.RIGHT
    return Verdict.SUPERSEDED if any(old) else Verdict.WRONG
