"""`sceau evidence`: verifies a bundle, prints the verifier and the public keys, exports a case's bundle.

Verifying is the program that works without Sceau; time stamps are read by the library here too. What is trusted
are the installation's own keys and authorities, unless others are named.
"""

from pathlib import Path
from typing import Annotated

import typer

from engine.commands.rows import Rows, SettingsFile
from engine.errors import Conflict
from engine.evidence import standalone, verify_bundle
from engine.evidence.authorities import read_twice
from engine.keyring import KeyRing
from engine.settings import load

app = typer.Typer(help="Evidence of signatures: verify and export bundles.", no_args_is_help=True)


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="The .zip to verify.", exists=True, dir_okay=False)],
    document: Annotated[list[Path] | None, typer.Option(help="A document that was signed.", exists=True)] = None,
    head: Annotated[list[Path] | None, typer.Option(help="Posted heads that you kept.", exists=True)] = None,
    trust: Annotated[
        list[Path] | None, typer.Option(help="Public keys, PEM; the installation's own if absent.")
    ] = None,
    tsa_ca: Annotated[
        list[Path] | None, typer.Option(help="Roots of time-stamp authorities, PEM; the settings' own if absent.")
    ] = None,
    file: SettingsFile = None,
) -> None:
    """Verify a bundle: exit 0 valid, 3 unanchored, 1 broken, 2 unreadable."""
    try:
        own = [] if trust else list(_ring(file).public_keys().values())
        roots = tsa_ca or ([] if trust else [one.ca_file for one in load(file).evidence.authorities])
        outside = verify_bundle.Outside(
            own + [verify_bundle.read_key(path) for path in trust or []],
            [one for path in head or [] for one in verify_bundle.read_heads(path)],
            [path.read_bytes() for path in document or []],
            [one for path in roots for one in verify_bundle.read_authorities(path)],
            read_twice,
        )
        found = verify_bundle.verify(bundle.read_bytes(), outside)
    except (verify_bundle.Unreadable, OSError) as error:
        typer.echo(f"cannot verify: {error}", err=True)
        raise typer.Exit(verify_bundle.UNREADABLE) from None
    typer.echo(verify_bundle.report(found), nl=False)
    raise typer.Exit(verify_bundle.EXIT.get(found.verdict, verify_bundle.BROKEN))


@app.command()
def verifier() -> None:
    """Print the program that verifies bundles without Sceau; the docs and every bundle name its SHA-256."""
    typer.echo(standalone.program(), nl=False)


@app.command()
def keys(file: SettingsFile = None) -> None:
    """Print the public keys of the installation, PEM: give them to whoever is to verify."""
    for key in _ring(file).public_pems().values():
        typer.echo(key, nl=False)


@app.command()
def export(
    request_id: Annotated[str, typer.Argument(help="The signature request.")],
    to: Annotated[Path, typer.Option(help="Where to write the bundle.")] = Path("sceau-evidence.zip"),
    file: SettingsFile = None,
) -> None:
    """Write the bundle of a signature request; a file that is there is not replaced."""
    from engine.clock import SystemClock
    from engine.evidence.bundle import collect, owner
    from engine.evidence.exporting import Exporter

    rows, ring = Rows.of(file), _ring(file)
    application_id = rows.read(lambda tx: owner(tx, request_id))
    found = None if application_id is None else rows.read(lambda tx: collect(tx, application_id, request_id, ring))
    if found is None:
        raise Conflict("there is no evidence of such a request")
    try:
        with to.open("xb") as target:
            target.write(Exporter(ring, SystemClock()).bundle(found))
    except FileExistsError:
        raise Conflict(f"{to} is there already") from None
    typer.echo(f"wrote {to}")


def _ring(file: Path | None) -> KeyRing:
    return KeyRing.load(load(file).keyring_file)
