"""`sceau keys` and `sceau applications`: the tenants of an installation and what opens the API for them.

The text of a key is printed once, alone on standard output, and kept nowhere.
"""

import json
import re
from typing import Annotated, Final

import typer
from rich.table import Table

from engine import tenancy
from engine.apikeys import Scope, checked_addresses, checked_scopes
from engine.clock import DAY
from engine.commands import showing
from engine.commands.rows import Rows, SettingsFile
from engine.commands.showing import instant, safe
from engine.errors import Conflict, SettingsError
from engine.tenancy import DEFAULT_APPLICATION, KeyRow, KeyWanted

app = typer.Typer(help="API keys: make, list, revoke.", no_args_is_help=True)
applications = typer.Typer(help="Applications: the tenants that own keys, messages and webhooks.", no_args_is_help=True)

_APPLICATION_ID: Final = re.compile(r"app_[a-z0-9_]{1,60}")
EVERY_SCOPE: Final = tuple(scope.value for scope in Scope)
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("create")
def create_key(
    application: Annotated[str, typer.Option(help="Whose key it is.")] = DEFAULT_APPLICATION,
    name: Annotated[str, typer.Option(help="What it is for, for people.")] = "from the command line",
    scope: Annotated[
        list[str] | None, typer.Option(help=f"Repeatable: {', '.join(EVERY_SCOPE)}. None: all of them.")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="A key for production, told apart by its text.")] = False,
    address: Annotated[list[str] | None, typer.Option(help="CIDR block that may use it; repeatable.")] = None,
    days: Annotated[int | None, typer.Option(help="Days until it expires.", min=1, max=3650)] = None,
    file: SettingsFile = None,
) -> None:
    """Make a key and print it, this once; a note about it goes to standard error."""
    try:
        scopes, addresses = checked_scopes(scope or EVERY_SCOPE), checked_addresses(address or ())
    except ValueError as error:
        raise SettingsError(str(error)) from None
    rows = Rows.of(file)
    expires_at = None if days is None else rows.clock.now() + days * DAY
    wanted = KeyWanted(name, "live" if live else "test", scopes, addresses, expires_at)
    made = rows.write(lambda tx: tenancy.add_key(tx, application, wanted, rows.clock))
    if made is None:
        raise Conflict(f"there is no application {application!r}")
    typer.echo(made.text)
    typer.echo(f"{made.id} of {application}; this is the only time that the key is shown", err=True)


@app.command("list")
def list_keys(
    application: Annotated[str | None, typer.Option(help="Of this application alone.")] = None,
    as_json: AsJson = False,
    file: SettingsFile = None,
) -> None:
    """List keys without their secrets, revoked ones too."""
    rows = Rows.of(file)
    found = rows.read(lambda tx: tenancy.keys(tx, application))
    if as_json:
        typer.echo(json.dumps([_as_dict(row) for row in found], indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("key", "application", "name", "environment", "scopes", "created", "last used", "state"):
        table.add_column(heading, overflow="fold")
    for row in found:
        scopes = "all" if set(row.scopes) == set(EVERY_SCOPE) else " ".join(row.scopes)
        cells = (row.id, row.application_id, row.name, row.environment, scopes, instant(row.created_at))
        table.add_row(*map(safe, cells), instant(row.last_used_at), _state(row, rows.clock.now()))
    showing.console().print(table)


@app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="key_…, as `sceau keys list` shows it.")], file: SettingsFile = None
) -> None:
    """Revoke a key: running servers refuse it within a second."""
    rows = Rows.of(file)
    if not rows.write(lambda tx: tenancy.revoke_key(tx, key_id, rows.clock)):
        raise Conflict("there is no such key, or it is revoked already")
    typer.echo(f"revoked {key_id}")


@applications.command("create")
def create_application(
    name: Annotated[str, typer.Argument(help="For people.")],
    application_id: Annotated[
        str | None, typer.Option("--id", help="app_ and lower-case letters, digits, underscores; drawn if absent.")
    ] = None,
    file: SettingsFile = None,
) -> None:
    """Open an application; make its first key with `sceau keys create --application ID`."""
    if application_id is not None and _APPLICATION_ID.fullmatch(application_id) is None:
        raise SettingsError("an application's id is app_ and at most 60 lower-case letters, digits and underscores")
    rows = Rows.of(file)
    chosen = application_id or rows.clock.new_id("app")
    if not rows.write(lambda tx: tenancy.open_application(tx, chosen, name, rows.clock)):
        raise Conflict(f"there is an application {chosen!r} already")
    typer.echo(chosen)


@applications.command("list")
def list_applications(as_json: AsJson = False, file: SettingsFile = None) -> None:
    """List the applications."""
    found = Rows.of(file).read(tenancy.applications)
    if as_json:
        shown = [{**row._asdict(), "created_at": instant(row.created_at)} for row in found]
        typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("application", "name", "state", "created"):
        table.add_column(heading, overflow="fold")
    for row in found:
        table.add_row(safe(row.id), safe(row.name), row.state, instant(row.created_at))
    showing.console().print(table)


def _state(row: KeyRow, now: int) -> str:
    if row.revoked_at is not None:
        return f"revoked {instant(row.revoked_at)}"
    if row.expires_at is not None:
        return f"{'expired' if row.expires_at <= now else 'expires'} {instant(row.expires_at)}"
    return "valid"


def _as_dict(row: KeyRow) -> dict[str, object]:
    instants = {name: instant(at) if at else None for name, at in row._asdict().items() if name.endswith("_at")}
    return {**row._asdict(), **instants}
