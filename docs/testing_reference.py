"""The generated part of docs/simulator.md for test authors: every call of an operator, a submit and a handset."""

import inspect

from smppsim.testing import HeldHandset, Operator, Submit
from smppsim.testing.threads import both

_HELD = {"An operator": Operator, "A submit": Submit, "A handset": HeldHandset}


def testing_block() -> str:
    """Return the calls with their signatures and what their docstrings say first."""
    pieces = []
    for name, held in _HELD.items():
        lines = [f"### {name}", "", "| call | what it does |", "|---|---|"]
        for call, value in vars(held).items():
            if isinstance(value, both) or (inspect.isfunction(value) and not call.startswith("_")):
                lines.append(f"| `{call}({_parameters(value)})` | {_first(value.__doc__)} |")
        pieces.append("\n".join(lines))
    return "\n\n".join(pieces)


def _parameters(value: object) -> str:
    function = value.method if isinstance(value, both) else value
    signature = inspect.signature(function)  # type: ignore[arg-type]
    shown = [each for each in signature.parameters.values() if each.name != "self"]
    return ", ".join(str(each.replace(annotation=inspect.Parameter.empty)) for each in shown)


def _first(docstring: str | None) -> str:
    return " ".join((docstring or "").split("\n\n")[0].split()).replace("|", "\\|")
