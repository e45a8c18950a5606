"""Leads the client through the situations that the chosen rows need, within the time there is.

It stages and judges nothing. `command` and tests run it beside a witness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import trio

from smppsim.check.findings import Rule
from smppsim.check.stages import STAGES, Stage, Theatre
from smppsim.simulator import Simulator

_SETTLED_S: Final = 2.0
"""A link that has just been bound is left alone for so long: a fault at that very instant proves something else."""


def stages_of(rules: Sequence[Rule]) -> list[Stage]:
    """The situations that these rows need, in the order of the table."""
    needed = {rule.stage for rule in rules}
    return [stage for stage in STAGES if stage.id in needed]


async def conduct(
    simulator: Simulator, account: str, stages: Sequence[Stage], for_s: float, say: Callable[[str], None]
) -> None:
    """Play the stages one after another, each once the client is bound; end after the last one or `for_s` seconds."""
    theatre = Theatre(simulator, account)
    with trio.move_on_after(for_s):
        for stage in stages:
            await theatre.bound()
            await trio.sleep(_SETTLED_S)
            await theatre.bound()
            say(stage.what)
            with trio.move_on_after(stage.most_s):
                await stage.play(theatre)


async def watch(for_s: float) -> None:
    """Stage nothing."""
    await trio.sleep(for_s)
