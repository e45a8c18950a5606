"""`sceau send`: one message from the command line, and what becomes of it.

It writes the row that the API would write and leaves the sending to the running server; it holds no bind of its own.
"""

from enum import StrEnum
from typing import Annotated, Final

import trio
import typer
from pydantic import ValidationError

from engine import instance
from engine.commands import showing, trace
from engine.commands.rows import Rows, SettingsFile
from engine.errors import Conflict
from engine.tenancy import DEFAULT_APPLICATION, applications

_LOOK_EVERY_S: Final = 0.2
_CODE_LIFE_S: Final = 300
_DONE_WELL: Final = frozenset({"delivered"})
_OPEN: Final = frozenset({"queued", "waiting", "on_wire", "accepted", "in_doubt"})


class CategoryName(StrEnum):
    """What a message is; its lane, life and policy follow from it."""

    otp = "otp"
    signature = "signature"
    handover = "handover"
    transactional = "transactional"
    marketing = "marketing"


def send(
    to: Annotated[str, typer.Argument(help="The number, as + and digits.")],
    text: Annotated[str, typer.Argument(help="What the person shall read.")],
    category: Annotated[CategoryName, typer.Option(help="Decides lane and life.")] = CategoryName.transactional,
    application: Annotated[str, typer.Option(help="In whose name.")] = DEFAULT_APPLICATION,
    sender: Annotated[
        str | None, typer.Option(help="One of the senders of the settings; the lane's own if absent.")
    ] = None,
    ttl_s: Annotated[int | None, typer.Option(help="Seconds it is worth delivering.", min=30, max=604_800)] = None,
    wait_s: Annotated[float, typer.Option(help="How long to watch it; 0 leaves at once.", min=0, max=3_600)] = 30.0,
    file: SettingsFile = None,
) -> None:
    """Queue a message and watch it until it is delivered; exits with 1 if it ends otherwise."""
    rows = Rows.of(file)
    if not any(row.id == application and row.state == "active" for row in rows.read(applications)):
        raise Conflict(f"there is no application {application!r}")
    is_code = category in {CategoryName.otp, CategoryName.signature, CategoryName.handover}
    life_s = _CODE_LIFE_S if ttl_s is None and is_code else ttl_s
    body: dict[str, object] = {"to": to, "text": text, "category": category.value, "ttl_s": life_s, "sender": sender}
    message_id = trio.run(_queue, rows, application, body)
    typer.echo(message_id)
    if instance.find(rows.settings.data_dir, rows.settings.node) is None:
        typer.echo("no server runs here; it is sent once `sceau serve` does", err=True)
    elif wait_s:
        state = trio.run(_watch, rows, message_id, wait_s)
        if state not in _DONE_WELL:
            raise typer.Exit(1)


async def _queue(rows: Rows, application: str, body: dict[str, object]) -> str:
    from engine.api.accepting import Acceptance, MessageBody  # with it comes the whole API
    from engine.api.auth import Caller
    from engine.api.context import Context
    from engine.api.problems import Refused
    from engine.apikeys import Scope, StoredKey
    from engine.core import open_core
    from engine.keyring import KeyRing
    from engine.phones import OfflineResolver
    from engine.store.doorway import Store
    from engine.transit import queue

    try:
        wanted = MessageBody.model_validate(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise Conflict("; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)) from None
    keyring = KeyRing.load(rows.settings.keyring_file)
    store = Store(rows.database, inline=True)
    store.open()
    try:
        core = await open_core(rows.settings, store, rows.clock, keyring)
        key = StoredKey("cli", application, "test", "", frozenset(scope.value for scope in Scope))
        acceptance = Acceptance(Context.of(core, OfflineResolver()), Caller(key, ""), rows.clock.now())
        accepted = acceptance.accept(wanted)
        await store.write(lambda tx: queue.enqueue(tx, [accepted.row]))
    except Refused as refused:
        raise Conflict(f"refused: {refused.code}") from None
    finally:
        await store.close()
    return accepted.row.id


async def _watch(rows: Rows, message_id: str, wait_s: float) -> str:
    """Wait until the message is final; show its timeline and return its state."""
    console = showing.console()
    found = None
    with trio.move_on_after(wait_s), console.status("waiting for its receipt"):
        while found is None or found.state in _OPEN:
            await trio.sleep(_LOOK_EVERY_S)
            found = rows.read(lambda tx: trace.read(tx, message_id))
    if found is None:
        return "queued"
    console.print(showing.timeline(found.entries, f"message {message_id}: {found.state}"))
    return found.state
