"""Packs gathered evidence into a bundle: the dossier, the members, the manifest of their hashes, the `.zip`.

Run as a program (`python -m engine.evidence.packing`) it reads a `Packing` as JSON and writes the manifest, behind its
length, and the bundle without its signature: `exporting` runs it so, since it takes a processor, and signs at home. The
same evidence and instant give the same octets, but for the dossier's own date.
"""

import base64
import io
import json
import os
import struct
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from engine.evidence.dossier import NICENESS, render
from workflows import evidence

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # of every member: a zip's clock says nothing here
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Gathered:
    """The evidence of one case as it stands: JSON values alone, so that it can be handed to another process."""

    case_id: str
    entries: tuple[str, ...]
    openings: Mapping[str, Mapping[str, Any]]  # commitment → {salt, value}
    anchors: tuple[Mapping[str, Any], ...]
    templates: Mapping[str, str]
    closed: bool
    language: str

    def as_json(self) -> dict[str, Any]:
        """Return it as `GET …/evidence` shows it: entries parsed, beside their octets' hashes."""
        return {
            "case_id": self.case_id,
            "closed": self.closed,
            "head": evidence.digest(self.entries[-1].encode()) if self.entries else None,
            "entries": [{"sha256": evidence.digest(one.encode()), "entry": json.loads(one)} for one in self.entries],
            "openings": dict(self.openings),
            "anchors": list(self.anchors),
        }

    @classmethod
    def load(cls, facts: Mapping[str, Any]) -> "Gathered":
        """Return what `dataclasses.asdict` made of one, after a way through JSON."""
        return cls(**{**facts, "entries": tuple(facts["entries"]), "anchors": tuple(facts["anchors"])})


@dataclass(frozen=True, slots=True)
class Packing:
    """What a bundle is packed from; `pems` are the public keys by id, `more` texts beside the evidence by name."""

    gathered: Gathered
    pems: Mapping[str, str]
    made_at: str
    software: str
    more: Mapping[str, str]

    def dump(self) -> bytes:
        """Return it as JSON, for another process."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def load(cls, octets: bytes) -> "Packing":
        """Return what `dump` made."""
        facts = json.loads(octets)
        return cls(**{**facts, "gathered": Gathered.load(facts["gathered"])})


class Unsigned(NamedTuple):
    """A bundle that lacks its signature, and the manifest that is to be signed."""

    manifest: bytes
    bundle: bytes

    def signed(self, key: str, signature: str) -> bytes:
        """Return the whole bundle."""
        file = io.BytesIO(self.bundle)
        with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
            _put(archive, "manifest.sig", evidence.canonical({"key": key, "signature": signature}))
        return file.getvalue()


def pack(packing: Packing, dossier: bytes) -> Unsigned:
    """Return the bundle with this dossier."""
    gathered = packing.gathered
    members: dict[str, bytes] = {
        "chain.jsonl": "".join(f"{one}\n" for one in gathered.entries).encode(),
        "openings.json": evidence.canonical({key: dict(value) for key, value in gathered.openings.items()}),
        "anchors.json": evidence.canonical([{**one, "tokens": list(_tokens(one))} for one in gathered.anchors]),
    }
    for anchor in gathered.anchors:
        members |= _tokens(anchor)
    for kid, pem in sorted(packing.pems.items()):
        members[f"keys/{kid}.pem"] = pem.encode()
    for pinned, text in sorted(gathered.templates.items()):
        members[f"templates/{pinned}.txt"] = text.encode()
    members["dossier.pdf"] = dossier
    members |= {name: text.encode() for name, text in packing.more.items()}
    manifest = evidence.canonical(
        {
            "v": evidence.VERSION,
            "case": gathered.case_id,
            "made_at": packing.made_at,
            "software": packing.software,
            "members": {name: evidence.digest(octets) for name, octets in members.items()},
        }
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, octets in members.items():
            _put(archive, name, octets)
        _put(archive, "manifest.json", manifest)
    return Unsigned(manifest, file.getvalue())


def parse(octets: bytes) -> Unsigned:
    """Return what the program wrote; raises `ValueError` for anything less."""
    if len(octets) < _LENGTH.size:
        raise ValueError("not a packed bundle")
    (length,) = _LENGTH.unpack_from(octets)
    at = _LENGTH.size + length
    return Unsigned(octets[_LENGTH.size : at], octets[at:])


def _put(archive: zipfile.ZipFile, name: str, octets: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), octets, zipfile.ZIP_DEFLATED)


def _tokens(anchor: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the members that are the time stamps of an anchor's root, as their authorities gave them."""
    return {
        f"tokens/{anchor['size']:08}-{stamp['authority']}.tsr": base64.b64decode(stamp["token"])
        for stamp in anchor["tokens"]
    }


def main() -> None:
    """Read a `Packing` from the standard input, write the unsigned bundle to the standard output."""
    os.nice(NICENESS)
    packing = Packing.load(sys.stdin.buffer.read())
    made = pack(packing, render(packing.gathered.as_json(), packing.gathered.language))
    sys.stdout.buffer.write(_LENGTH.pack(len(made.manifest)) + made.manifest + made.bundle)


if __name__ == "__main__":
    main()
