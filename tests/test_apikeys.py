"""API keys: their text, its checksum, what is stored, and who is let in."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.apikeys import (
    NewKey,
    Presented,
    Refusal,
    Scope,
    StoredKey,
    checked_addresses,
    checked_scopes,
    is_allowed_from,
    make_key,
    parse_key,
)

KEY_ID = "key_01a2075c1268786e8858dc9dc257c261"
KEY = make_key("live", KEY_ID, random.Random(1).randbytes)
STORED = StoredKey(KEY_ID, "app_1", "live", KEY.digest, frozenset({"verify:check"}))
NOW = 1_000_000


def presented(key: NewKey = KEY) -> Presented:
    parsed = parse_key(key.text)
    assert parsed is not None
    return parsed


def test_a_key_names_its_brand_environment_id_secret_and_checksum() -> None:
    """S16: a prefix for secret scanners, at least 160 bits of secret, a checksum."""
    brand, environment, key_id, secret, checksum = KEY.text.split("_")
    assert (brand, environment, key_id) == ("sceau", "live", KEY_ID.removeprefix("key_"))
    assert 62 ** len(secret) > 2**160
    assert len(checksum) == 6


def test_a_key_is_read_back_without_any_look_up() -> None:
    assert presented() == Presented(KEY_ID, "live", KEY.digest)


@given(st.binary(min_size=24, max_size=24), st.sampled_from(["test", "live"]))
def test_every_key_made_is_read_back(secret: bytes, environment: str) -> None:
    made = make_key(environment, KEY_ID, lambda count: secret[:count])  # type: ignore[arg-type]
    assert presented(made) == Presented(KEY_ID, environment, made.digest)  # type: ignore[arg-type]


def test_no_single_character_of_a_key_can_be_mistyped() -> None:
    for position in range(len(KEY.text)):
        mistyped = KEY.text[:position] + ("x" if KEY.text[position] != "x" else "y") + KEY.text[position + 1 :]
        assert parse_key(mistyped) is None


@pytest.mark.parametrize("text", ["", "sceau", KEY.text + "\n", " " + KEY.text, KEY.text.upper(), "Bearer x", "é" * 90])
def test_what_is_no_key_is_told_at_once(text: str) -> None:
    assert parse_key(text) is None


def test_neither_the_secret_nor_its_digest_is_shown() -> None:
    secret = KEY.text.split("_")[3]
    shown = f"{KEY!r} {presented()!r} {STORED!r}"
    assert secret not in shown
    assert KEY.digest not in shown
    assert secret not in KEY.digest


def test_the_right_key_is_let_in() -> None:
    assert STORED.refusal(presented(), "203.0.113.7", NOW) is None


def test_another_secret_under_the_same_id_is_refused() -> None:
    other = make_key("live", KEY_ID, random.Random(2).randbytes)
    assert STORED.refusal(presented(other), "203.0.113.7", NOW) is Refusal.WRONG_SECRET


def test_a_test_key_opens_nothing_live() -> None:
    assert replace(STORED, environment="test").refusal(presented(), "203.0.113.7", NOW) is Refusal.WRONG_SECRET


def test_a_revoked_or_expired_key_is_refused_from_that_instant_on() -> None:
    revoked, expired = replace(STORED, revoked_at=NOW), replace(STORED, expires_at=NOW)
    assert revoked.refusal(presented(), "203.0.113.7", NOW - 1) is None
    assert revoked.refusal(presented(), "203.0.113.7", NOW) is Refusal.REVOKED
    assert expired.refusal(presented(), "203.0.113.7", NOW - 1) is None
    assert expired.refusal(presented(), "203.0.113.7", NOW) is Refusal.EXPIRED


def test_a_key_works_from_its_addresses_only() -> None:
    bound = replace(STORED, addresses=checked_addresses(["203.0.113.0/24", "2001:db8::1"]))
    assert bound.refusal(presented(), "203.0.113.7", NOW) is None
    assert bound.refusal(presented(), "2001:db8::1", NOW) is None
    assert bound.refusal(presented(), "203.0.114.7", NOW) is Refusal.ADDRESS


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("203.0.113.7", True),
        ("::ffff:203.0.113.7", True),
        ("::ffff:203.0.114.7", False),
        ("2001:db8::1", False),
        ("", False),
        ("unix", False),
    ],
)
def test_a_peer_is_looked_for_in_the_blocks_whichever_way_it_is_written(peer: str, allowed: bool) -> None:
    assert is_allowed_from(peer, ["203.0.113.0/24"]) is allowed
    assert is_allowed_from(peer, []) is True


def test_a_block_with_host_bits_is_made_canonical_and_nonsense_is_refused() -> None:
    assert checked_addresses(["203.0.113.7/24", "203.0.113.7"]) == ("203.0.113.0/24", "203.0.113.7/32")
    with pytest.raises(ValueError, match="does not appear"):
        checked_addresses(["example.com"])


def test_scopes_are_sorted_once_each_and_known() -> None:
    assert checked_scopes(["verify:check", "admin", "admin"]) == ("admin", "verify:check")
    with pytest.raises(ValueError, match="not a valid Scope"):
        checked_scopes(["send:everything"])


@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_may_do_what_its_scopes_say_and_nothing_else(scope: Scope) -> None:
    assert STORED.allows(scope) is (scope is Scope.VERIFY_CHECK)


@pytest.mark.parametrize("scope", list(Scope))
def test_an_administrator_may_do_all_but_reveal_codes_and_numbers_and_erase(scope: Scope) -> None:
    admin = replace(STORED, scopes=frozenset({"admin"}))
    never = {Scope.VERIFY_REVEAL, Scope.HANDOVER_REVEAL, Scope.READ_PII, Scope.PII_ERASE}
    assert admin.allows(scope) is (scope not in never)
    assert replace(STORED, scopes=frozenset({"admin", scope.value})).allows(scope)
