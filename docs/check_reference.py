"""The generated part of docs/simulator.md about `smppsim check`: its rows and situations."""

from smppsim.check.rules import Contract, rules
from smppsim.check.stages import STAGES


def checks_block() -> str:
    """Return the rows of `smppsim check` and the situations that show them."""
    rows = [f"| `{rule.id}` | {rule.what} | {rule.source} | {rule.stage} |" for rule in rules(Contract())]
    stages = [f"| {stage.id} | {stage.what} | {stage.most_s:g} s |" for stage in STAGES]
    return "\n".join(
        [
            "| row | what is asked | source | situation |",
            "|---|---|---|---|",
            *rows,
            "",
            "| situation | what it is | at most |",
            "|---|---|---|",
            *stages,
        ]
    )
