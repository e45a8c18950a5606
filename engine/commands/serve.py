"""`sceau serve`: the server in the foreground, until SIGTERM or SIGINT.

It says where it listens: in words on a terminal, else as one JSON line on standard output. Logs go to standard error.
"""

import sys
from pathlib import Path

import typer
from rich.console import Console

from engine.commands.rows import SettingsFile
from engine.instance import Started
from engine.settings import Settings, load


def serve(file: SettingsFile = None) -> None:
    """Hold the binds and answer HTTP until interrupted; a second interrupt does not wait for answers.

    Prints {"api": …, "operations": …, "pid": …} once it listens, when the output is no terminal.
    """
    from engine import app  # everything there is: the other commands start without it

    settings = load(file)

    def announce(started: Started) -> None:
        if sys.stdout.isatty():
            _tell(started, settings)
        else:
            typer.echo(started.as_json())

    if not app.run(settings, announce):
        raise typer.Exit(1)


def _tell(started: Started, settings: Settings) -> None:
    console = Console(highlight=False)
    console.print(f"[bold]API[/]         {started.api}/docs")
    console.print(f"[bold]operations[/]  {started.operations}/metrics  /readyz  /healthz")
    hint = simulator_hint(settings)
    if hint is not None:
        console.print(f"[dim]The simulator is a process of its own: {hint}[/]")


def simulator_hint(settings: Settings) -> str | None:
    """Return the command that starts the simulator of `sceau init`, if these settings bind to it."""
    accounts = settings.data_dir / "simulator.toml"
    if not accounts.exists() or all(account.kind != "simulator" for account in settings.accounts):
        return None
    return f"{beside('smppsim')} serve --scenario {near(accounts)}"


def beside(command: str) -> str:
    """Return how to call a command that is installed with ours."""
    path = Path(sys.executable).with_name(command)
    return str(near(path)) if path.exists() else command


def near(path: Path) -> Path:
    """Return a path as seen from here, if it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_absolute() and path.is_relative_to(here) else path
