"""Whatever is done to a bundle, both verifiers see it and name it; whatever is honest, neither suspects.

The attacker holds Sceau's signing key and signs the manifest anew after every attack; they hold neither the authority's
key nor a head that was posted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.evidence.packing import Gathered
from engine.keyring import KeyRing
from engine.store.connections import Database
from engine.store.schema import migrate
from tests.evidence_case import AUTHORITY, ROOTS, Case, made
from workflows import evidence
from workflows.merkle import Frontier, Node, inclusion_proof, leaf_hash

BROKEN = {"altered", "inserted", "removed", "reordered", "truncated", "rewritten"}
PLACES = st.integers(0, 2**16)
STAMPED_AT = "2026-11-27T12:00:00.000000Z"
attacked = settings(max_examples=40)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """One request that two have signed, with late entries, several anchors and time stamps."""
    folder: Path = tmp_path_factory.mktemp("evidence")
    database = Database.at(f"sqlite:///{folder / 'sceau.sqlite3'}")
    migrate(database)
    return trio.run(made, database, folder, clock=trio.testing.MockClock(autojump_threshold=0))


Entries = list[bytes]


def parsed(octets: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(octets)
    return entry


def seen(case: Case, change: Callable[[Entries], Entries]) -> tuple[str, str]:
    """The verdict on a chain that was changed, and where it was found."""
    found = case.finding(case.with_chain(change), authorities=ROOTS)
    return found.verdict, found.where


# Attacks on the chain.


@attacked
@given(place=PLACES, value=st.one_of(st.text(max_size=8), st.integers(-(2**50), 2**50), st.none(), st.booleans()))
def test_an_entry_whose_value_was_changed_is_altered(case: Case, place: int, value: object) -> None:
    at = place % len(case.gathered.entries)
    entry = parsed(case.gathered.entries[at].encode())
    names = sorted(entry["body"])
    name = names[place // len(case.gathered.entries) % len(names)]
    assume(entry["body"][name] != value)
    entry["body"][name] = value
    changed = evidence.canonical(entry)
    assert seen(case, lambda all_: [*all_[:at], changed, *all_[at + 1 :]]) == ("altered", str(at))


@attacked
@given(place=PLACES, octet=st.integers(1, 255))
def test_no_octet_of_the_chain_can_be_changed(case: Case, place: int, octet: int) -> None:
    at = place % len(case.gathered.entries)
    before = case.gathered.entries[at].encode()
    where = place // len(case.gathered.entries) % len(before)
    after = before[:where] + bytes([before[where] ^ octet]) + before[where + 1 :]
    members = case.members()
    members["chain.jsonl"] = b"".join(
        one + b"\n" for one in [after if seq == at else old.encode() for seq, old in enumerate(case.gathered.entries)]
    )
    assert case.finding(case.resigned(members)).verdict in BROKEN


@attacked
@given(place=PLACES)
def test_an_entry_that_was_taken_out_is_removed(case: Case, place: int) -> None:
    at = place % (len(case.gathered.entries) - 1)
    assert seen(case, lambda all_: all_[:at] + all_[at + 1 :]) == ("removed", str(at))


@attacked
@given(place=PLACES, copied=PLACES)
def test_an_entry_that_stands_twice_is_inserted(case: Case, place: int, copied: int) -> None:
    count = len(case.gathered.entries)
    at, source = place % (count + 1), copied % count
    verdict, _ = seen(case, lambda all_: [*all_[:at], all_[source], *all_[at:]])
    assert verdict == "inserted"


@attacked
@given(place=PLACES, kind=st.sampled_from(["check.done", "signing.signed", "message.settled"]))
def test_an_entry_put_between_with_all_after_it_numbered_anew_is_inserted(case: Case, place: int, kind: str) -> None:
    at = 1 + place % (len(case.gathered.entries) - 1)

    def insert(all_: Entries) -> Entries:
        later = [evidence.canonical(parsed(one) | {"seq": seq + 1}) for seq, one in enumerate(all_) if seq >= at]
        forged = evidence.canonical(parsed(all_[at]) | {"kind": kind, "body": {"forged": True}})
        return [*all_[:at], forged, *later]

    assert seen(case, insert) == ("inserted", str(at))


@attacked
@given(one=PLACES, other=PLACES)
def test_entries_that_changed_places_are_reordered(case: Case, one: int, other: int) -> None:
    count = len(case.gathered.entries)
    first, second = sorted((one % count, other % count))
    assume(first != second)

    def swap(all_: Entries) -> Entries:
        all_[first], all_[second] = all_[second], all_[first]
        return all_

    assert seen(case, swap) == ("reordered", str(first))


@attacked
@given(cut=PLACES)
def test_a_chain_without_its_last_entries_is_truncated(case: Case, cut: int) -> None:
    kept = 1 + cut % (len(case.gathered.entries) - 1)
    verdict, where = seen(case, lambda all_: all_[:kept])
    assert (verdict, where) == ("truncated", str(kept))


@attacked
@given(cut=PLACES)
def test_a_chain_cut_within_an_entry_is_truncated(case: Case, cut: int) -> None:
    members = case.members()
    whole = members["chain.jsonl"]
    members["chain.jsonl"] = whole[: 1 + cut % (len(whole) - 2)]
    assume(not members["chain.jsonl"].endswith(b"\n"))
    assert case.finding(case.resigned(members)).verdict == "truncated"


# The whole chain written anew.


def relinked(
    gathered: Gathered,
    change: Callable[[int, dict[str, Any]], dict[str, Any] | None],
    application: str | None = None,
) -> list[str]:
    """The chain of changed bodies, bound and numbered as if it had always been so; None leaves an entry out."""
    contents: list[str] = []
    prev = ""
    for seq, content in enumerate(gathered.entries):
        old = json.loads(content)
        body = change(seq, old["body"])
        if body is None:
            continue
        if old["kind"] == evidence.CLOSED:
            body = {**body, "count": len(contents)}
        link = evidence.link(
            application or old["application"],
            old["case"],
            len(contents),
            prev,
            old["at"],
            old["kind"],
            body,
            old["stated"],
        )
        contents.append(link.content)
        prev = link.hash
    return contents


def logged(
    keyring: KeyRing,
    contents: Sequence[str],
    counts: Iterable[int],
    others: int,
    at: str,
    before: Sequence[bytes] = (),
) -> list[Any]:
    """Anchors of these lengths of a chain, each in a root that is signed anew, after so many leaves of others.

    The log begins with the leaves of `before`.
    """
    application, name = (json.loads(contents[0])[key] for key in ("application", "case"))
    frontier, nodes = Frontier(), dict[Node, bytes]()

    def grow(leaf: bytes) -> None:
        nonlocal frontier
        frontier, completed = frontier.grown(leaf_hash(leaf))
        nodes.update(completed)

    for leaf in before:
        grow(leaf)
    anchors = []
    for count in counts:
        for number in range(others):
            grow(f"another {frontier.size} {number}".encode())
        head = evidence.digest(contents[count - 1].encode())
        leaf = evidence.leaf(application, name, count, head, closed=True)
        grow(leaf)
        position = frontier.size - 1
        root = evidence.root(application, frontier.size, frontier.root, at).decode()
        anchors.append(
            {
                "leaf": leaf.decode(),
                "position": position,
                "size": frontier.size,
                "proof": [one.hex() for one in inclusion_proof(nodes, position, frontier.size)],
                "root": root,
                "signature": keyring.sign(evidence.ROOT_LABEL + root.encode()),
                "key": keyring.current_evidence,
                "tokens": [],
            }
        )
    return anchors


@attacked
@given(place=PLACES, leave_out=st.booleans())
def test_a_chain_written_anew_disagrees_with_a_head_that_was_posted(case: Case, place: int, leave_out: bool) -> None:
    old = case.gathered.anchors[0]
    count = json.loads(old["leaf"])["count"]
    at = 1 + place % (count - 1)

    def change(seq: int, body: dict[str, Any]) -> dict[str, Any] | None:
        if seq != at:
            return body
        return None if leave_out else body | {"forged": True}

    contents = relinked(case.gathered, change)
    size = old["size"]
    anchors = logged(case.keyring, contents, [len(contents)], size - 1, json.loads(old["root"])["at"])
    assert anchors[0]["size"] == size
    known = still_known(case, contents)
    forged = replace(case.gathered, entries=tuple(contents), anchors=tuple(anchors), openings=known)
    assert case.verdict(case.bundle(forged)) == "rewritten"
    # Nothing outside speaks of it: it is not called valid.
    assert case.verdict(case.bundle(forged), heads=False, authorities=ROOTS) == "unanchored"
    # The true root's time stamp, taken over, is of another root.
    stolen = replace(forged, anchors=({**anchors[0], "tokens": old["tokens"]},))
    assert case.verdict(case.bundle(stolen), heads=False, authorities=ROOTS) == "rewritten"


@attacked
@given(place=PLACES, others=st.integers(0, 6), renamed=st.booleans(), leave_out=st.booleans(), honest=st.booleans())
def test_a_log_written_anew_and_stamped_today_is_not_called_valid_beside_heads_that_were_kept(
    case: Case, place: int, others: int, renamed: bool, leave_out: bool, honest: bool
) -> None:
    """An authority stamps whatever it is shown: the forger needs no key of theirs, and names the log as they like.

    They may even continue the true log, and keep the leaves before the forged one as they were.
    """
    count = json.loads(case.gathered.anchors[-1]["leaf"])["count"]
    at = 1 + place % (count - 1)

    def change(seq: int, body: dict[str, Any]) -> dict[str, Any] | None:
        if seq != at:
            return body
        return None if leave_out else body | {"forged": True}

    contents = relinked(case.gathered, change, "app_of_the_forger" if renamed else None)
    later = max(json.loads(one["content"])["size"] for one in case.heads)
    true = [one["leaf"].encode() for one in case.gathered.anchors] if honest else []
    [anchor] = logged(case.keyring, contents, [len(contents)], later + others, STAMPED_AT, true)
    token = AUTHORITY.token(anchor["root"].encode())
    anchor["tokens"] = [{"authority": "test_tsa", "at": STAMPED_AT, "token": token}]
    forged = replace(case.gathered, entries=tuple(contents), anchors=(anchor,), openings=still_known(case, contents))
    assert case.verdict(case.bundle(forged), authorities=ROOTS) == "unanchored"


def test_two_heads_of_one_size_that_differ_are_two_logs(case: Case) -> None:
    """The forger posts another head of a size that was posted before, and somebody keeps them both."""
    old = case.gathered.anchors[-1]
    contents = relinked(case.gathered, lambda seq, body: body | {"forged": True} if seq == 1 else body)
    [anchor] = logged(case.keyring, contents, [len(contents)], old["size"] - 1, STAMPED_AT)
    assert anchor["size"] == old["size"]
    head = {"content": anchor["root"], "signature": anchor["signature"], "key": anchor["key"]}
    forged = replace(case.gathered, entries=tuple(contents), anchors=(anchor,), openings=still_known(case, contents))
    for heads in ([*case.heads, head], [head, *case.heads]):
        both = Case(case.gathered, case.keyring, heads)
        assert both.verdict(both.bundle(forged)) == "rewritten"
        assert both.verdict(both.bundle()) == "rewritten"


def still_known(case: Case, contents: Sequence[str]) -> dict[str, Any]:
    """The openings of what a chain commits to."""
    return {key: value for key, value in case.gathered.openings.items() if key in "".join(contents)}


# What stands beside the chain.


@attacked
@given(one=PLACES, other=PLACES)
def test_time_stamps_of_other_roots_are_seen(case: Case, one: int, other: int) -> None:
    anchors = list(case.gathered.anchors)
    first, second = one % len(anchors), other % len(anchors)
    assume(anchors[first]["root"] != anchors[second]["root"])
    anchors[first] = {**anchors[first], "tokens": anchors[second]["tokens"]}
    forged = replace(case.gathered, anchors=tuple(anchors))
    assert case.verdict(case.bundle(forged), authorities=ROOTS) == "rewritten"
    assert case.verdict(case.bundle(forged), heads=False) == "rewritten"


@attacked
@given(place=PLACES, octet=st.integers(1, 255))
def test_no_octet_of_a_time_stamp_can_be_changed_unseen(case: Case, place: int, octet: int) -> None:
    """Damage makes a stamp void, or one of another root; it never vouches for what it did not see."""
    members = case.members()
    names = sorted(name for name in members if name.startswith("tokens/"))
    for name in names:
        where = place % len(members[name])
        before = members[name]
        members[name] = before[:where] + bytes([before[where] ^ octet]) + before[where + 1 :]
    # A name that was damaged in a certificate breaks its chain for the one reader, the whole stamp for the other.
    for found in case.findings(case.resigned(members), heads=False, authorities=ROOTS):
        assert found.verdict in BROKEN | {"unanchored"}


@attacked
@given(document=st.binary(max_size=64))
def test_a_document_that_nobody_signed_is_seen(case: Case, document: bytes) -> None:
    assert case.verdict(case.bundle(), documents=[document]) == "altered"


@attacked
@given(place=PLACES, value=st.text(max_size=12), salt=st.binary(min_size=32, max_size=32))
def test_an_opened_value_that_was_exchanged_is_seen(case: Case, place: int, value: str, salt: bytes) -> None:
    commitments = sorted(case.gathered.openings)
    chosen = commitments[place % len(commitments)]
    openings = {**case.gathered.openings, chosen: {"salt": salt.hex(), "value": value}}
    assert case.verdict(case.bundle(replace(case.gathered, openings=openings))) == "altered"


@attacked
@given(one=PLACES, other=PLACES)
def test_values_that_were_opened_for_each_other_are_seen(case: Case, one: int, other: int) -> None:
    commitments = sorted(case.gathered.openings)
    first, second = commitments[one % len(commitments)], commitments[other % len(commitments)]
    assume(first != second)
    openings = dict(case.gathered.openings)
    openings[first], openings[second] = openings[second], openings[first]
    assert case.verdict(case.bundle(replace(case.gathered, openings=openings))) == "altered"


JSON = st.recursive(
    st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@settings(max_examples=80)
@given(
    place=PLACES, octets=st.one_of(st.none(), st.binary(max_size=40), JSON.map(lambda one: json.dumps(one).encode()))
)
def test_whatever_a_member_is_replaced_by_there_is_a_verdict(case: Case, place: int, octets: bytes | None) -> None:
    """Never an error; and what proves something cannot be replaced and still prove it."""
    members = case.members()
    names = sorted(members.keys() - {"manifest.json", "manifest.sig"})
    chosen = names[place % len(names)]
    if octets is None:
        del members[chosen]
    else:
        members[chosen] = octets
    verdict = case.verdict(case.resigned(members), authorities=ROOTS)
    assert verdict in BROKEN | {"valid", "unanchored"}
    if chosen in {"chain.jsonl", "anchors.json"} or chosen.startswith("tokens/"):
        assert verdict != "valid"


@settings(max_examples=80)
@given(
    name=st.sampled_from(["manifest.json", "manifest.sig"]),
    octets=st.one_of(st.binary(max_size=40), JSON.map(lambda one: json.dumps(one).encode())),
)
def test_whatever_the_manifest_is_replaced_by_it_is_altered(case: Case, name: str, octets: bytes) -> None:
    assert case.verdict(case.zipped({**case.members(), name: octets})) == "altered"


@attacked
@given(place=PLACES, octet=st.integers(1, 255))
def test_without_our_key_no_octet_of_any_member_can_be_changed(case: Case, place: int, octet: int) -> None:
    members = case.members()
    names = sorted(members)
    chosen = names[place % len(names)]
    before = members[chosen]
    where = place // len(names) % len(before)
    members[chosen] = before[:where] + bytes([before[where] ^ octet]) + before[where + 1 :]
    assert case.verdict(case.zipped(members)) in BROKEN


# The honest.


@attacked
@given(
    count=st.integers(1, 40),
    lengths=st.sets(st.integers(1, 40), max_size=4),
    others=st.integers(0, 20),
    stamped=st.booleans(),
    opened=st.integers(0, 2**20),
)
def test_what_is_honest_is_never_suspected(
    case: Case, count: int, lengths: set[int], others: int, stamped: bool, opened: int
) -> None:
    """Chains of every length, anchored at some of them among leaves of others, with some of their values opened."""
    kinds = [one for one in case.gathered.entries if '"closed"' not in one]
    source = replace(case.gathered, entries=tuple(kinds[seq % len(kinds)] for seq in range(count)))
    contents = relinked(source, lambda _seq, body: body)
    counts = sorted({length for length in lengths if length <= count} | ({count} if stamped else set()))
    at = json.loads(case.gathered.anchors[0]["root"])["at"]
    anchors = logged(case.keyring, contents, counts, others, at)
    heads = [{"content": one["root"], "signature": one["signature"], "key": one["key"]} for one in anchors]
    whole = "".join(contents)
    openings = {
        key: value
        for bit, (key, value) in enumerate(sorted(case.gathered.openings.items()))
        if key in whole and opened >> (bit % 20) & 1
    }
    honest = replace(case.gathered, entries=tuple(contents), anchors=tuple(anchors), openings=openings)
    covered = bool(counts) and counts[-1] == count
    mine = Case(honest, case.keyring, heads)
    assert mine.verdict(mine.bundle()) == ("valid" if covered else "unanchored")
    assert mine.verdict(mine.bundle(), heads=False) == "unanchored"
    if covered:
        root = anchors[-1]["root"].encode()
        anchors[-1] = {**anchors[-1], "tokens": [{"authority": "one", "at": at, "token": AUTHORITY.token(root)}]}
        mine = Case(replace(honest, anchors=tuple(anchors)), case.keyring, [])
        assert mine.verdict(mine.bundle(), authorities=ROOTS) == "valid"
        assert mine.verdict(mine.bundle()) == "unanchored"  # its authority is not trusted
