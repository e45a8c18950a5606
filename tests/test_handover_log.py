"""A courier's log, read as it comes: whatever is cut, swapped, repeated or invented, only its own order is taken."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.handover_log import (
    BadLog,
    Head,
    Opening,
    SignedText,
    StatedHead,
    content_hash,
    corrected,
    end_of,
    opens,
    read_entries,
    read_head,
)

SIGNED = "of the device"


def verify(_octets: bytes, signature: str) -> bool:
    return signature == SIGNED


def log(length: int, **changed: Any) -> list[SignedText]:
    made: list[SignedText] = []
    for seq in range(1, length + 1):
        entry = {
            "v": 1, "device": "dev_1", "seq": seq, "prev": content_hash(made[-1].content) if made else "",
            "at": 1_800_000_000_000 + seq, "delivery": f"dlv_{seq % 2}", "courier": "c1", "door": "code",
            "commitment": "0" * 64, "position": "", **changed,
        }  # fmt: skip
        made.append(SignedText(json.dumps(entry, sort_keys=True), SIGNED))
    return made


def head(**changed: Any) -> SignedText:
    facts = {"v": 1, "device": "dev_1", "seq": 3, "hash": "0" * 64, "sent_at": 1_800_000_000_000}
    return SignedText(json.dumps({**facts, **changed}), SIGNED)


@given(st.integers(1, 12), st.lists(st.integers(0, 12), max_size=3))
def test_any_cutting_of_a_log_gives_the_same_entries_in_the_end(length: int, cuts: list[int]) -> None:
    whole = log(length)
    known: dict[int, str] = {}
    after = Head(0, "")
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), length], strict=True):
        piece = whole[max(0, min(start, length) - 2) : end]  # what came before comes again
        for entry in read_entries(piece, "dev_1", after, known, verify):
            known[entry.seq] = entry.hash
            after = Head(entry.seq, entry.hash)
    assert known == {number: content_hash(one.content) for number, one in enumerate(whole, 1)}


@given(st.permutations(range(5)))
def test_entries_out_of_order_are_refused(order: list[int]) -> None:
    whole = log(5)
    if order == sorted(order):
        assert len(read_entries(whole, "dev_1", Head(0, ""), {}, verify)) == 5
        return
    with pytest.raises(BadLog) as raised:
        read_entries([whole[place] for place in order], "dev_1", Head(0, ""), {}, verify)
    assert raised.value.code in {"log_gap", "log_forked"}


@given(st.integers(1, 5), st.sampled_from(["delivery", "courier", "at", "commitment", "position", "door"]))
def test_an_entry_that_says_something_else_the_second_time_is_a_fork(place: int, member: str) -> None:
    whole = log(5)
    other = {"delivery": "dlv_x", "courier": "c2", "at": 7, "commitment": "1" * 64, "position": "1,2", "door": "qr"}
    facts = json.loads(whole[place - 1].content) | {member: other[member]}
    known = {number: content_hash(one.content) for number, one in enumerate(whole, 1)}
    with pytest.raises(BadLog) as raised:
        read_entries([SignedText(json.dumps(facts, sort_keys=True), SIGNED)], "dev_1", Head(5, known[5]), known, verify)
    assert (raised.value.code, raised.value.seq) == ("log_forked", place)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.sampled_from(sorted(json.loads(log(1)[0].content))), json_values)
def test_whatever_a_member_holds_is_taken_or_refused_and_nothing_else(member: str, value: Any) -> None:
    facts = json.loads(log(1)[0].content) | {member: value}
    try:
        taken = read_entries([SignedText(json.dumps(facts), SIGNED)], "dev_1", Head(0, ""), {}, verify)
    except BadLog:
        return  # anything else that it raised would fail
    assert [entry.seq for entry in taken] == [facts["seq"]] == [1]


@given(st.text(max_size=200))
def test_text_that_is_no_entry_is_malformed(text: str) -> None:
    for read in (
        lambda: read_entries([SignedText(text, SIGNED)], "dev_1", Head(0, ""), {}, verify),
        lambda: read_head(SignedText(text, SIGNED), "dev_1", verify),
    ):
        with pytest.raises(BadLog) as raised:
            read()
        assert raised.value.code == "log_malformed"


def test_nothing_counts_that_the_device_did_not_sign() -> None:
    [entry] = log(1)
    with pytest.raises(BadLog, match="log_signature"):
        read_entries([entry._replace(signature="of nobody")], "dev_1", Head(0, ""), {}, verify)
    with pytest.raises(BadLog, match="log_signature"):
        read_head(head()._replace(signature="of nobody"), "dev_1", verify)


@pytest.mark.parametrize(
    "changed",
    [{"v": 2}, {"device": "dev_2"}, {"seq": -1}, {"seq": True}, {"hash": "x"}, {"sent_at": "now"}, {"more": 1}],
)
def test_a_head_has_one_form(changed: dict[str, Any]) -> None:
    assert read_head(head(), "dev_1", verify).head.seq == 3
    with pytest.raises(BadLog, match="log_malformed"):
        read_head(head(**changed), "dev_1", verify)


def test_a_head_behind_what_came_is_a_fork() -> None:
    fresh = read_entries(log(2), "dev_1", Head(0, ""), {}, verify)
    assert end_of(Head(0, ""), fresh, StatedHead(Head(2, fresh[1].hash), 0)).seq == 2
    assert end_of(Head(0, ""), fresh, StatedHead(Head(3, "f" * 64), 0)).seq == 2  # cut: the rest is still to come
    for stated in (Head(1, fresh[0].hash), Head(2, "f" * 64)):
        with pytest.raises(BadLog, match="log_forked"):
            end_of(Head(0, ""), fresh, StatedHead(stated, 0))


@given(st.integers(-(10**9), 10**9), st.integers(0, 10**7))
def test_the_time_of_an_entry_is_how_long_ago_the_device_says_that_it_was(off_ms: int, ago_ms: int) -> None:
    now = 1_900_000_000_000_000
    sent_at = now // 1_000 + off_ms
    [entry] = read_entries(log(1, at=sent_at - ago_ms), "dev_1", Head(0, ""), {}, verify)
    assert corrected(entry, StatedHead(Head(1, entry.hash), sent_at), now) == now - ago_ms * 1_000
    later = StatedHead(Head(1, entry.hash), sent_at - ago_ms - 5_000)  # an entry of the future
    assert corrected(entry, later, now) == now


def test_an_opening_is_the_one_that_was_committed_to_or_none() -> None:
    salt = "ab" * 16
    [entry] = read_entries(
        log(1, commitment=hmac.digest(bytes.fromhex(salt), b"482913", "sha256").hex()), "dev_1", Head(0, ""), {}, verify
    )
    assert opens(entry, Opening(salt, "482913"))
    for other in (
        Opening(salt, "482914"),
        Opening("cd" * 16, "482913"),
        Opening("", "482913"),
        Opening("zz", "482913"),
    ):
        assert not opens(entry, other)
