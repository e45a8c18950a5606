"""`sceau config show`: the settings as they would be used, secrets masked, and what deserves a warning.

It reads and prints; it opens no database and no bind.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import tomlkit
import typer

from engine.settings import load
from engine.settings_warnings import start_warnings

app = typer.Typer(help="Look at the settings.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `show` a command of its own while it is the only one."""


@app.command()
def show(
    file: Annotated[Path | None, typer.Option("--file", "-f", help="The settings file (sceau.toml).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON instead of TOML.")] = False,
) -> None:
    """Print every setting with its value, secrets masked; warnings go to standard error."""
    settings = load(file)
    masked = settings.masked()
    typer.echo(json.dumps(masked, indent=2, ensure_ascii=False) if as_json else tomlkit.dumps(_without_none(masked)))
    for warning in start_warnings(settings):
        typer.echo(f"warning: {warning}", err=True)


def _without_none(value: Any) -> Any:
    """Leave out what is not set: TOML has no word for it."""
    if isinstance(value, dict):
        return {key: _without_none(one) for key, one in value.items() if one is not None}
    return value
