"""`sceau binds`: what every line of the running server is doing.

It asks the operations listener, which needs no key; it changes nothing.
"""

import json
from typing import Annotated, Any

import httpx2
import typer
from rich.table import Table

from engine import instance
from engine.commands import showing
from engine.commands.rows import SettingsFile
from engine.commands.showing import safe
from engine.errors import Conflict
from engine.settings import load

_WITHIN_S = 5.0
_COLUMNS = ("line", "phase", "since", "lanes", "window", "outstanding", "rate", "response_s", "failures", "next_try_at")


def binds(
    operations: Annotated[
        str | None, typer.Option(help="URL of the operations listener; that of the server running here if absent.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    file: SettingsFile = None,
) -> None:
    """Show the binds of the running server; exits with 1 if one of them is not bound."""
    found = _ask(operations or _running(file))
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in _COLUMNS:
            table.add_column(name.replace("_", " "), overflow="fold")
        for line in found:
            table.add_row(*(safe(_cell(line.get(name))) for name in _COLUMNS))
        showing.console().print(table)
    if any(line["phase"] != "bound" for line in found):
        raise typer.Exit(1)


def _running(file: Any) -> str:
    settings = load(file)
    started = instance.find(settings.data_dir, settings.node)
    if started is None:
        raise Conflict("no server runs here; name its operations listener with --operations")
    return started.operations


def _ask(url: str) -> list[dict[str, Any]]:
    try:
        with httpx2.Client(timeout=_WITHIN_S, trust_env=False) as client:
            answer = client.get(f"{url.rstrip('/')}/binds").raise_for_status()
            found: list[dict[str, Any]] = answer.json()["data"]
            return found
    except (httpx2.HTTPError, ValueError, KeyError) as error:
        raise Conflict(f"{url} does not tell of binds ({type(error).__name__})") from None


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "–" if value is None else str(value)
