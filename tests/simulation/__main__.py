"""`python -m tests.simulation SEED [SEED…] [--trace]`: replay seeds; a range is written 0-99. Ends with 1 if one fails.

Run it with PYTHONHASHSEED=0, which makes sets iterate alike in every process; it starts itself again if it must.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections import Counter

from tests.simulation.plan import draw
from tests.simulation.world import Result, simulate

SHOWN = 50


def main(arguments: list[str]) -> int:
    """Play the seeds named; print what failed, and how to see it again."""
    seeds = [seed for argument in arguments if not argument.startswith("-") for seed in _range(argument)]
    failed, total = [], Counter[str]()
    began = time.process_time()
    for seed in seeds:
        try:
            result = simulate(seed)
        except BaseException:
            traceback.print_exc()
            print("\n".join(draw(seed).told()))
            failed.append(seed)
            print(f"replay: PYTHONHASHSEED=0 {sys.executable} -m tests.simulation {seed}")
            continue
        total.update(result.figures)
        if result.breaches or "--trace" in arguments:
            print(report(result, whole="--trace" in arguments))
        if result.breaches:
            failed.append(seed)
        if "--digest" in arguments:
            print(seed, result.trace.digest, len(result.trace.lines))
    seconds = time.process_time() - began
    print(f"{len(seeds)} seeds, {len(failed)} failed {failed or ''}; {seconds:.1f} s of processor; {dict(total)}")
    return 1 if failed else 0


def report(result: Result, *, whole: bool = False) -> str:
    """The seed, the plan in words, the last lines of the trace, the breaches, and the command that replays it."""
    lines = result.trace.lines if whole else result.trace.lines[-SHOWN:]
    return "\n".join(
        [
            *result.plan.told(),
            *lines,
            *(f"BREACH {what}" for what in result.breaches),
            f"replay: PYTHONHASHSEED=0 python -m tests.simulation {result.plan.seed}",
        ]
    )


def _range(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            {**os.environ, "PYTHONHASHSEED": "0"},
        )
    sys.exit(main(sys.argv[1:]))
