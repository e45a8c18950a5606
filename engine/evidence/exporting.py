"""Makes bundles and dossiers of gathered evidence: has them made by a process of their own, and signs.

Routes and commands are the callers. A process that fails or takes too long raises `ExportFailed`; nothing was changed.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar, Final

from sqlalchemy import bindparam, select

from engine.clock import Clock, to_rfc3339
from engine.errors import EngineError
from engine.evidence.packing import Gathered, Packing, Unsigned, parse
from engine.evidence.standalone import program_sha256
from engine.keyring import KeyRing
from engine.store.statements import Statement
from engine.store.tables_evidence import EvidenceRoot
from engine.store.transaction import Tx
from workflows import evidence

_DEADLINE_S: Final = 30.0
_README: Final = """\
This file is the evidence of a signature request, made by Sceau.

chain.jsonl     what happened, in order; every line holds the SHA-256 of the one before
openings.json   personal values and texts whose commitments stand in the chain, with their salts
anchors.json    proofs that the application's log holds the head of the chain, and the log's signed roots
keys/           the public keys of the installation: get one from its operator on another way before you trust it
templates/      the texts of the messages' templates, by their hash
tokens/         time stamps (RFC 3161) of the log's roots, as their authorities gave them
dossier.pdf     the same for people
manifest.*      the SHA-256 of every member, signed

To verify it without Sceau you need Python 3.11 and the package "cryptography":

    python verify_bundle.py THIS.zip --trust KEY.pem --head HEADS.jsonl --tsa-ca CA.pem

where HEADS.jsonl are heads that somebody kept outside, and CA.pem is the root certificate of a time-stamp authority.
"sceau evidence verifier" prints the program. Its SHA-256 is
{verifier}.
"""


class ExportFailed(EngineError):
    """The dossier could not be made."""

    code: ClassVar[str] = "export_failed"


@dataclass(frozen=True, slots=True)
class Exporter:
    """Exports for one installation."""

    keyring: KeyRing
    clock: Clock

    def bundle(self, gathered: Gathered) -> bytes:
        """Return the bundle; blocks while another process makes it, so call it in a thread. Raises `ExportFailed`."""
        packing = Packing(
            gathered,
            self.keyring.public_pems(),
            to_rfc3339(self.clock.now()),
            f"sceau {version('sceau')}",
            {"README.txt": _README.format(verifier=program_sha256())},
        )
        return sign(parse(_run("engine.evidence.packing", (), packing.dump())), self.keyring)

    def dossier(self, gathered: Gathered) -> bytes:
        """Return the PDF alone; blocks, and raises `ExportFailed`."""
        return _run("engine.evidence.dossier", (gathered.language,), json.dumps(gathered.as_json()).encode())


def sign(made: Unsigned, keyring: KeyRing) -> bytes:
    """Return a bundle with its signature."""
    return made.signed(keyring.current_evidence, keyring.sign(evidence.MANIFEST_LABEL + made.manifest))


def _run(module: str, arguments: Sequence[str], given: bytes) -> bytes:
    command = [sys.executable, "-m", module, *arguments]
    try:
        made = subprocess.run(command, input=given, capture_output=True, timeout=_DEADLINE_S, check=True)  # noqa: S603 - our own module
    except (subprocess.SubprocessError, OSError) as error:
        raise ExportFailed(f"the export was not made ({type(error).__name__})") from None
    return made.stdout


def roots(tx: Tx, application_id: str, before: int, limit: int) -> list[dict[str, Any]]:
    """Return an application's signed roots, newest first, of fewer leaves than `before`."""
    rows = tx.all(_ROOTS, application=application_id, before=before, most=limit)
    return [
        {"size": int(size), "content": content, "signature": signature, "key": key, "tokens": json.loads(tokens)}
        for size, content, signature, key, tokens in rows
    ]


_root: Any = EvidenceRoot.__table__  # type: ignore[attr-defined]
_ROOTS: Final = Statement(
    lambda _: (
        select(_root.c.size, _root.c.content, _root.c.signature, _root.c.key_id, _root.c.tokens)
        .where(_root.c.application_id == bindparam("application"), _root.c.size < bindparam("before"))
        .order_by(_root.c.size.desc())
        .limit(bindparam("most"))
    )
)
