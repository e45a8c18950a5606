"""One seed, one order: trio's own dice, which order the tasks that are runnable at once, are thrown by the seed.

For virtual time alone; printed with a failing seed, `PYTHONHASHSEED=0` makes sets iterate alike too.
"""

from __future__ import annotations

from typing import Any

import trio

_run: Any = trio._core._run


def schedule_by(seed: int) -> None:
    """Have every task of this run scheduled in an order that `seed` decides."""
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True
    _run._r.seed(seed)
