"""The verifier's own canonical form, compared with the library's; and what no bundle may bring it to."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from engine.evidence.verify_chain import Broken, canonical, chain, check_openings
from workflows import evidence

SAFE = 2**53 - 1
TEXTS = st.text() | st.text(alphabet='a\ue000\uffff\U00010000\U0010ffff"\\\x00\x1f\x7f\u2028', max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
DEEP = json.loads("[" * 900 + "]" * 900)


def links(count: int) -> list[bytes]:
    entries: list[bytes] = []
    prev = ""
    for seq in range(count):
        link = evidence.link("app_one", "sig_1", seq, prev, "2026-11-26T12:00:00.000000Z", "check.done", {"n": seq})
        entries.append(link.content.encode())
        prev = link.hash
    return entries


@given(JSON)
def test_the_canonical_form_is_the_librarys(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


def test_keys_are_ordered_by_their_utf_16_units() -> None:
    assert canonical({"\uffff": 1, "\U00010000": 2}) == '{"\U00010000":2,"\uffff":1}'.encode()


@pytest.mark.parametrize("number", [0.5, 1.0, float("nan"), 2**53, -(2**53), 10**400])
@pytest.mark.parametrize("where", [lambda one: one, lambda one: {"a": [one]}])
def test_a_number_that_no_bundle_has_has_no_form(number: float, where: Any) -> None:
    with pytest.raises(ValueError, match="a number that no bundle has"):
        canonical(where(number))


@pytest.mark.parametrize(
    "change",
    [
        lambda octets: octets.replace(b'"n":3', b'"n": 3'),
        lambda octets: octets.replace(b'"n":3', b'"n":3.0'),
        lambda octets: octets.replace(b'"n":3', b'"n":3,"n":3'),
        lambda octets: octets.replace(b'"n":3', b'"n":-0'),
        lambda octets: octets.replace(b'"n":3', b'"n":9007199254740992'),
        lambda octets: octets.replace(b'"n":3', b'"n":"\\u0041"'),
        lambda octets: octets.replace(b'"n":3', b'"n":"\\ud800"'),
        lambda octets: octets.replace(b'"n":3', b'"n":' + b"[" * 5_000 + b"]" * 5_000),
        lambda octets: b"\xef\xbb\xbf" + octets,
        lambda octets: octets.decode().encode("utf-16"),
        lambda octets: b"{" + octets[1:-1].split(b",", 1)[1] + b"," + octets[1:-1].split(b",", 1)[0] + b"}",
    ],
)
def test_an_entry_in_another_form_is_altered(change: Any) -> None:
    entries = links(6)
    assert change(entries[3]) != entries[3]
    with pytest.raises(Broken) as broken:
        chain([*entries[:3], change(entries[3]), *entries[4:]], None)
    assert (broken.value.finding.verdict, broken.value.finding.where) == ("altered", "3")


def test_a_chain_of_ten_thousand_entries_is_whole() -> None:
    """How long it takes is in docs/benchmarks.md."""
    entries = links(10_000)
    assert len(chain(entries, {"count": 10_000})) == 10_000
    assert json.loads(entries[-1])["prev"] == hashlib.sha256(entries[-2]).hexdigest()


@pytest.mark.parametrize(
    "openings",
    [[], None, {"": None}, {"": {"salt": "zz", "value": 1}}, {"aa": {"salt": "00" * 32, "value": DEEP}}],
)
def test_openings_of_nonsense_are_altered_and_break_nothing(openings: Any) -> None:
    """They are read before any signature is: whoever made the bundle chose them."""
    with pytest.raises(Broken) as broken:
        check_openings([], openings)
    assert broken.value.finding.verdict == "altered"
