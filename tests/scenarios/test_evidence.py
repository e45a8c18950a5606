"""Evidence of a signature made over the air: what is in it, what can be done to it, and that each attack is seen."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.codes import CodeSeed
from engine.evidence import standalone, verify_bundle
from engine.evidence.bundle import collect
from engine.evidence.sealing import code_salt
from engine.keyring import KeyRing
from engine.store.connections import Database
from engine.store.schema import migrate
from tests.authority import TestAuthority
from tests.evidence_case import AUTHORITY, ROOTS, Case, made
from tests.rig import APP, rig
from tests.scenarios.test_signing import ANNA, SETTINGS, SHA, Desk, signer
from tests.test_secrets_at_rest import every_text
from workflows import evidence
from workflows.merkle import Frontier, inclusion_proof, leaf_hash

Autojump = trio.testing.MockClock


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    database = Database.at(f"sqlite:///{tmp_path_factory.mktemp('evidence') / 'sceau.sqlite3'}")
    migrate(database)
    return trio.run(made, database, tmp_path_factory.mktemp("ca"), clock=trio.testing.MockClock(autojump_threshold=0))


async def test_the_evidence_of_a_signature_is_whole_and_stands_alone(
    database: Database, autojump_clock: Autojump
) -> None:
    case = await made(database)
    assert case.verdict(case.bundle()) == "valid"
    assert case.verdict(case.bundle(), heads=False) == "unanchored"
    entries = [json.loads(one) for one in case.gathered.entries]
    kinds = [entry["kind"] for entry in entries]
    for kind in (
        "request.created", "document.declared", "signer.declared", "message.queued", "message.submitted",
        "message.settled", "reply.received", "check.done", "signing.signed", "closed",
    ):  # fmt: skip
        assert kind in kinds
    submitted = next(entry["body"] for entry in entries if entry["kind"] == "message.submitted")
    assert submitted["parts"][0]["smsc_message_id"]
    settled = [entry["body"] for entry in entries if entry["kind"] == "message.settled"]
    assert any(receipt["stat"] == "DELIVRD" for body in settled for receipt in body["receipts"])
    values = [opening["value"] for opening in case.gathered.openings.values()]
    assert ANNA in values  # the number is beside the chain …
    assert not any(ANNA in one for one in case.gathered.entries)  # … and never in it
    stated = next(entry["stated"] for entry in entries if entry["kind"] == "signing.signed" and entry["stated"])
    assert stated == ["consent_at", "ip", "user_agent"]


def test_what_a_handset_sent_is_there_octet_by_octet(case: Case) -> None:
    replies = [json.loads(one)["body"] for one in case.gathered.entries if '"reply.received"' in one]
    opened = [case.gathered.openings[body["pdus"]["commitment"]]["value"] for body in replies]
    assert all(bytes.fromhex(pdu)[4:8] == b"\0\0\0\x05" for pdus in opened for pdu in pdus)


def mutations() -> dict[str, tuple[str, Callable[[list[bytes]], list[bytes]]]]:
    def drop(place: int) -> Callable[[list[bytes]], list[bytes]]:
        return lambda entries: entries[:place] + entries[place + 1 :]

    def swap(entries: list[bytes]) -> list[bytes]:
        return [*entries[:4], entries[5], entries[4], *entries[6:]]

    def double(entries: list[bytes]) -> list[bytes]:
        return [*entries[:6], entries[5], *entries[6:]]

    def alter(entries: list[bytes]) -> list[bytes]:
        entry = json.loads(entries[7])
        entry["at"] = "2020-01-01T00:00:00.000000Z"
        return [*entries[:7], evidence.canonical(entry), *entries[8:]]

    return {
        "removed": ("removed", drop(5)),
        "truncated": ("truncated", lambda entries: entries[:-3]),
        "reordered": ("reordered", swap),
        "inserted": ("inserted", double),
        "altered": ("altered", alter),
    }


@pytest.mark.parametrize("attack", mutations())
def test_a_changed_chain_is_named_for_what_was_done_to_it(case: Case, attack: str) -> None:
    verdict, change = mutations()[attack]
    assert case.verdict(case.with_chain(change)) == verdict


def test_an_entry_put_between_and_numbered_anew_is_seen_as_inserted(case: Case) -> None:
    def insert(entries: list[bytes]) -> list[bytes]:
        more = []
        for place, octets in enumerate(entries):
            entry = json.loads(octets)
            if place == 6:
                forged = {**entry, "kind": "check.done", "body": {}}
                more.append(evidence.canonical(forged))
            if place >= 6:
                entry["seq"] = place + 1
            more.append(evidence.canonical(entry))
        return more

    assert case.verdict(case.with_chain(insert)) == "inserted"


def test_a_chain_rewritten_whole_with_our_own_key_disagrees_with_a_posted_head(case: Case) -> None:
    """The forger holds the signing key, but not the head that was posted."""
    entries, prev = [], ""
    for seq, content in enumerate(case.gathered.entries):
        old = json.loads(content)
        body = old["body"] | ({"reason": "forged"} if seq == 5 else {})
        link = evidence.link(old["application"], old["case"], seq, prev, old["at"], old["kind"], body, old["stated"])
        entries.append(link.content)
        prev = link.hash
    first = json.loads(entries[0])
    leaf = evidence.leaf(first["application"], first["case"], len(entries), prev, closed=True)
    old_root = json.loads(case.gathered.anchors[-1]["root"])
    frontier, nodes = Frontier(), {}
    for _ in range(old_root["size"]):
        frontier, completed = frontier.grown(leaf_hash(leaf))
        nodes |= dict(completed)
    content = evidence.root(first["application"], frontier.size, frontier.root, old_root["at"]).decode()
    anchor = {
        "leaf": leaf.decode(),
        "position": 0,
        "size": frontier.size,
        "proof": [one.hex() for one in inclusion_proof(nodes, 0, frontier.size)],
        "root": content,
        "signature": case.keyring.sign(evidence.ROOT_LABEL + content.encode()),
        "key": case.keyring.current_evidence,
        "tokens": [],
    }
    forged = replace(case.gathered, entries=tuple(entries), anchors=(anchor,))
    assert case.verdict(case.bundle(forged)) == "rewritten"
    assert case.verdict(case.bundle(forged), heads=False, authorities=ROOTS) == "unanchored"
    # With the tokens of the true root it is seen by the tokens alone, whoever is trusted.
    stamped = replace(forged, anchors=({**anchor, "tokens": case.gathered.anchors[-1]["tokens"]},))
    assert case.verdict(case.bundle(stamped), heads=False) == "rewritten"
    assert case.verdict(case.bundle(stamped), heads=False, authorities=ROOTS) == "rewritten"


def test_a_time_stamp_vouches_without_a_posted_head(case: Case) -> None:
    assert case.verdict(case.bundle(), heads=False, authorities=ROOTS) == "valid"
    other = TestAuthority("Another TSA")
    assert case.verdict(case.bundle(), heads=False, authorities=(other.root,)) == "unanchored"
    kinds = [json.loads(one)["kind"] for one in case.gathered.entries]
    assert kinds.count("chain.stamped") == 1  # told once, after the close, and anchored anew
    assert kinds.index("chain.stamped") > kinds.index("closed")
    assert len({anchor["tokens"][0]["token"] for anchor in case.gathered.anchors}) > 1


def test_time_stamps_that_were_exchanged_are_seen(case: Case) -> None:
    first, *_, last = case.gathered.anchors
    swapped = ({**first, "tokens": last["tokens"]}, *case.gathered.anchors[1:-1], {**last, "tokens": first["tokens"]})
    assert case.verdict(case.bundle(replace(case.gathered, anchors=swapped))) == "rewritten"


def test_a_time_stamp_whose_signature_was_damaged_is_seen(case: Case) -> None:
    *rest, last = case.gathered.anchors
    token = bytearray(base64.b64decode(last["tokens"][0]["token"]))
    token[-1] ^= 1
    damaged = {**last, "tokens": [{**last["tokens"][0], "token": base64.b64encode(token).decode()}]}
    bundle = case.bundle(replace(case.gathered, anchors=(*rest, damaged)))
    assert case.verdict(bundle, authorities=ROOTS) == "altered"


def test_a_bundle_of_before_the_late_entries_is_still_good(case: Case) -> None:
    """What was downloaded at the close: the chain up to its first leaf, and that leaf alone."""
    first = case.gathered.anchors[0]
    count = json.loads(first["leaf"])["count"]
    kept = {
        commitment: value
        for commitment, value in case.gathered.openings.items()
        if any(commitment in entry for entry in case.gathered.entries[:count])
    }
    early = replace(case.gathered, entries=case.gathered.entries[:count], anchors=(first,), openings=kept)
    assert case.verdict(case.bundle(early), heads=False, authorities=ROOTS) == "valid"


@pytest.mark.parametrize("name", ["dossier.pdf", "openings.json", "anchors.json", "chain.jsonl", "manifest.json"])
def test_a_member_changed_by_who_has_no_key_is_seen(case: Case, name: str) -> None:
    members = case.members()
    octets = members[name]
    place = len(octets) // 2
    members[name] = octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for one, content in members.items():
            archive.writestr(one, content)
    assert case.verdict(file.getvalue()) not in {"valid", "unanchored"}


def test_only_a_document_that_was_signed_is_accepted(case: Case) -> None:
    assert hashlib.sha256(b"%PDF the contract").hexdigest() == SHA
    assert case.verdict(case.bundle(), documents=(b"%PDF the contract",)) == "valid"
    assert case.verdict(case.bundle(), documents=(b"%PDF another contract",)) == "altered"


def test_a_bundle_signed_by_another_installation_is_not_trusted(case: Case) -> None:
    other = KeyRing.generate()
    outside = verify_bundle.Outside(list(other.public_keys().values()), case.heads)
    found = verify_bundle.verify(case.bundle(), outside)
    assert found.verdict == "altered"


def test_the_program_works_without_sceau(case: Case, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(case.bundle())
    key = next(iter(case.keyring.public_keys().values()))
    (tmp_path / "k.pem").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    (tmp_path / "h.jsonl").write_text("\n".join(json.dumps(head) for head in case.heads))
    program = tmp_path / "verify.py"
    program.write_text(standalone.program(), "utf-8")
    command = [sys.executable, "-I", str(program), str(tmp_path / "b.zip"), "--trust", str(tmp_path / "k.pem")]
    valid = subprocess.run([*command, "--head", str(tmp_path / "h.jsonl")], capture_output=True, text=True, check=False)
    assert (valid.returncode, valid.stdout.splitlines()[-1]) == (0, "valid")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 3
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.root.public_bytes(Encoding.PEM))
    stamped = subprocess.run([*command, "--tsa-ca", str(tmp_path / "ca.pem")], capture_output=True, check=False)
    assert stamped.returncode == 0
    assert "engine" not in program.read_text("utf-8").replace("engineer", "")
    (tmp_path / "b.zip").write_bytes(b"no zip")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2


async def test_before_its_signing_is_closed_no_code_can_be_opened(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """S35: all 10^6 codes against all that is stored: every value of every table, and the bundle. All but the key."""
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), auto_send=True)
        await pair.settled(30)
        code = desk.code(ANNA)
        keyring = pair.core.keyring
        gathered = await pair.core.store.read(lambda tx: collect(tx, APP, desk.request, keyring))
        rows = [value for _, value in await every_text(pair)]
    assert gathered is not None
    assert code not in json.dumps([dict(one) for one in gathered.openings.values()])
    seeds = [body["code_seed"] for one in gathered.entries if "code_seed" in (body := json.loads(one)["body"])]
    stored = tokens([*rows, *gathered.entries, json.dumps([dict(one) for one in gathered.openings.values()])])
    hashes = {one for one in stored if len(one) == 32}
    salts = [b"", bytes(32), *sorted(stored), *(seed.encode() for seed in seeds)]
    assert len(hashes) > 20
    assert len(salts) > 100
    assert not any(opened for salt in salts for opened in made_of(code, salt) if opened in hashes)
    [nonce] = {bytes.fromhex(json.loads(seed)["nonce"]) for seed in seeds}
    assert not any(hashlib.sha256(b'"%06d"' % number).digest() in hashes for number in range(1_000_000))
    assert not any(hmac.digest(nonce, b'"%06d"' % number, "sha256") in hashes for number in range(1_000_000))
    # With the key it can be: the test would see it.
    with_key = [code_salt(keyring, CodeSeed.from_json(seed)) for seed in seeds]
    assert any(opened in hashes for salt in with_key for opened in made_of(code, salt))


def tokens(texts: list[str]) -> set[bytes]:
    """Every run of hex or base64url in these texts that could be a hash, a salt or a key, decoded."""
    found: set[bytes] = set()
    for run in {one for text in texts for one in re.findall(r"[A-Za-z0-9_-]{16,}", text)}:
        with suppress(ValueError):
            found.add(bytes.fromhex(run))
        with suppress(ValueError):
            found.add(base64.urlsafe_b64decode(run + "=" * (-len(run) % 4)))
        found.add(run.encode())
    return found


def made_of(code: str, salt: bytes) -> Iterator[bytes]:
    """What somebody could have made of a code and a salt."""
    for form in (code.encode(), f'"{code}"'.encode()):
        yield hmac.digest(salt, form, "sha256")
        yield hmac.digest(form, salt, "sha256")
        yield hashlib.sha256(salt + form).digest()
        yield hashlib.sha256(form + salt).digest()
