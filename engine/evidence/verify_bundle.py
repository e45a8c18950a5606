"""Verifies a bundle of evidence without Sceau: one file that needs Python 3.11 and the package `cryptography` alone.

    python verify_bundle.py BUNDLE.zip --trust KEY.pem [--head HEADS.jsonl] [--document FILE]

Exit status: 0 valid; 3 unanchored (consistent, but nothing outside the bundle vouches for it); 1 altered, inserted,
removed, reordered, truncated or rewritten; 2 unreadable. Formats: docs/signing.md.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import hmac
import io
import json
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

ROOT_LABEL: Final = b"sceau.root.1\0"
MANIFEST_LABEL: Final = b"sceau.manifest.1\0"
EXIT: Final = {"valid": 0, "unanchored": 3}
BROKEN: Final = 1
UNREADABLE: Final = 2
_MOST_OCTETS: Final = 256 << 20
_MOST_MEMBERS: Final = 2_000
_ENTRY: Final = {"v", "application", "case", "seq", "prev", "at", "kind", "body", "stated"}


class Unreadable(Exception):
    """It is no bundle, or no key, or too large."""


@dataclass(slots=True)
class Finding:
    """The verdict, where (an entry's number or a member's name), why, and what was checked on the way."""

    verdict: str
    where: str = ""
    why: str = ""
    checked: list[str] = field(default_factory=list)


class _BreakError(Exception):
    def __init__(self, verdict: str, where: object, why: str) -> None:
        self.finding = Finding(verdict, str(where), why)


def verify(
    bundle: bytes,
    trust: Iterable[Ed25519PublicKey],
    heads: Sequence[Mapping[str, str]] = (),
    documents: Sequence[bytes] = (),
) -> Finding:
    """Return what a bundle is worth, given posted heads and signed documents; raises `Unreadable` for no bundle."""
    trusted = {hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]: key for key in trust}
    checked: list[str] = []
    try:
        finding = _verify(_members(bundle), trusted, heads, documents, checked)
    except _BreakError as broken:
        finding = broken.finding
    finding.checked = checked
    return finding


def _verify(
    members: Mapping[str, bytes],
    trusted: Mapping[str, Ed25519PublicKey],
    heads: Sequence[Mapping[str, str]],
    documents: Sequence[bytes],
    checked: list[str],
) -> Finding:
    for name in ("chain.jsonl", "anchors.json", "openings.json", "manifest.json", "manifest.sig"):
        if name not in members:
            raise _BreakError("altered", name, "the member is missing")
    *contents, rest = members["chain.jsonl"].split(b"\n")
    if rest:
        raise _BreakError("truncated", len(contents), "the last entry is cut")
    anchors = _json(members["anchors.json"], "anchors.json")
    if not isinstance(anchors, list):
        raise _BreakError("altered", "anchors.json", "not a list")
    leaf = [_leaf_of(anchor) for anchor in anchors][-1] if anchors else None
    entries = _chain(contents, leaf)
    checked.append(f"the chain: {len(entries)} entries, each bound to the one before")
    roots = [_anchor(anchor, entries, contents, trusted) for anchor in anchors]
    if roots:
        checked.append(f"the log: {len(roots)} signed root(s) of a trusted key hold the chain's head")
    _openings(entries, _json(members["openings.json"], "openings.json"))
    checked.append("the opened values: each is what the chain committed to")
    for name, octets in members.items():
        if name.startswith("templates/") and name[10:42] != hashlib.sha256(octets).hexdigest()[:32]:
            raise _BreakError("altered", name, "the text is not the one that the chain names")
    _manifest(members, trusted)
    checked.append("the manifest: every member is the one that was signed")
    checked += _documents(entries, documents)
    if leaf is None or leaf["count"] != len(entries):
        return Finding("unanchored", why="the log does not speak of the whole chain yet")
    return _vouched(roots, heads, trusted, checked)


def _members(bundle: bytes) -> dict[str, bytes]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(bundle))
        infos = archive.infolist()
        small = len(infos) <= _MOST_MEMBERS and sum(one.file_size for one in infos) <= _MOST_OCTETS
        members = {one.filename: archive.read(one) for one in infos} if small else {}
    except Exception as error:  # zipfile and zlib raise many kinds for octets that are no zip
        raise Unreadable(f"not a whole zip file ({type(error).__name__})") from None
    if not small:
        raise Unreadable("the bundle is too large")
    if len(members) != len(infos):
        raise _BreakError("altered", "the zip", "a member is there twice")
    return members


def _json(octets: bytes, name: str) -> Any:
    try:
        return json.loads(octets)
    except (ValueError, RecursionError):
        raise _BreakError("altered", name, "not JSON") from None


def _manifest(members: Mapping[str, bytes], trusted: Mapping[str, Ed25519PublicKey]) -> None:
    signed = _json(members["manifest.sig"], "manifest.sig")
    _signed(MANIFEST_LABEL + members["manifest.json"], signed, trusted, "manifest.sig")
    listed = _json(members["manifest.json"], "manifest.json")["members"]
    present = {name: octets for name, octets in members.items() if name not in {"manifest.json", "manifest.sig"}}
    for name in sorted(listed.keys() | present.keys()):
        if name not in present or name not in listed:
            raise _BreakError("altered", name, "the manifest and the members differ")
        if hashlib.sha256(present[name]).hexdigest() != listed[name]:
            raise _BreakError("altered", name, "its hash is not the manifest's")


def _chain(contents: Sequence[bytes], leaf: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    entries = [_entry(octets, place) for place, octets in enumerate(contents)]
    count = None if leaf is None else int(leaf["count"])
    numbers = [entry["seq"] for entry in entries]
    seen: set[int] = set()
    for place, number in enumerate(numbers):
        if number in seen:
            raise _BreakError("inserted", place, f"entry {number} is there twice")
        seen.add(number)
    if numbers != list(range(len(numbers))):
        if sorted(numbers) == list(range(len(numbers))):
            place = next(place for place, number in enumerate(numbers) if number != place)
            raise _BreakError("reordered", place, f"entry {numbers[place]} stands in the place of {place}")
        missing = next(number for number in range(len(numbers) + 1) if number not in seen)
        raise _BreakError("removed", missing, f"entry {missing} is missing")
    _links(entries, contents, count)
    return entries


def _links(entries: Sequence[Mapping[str, Any]], contents: Sequence[bytes], count: int | None) -> None:
    hashes = [hashlib.sha256(octets).hexdigest() for octets in contents]
    for place, entry in enumerate(entries):
        wanted = hashes[place - 1] if place else ""
        if entry["prev"] != wanted:
            if entry["prev"] in hashes[:place]:
                where = hashes.index(entry["prev"]) + 1
                raise _BreakError("inserted", where, "an entry was put where another followed")
            if count is not None and len(entries) != count:
                verdict = "inserted" if len(entries) > count else "removed"
                raise _BreakError(verdict, place, f"{len(entries)} entries where the log speaks of {count}")
            raise _BreakError("altered", max(0, place - 1), "the next entry is bound to other octets")
        if entry["kind"] == "closed" and entry["body"].get("count") != place:
            raise _BreakError("altered", place, "the closing entry counts another number of entries")
        if (entry["case"], entry["application"]) != (entries[0]["case"], entries[0]["application"]):
            raise _BreakError("inserted", place, "the entry belongs to another case")


def _entry(octets: bytes, place: int) -> dict[str, Any]:
    try:
        entry = json.loads(octets)
        sound = (
            isinstance(entry, dict)
            and entry.keys() == _ENTRY
            and entry["v"] == 1
            and type(entry["seq"]) is int
            and isinstance(entry["body"], dict)
            and canonical(entry) == octets
        )
    except (ValueError, RecursionError, TypeError):
        sound = False
    if not sound:
        raise _BreakError("altered", place, "not an entry in canonical form")
    return entry  # type: ignore[no-any-return]


def canonical(value: Any) -> bytes:
    """Return a JSON value as RFC 8785 writes it; bundles have no fractions, and no integer of 2^53 or more."""
    if isinstance(value, dict):
        ordered = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return b"{" + b",".join(canonical(key) + b":" + canonical(inner) for key, inner in ordered) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(canonical(inner) for inner in value) + b"]"
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53):
        raise ValueError("a number that no bundle has")
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


def _openings(entries: Sequence[Mapping[str, Any]], openings: Any) -> None:
    known = _commitments([entry["body"] for entry in entries])
    given: dict[str, Any] = openings if isinstance(openings, dict) else {"": None}
    for commitment, opening in given.items():
        try:
            salt = bytes.fromhex(opening["salt"])
            made = hmac.digest(salt, canonical(opening["value"]), "sha256").hex()
        except (ValueError, TypeError, KeyError):
            made = ""
        if made != commitment or len(salt) != 32 or commitment not in known:
            raise _BreakError("altered", "openings.json", "a value is not what the chain committed to")


def _commitments(value: Any) -> set[str]:
    if isinstance(value, dict) and value.keys() == {"commitment"}:
        return {str(value["commitment"])}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {found for one in inner for found in _commitments(one)}


def _leaf_of(anchor: Any) -> dict[str, Any]:
    try:
        leaf = json.loads(anchor["leaf"])
        if type(leaf["count"]) is int and isinstance(leaf["head"], str) and isinstance(anchor["root"], str):
            return leaf  # type: ignore[no-any-return]
    except (ValueError, TypeError, KeyError):
        pass
    raise _BreakError("altered", "anchors.json", "not an anchor")


def _anchor(
    anchor: Mapping[str, Any],
    entries: Sequence[Mapping[str, Any]],
    contents: Sequence[bytes],
    trusted: Mapping[str, Ed25519PublicKey],
) -> dict[str, Any]:
    """Check that a signed root of a trusted key holds the chain's head at one length; return what the root says."""
    leaf = _leaf_of(anchor)
    name = "anchors.json"
    if not 0 < leaf["count"] <= len(entries):
        raise _BreakError("truncated", len(entries), f"the log speaks of {leaf['count']} entries")
    first = entries[0]
    if (leaf["case"], leaf["application"]) != (first["case"], first["application"]):
        raise _BreakError("altered", name, "the leaf is of another case")
    if hashlib.sha256(contents[leaf["count"] - 1]).hexdigest() != leaf["head"]:
        raise _BreakError("altered", leaf["count"] - 1, "its hash is not the one that the log speaks of")
    try:
        root = json.loads(anchor["root"])
        proof = [bytes.fromhex(one) for one in anchor["proof"]]
        node = hashlib.sha256(b"\0" + anchor["leaf"].encode()).digest()
        reached = _climb(node, int(anchor["position"]), int(anchor["size"]), proof)
        sound = (
            reached is not None
            and reached.hex() == root["root"]
            and root["size"] == anchor["size"]
            and root["application"] == first["application"]
            and root["log"] == "sceau.evidence"
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        sound = False
    if not sound:
        raise _BreakError("altered", name, "the proof does not lead from the chain's head to the root")
    _signed(ROOT_LABEL + anchor["root"].encode(), anchor, trusted, name)
    return root  # type: ignore[no-any-return]


def _climb(node: bytes, position: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """Return the root that an inclusion proof leads to (RFC 9162, section 2.1.3.2)."""
    if not 0 <= position < size:
        return None
    last = size - 1
    for sibling in proof:
        if last == 0:
            return None
        if position & 1 or position == last:
            node = hashlib.sha256(b"\1" + sibling + node).digest()
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            node = hashlib.sha256(b"\1" + node + sibling).digest()
        position >>= 1
        last >>= 1
    return node if last == 0 else None


def _signed(octets: bytes, signed: Any, trusted: Mapping[str, Ed25519PublicKey], name: str) -> None:
    try:
        key = trusted.get(signed["key"])
        signature = base64.urlsafe_b64decode(signed["signature"] + "==")
    except (TypeError, KeyError, ValueError, AttributeError):
        raise _BreakError("altered", name, "not a signature") from None
    if key is None:
        raise _BreakError("altered", name, "signed by a key that is not trusted")
    try:
        key.verify(signature, octets)
    except InvalidSignature:
        raise _BreakError("altered", name, "the signature is not of these octets") from None


def _vouched(
    roots: Sequence[Mapping[str, Any]],
    heads: Sequence[Mapping[str, str]],
    trusted: Mapping[str, Ed25519PublicKey],
    checked: list[str],
) -> Finding:
    """Say whether a head that somebody else keeps is the same as the bundle's, or disagrees with it."""
    posted = {(one.get("application"), one.get("size")): one.get("root") for one in _posted(heads, trusted)}
    for root in roots:
        if posted.get((root["application"], root["size"]), root["root"]) != root["root"]:
            return Finding("rewritten", "anchors.json", "a head that was posted before says otherwise")
    if (roots[-1]["application"], roots[-1]["size"]) in posted:
        checked.append("a posted head: kept outside the bundle, and the same")
        return Finding("valid")
    return Finding("unanchored", why="no posted head vouches for it")


def _posted(heads: Sequence[Mapping[str, str]], trusted: Mapping[str, Ed25519PublicKey]) -> Iterable[dict[str, Any]]:
    for head in heads:
        try:
            _signed(ROOT_LABEL + head["content"].encode(), head, trusted, "the posted head")
            yield json.loads(head["content"])
        except (_BreakError, KeyError, AttributeError, ValueError, TypeError):
            continue  # of another installation, or none at all


def _documents(entries: Sequence[Mapping[str, Any]], documents: Sequence[bytes]) -> list[str]:
    signed = {entry["body"].get("document_sha256") for entry in entries if entry["kind"] == "signing.signed"}
    if any(hashlib.sha256(octets).hexdigest() not in signed for octets in documents):
        raise _BreakError("altered", "the document", "nobody signed a document of this content")
    return ["the documents: their hashes are the ones that were signed"] if documents else []


def read_key(path: Path) -> Ed25519PublicKey:
    """Return the public key of a PEM file; raises `Unreadable`."""
    try:
        key = load_pem_public_key(path.read_bytes())
    except (ValueError, OSError) as error:
        raise Unreadable(f"{path}: no public key ({type(error).__name__})") from None
    if not isinstance(key, Ed25519PublicKey):
        raise Unreadable(f"{path}: not an Ed25519 key")
    return key


def read_heads(path: Path) -> list[dict[str, str]]:
    """Return the posted heads of a file: a line each, as in the daily file, or the body of a webhook."""
    heads: list[dict[str, str]] = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                head = json.loads(line)
                heads.append(head.get("data", head))
    except (ValueError, OSError, AttributeError) as error:
        raise Unreadable(f"{path}: no posted heads ({type(error).__name__})") from None
    return heads


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify the bundle that the command line names; return the exit status."""
    parser = argparse.ArgumentParser(description="Verify a bundle of evidence.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument(
        "--trust", type=Path, action="append", required=True, help="public key of the installation, PEM"
    )
    parser.add_argument("--head", type=Path, action="append", default=[], help="posted heads that you kept")
    parser.add_argument("--document", type=Path, action="append", default=[], help="a document that was signed")
    given = parser.parse_args(arguments)
    try:
        finding = verify(
            given.bundle.read_bytes(),
            [read_key(path) for path in given.trust],
            [head for path in given.head for head in read_heads(path)],
            [path.read_bytes() for path in given.document],
        )
    except (Unreadable, OSError) as error:
        sys.stderr.write(f"cannot verify: {error}\n")
        return UNREADABLE
    sys.stdout.write(report(finding))
    return EXIT.get(finding.verdict, BROKEN)


def report(finding: Finding) -> str:
    """Return what was checked, a line each, and the verdict."""
    where = f" at {finding.where}" if finding.where else ""
    why = f": {finding.why}" if finding.why else ""
    return "".join(f"ok: {line}\n" for line in finding.checked) + f"{finding.verdict}{where}{why}\n"


if __name__ == "__main__":
    sys.exit(main())
