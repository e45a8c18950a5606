"""How many answers to replies one person gets within an hour, so that two systems that answer each other fall silent.

Pure arithmetic (failure catalogue, row E21); the conversations that answer replies keep the counters.
"""

from __future__ import annotations

from typing import Final

from workflows.base import SECOND

MOST: Final = 6
SPAN_US: Final = 3_600 * SECOND


def one_more(count: int, since: int, now: int) -> tuple[int, int] | None:
    """Return the counters after one more answer, or None if there have been enough."""
    over = now - since >= SPAN_US
    so_far = 0 if over else count
    if so_far >= MOST:
        return None
    return so_far + 1, now if over or not so_far else since
