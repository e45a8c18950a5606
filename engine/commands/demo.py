"""`sceau demo`: codes travel both ways and a document is signed, over a simulated operator, each step with its time.

`sceau demo sign` has a document of yours signed and leaves its evidence in the present folder. What is played is in
`demo_code`, `demo_signing`, `demo_reverse`, `demo_handover` and `demo_lead`, where it is played in `stage`.
"""

import mimetypes
import re
from pathlib import Path
from typing import Annotated, Final

import typer

from engine.commands import demo_code, demo_handover, demo_lead, demo_reverse, demo_signing, showing
from engine.commands.demo_signing import Document, Proof, Signer
from engine.commands.stage import Stage, perform
from engine.errors import Conflict, SettingsError
from engine.phones import BadNumber, parse_destination

_PHONE: Final = "+33612345678"  # fictional, as every number of ours
_OTHER: Final = "+33612345679"
_LEAD: Final = "+33612345670"
_LARGEST: Final = 1 << 20
_LONGEST_TITLE: Final = 30
_NO_WORD: Final = re.compile(r"[^\w-]+")
_PhoneOption = Annotated[str, typer.Option(help="The simulated handset that gets the code.")]
_LanguageOption = Annotated[str, typer.Option(help="Of the texts: fr, en, de, es, it.")]

app = typer.Typer(invoke_without_command=True)


@app.callback()
def demo(context: typer.Context, phone: _PhoneOption = _PHONE, language: _LanguageOption = "en") -> None:
    """Send a code and type it back; sign a PDF; have a code sent to us; hand a parcel over; qualify a lead."""
    if context.invoked_subcommand is not None:
        return
    to = _number(phone)
    signers = [Signer(to, "reply"), Signer(_OTHER if to != _OTHER else _PHONE, "code")]

    async def play(stage: Stage) -> None:
        await demo_code.verify(stage, to, language)
        await demo_signing.sign(stage, demo_signing.sample(), signers, language)
        await demo_reverse.prove(stage, to, language)
        await demo_handover.hand_over(stage, to, language)
        await demo_lead.qualify(stage, _LEAD, language)

    console = showing.console()
    perform(console, play)
    console.print("[bold green]approved, signed, proven, handed over, qualified[/]")


@app.command()
def sign(
    document: Annotated[Path, typer.Option(help="The file to sign.", exists=True, dir_okay=False, readable=True)],
    phone: _PhoneOption = _PHONE,
    language: _LanguageOption = "en",
) -> None:
    """Have a file signed by a simulated handset, which answers the SMS; leave the evidence in the present folder."""
    content = document.read_bytes()
    if not content or len(content) > _LARGEST:
        raise SettingsError(f"--document: {len(content):,} octets; 1 to {_LARGEST:,} can be signed here")
    media_type = mimetypes.guess_type(document.name)[0] or "application/octet-stream"
    signed = Document(_title(document), media_type, content)
    signers = [Signer(_number(phone), "reply")]
    proofs: list[Proof] = []

    async def play(stage: Stage) -> None:
        proofs.append(await demo_signing.sign(stage, signed, signers, language))

    console = showing.console()
    perform(console, play)
    for line in _leave(proofs[0], document):
        console.print(showing.safe(line), soft_wrap=True)


def _leave(proof: Proof, document: Path) -> list[str]:
    """Write the bundle, the public keys and the posted heads; return what to tell. Nothing is replaced."""
    name = f"sceau-evidence-{proof.request}"
    written = {f"{name}.zip": proof.bundle, f"{name}.pem": proof.keys.encode(), f"{name}.jsonl": proof.heads.encode()}
    for file, octets in written.items():
        try:
            with Path(file).open("xb") as target:
                target.write(octets)
        except OSError as error:
            raise Conflict(f"{file} cannot be written ({error.strerror})") from None
    return [
        f"wrote {', '.join(written)}",
        "to verify it, also where there is no Sceau:",
        "  sceau evidence verifier > verify_bundle.py",
        f"  python verify_bundle.py {name}.zip --trust {name}.pem --head {name}.jsonl --document {document}",
    ]


def _title(document: Path) -> str:
    """Return what signers read: of a name with dots or signs, which an SMS must not carry, the words alone."""
    return _NO_WORD.sub(" ", document.stem)[:_LONGEST_TITLE].strip() or "document"


def _number(phone: str) -> str:
    try:
        return parse_destination(phone).e164
    except BadNumber as error:
        raise SettingsError(f"--phone: {error.code}") from None
