"""Numbers that tie the parts of one long message together, never reused while a message is unfinished.

One counter for each destination, as a handset sees only its own (row E19). Kept by the sender in memory; after a
restart the rows still on the wire are put back with `hold`, and counters had better begin elsewhere than before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from engine.smpp.errors import ProtocolError

REMEMBERED: Final = 50_000
"""Destinations whose counter is kept when nothing of theirs is unfinished."""


class NoFreeReference(ProtocolError):
    """Every reference of that width is in use for that destination: wait until a message is finished."""


class References:
    """Hands out references of 8 or 16 bits; `start` is where the counters of a new destination begin."""

    def __init__(self, start: int = 0) -> None:
        self._start = start
        self._last: OrderedDict[tuple[Hashable, int], int] = OrderedDict()
        self._live: dict[tuple[Hashable, int], set[int]] = {}

    def take(self, key: Hashable, width: int = 16) -> int:
        """The next free reference of `width` bits for `key`. Raises NoFreeReference."""
        place = key, width
        mask = (1 << width) - 1
        live = self._live.get(place)
        if live is None:
            live = self._live[place] = set()
        elif len(live) > mask:
            raise NoFreeReference(f"all {width}-bit references to this destination are in use")
        reference = self._last.pop(place, self._start - 1) + 1 & mask
        while reference in live:
            reference = reference + 1 & mask
        live.add(reference)
        self._last[place] = reference
        if len(self._last) > REMEMBERED:
            # A counter that is forgotten starts anew; what is live stays known, so nothing is reused early.
            self._last.popitem(last=False)
            self._start += 1
        return reference

    def hold(self, key: Hashable, reference: int, width: int = 16) -> None:
        """Mark a reference as in use, for a message that an earlier run left unfinished."""
        self._live.setdefault((key, width), set()).add(reference)

    def release(self, key: Hashable, reference: int, width: int = 16) -> None:
        """The message is finished; releasing what is not in use does nothing."""
        place = key, width
        live = self._live.get(place)
        if live is not None:
            live.discard(reference)
            if not live:
                del self._live[place]

    def unfinished(self) -> int:
        """How many references are in use, over all destinations."""
        return sum(map(len, self._live.values()))
