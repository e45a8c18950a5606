"""Codes: derivation, what may be typed, comparison, references and speech."""

from __future__ import annotations

import hmac
import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import codes
from engine.codes import CROCKFORD, DIGITS, CodeSeed

KEY = b"k" * 32
SEED = CodeSeed("k1", "login", "vrf_1", 1, "nonce", "digest", 6, "digits")

seeds = st.builds(
    CodeSeed,
    kid=st.text(max_size=8),
    purpose=st.text(max_size=8),
    case_id=st.text(max_size=8),
    generation=st.integers(0, 99),
    nonce=st.text(max_size=8),
    digest=st.text(max_size=8),
    length=st.integers(4, 10),
    alphabet=st.sampled_from(["digits", "crockford"]),
)


@given(seeds, st.binary(min_size=16, max_size=32))
def test_a_code_has_the_length_and_alphabet_of_its_seed_and_is_always_the_same(seed: CodeSeed, key: bytes) -> None:
    code = codes.derive(seed, key)
    assert len(code) == seed.length
    assert set(code) <= set(codes.ALPHABETS[seed.alphabet])
    assert codes.derive(CodeSeed.from_json(seed.to_json()), key) == code


def test_a_code_is_the_hmac_of_the_length_prefixed_fields() -> None:
    fields = [b"sceau.code.1", b"login", b"vrf_1", b"1", b"nonce", b"digest", b"6", b"digits"]
    message = b"".join(len(field).to_bytes(4, "big") + field for field in fields) + bytes(4)
    octets = hmac.digest(KEY, message, "sha256")
    assert codes.derive(SEED, KEY) == "".join(str(octet % 10) for octet in octets if octet < 250)[:6]


def test_every_field_but_the_key_id_changes_the_code_of_ten_characters() -> None:
    seed = SEED._replace(length=10)
    others = [
        seed._replace(purpose="x"),
        seed._replace(case_id="x"),
        seed._replace(generation=2),
        seed._replace(nonce="x"),
        seed._replace(digest="x"),
        seed._replace(alphabet="crockford"),
        # Fields do not run into each other.
        seed._replace(purpose="loginv", case_id="rf_1"),
    ]
    assert len({codes.derive(other, KEY) for other in [seed, *others]}) == len(others) + 1
    assert codes.derive(seed, b"o" * 32) != codes.derive(seed, KEY)


@pytest.mark.parametrize(("alphabet", "symbols"), [("digits", DIGITS), ("crockford", CROCKFORD)])
def test_codes_are_uniform_over_their_alphabet_and_keep_leading_zeros(alphabet: str, symbols: str) -> None:
    drawn = [codes.derive(SEED._replace(nonce=str(n), alphabet=alphabet), KEY) for n in range(5_000)]
    for place in range(6):
        counts = Counter(code[place] for code in drawn)
        expected = len(drawn) / len(symbols)
        chi_squared = sum((counts[symbol] - expected) ** 2 / expected for symbol in symbols)
        # Far above the mean (9 and 31): the seeds are fixed, so this never flickers.
        assert chi_squared < (28 if alphabet == "digits" else 62)
    assert any(code.startswith("0") for code in drawn)


def test_a_code_is_redrawn_until_it_is_free_and_has_a_digit_if_one_is_needed() -> None:
    seed = SEED._replace(length=4, alphabet="crockford")
    nonces = (str(n) for n in itertools.count())
    first = codes.derive(seed, KEY)
    drawn, code = codes.draw(seed, KEY, lambda: next(nonces), taken={first}, needs_digit=True)
    assert code != first
    assert drawn.nonce != seed.nonce
    assert codes.derive(drawn, KEY) == code
    for _ in range(200):
        _, code = codes.draw(seed._replace(nonce=next(nonces)), KEY, lambda: next(nonces), needs_digit=True)
        assert any(symbol in DIGITS for symbol in code)


def test_drawing_gives_up_when_every_code_is_taken() -> None:
    every = {f"{n:04}" for n in range(10_000)}
    with pytest.raises(ValueError, match="no free code"):
        codes.draw(SEED._replace(length=4), KEY, lambda: "same", taken=every)


@pytest.mark.parametrize("text", ["{}", "[]", "3", "x", '{"kid":"k"}', SEED._replace(length=3).to_json()])
def test_what_is_not_a_seed_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        CodeSeed.from_json(text)


@pytest.mark.parametrize("seed", [SEED._replace(length=3), SEED._replace(length=11), SEED._replace(alphabet="hex")])
def test_a_seed_outside_the_limits_gives_no_code(seed: CodeSeed) -> None:
    with pytest.raises(ValueError, match="4 to 10"):
        codes.derive(seed, KEY)


def test_successive_generations_of_a_case_never_share_a_reference() -> None:
    references = [codes.reference_of(SEED._replace(generation=n, nonce=str(n)), KEY) for n in range(1, 137)]
    assert len(set(references)) == len(references)
    assert all(reference[0].isalpha() and reference[1].isdigit() for reference in references)


def test_a_reference_says_nothing_about_the_code() -> None:
    one, other = SEED._replace(nonce="a"), SEED._replace(nonce="b")
    assert codes.derive(one, KEY) != codes.derive(other, KEY)
    assert codes.reference_of(one, KEY) == codes.reference_of(other, KEY)


@pytest.mark.parametrize(
    "entry",
    [
        "482913",
        " 482 913 ",
        "482-913",
        "4 8 2 9 1 3",
        "482\u00a0913",
        "482\u2013913",
        "４８２９１３",
        "٤٨٢٩١٣",
        "\u200f٤٨٢٩١٣",
        "482913\n",
    ],
)
def test_spaces_dashes_and_digits_of_other_scripts_are_read(entry: str) -> None:
    assert codes.normalise(entry, "digits", 6) == "482913"


@pytest.mark.parametrize(
    "entry",
    ["", "48291", "4829133", "48291a", "K7 482913", "482.913", "²82913", "Ⅷ82913", "482913" + " " * 60, "482\0913"],
)
def test_what_has_not_the_form_of_a_code_is_told_apart(entry: str) -> None:
    assert codes.normalise(entry, "digits", 6) is None


def test_crockford_entries_forgive_case_groups_and_look_alikes() -> None:
    assert codes.normalise("abcd-efol", "crockford", 8) == "ABCDEF01"
    assert codes.normalise("ＡＢＣＤ eFiL", "crockford", 8) == "ABCDEF11"
    assert codes.normalise("ABCDEFGU", "crockford", 8) is None


@given(seeds, st.sampled_from(["", " ", "-", "\u00a0", "\u200b"]))
def test_a_code_typed_in_groups_is_read_as_itself(seed: CodeSeed, gap: str) -> None:
    code = codes.derive(seed, KEY)
    assert codes.normalise(gap.join(code).lower(), seed.alphabet, seed.length) == code


@given(st.text(max_size=80), st.sampled_from(["digits", "crockford"]), st.integers(4, 10))
def test_any_entry_gives_a_code_of_the_right_form_or_none(entry: str, alphabet: str, length: int) -> None:
    read = codes.normalise(entry, alphabet, length)
    assert read is None or (len(read) == length and set(read) <= set(codes.ALPHABETS[alphabet]))


@given(st.text(max_size=10), st.text(max_size=10))
@settings(max_examples=50)
def test_codes_are_equal_when_their_texts_are(one: str, other: str) -> None:
    assert codes.equal(one, one)
    assert codes.equal(one, other) == (one == other)


def test_a_code_is_spelled_in_five_languages() -> None:
    assert codes.spell("482913", "fr") == "quatre, huit, deux. neuf, un, trois."
    assert codes.spell("482913", "en") == "four, eight, two. nine, one, three."
    assert codes.spell("482913", "de") == "vier, acht, zwo. neun, eins, drei."
    assert codes.spell("482913", "es") == "cuatro, ocho, dos. nueve, uno, tres."
    assert codes.spell("482913", "it") == "quattro, otto, due. nove, uno, tre."
    assert codes.spell("0K", "en") == "zero, K as in Kilo."


def test_no_group_of_speech_is_longer_than_four_and_nothing_is_left_out() -> None:
    for length in range(4, 11):
        groups = codes.spell("7" * length, "en").removesuffix(".").split(". ")
        sizes = [group.count("seven") for group in groups]
        assert sum(sizes) == length
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= 4


def test_every_crockford_letter_can_be_said_and_another_language_cannot() -> None:
    for symbol in CROCKFORD:
        assert codes.spell(symbol * 4, "fr")
    with pytest.raises(ValueError, match="no voice"):
        codes.spell("482913", "pt")
