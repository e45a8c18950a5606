"""Damage as noise, bugs and attackers do it to octets, drawn from a seeded dice."""

from __future__ import annotations

import random

_INTERESTING = (0, 1, 2, 3, 4, 16, 0x7F, 0x80, 0xFE, 0xFF)


def mutated(octets: bytes, dice: random.Random) -> bytearray:
    """Return a copy with one to four octets or runs of octets inserted, deleted, replaced or flipped."""
    damaged = bytearray(octets)
    for _ in range(dice.randint(1, 4)):
        kind = dice.random()
        at = dice.randrange(len(damaged)) if damaged else 0
        if not damaged or kind < 0.15:
            damaged[at:at] = dice.randbytes(dice.randint(1, 8))
        elif kind < 0.30:
            del damaged[at : at + dice.randint(1, 12)]
        elif kind < 0.60:
            damaged[at] = dice.choice(_INTERESTING)
        elif kind < 0.85:
            damaged[at] = dice.randrange(256)
        else:
            damaged[at] ^= 1 << dice.randrange(8)
    return damaged


def mutated_frame(frame: bytes, dice: random.Random) -> bytes:
    """Return a damaged PDU that mostly says its own length: most others would be read no further than that."""
    damaged = mutated(frame, dice)
    if len(damaged) >= 4 and dice.random() < 0.9:
        damaged[:4] = len(damaged).to_bytes(4, "big")
    return bytes(damaged)
