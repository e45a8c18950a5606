"""The key ring: what it writes, what it refuses, what its fingerprints and seals promise."""

from __future__ import annotations

import hmac
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SettingsError, Tampered, UnknownKey
from engine.keyring import KEY_OCTETS, KeyRing

RING = KeyRing.generate(random.Random(1).randbytes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "keyring.toml"
    RING.save(path)
    return path


def test_a_saved_ring_is_loaded_as_it_was(file: Path) -> None:
    assert KeyRing.load(file) == RING


def test_a_ring_is_written_for_its_owner_alone(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_ring_is_never_replaced_by_accident(file: Path) -> None:
    with pytest.raises(FileExistsError):
        KeyRing.generate().save(file)
    assert KeyRing.load(file) == RING


def test_a_ring_is_replaced_when_told(file: Path) -> None:
    rotated = KeyRing.load(file).with_new_code_key()
    rotated.save(file, overwrite=True)
    assert KeyRing.load(file) == rotated
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o660])
def test_a_ring_that_others_may_touch_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        KeyRing.load(file)


def test_a_missing_ring_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not exist"):
        KeyRing.load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[codes]", "[cod", "not valid TOML"),
        ("[fingerprint]", "[fingerprnt]", "fingerprint is missing"),
        ("[codes.keys]", "[codes.kees]", "codes.keys is missing"),
        ('current = "k', 'current = "x', "must name one of the keys"),
        ('key = "', 'key = "AA', "32 octets"),
        ('key = "', 'key = "é', "32 octets"),
        ('key = "', 'key = 7 # "', "32 octets"),
    ],
)
def test_a_damaged_ring_is_refused_by_place_and_never_by_value(file: Path, old: str, new: str, says: str) -> None:
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(SettingsError, match=says) as refusal:
        KeyRing.load(file)
    for line in file.read_text().splitlines():
        value = line.partition('"')[2].strip('"')
        assert len(value) < 20 or value not in str(refusal.value)


def test_a_ring_shows_no_key() -> None:
    assert all(key.hex() not in repr(RING) and repr(key) not in repr(RING) for key in RING.code_keys.values())
    assert "key=" not in repr(RING)


def test_old_code_keys_stay_when_a_new_one_comes() -> None:
    rotated = RING.with_new_code_key()
    assert rotated.current_kid != RING.current_kid
    assert rotated.code_key(RING.current_kid) == RING.code_key(RING.current_kid)
    assert len(rotated.code_key(rotated.current_kid)) == KEY_OCTETS
    with pytest.raises(UnknownKey):
        RING.code_key(rotated.current_kid)


def test_all_keys_of_a_ring_differ() -> None:
    keys = [*RING.code_keys.values(), *RING.sealing_keys.values(), RING.fingerprint_key, RING.index_key]
    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {KEY_OCTETS}


def test_fingerprints_and_indices_are_hmac_sha256_as_rows_have_them() -> None:
    for key, made in ((RING.fingerprint_key, RING.fingerprint), (RING.index_key, RING.index)):
        for value in ("", "+33612345678", "é" * 500):
            assert made("phone", value) == hmac.digest(key, b"phone\0" + value.encode(), "sha256").hex()[:32]


def test_a_nonce_never_seals_twice() -> None:
    sealed = [RING.seal(b"", "row").split(".")[1] for _ in range(1_000)]
    assert len(set(sealed)) == len(sealed)


def test_a_fingerprint_is_a_keyed_digest_of_kind_and_value() -> None:
    """S25: equal for the same number, useless without the key."""
    phone = RING.fingerprint("phone", "+33612345678")
    assert phone == RING.fingerprint("phone", "+33612345678")
    assert len(phone) == 32
    assert int(phone, 16) >= 0
    assert phone != RING.fingerprint("body", "+33612345678")
    assert phone != RING.fingerprint("phone", "+33612345679")
    assert phone != RING.index("phone", "+33612345678")
    assert phone != KeyRing.generate().fingerprint("phone", "+33612345678")


@given(st.binary(max_size=300), st.text(max_size=40))
def test_what_was_sealed_for_a_row_opens_for_that_row(plain: bytes, row: str) -> None:
    assert RING.unseal(RING.seal(plain, row), row) == plain


def test_a_sealed_value_does_not_open_for_another_row() -> None:
    """S24: two rows' ciphertexts cannot be swapped."""
    with pytest.raises(Tampered):
        RING.unseal(RING.seal(b"hello", "mo_1"), "mo_2")


def test_no_character_of_a_sealed_value_can_be_changed() -> None:
    sealed = RING.seal(b"hello", "mo_1")
    for position, character in enumerate(sealed):
        altered = sealed[:position] + ("A" if character != "A" else "B") + sealed[position + 1 :]
        with pytest.raises(Tampered):
            RING.unseal(altered, "mo_1")


@pytest.mark.parametrize("sealed", ["", ".", "..", "k.a.b", f"{RING.current_sealing}..", f"{RING.current_sealing}.é.é"])
def test_what_was_never_sealed_is_refused(sealed: str) -> None:
    with pytest.raises(Tampered):
        RING.unseal(sealed, "row")


def test_the_same_text_is_never_sealed_twice_alike() -> None:
    assert RING.seal(b"hello", "row") != RING.seal(b"hello", "row")


def test_a_new_sealing_key_opens_what_the_old_one_sealed_and_not_the_other_way_round() -> None:
    rotated = RING.with_new_sealing_key()
    assert rotated.unseal(RING.seal(b"hello", "row"), "row") == b"hello"
    with pytest.raises(Tampered):
        RING.unseal(rotated.seal(b"hello", "row"), "row")
