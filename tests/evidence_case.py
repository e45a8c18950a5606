"""A signed request with its evidence, and what both verifiers say of a bundle: for tests of what can be done to it."""

from __future__ import annotations

import io
import json
import sys
import types
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography import x509

from engine.evidence import standalone, verify_bundle
from engine.evidence.authorities import read_twice
from engine.evidence.bundle import collect
from engine.evidence.exporting import roots, sign
from engine.evidence.packing import Gathered, Packing, pack
from engine.evidence.verify_chain import Finding
from engine.keyring import KeyRing
from engine.store.connections import Database
from tests.authority import TestAuthority
from tests.rig import APP, rig
from tests.scenarios.test_signing import ANNA, BORIS, SETTINGS, Desk, signer
from workflows import evidence

MADE_AT = "2026-11-26T12:00:00.000000Z"


class Case:
    """A signed request with its evidence, kept in memory: the good, and what an attacker makes of it."""

    def __init__(self, gathered: Gathered, keyring: KeyRing, heads: list[dict[str, Any]]) -> None:
        self.gathered, self.keyring, self.heads = gathered, keyring, heads

    def bundle(self, gathered: Gathered | None = None) -> bytes:
        pems = self.keyring.public_pems()
        return sign(pack(Packing(gathered or self.gathered, pems, MADE_AT, "sceau test", {}), b"%PDF"), self.keyring)

    def verdict(
        self,
        bundle: bytes,
        *,
        heads: bool = True,
        documents: Sequence[bytes] = (),
        authorities: Sequence[x509.Certificate] = (),
    ) -> str:
        """The verdict of both verifiers."""
        return self.finding(bundle, heads=heads, documents=documents, authorities=authorities).verdict

    def finding(
        self,
        bundle: bytes,
        *,
        heads: bool = True,
        documents: Sequence[bytes] = (),
        authorities: Sequence[x509.Certificate] = (),
    ) -> Finding:
        """What both verifiers find; fails if they differ."""
        found, alone = self.findings(bundle, heads=heads, documents=documents, authorities=authorities)
        assert (found.verdict, found.where) == (alone.verdict, alone.where)
        return found

    def findings(
        self,
        bundle: bytes,
        *,
        heads: bool = True,
        documents: Sequence[bytes] = (),
        authorities: Sequence[x509.Certificate] = (),
    ) -> tuple[Finding, Finding]:
        """What the command finds, and what the program finds that is given away and reads time stamps by itself."""
        keys = list(self.keyring.public_keys().values())
        outside = verify_bundle.Outside(keys, self.heads if heads else (), documents, authorities, read_twice)
        found = verify_bundle.verify(bundle, outside)
        alone = STAND_ALONE["verify"](bundle, STAND_ALONE["Outside"](*[getattr(outside, one) for one in OUTSIDE]))
        return found, alone

    def members(self) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(self.bundle())) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def zipped(self, members: Mapping[str, bytes]) -> bytes:
        """The bundle of these members, as they are."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, octets in members.items():
                archive.writestr(name, octets)
        return file.getvalue()

    def resigned(self, members: Mapping[str, bytes]) -> bytes:
        """The bundle of these members under a manifest signed anew: the attacker holds our key."""
        listed = {name: octets for name, octets in members.items() if not name.startswith("manifest.")}
        manifest = json.loads(members["manifest.json"])
        manifest["members"] = {name: evidence.digest(octets) for name, octets in listed.items()}
        signed = evidence.canonical(manifest)
        signature = {
            "key": self.keyring.current_evidence,
            "signature": self.keyring.sign(evidence.MANIFEST_LABEL + signed),
        }
        return self.zipped(listed | {"manifest.json": signed, "manifest.sig": evidence.canonical(signature)})

    def with_chain(self, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
        """The bundle with its chain changed and the manifest signed anew: the attacker holds our key."""
        entries = change([one.encode() for one in self.gathered.entries])
        return self.bundle(replace(self.gathered, entries=tuple(one.decode() for one in entries)))


AUTHORITY = TestAuthority()
ROOTS = (AUTHORITY.root,)
OUTSIDE = ("trust", "heads", "documents", "authorities")
STAND_ALONE: dict[str, Any] = {"__name__": "verify_bundle"}
sys.modules["verify_bundle"] = types.ModuleType("verify_bundle")  # dataclasses look there for annotations
exec(compile(standalone.program(), "verify_bundle.py", "exec"), STAND_ALONE)


async def made(database: Database, folder: Path | None = None) -> Case:
    """The evidence of a request that Anna signed by SMS and Boris on a page; with a folder it is time-stamped too."""
    more: dict[str, Any] = {}
    if folder is not None:
        more = {"evidence": {"authorities": {"test_tsa": AUTHORITY.settings(folder)}}}
    async with rig(database, authority=AUTHORITY.transport(), **SETTINGS, **more) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), signer(BORIS, "code"))
        await pair.settled(3)
        await desk.says(ANNA, "oui")
        await desk.says(ANNA, desk.code(ANNA))
        second = (await desk.view())["signings"][1]["id"]
        await desk.send(second)
        await pair.settled(3)
        await desk.sign(second, desk.code(BORIS))
        await pair.settled(60)  # receipts after the close are late entries; all of it is anchored
        keyring = pair.core.keyring
        gathered = await pair.core.store.read(lambda tx: collect(tx, APP, desk.request, keyring))
        heads = await pair.core.store.read(lambda tx: roots(tx, APP, 2**53, 50))
    assert gathered is not None
    return Case(gathered, keyring, heads)
