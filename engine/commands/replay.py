"""`sceau replay`: takes a parked delivery in once more, after whatever made its handling fail was mended.

A parked delivery was acknowledged to the operator and is kept sealed; without an id, the command lists them.
"""

from typing import Annotated, Any, Final

import trio
import typer
from rich.table import Table
from sqlalchemy import BigInteger, bindparam, select

from engine.commands import showing
from engine.commands.rows import Rows, SettingsFile
from engine.commands.showing import instant, safe
from engine.errors import Conflict, EngineError
from engine.logs import described
from engine.store.statements import Statement
from engine.store.tables import Parked

_MOST_LISTED: Final = 200
_REFUSALS: Final = {
    "not_parked": "there is no parked delivery of this id",
    "unknown_account": "the settings no longer have the account that it came from",
    "unreadable": "it cannot be opened with this key ring, or is no PDU",
}


def replay(
    parked_id: Annotated[
        str | None, typer.Argument(help="The delivery to take in; the parked ones are listed if absent.")
    ] = None,
    file: SettingsFile = None,
) -> None:
    """Take a parked delivery in again; it stays parked, and nothing has changed, if its handling fails again."""
    rows = Rows.of(file)
    if parked_id is None:
        _list(rows)
        return
    try:
        code = trio.run(_replay, rows, parked_id)
    except EngineError:
        raise
    except Exception as error:
        raise Conflict(f"it failed again and stays parked: {described(error)}") from None
    if code != "replayed":
        raise Conflict(_REFUSALS[code])
    typer.echo(f"replayed {parked_id}")


async def _replay(rows: Rows, parked_id: str) -> str:
    from engine.core import open_core  # with it comes the whole engine
    from engine.keyring import KeyRing
    from engine.store.doorway import Store
    from engine.transit import replaying

    keyring = KeyRing.load(rows.settings.keyring_file)
    store = Store(rows.database, inline=True)
    store.open()
    try:
        core = await open_core(rows.settings, store, rows.clock, keyring)
        return (await replaying.replay(store, parked_id, core.pool.desk_of, rows.clock)).code
    finally:
        await store.close()


def _list(rows: Rows) -> None:
    found = rows.read(lambda tx: tx.all(_PARKED, most=_MOST_LISTED))
    if not found:
        typer.echo("nothing is parked")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("id", "account", "bind", "failed with", "received"):
        table.add_column(heading, overflow="fold")
    for row_id, account, bind, error, received_at in found:
        table.add_row(safe(row_id), safe(account), safe(bind), safe(error), instant(received_at))
    showing.console().print(table)


# Statements.

_parked: Any = Parked.__table__  # type: ignore[attr-defined]
_PARKED: Final = Statement(
    lambda _: (
        select(*[_parked.c[name] for name in ("id", "account", "bind", "error", "received_at")])
        .where(_parked.c.state == "parked")
        .order_by(_parked.c.received_at)
        .limit(bindparam("most", type_=BigInteger()))
    )
)
