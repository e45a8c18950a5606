"""Verifies a bundle of evidence without Sceau: one file that needs Python 3.11 and the package `cryptography` alone.

    python verify_bundle.py BUNDLE.zip --trust KEY.pem [--head HEADS.jsonl] [--tsa-ca CA.pem] [--document FILE]

Exit status: 0 valid; 3 unanchored (consistent, but nothing outside the bundle vouches for it); 1 altered, inserted,
removed, reordered, truncated or rewritten; 2 unreadable. Formats: docs/signing.md.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import Certificate, load_pem_x509_certificates

from engine.evidence.verify_chain import Broken, Finding, chain, check_openings
from engine.evidence.verify_stamp import BadStamp, Stamp, read_stamp

ROOT_LABEL: Final = b"sceau.root.1\0"
MANIFEST_LABEL: Final = b"sceau.manifest.1\0"
EXIT: Final = {"valid": 0, "unanchored": 3}
BROKEN: Final = 1
UNREADABLE: Final = 2
_MOST_OCTETS: Final = 256 << 20
_MOST_MEMBERS: Final = 2_000


Trusted = Mapping[str, Ed25519PublicKey]  # by key id


class Unreadable(Exception):
    """It is no bundle, or no key, or too large."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What is outside the bundle: public keys to trust, posted heads, signed documents, the certificates of time-stamp
    authorities, and what reads time stamps (another reader must come to the same verdicts).
    """

    trust: Iterable[Ed25519PublicKey]
    heads: Sequence[Mapping[str, str]] = ()
    documents: Sequence[bytes] = ()
    authorities: Sequence[Certificate] = ()
    read_stamp: Callable[[bytes, bytes, Sequence[Certificate]], Stamp] = read_stamp


def verify(bundle: bytes, outside: Outside) -> Finding:
    """Return what a bundle is worth, given what is outside; raises `Unreadable` for what is no bundle."""
    trusted = {hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]: key for key in outside.trust}
    checked: list[str] = []
    try:
        finding = _verify(_members(bundle), outside, trusted, checked)
    except Broken as broken:
        finding = broken.finding
    finding.checked = checked
    return finding


def _verify(members: Mapping[str, bytes], outside: Outside, trusted: Trusted, checked: list[str]) -> Finding:
    for name in ("chain.jsonl", "anchors.json", "openings.json", "manifest.json", "manifest.sig"):
        if name not in members:
            raise Broken("altered", name, "the member is missing")
    *contents, rest = members["chain.jsonl"].split(b"\n")
    if rest:
        raise Broken("truncated", len(contents), "the last entry is cut")
    anchors = _json(members["anchors.json"], "anchors.json")
    if not isinstance(anchors, list):
        raise Broken("altered", "anchors.json", "not a list")
    leaf = [_leaf_of(anchor) for anchor in anchors][-1] if anchors else None
    entries = chain(contents, leaf)
    checked.append(f"the chain: {len(entries)} entries, each bound to the one before")
    roots = [_anchor(anchor, entries, contents, trusted) for anchor in anchors]
    if roots:
        checked.append(f"the log: {len(roots)} signed root(s) of a trusted key hold the chain's head")
    check_openings(entries, _json(members["openings.json"], "openings.json"))
    checked.append("the opened values: each is what the chain committed to")
    for name, octets in members.items():
        if name.startswith("templates/") and name[10:42] != hashlib.sha256(octets).hexdigest()[:32]:
            raise Broken("altered", name, "the text is not the one that the chain names")
    _manifest(members, trusted)
    checked.append("the manifest: every member is the one that was signed")
    checked += _documents(entries, outside.documents)
    posted = list(_posted(outside.heads, trusted))
    by_head = [_vouched_by_head(root, posted) for root in roots]
    by_stamps = [_vouched_by_stamps(anchor, members, outside) for anchor in anchors]
    if leaf is None or leaf["count"] != len(entries):
        return Finding("unanchored", why="the log does not speak of the whole chain yet")
    checked += by_head[-1] + by_stamps[-1]
    if by_stamps[-1]:
        checked.append(f"its last entry says {entries[-1]['at']}: a stamp says nothing of the time before it was made")
    if not by_head[-1] and outside.heads:
        # An authority stamps whatever it is shown, and who writes a log anew also says whose it is: beside heads that
        # were kept, of whatever application, a stamp alone vouches for nothing.
        return Finding("unanchored", why="heads were given, and none of them is of this bundle's root")
    return (
        Finding("valid")
        if by_head[-1] or by_stamps[-1]
        else Finding("unanchored", why="nothing outside vouches for it")
    )


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
        raise Broken("altered", "the zip", "a member is there twice")
    return members


def _json(octets: bytes, name: str) -> Any:
    try:
        return json.loads(octets)
    except (ValueError, RecursionError):
        raise Broken("altered", name, "not JSON") from None


def _manifest(members: Mapping[str, bytes], trusted: Trusted) -> None:
    signed = _json(members["manifest.sig"], "manifest.sig")
    _signed(MANIFEST_LABEL + members["manifest.json"], signed, trusted, "manifest.sig")
    manifest = _json(members["manifest.json"], "manifest.json")
    listed = manifest.get("members") if isinstance(manifest, dict) else None
    if not isinstance(listed, dict):
        raise Broken("altered", "manifest.json", "not a manifest")
    present = {name: octets for name, octets in members.items() if name not in {"manifest.json", "manifest.sig"}}
    for name in sorted(listed.keys() | present.keys()):
        if name not in present or name not in listed:
            raise Broken("altered", name, "the manifest and the members differ")
        if hashlib.sha256(present[name]).hexdigest() != listed[name]:
            raise Broken("altered", name, "its hash is not the manifest's")


def _leaf_of(anchor: Any) -> dict[str, Any]:
    try:
        leaf = json.loads(anchor["leaf"])
        named = (leaf["case"], leaf["application"], leaf["head"], anchor["root"])
        if type(leaf["count"]) is int and all(isinstance(one, str) for one in named):
            return leaf  # type: ignore[no-any-return]
    except (ValueError, TypeError, KeyError):
        pass
    raise Broken("altered", "anchors.json", "not an anchor")


def _anchor(
    anchor: Mapping[str, Any],
    entries: Sequence[Mapping[str, Any]],
    contents: Sequence[bytes],
    trusted: Trusted,
) -> dict[str, Any]:
    """Check that a signed root of a trusted key holds the chain's head at one length; return what the root says."""
    leaf = _leaf_of(anchor)
    name = "anchors.json"
    if not 0 < leaf["count"] <= len(entries):
        raise Broken("truncated", len(entries), f"the log speaks of {leaf['count']} entries")
    first = entries[0]
    if (leaf["case"], leaf["application"]) != (first["case"], first["application"]):
        raise Broken("altered", name, "the leaf is of another case")
    if hashlib.sha256(contents[leaf["count"] - 1]).hexdigest() != leaf["head"]:
        raise Broken("altered", leaf["count"] - 1, "its hash is not the one that the log speaks of")
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
        raise Broken("altered", name, "the proof does not lead from the chain's head to the root")
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


def _signed(octets: bytes, signed: Any, trusted: Trusted, name: str) -> None:
    try:
        key = trusted.get(signed["key"])
        signature = base64.urlsafe_b64decode(signed["signature"] + "==")
    except (TypeError, KeyError, ValueError, AttributeError):
        raise Broken("altered", name, "not a signature") from None
    if key is None:
        raise Broken("altered", name, "signed by a key that is not trusted")
    try:
        key.verify(signature, octets)
    except InvalidSignature:
        raise Broken("altered", name, "the signature is not of these octets") from None


def _vouched_by_head(root: Mapping[str, Any], heads: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line if somebody keeps the same root; raises `Broken` if they keep another one of its size."""
    here = (root["application"], root["size"])
    kept = {str(one.get("root")) for one in heads if (one.get("application"), one.get("size")) == here}
    if not kept:
        return []
    if kept != {root["root"]}:  # two heads of one size are two logs: whoever posted the later one wrote one anew
        raise Broken("rewritten", "anchors.json", "a head that was posted before says otherwise")
    return ["a posted head: kept outside the bundle, and the same"]


def _vouched_by_stamps(anchor: Mapping[str, Any], members: Mapping[str, bytes], outside: Outside) -> list[str]:
    """Return a line for each time stamp of a trusted authority; raises `Broken` for one of something else."""
    names = anchor.get("tokens", [])
    if not isinstance(names, list) or not all(isinstance(name, str) and name in members for name in names):
        raise Broken("altered", "anchors.json", "a time stamp is missing")
    lines: list[str] = []
    digest = hashlib.sha256(anchor["root"].encode()).digest()
    for name in names:
        try:
            stamp = outside.read_stamp(members[name], digest, outside.authorities)
        except BadStamp as error:
            raise Broken("altered", name, str(error)) from None
        if not stamp.matches:
            raise Broken("rewritten", name, "the time stamp is of another root")
        if stamp.trusted:
            lines.append(f"a time stamp: {stamp.signer} has seen the root at {stamp.at.isoformat()}")
    return lines


def _posted(heads: Sequence[Mapping[str, str]], trusted: Trusted) -> Iterable[dict[str, Any]]:
    for head in heads:
        try:
            _signed(ROOT_LABEL + head["content"].encode(), head, trusted, "the posted head")
            posted = json.loads(head["content"])
        except (Broken, KeyError, AttributeError, ValueError, TypeError):
            continue  # of another installation, or none at all
        if isinstance(posted, dict):
            yield posted


def _documents(entries: Sequence[Mapping[str, Any]], documents: Sequence[bytes]) -> list[str]:
    signed = {entry["body"].get("document_sha256") for entry in entries if entry["kind"] == "signing.signed"}
    if any(hashlib.sha256(octets).hexdigest() not in signed for octets in documents):
        raise Broken("altered", "the document", "nobody signed a document of this content")
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


def read_authorities(path: Path) -> list[Certificate]:
    """Return the certificates of a PEM file; raises `Unreadable`."""
    try:
        return load_pem_x509_certificates(path.read_bytes())
    except (ValueError, OSError) as error:
        raise Unreadable(f"{path}: no certificate ({type(error).__name__})") from None


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
    parser.add_argument("--tsa-ca", type=Path, action="append", default=[], help="a time-stamp authority's root, PEM")
    parser.add_argument("--document", type=Path, action="append", default=[], help="a document that was signed")
    given = parser.parse_args(arguments)
    try:
        outside = Outside(
            [read_key(path) for path in given.trust],
            [head for path in given.head for head in read_heads(path)],
            [path.read_bytes() for path in given.document],
            [one for path in given.tsa_ca for one in read_authorities(path)],
        )
        finding = verify(given.bundle.read_bytes(), outside)
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
