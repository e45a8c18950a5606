"""The `sceau` command: it collects the commands and turns the engine's errors into one line and an exit code.

What each command does is in `engine.commands`; nothing else imports this module.
"""

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from engine.commands import binds, config, demo, evidence, handover, init, keys, replay, send, serve, trace
from engine.errors import EngineError
from engine.places import check_places

app = typer.Typer(
    help="Sceau: a self-hosted, SMPP-native messaging engine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its tracebacks print local variables
)
app.command("init")(init.init)
app.command("serve")(serve.serve)
app.add_typer(demo.app, name="demo")
app.add_typer(keys.app, name="keys")
app.add_typer(keys.applications, name="applications")
app.command("binds")(binds.binds)
app.command("send")(send.send)
app.command("trace")(trace.trace)
app.command("replay")(replay.replay)
app.add_typer(evidence.app, name="evidence")
app.add_typer(handover.app, name="handover")
app.add_typer(config.app, name="config")


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
    os.umask(0o077)  # databases, notes and exports are for their owner alone
    try:
        app()
    except EngineError as error:
        print(f"sceau: {error}", file=sys.stderr)
        raise SystemExit(2) from None
