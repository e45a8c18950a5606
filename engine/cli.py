"""The `sceau` command: it finds the command that is asked for and turns the engine's errors into one line and an exit
code.

What each command does is in a module of `engine.commands`, which is loaded when it is called; nothing else imports
this module.
"""

import gc
import importlib
import os
import sys
from importlib.metadata import version
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

from engine.errors import EngineError
from engine.places import check_places

# Loading modules makes objects that stay: looking through them again and again is a fifth of a start.
_SELDOM: Final = (50_000, 50, 50)


class _Place(NamedTuple):
    """Where a command is: a function, or a group of commands, of a module in `engine.commands`."""

    module: str
    name: str


_COMMANDS: Final = {
    "init": _Place("init", "init"),
    "serve": _Place("serve", "serve"),
    "demo": _Place("demo", "app"),
    "keys": _Place("keys", "app"),
    "applications": _Place("keys", "applications"),
    "binds": _Place("binds", "binds"),
    "send": _Place("send", "send"),
    "trace": _Place("trace", "trace"),
    "replay": _Place("replay", "replay"),
    "evidence": _Place("evidence", "app"),
    "handover": _Place("handover", "app"),
    "config": _Place("config", "app"),
}


class _Commands(TyperGroup):
    """The commands by name: the modules of all together take seconds to load, so each is loaded when it is wanted."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the help."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, or None if there is no such."""
        place = _COMMANDS.get(cmd_name)
        if place is None:
            return None
        found = getattr(importlib.import_module(f"engine.commands.{place.module}"), place.name)
        if isinstance(found, typer.Typer):
            group = get_group(found)
            group.name = cmd_name
            return group
        single = typer.Typer(add_completion=False)
        single.command(cmd_name)(found)
        return get_command(single)


app = typer.Typer(
    cls=_Commands,
    help="Sceau: a self-hosted, SMPP-native messaging engine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks print local variables
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sceau {version('sceau')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    check_places()


def main() -> None:
    """Run a command; an error of ours is one line on standard error and exit code 2."""
    gc.set_threshold(*_SELDOM)
    os.umask(0o077)  # databases, notes and exports are for their owner alone
    try:
        app()
    except EngineError as error:
        print(f"sceau: {error}", file=sys.stderr)
        raise SystemExit(2) from None
