"""How much of a thing a test does: as much as is quick in `make test`, all that was asked for in `make soak`.

What a test measures at full length goes to its `figure` fixture (`tests/conftest.py`), and is printed at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

Figure: TypeAlias = Callable[[str, str], None]
"""What the fixture `figure` is: (what was measured, its value with its unit)."""


def amounts(quick: int, *whole: int) -> list[pytest.ParameterSet]:
    """Return the values of a parameter: `quick` for every run, each of `whole` for `make soak` alone."""
    return [
        pytest.param(quick, id=f"{quick:,}"),
        *(pytest.param(amount, id=f"{amount:,}", marks=pytest.mark.soak) for amount in whole),
    ]
