"""`sceau init`: a commented `sceau.toml`, a key ring, a first API key, and the bundled simulator's account.

It never replaces a file and puts no secret on a command line. `make serve` runs it on a fresh checkout.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import tomlkit
import typer
from tomlkit.items import Table

from engine import base64url, tenancy
from engine.apikeys import Scope, checked_scopes
from engine.clock import Clock, SystemClock
from engine.commands.rows import write
from engine.commands.serve import beside
from engine.errors import Conflict
from engine.keyring import KeyRing
from engine.private_files import write_private
from engine.settings import DEFAULT_FILE, Settings, load
from engine.store.connections import Database
from engine.store.revision import bring_up_to_date
from engine.store.transaction import Tx
from engine.tenancy import DEFAULT_APPLICATION, KeyWanted

_DATA: Final = "sceau-data"
_ACCOUNT: Final = "simulator"
_SYSTEM_ID: Final = "sceau"
_SMPP_PORT: Final = 2775
SENDER: Final = "+12025550100"  # a number reserved for fiction
LEAD_MODEL: Final = """\
[[lead_models.fair.questions]]
id = "budget"
axis = "budget"
kind = "choice"
text = { fr = "Un budget est-il prévu ? Répondez A non, B oui", en = "Is there a budget? Answer A no, B yes" }
points = { A = 1, B = 5 }
[[lead_models.fair.sequences]]
name = "back"
trigger = "dormant"
messages = [{ after_s = 60, text = { fr = "Toujours partant ?", en = "Are you still interested?" } }]
[lead_models.fair.dormancy]
after_days = 90
"""
_PASSWORD_OCTETS: Final = 6  # 8 characters of base64url: all that SMPP promises to carry


@dataclass(frozen=True, slots=True)
class LaidOut:
    """The files of a fresh installation; `made` are those that this call wrote."""

    settings: Path
    keyring: Path
    simulator: Path
    made: tuple[Path, ...]


def init(
    file: Annotated[Path, typer.Option("--file", "-f", help="The settings file to write.")] = DEFAULT_FILE,
) -> None:
    """Write commented settings, a key ring and a database with a first API key, ready for the bundled simulator."""
    laid_out = lay_out(file)
    for path in laid_out.made:
        typer.echo(f"wrote {path}")
    key = first_key(load(file))
    if key is None:
        typer.echo(f"{DEFAULT_APPLICATION} has keys already; another one: sceau keys create")
    else:
        typer.echo(f"an API key of {DEFAULT_APPLICATION}, with every scope, shown this once:")
        typer.echo(key)
    typer.echo(f"now start the simulator:  {beside('smppsim')} serve --scenario {laid_out.simulator}")
    typer.echo(f"and, beside it:           {beside('sceau')} serve")


def first_key(settings: Settings, clock: Clock | None = None) -> str | None:
    """Bring the database up to date and return the text of a first key; None if the application has one already."""
    database = Database.at(settings.store_url)
    bring_up_to_date(database)
    now = clock or SystemClock()

    def make(tx: Tx) -> str | None:
        tenancy.open_application(tx, DEFAULT_APPLICATION, "the first application", now)
        if any(row.revoked_at is None for row in tenancy.keys(tx, DEFAULT_APPLICATION)):
            return None
        wanted = KeyWanted("first key", "test", checked_scopes(scope.value for scope in Scope))
        made = tenancy.add_key(tx, DEFAULT_APPLICATION, wanted, now)
        return None if made is None else made.text

    return write(database, make)


def lay_out(file: Path, entropy: Callable[[int], bytes] = secrets.token_bytes) -> LaidOut:
    """Write the files, all of mode 0600, key ring first; raises `Conflict` if the settings file is there already.

    A key ring that is there is kept: without it, what the database holds could not be read.
    """
    if file.exists():
        raise Conflict(f"{file} is there already; nothing was changed")
    data = file.parent / _DATA
    keyring, simulator = data / "keyring.toml", data / "simulator.toml"
    password = base64url.encode(entropy(_PASSWORD_OCTETS))
    made = [file]
    if keyring.exists():
        KeyRing.load(keyring)
    else:
        KeyRing.generate(entropy).save(keyring)
        made.append(keyring)
    simulator.unlink(missing_ok=True)
    write_private(simulator, _simulator_text(password))
    write_private(file, settings_text(password))
    load(file, environ={})
    return LaidOut(file, keyring, simulator, (*made, simulator))


def settings_text(password: str) -> str:
    """Return the text of a development `sceau.toml` whose one account is the bundled simulator."""
    document = tomlkit.document()
    for line in (
        "Settings of Sceau. Everything has a default; docs/operate.md lists it all.",
        "Any of it can come from the environment instead: SCEAU_HTTP__PORT=8080, and secrets from files:",
        f"SCEAU_ACCOUNTS__{_ACCOUNT.upper()}__BINDS__MAIN__PASSWORD_FILE=/run/secrets/smpp.",
        "Relative paths count from this file's folder. Keep its mode at 0600.",
    ):
        document.add(tomlkit.comment(line))
    document.add(tomlkit.nl())
    document.add("environment", _said("development", "or production, which refuses simulators"))
    document.add("data_dir", _said(_DATA, "the database and the key ring"))
    document.add(tomlkit.comment('database_url = "postgresql://…"  # instead of SQLite in data_dir'))
    document.add(tomlkit.nl())
    document.add("http", _table(host=_said("127.0.0.1", "other hosts need TLS files or behind_proxy"), port=8080))
    document.add("operations", _table(host=_said("127.0.0.1", "health, metrics, binds"), port=8081))
    document.add("accounts", _super_table(**{_ACCOUNT: _account(password)}))
    document.add(
        "senders",
        _super_table(
            main=_table(
                address=_said(SENDER, "a long number, a short code, or a name of at most 11 characters"),
                application=_said("*", "or one application"),
                lane=_said("*", "otp, transactional, bulk"),
                accounts=[_ACCOUNT],
            )
        ),
    )
    route = _table(accounts=_said([_ACCOUNT], "best first"))
    route.add(tomlkit.comment('countries = ["FR"], prefixes = ["+336"], networks = ["208-01"], lanes = ["otp"]'))
    document.add("routes", _super_table(everywhere=route))
    document.add(tomlkit.nl())
    document.add(tomlkit.comment("Numbers of ours, and whose replies they are:"))
    for line in (
        "[numbers.replies]",
        f'address = "{SENDER}"',
        f'application = "{DEFAULT_APPLICATION}"',
        f'accounts = ["{_ACCOUNT}"]',
    ):
        document.add(tomlkit.comment(line))
    document.add(tomlkit.nl())
    document.add(tomlkit.comment("A model that leads are qualified by, as PUT /v1/lead-models/NAME takes it:"))
    for line in LEAD_MODEL.splitlines():
        document.add(tomlkit.comment(line))
    return tomlkit.dumps(document)


def _account(password: str) -> Table:
    bind = _table(
        host="127.0.0.1",
        port=_SMPP_PORT,
        mode=_said("TRX", "or TX, RX"),
        system_id=_SYSTEM_ID,
        password=password,
        window=10,
    )
    bind.add(tomlkit.comment("tls = {}  # away from this machine: TLS, or insecure = true inside a VPN or tunnel"))
    account = _table(kind=_said("simulator", "leave this line out for an operator"))
    account.add(tomlkit.comment("rate = 50  # PDUs a second, as the contract says"))
    account.add("binds", _super_table(main=bind))
    return account


def _simulator_text(password: str) -> str:
    document = tomlkit.document()
    document.add(tomlkit.comment("The account that sceau.toml binds to, for: smppsim serve --scenario THIS_FILE"))
    accounts = tomlkit.aot()
    accounts.append(_table(system_id=_SYSTEM_ID, password=password))
    document.add("accounts", accounts)
    return tomlkit.dumps(document)


def _said(value: Any, comment: str) -> Any:
    return tomlkit.item(value).comment(comment)


def _table(**values: Any) -> Table:
    table = tomlkit.table()
    for key, value in values.items():
        table.add(key, value)
    return table


def _super_table(**tables: Table) -> Table:
    above = tomlkit.table(is_super_table=True)
    for name, table in tables.items():
        above.add(name, table)
    return above
