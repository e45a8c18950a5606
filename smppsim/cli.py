"""The `smppsim` command: serve a simulated operator on loopback and say how to reach it.

It reads options and a scenario file, starts the simulator with the real clock, and prints; nothing else runs
it. `check` has its own module.
"""

import contextlib
import gc
import json
import secrets
import ssl
import sys
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple

import trio
import typer
from hypercorn.config import Config
from hypercorn.trio import serve as serve_http
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from smppsim.behaviour import Behaviour
from smppsim.capture.live import CaptureFile
from smppsim.check.command import check
from smppsim.control import control_app
from smppsim.replay.command import replay
from smppsim.scenario import AccountSettings, Scenario
from smppsim.scenario_files import ScenarioError, load_profile, load_scenario, profiles
from smppsim.simulator import Simulator, wall_clock
from smppsim.tls import self_signed, server_context

_GC = 50_000, 20, 50
"""Rarer collections: a pause of the simulator looks like a slow operator to whoever measures."""
_RECEIPT_DELAY_S = 1.0
_LOOPBACK = "127.0.0.1"
_ANY = "0.0.0.0"  # noqa: S104 - only with --listen-any

app = typer.Typer(help="An SMPP operator that behaves, and misbehaves, on command.", no_args_is_help=True)
app.command()(check)
app.command()(replay)


class _Secured(NamedTuple):
    """TLS, and what to say about its certificate."""

    context: ssl.SSLContext
    told: dict[str, str]


class _Where(NamedTuple):
    """Where to listen."""

    port: int
    http_port: int
    host: str
    tls: _Secured | None


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="SMPP port; 0 takes any free one.", min=0, max=65535)] = 2775,
    http_port: Annotated[int, typer.Option(help="Port of the control API; 0 takes any.", min=0, max=65535)] = 0,
    account: Annotated[
        list[str] | None, typer.Option(help="NAME:PASSWORD or NAME (a password is made up); repeatable.")
    ] = None,
    scenario: Annotated[
        Path | None, typer.Option(help="A TOML file: accounts, behaviour, links, rules, schedule …", exists=True)
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="A scenario that is shipped; --scenario goes on top. See: smppsim profiles.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of every chance there is; the same seed, the same run.")] = 0,
    response_delay: Annotated[
        float | None, typer.Option(help="Seconds before an answer, for accounts given here.")
    ] = None,
    receipt_delay: Annotated[
        float | None,
        typer.Option(help="Seconds from the answer to the receipt, for accounts given here; 1 without a profile."),
    ] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS, with a self-signed certificate made now.")] = False,
    tls_pem: Annotated[
        Path | None, typer.Option(help="Where to write that certificate, for clients to trust; implies --tls.")
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="A certificate chain (PEM) to use instead; implies --tls.", exists=True)
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, if it is not in the same file.", exists=True)] = None,
    capture: Annotated[
        Path | None, typer.Option(help="A pcap file to write all PDUs to as they pass; made anew.", dir_okay=False)
    ] = None,
    listen_any: Annotated[
        bool, typer.Option("--listen-any", help="Listen on every interface, not on loopback only.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line, as when the output is no terminal.")
    ] = False,
) -> None:
    """Serve an SMSC and its HTTP control API until interrupted."""
    delays = {"response_delay": response_delay, "receipt_delay": receipt_delay}
    try:
        chosen = _compose(
            profile, scenario, account or [], {name: delay for name, delay in delays.items() if delay is not None}
        )
    except ValidationError as error:
        rows = error.errors(include_url=False, include_context=False, include_input=False)
        typer.echo("\n".join(f"{'.'.join(map(str, row['loc']))}: {row['msg']}" for row in rows), err=True)
        raise typer.Exit(2) from None
    except (LookupError, OSError, ScenarioError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    try:
        secured = _secured(tls or tls_pem is not None, tls_pem, tls_cert, tls_key)
    except OSError as error:
        typer.echo(f"TLS: {error}", err=True)
        raise typer.Exit(2) from None
    where = _Where(port, http_port, _ANY if listen_any else _LOOPBACK, secured)
    try:
        with contextlib.nullcontext() if capture is None else capture.open("wb") as pcap:
            trio.run(_serve, chosen, seed, where, as_json or not sys.stdout.isatty(), pcap)
    except* KeyboardInterrupt:
        pass
    except* OSError as errors:
        typer.echo(f"smppsim: {errors.exceptions[0]}", err=True)
        raise typer.Exit(1) from None


@app.command(name="profiles")
def list_profiles() -> None:
    """List the scenarios that are shipped, each with what it rehearses."""
    table = Table(box=None, show_header=False)
    for name, about in profiles().items():
        table.add_row(name, about)
    Console().print(table)


def _secured(self_made: bool, pem: Path | None, chain: Path | None, key: Path | None) -> _Secured | None:
    """TLS by files, or by a certificate of our own whose PEM is written where told, or none; OSError."""
    if chain is not None:
        return _Secured(server_context(chain, key), {"certificate": str(chain)})
    if not self_made:
        return None
    made = self_signed(wall_clock())
    told = {"fingerprint": made.fingerprint}
    if pem is not None:
        pem.write_bytes(made.pem)
        told["certificate"] = str(pem)
    return _Secured(made.context, told)


def _compose(profile: str | None, file: Path | None, accounts: list[str], delays: dict[str, float]) -> Scenario:
    """The file on top of the profile, and the accounts given as options; a demo account if there is none.

    `delays` are fields of Behaviour for those. LookupError for an unknown profile or account; OSError, ScenarioError,
    ValidationError.
    """
    scenario = Scenario() if file is None else load_scenario(file)
    given = scenario.accounts if "accounts" in scenario.model_fields_set else ()
    if profile is not None:
        scenario = scenario.on(load_profile(profile))
    elif "receipt_delay" not in delays:
        delays = {**delays, "receipt_delay": _RECEIPT_DELAY_S}
    behaviour = Behaviour.model_validate(delays)
    for name, _, password in (text.partition(":") for text in accounts or ([] if given else ["demo"])):
        # Eight characters are all that SMPP's password field promises to carry.
        password = password or secrets.token_urlsafe(6)
        given = (*given, AccountSettings(system_id=name, password=password, behaviour=behaviour))
    return scenario.changed({"accounts": given}).complete()


async def _serve(scenario: Scenario, seed: int, where: _Where, as_json: bool, pcap: BinaryIO | None) -> None:
    simulator = Simulator(scenario, seed=seed, wall=wall_clock)
    async with trio.open_nursery() as nursery:
        await nursery.start(simulator.run)
        if pcap is not None:
            nursery.start_soon(CaptureFile(simulator.smsc.log, pcap, wall_clock).run)
        smpp_port = await simulator.listen(where.host, where.port, where.tls.context if where.tls else None)
        config = Config()
        config.bind = [f"{where.host}:{where.http_port}"]
        config.accesslog = config.errorlog = None
        urls = await nursery.start(_http, control_app(simulator, any_host=where.host == _ANY), config)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC)
        _announce(scenario, where._replace(port=smpp_port), urls[0], seed, as_json)


async def _http(app: Any, config: Config, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
    # Never triggered: the server ends with the nursery, and signals stay trio's.
    await serve_http(app, config, shutdown_trigger=trio.sleep_forever, task_status=task_status)


def _announce(scenario: Scenario, where: _Where, http: str, seed: int, as_json: bool) -> None:
    tls = where.tls.told if where.tls else None
    if as_json:
        accounts = [{"system_id": account.system_id, "password": account.password} for account in scenario.accounts]
        line = {"host": where.host, "port": where.port, "http": http, "seed": seed, "accounts": accounts, "tls": tls}
        print(json.dumps(line), flush=True)
        return
    table = Table(title="smppsim", show_header=False)
    table.add_row("SMPP", f"{where.host}:{where.port}")
    for name, value in (tls or {}).items():
        table.add_row(f"TLS {name}", value)
    table.add_row("control API", f"{http}/docs")
    table.add_row("seed", str(seed))
    for account in scenario.accounts:
        table.add_row("account", f"{account.system_id} / {account.password}")
    Console().print(table)


def main() -> None:
    """Entry point."""
    app()
