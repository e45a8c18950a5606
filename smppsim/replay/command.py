"""`smppsim replay`: play one side of a capture against a live SMSC or ESME, and say what was answered otherwise.

It reads the file, moves octets between players and sockets, and prints.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import trio
import typer
from rich.console import Console
from rich.table import Table

from engine.smpp.errors import FramingError
from engine.smpp.pdu import FrameBuffer
from smppsim.capture.conversations import Conversation, conversations
from smppsim.capture.pcap import CaptureError, read
from smppsim.replay.player import Login, Outcome, Player
from smppsim.replay.script import Side, script_of

_CHUNK: Final = 65_536
_LOOPBACK: Final = "127.0.0.1"


class _Run(NamedTuple):
    """What is played, and how."""

    conversations: list[Conversation]
    side: Side
    speed: float
    login: Login
    patience_s: float

    def player(self, number: int) -> Player:
        return Player(script_of(self.conversations[number], self.side), speed=self.speed, login=self.login)


def replay(
    file: Annotated[Path, typer.Argument(help="A pcap or pcapng file.", exists=True, dir_okay=False)],
    to: Annotated[str | None, typer.Option(help="HOST:PORT of an SMSC: the ESME's side is played to it.")] = None,
    listen: Annotated[
        int | None, typer.Option(help="Port to listen on: the SMSC's side is played to who connects.", min=0, max=65535)
    ] = None,
    speed: Annotated[float, typer.Option(help="2 is twice as fast as it was.", min=0.001)] = 1.0,
    at_once: Annotated[bool, typer.Option("--at-once", help="Wait for answers only.")] = False,
    connection: Annotated[
        int | None, typer.Option(help="Only this connection of the capture, from 1 on; --list shows them.", min=1)
    ] = None,
    system_id: Annotated[str | None, typer.Option(help="Bind under this name instead.")] = None,
    password: Annotated[
        str | None, typer.Option(envvar="SMPPSIM_PASSWORD", help="Bind with it: captures of ours hold none.")
    ] = None,
    patience: Annotated[float, typer.Option(help="Seconds to wait for the last answers.", min=0)] = 10.0,
    show: Annotated[bool, typer.Option("--list", help="List the capture's connections and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as one JSON document.")] = False,
) -> None:
    """Play one side of a capture again; ends with 0 if everything was answered as it was then."""
    try:
        found = conversations(read(file.read_bytes()))
    except CaptureError as error:
        raise typer.BadParameter(str(error), param_hint="FILE") from None
    if show:
        _list(found)
        return
    if connection is not None:
        found = found[connection - 1 : connection]
    if not found:
        typer.echo("replay: no such SMPP connection in this capture", err=True)
        raise typer.Exit(2)
    pace, login = math.inf if at_once else speed, Login(system_id, password)
    try:
        if to is not None and listen is None:
            outcomes = trio.run(_call, _Run(found, Side.esme, pace, login, patience), *_address(to))
        elif listen is not None and to is None:
            outcomes = trio.run(_serve, _Run(found, Side.smsc, pace, login, patience), listen)
        else:
            raise typer.BadParameter("say either --to HOST:PORT or --listen PORT")
    except* OSError as errors:
        typer.echo(f"replay: {errors.exceptions[0]}", err=True)
        raise typer.Exit(1) from None
    _report(outcomes, as_json)
    raise typer.Exit(0 if all(outcome.same for outcome in outcomes) else 1)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise typer.BadParameter("write HOST:PORT", param_hint="--to")
    return host.strip("[]"), int(port)


def _list(found: list[Conversation]) -> None:
    table = Table("connection", "client", "server", "PDUs", "seconds")
    for number, each in enumerate(found, start=1):
        seconds = (each.said[-1].at - each.said[0].at) / 1_000_000
        table.add_row(str(number), str(each.client), str(each.server), str(len(each.said)), f"{seconds:.3f}")
    Console().print(table)


def _report(outcomes: list[Outcome], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(outcome) for outcome in outcomes]))
        return
    table = Table("connection", "sent", "as before", "different", "unanswered", "unscripted")
    for number, outcome in enumerate(outcomes, start=1):
        counts = outcome.sent, outcome.as_before, len(outcome.different), len(outcome.unanswered), outcome.unscripted
        table.add_row(str(number), *map(str, counts))
    console = Console()
    console.print(table)
    for number, outcome in enumerate(outcomes, start=1):
        for told in (*outcome.different, *(f"{each}: no answer now" for each in outcome.unanswered), outcome.ended):
            if told:
                console.print(f"{number}: {told}", markup=False)


# -- octets -----------------------------------------------------------------------------------------------------


async def _call(run: _Run, host: str, port: int) -> list[Outcome]:
    """Every connection of the capture, each begun when it began then."""
    players = [run.player(number) for number in range(len(run.conversations))]
    first = min(each.said[0].at for each in run.conversations)

    async def one(number: int) -> None:
        await trio.sleep((run.conversations[number].said[0].at - first) / 1_000_000 / run.speed)
        await play(players[number], await trio.open_tcp_stream(host, port), run.patience_s)

    async with trio.open_nursery() as nursery:
        for number in range(len(players)):
            nursery.start_soon(one, number)
    return [player.finish() for player in players]


async def _serve(run: _Run, port: int) -> list[Outcome]:
    """The first who connects meets the first connection of the capture, and so on; ends with the last of them."""
    players = [run.player(number) for number in range(len(run.conversations))]
    (listener,) = await trio.open_tcp_listeners(port, host=_LOOPBACK)
    typer.echo(json.dumps({"host": _LOOPBACK, "port": listener.socket.getsockname()[1]}))
    async with listener, trio.open_nursery() as nursery:
        for player in players:
            nursery.start_soon(play, player, await listener.accept(), run.patience_s)
    return [player.finish() for player in players]


async def play(player: Player, stream: trio.abc.Stream, patience_s: float) -> None:
    """Play one connection to its end; the stream is closed then."""
    player.begin(trio.current_time())
    heard = trio.lowlevel.ParkingLot()
    async with stream, trio.open_nursery() as nursery:

        async def listen() -> None:
            frames = FrameBuffer()
            try:
                while data := await stream.receive_some(_CHUNK):
                    for frame in frames.feed(bytes(data)):
                        player.received(frame, trio.current_time())
                    heard.unpark_all()
            except (trio.BrokenResourceError, trio.ClosedResourceError, FramingError):
                pass
            player.lost()
            nursery.cancel_scope.cancel()

        nursery.start_soon(listen)
        while not player.done:
            if octets := b"".join(player.due(trio.current_time())):
                try:
                    with trio.fail_after(patience_s):
                        await stream.send_all(octets)
                except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                    player.lost()
                    break
                continue
            limit = trio.current_time() + patience_s if player.next_due == math.inf else player.next_due
            with trio.move_on_at(limit) as waited:
                await heard.park()
            if waited.cancelled_caught and player.next_due == math.inf:
                break
        nursery.cancel_scope.cancel()
