"""`sceau handover`: prints the reference client of couriers' devices, for whoever writes their application."""

from importlib.resources import files

import typer

app = typer.Typer(help="Deliveries: the reference client of couriers' devices.", no_args_is_help=True)


@app.callback()
def _handover() -> None:
    """Keep `client` a command of its own while it is the only one."""


@app.command()
def client() -> None:
    """Print the reference client: one file that needs Python 3.11 and `cryptography` alone."""
    typer.echo(files("engine").joinpath("handover_client.py").read_text(encoding="utf-8"), nl=False)
