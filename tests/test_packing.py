"""A bundle is packed by another process, which holds no key, and signed here."""

from __future__ import annotations

import io
import json
import sys
import zipfile

import pytest

from engine.clock import VirtualClock
from engine.evidence.exporting import Exporter, ExportFailed
from engine.evidence.packing import Gathered, Packing, pack, parse
from engine.keyring import KeyRing
from tests import test_chronology
from workflows import evidence

TOLD = test_chronology.GATHERED
ENTRIES = tuple(evidence.canonical(one["entry"]).decode() for one in TOLD["entries"])
ANCHOR = {**TOLD["anchors"][0], "size": 1, "tokens": [{"authority": "one", "at": test_chronology.AT, "token": "AAEC"}]}
GATHERED = Gathered("sig_1", ENTRIES, TOLD["openings"], (ANCHOR,), {"h": "text"}, closed=False, language="fr")
PACKING = Packing(GATHERED, {"k1": "PEM"}, "2026-11-27T12:00:00.000Z", "sceau test", {"README.txt": "read"})


def test_what_is_packed_goes_to_another_process_and_back_unchanged() -> None:
    assert Packing.load(PACKING.dump()) == PACKING


def test_the_same_evidence_gives_the_same_octets_and_every_member_is_in_the_manifest() -> None:
    made = pack(PACKING, b"%PDF")
    assert made == pack(PACKING, b"%PDF")
    archive = zipfile.ZipFile(io.BytesIO(made.signed("k1", "signature")))
    listed = json.loads(made.manifest)["members"]
    assert {*listed, "manifest.json", "manifest.sig"} == set(archive.namelist())
    assert all(evidence.digest(archive.read(name)) == digest for name, digest in listed.items())
    assert archive.read("tokens/00000001-one.tsr") == b"\0\1\2"


def test_the_process_packs_and_this_one_signs() -> None:
    keyring = KeyRing.generate()
    archive = zipfile.ZipFile(io.BytesIO(Exporter(keyring, VirtualClock()).bundle(GATHERED)))
    assert archive.read("dossier.pdf").startswith(b"%PDF")
    signed = json.loads(archive.read("manifest.sig"))
    assert signed["key"] == keyring.current_evidence
    assert signed["signature"] == keyring.sign(evidence.MANIFEST_LABEL + archive.read("manifest.json"))


def test_a_process_that_fails_is_told_and_half_of_its_output_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="packed"):
        parse(b"\0\0")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ExportFailed):
        Exporter(KeyRing.generate(), VirtualClock()).bundle(GATHERED)
