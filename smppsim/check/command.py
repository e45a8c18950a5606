"""`smppsim check`: listen, let a client bind, lead it through situations, print how it did.

It reads options, runs the witness and the conductor beside a simulator with the real clock, and prints.
"""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Literal, NamedTuple

import trio
import typer
from rich.console import Console
from rich.table import Table

from engine.smpp.text import Alphabet
from smppsim.behaviour import Behaviour, Link
from smppsim.check.conductor import conduct, stages_of, watch
from smppsim.check.findings import Rule, judge
from smppsim.check.report import as_json, as_tables, passed
from smppsim.check.rules import Contract, pick, rules
from smppsim.check.trace import Trace
from smppsim.check.witness import Witness
from smppsim.scenario import AccountSettings, Scenario
from smppsim.simulator import Simulator, wall_clock


class _Run(NamedTuple):
    """What `_check` needs."""

    scenario: Scenario
    rules: list[Rule]
    host: str
    port: int
    for_s: float
    passive: bool


def check(
    port: Annotated[int, typer.Option(help="SMPP port; 0 takes any free one.", min=0, max=65535)] = 2775,
    account: Annotated[str, typer.Option(help="NAME:PASSWORD or NAME (a password is made up).")] = "check",
    for_s: Annotated[float, typer.Option("--for", help="Seconds in all, at most.", min=1)] = 600.0,
    passive: Annotated[bool, typer.Option("--passive", help="Stage nothing, only watch for as long.")] = False,
    rows: Annotated[
        str, typer.Option(help="Rows to judge, comma-separated, with * and ?; only what they need is staged.")
    ] = "",
    window: Annotated[int | None, typer.Option(help="Unanswered submits agreed with the client.", min=1)] = None,
    rate: Annotated[int | None, typer.Option(help="Submits a second agreed with the client.", min=1)] = None,
    alphabet: Annotated[Literal["gsm7", "latin1"], typer.Option(help="What data_coding 0 means.")] = "gsm7",
    listen_any: Annotated[bool, typer.Option("--listen-any", help="Listen on every interface.")] = False,
    show_rows: Annotated[bool, typer.Option("--list", help="List the rows and end.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print the report as one JSON document.")] = False,
) -> None:
    """Check how well a client speaks SMPP.

    Point the client at the port, bind with the account, and let it work until the report comes: at least one
    message a second with texts that differ (a counter will do), among them a long text in the default alphabet, a
    long one with emoji, to numbers in international form, with receipts asked for. Let it bind again by itself when
    a link is lost. The whole takes about six minutes and ends with the link closed. The exit code is 0 if
    a client bound and no row is wrong, else 1.
    """
    contract = Contract(window, rate, Alphabet(alphabet))
    try:
        chosen = pick(rules(contract), [each.strip() for each in rows.split(",") if each.strip()])
    except LookupError as error:
        typer.echo(f"--rows: no row is called {error.args[0]}; --list shows them", err=True)
        raise typer.Exit(2) from None
    if show_rows:
        _list(chosen)
        return
    name, _, password = account.partition(":")
    link = Link(window=window, rate=rate, alphabet=alphabet)
    scenario = Scenario(
        accounts=(
            AccountSettings(
                system_id=name,
                password=password or secrets.token_urlsafe(6),
                behaviour=Behaviour.model_validate({"response_delay": 0.05, "receipt_delay": 1.0}),
                link=link,
            ),
        )
    )
    run = _Run(scenario, chosen, "0.0.0.0" if listen_any else "127.0.0.1", port, for_s, passive)  # noqa: S104 - asked for
    trace = Trace()
    try:
        trio.run(_check, run, trace)
    except* KeyboardInterrupt:
        pass  # the report of what was seen until then
    except* OSError as errors:
        typer.echo(f"cannot listen: {errors.exceptions[0]}", err=True)
        raise typer.Exit(1) from None
    found = judge(chosen, trace)
    if json_:
        typer.echo(json.dumps(as_json(found, trace), indent=2))
    else:
        Console().print(as_tables(found, trace), soft_wrap=False)
    raise typer.Exit(0 if passed(found, trace) else 1)


def _list(chosen: list[Rule]) -> None:
    table = Table()
    for column in ("row", "what is asked", "source", "situation"):
        table.add_column(column)
    for rule in chosen:
        table.add_row(rule.id, rule.what, rule.source, rule.stage)
    Console().print(table)


async def _check(run: _Run, trace: Trace) -> None:
    simulator = Simulator(run.scenario, wall=wall_clock)
    (account,) = run.scenario.accounts
    progress = Console(stderr=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(simulator.run)
        await nursery.start(Witness(simulator, trace).run)
        port = await simulator.listen(run.host, run.port)
        progress.print(
            f"waiting for a client on {run.host}:{port}, account {account.system_id} / {account.password}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        if run.passive:
            await watch(run.for_s)
        else:
            await conduct(simulator, account.system_id, stages_of(run.rules), run.for_s, progress.print)
        trace.now = trio.current_time()
        nursery.cancel_scope.cancel()
