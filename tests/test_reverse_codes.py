"""Reverse codes in texts: found in every disguise that people give them, linked for phones, limited for guessers."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.codes import CROCKFORD, normalise
from workflows.reverse_codes import (
    ATTEMPT,
    PIECES_MOST,
    SPAN_US,
    UNKNOWN_BY_NUMBER,
    UNKNOWN_BY_SENDER,
    SmsLinks,
    Unknown,
    grouped,
    may_guess,
    pieces,
)

CODES = st.text(CROCKFORD, min_size=8, max_size=8)
AROUND = st.sampled_from(["", "Sceau ", "voici mon code: ", "SHOP ", "(", "«", "demandé? "])
AFTER = st.sampled_from(["", ".", " merci", " Sceau : n'envoyez ce code que si vous l'avez demandé.", ")", "»!"])
CONFUSED = {"0": "0Oo", "1": "1IiLl"}


def found(text: str) -> set[str]:
    return {code for piece in pieces(text) if (code := normalise(piece.text, "crockford", 8)) is not None}


@st.composite
def disguised(draw: st.DrawFn, code: str) -> str:
    """A code as somebody types it: look-alikes, either case, full width, groups of any kind."""
    symbols = [draw(st.sampled_from(CONFUSED.get(symbol, symbol + symbol.lower()))) for symbol in code]
    wide = draw(st.booleans())
    text = "".join(chr(ord(one) + 0xFEE0) if wide and one.isascii() and one.isdigit() else one for one in symbols)
    gap = draw(st.sampled_from(["", "-", " ", "\u2011", "\u00a0", " - ", ". ", "_"]))
    spelled = draw(st.sampled_from([4, 4, 2, 1]))
    return gap.join(text[start : start + spelled] for start in range(0, len(text), spelled))


@given(st.data(), CODES, AROUND, AFTER)
def test_a_code_is_found_in_every_disguise(data: st.DataObject, code: str, before: str, after: str) -> None:
    assert code in found(before + data.draw(disguised(code)) + after)


def test_a_code_that_a_link_filled_in_is_found_with_what_stands_around_it() -> None:
    code = "K7QF3MZT"
    assert found(f"SHOP {grouped(code)} Sceau : n'envoyez ce code que si vous l'avez demandé.") >= {code}


@pytest.mark.parametrize("text", ["", "oui", "STOP", "je signe 482913", "merci beaucoup", "🙂" * 50, "12345678" * 40])
def test_ordinary_texts_hold_few_pieces_and_cost_little(text: str) -> None:
    assert len(pieces(text)) <= PIECES_MOST
    assert "K7QF3MZT" not in found(text)


@given(CODES, st.integers(0, 120))
def test_a_code_is_found_however_much_stands_before_it(code: str, words: int) -> None:
    assert code in found("bonjour " * words + f"{code[:4]} {code[4:]}")


def test_what_a_hostile_text_tries_is_bounded_and_attempts_are_tried_first() -> None:
    assert len(pieces("a1 " * 5_000)) == len(pieces("abcdefgh " * 5_000)) == PIECES_MOST
    assert pieces("abcdefgh " * 30 + "K7QF-3MZT")[0] == ("K7QF3MZT", True)


@pytest.mark.parametrize(
    "text", ["KQFB-MZTA", "kqfbmzta.", "KQFB MZTA", "ma réponse: KQFB-MZTA", "48291375", "a K7QF3MZT"]
)
def test_what_reads_like_a_code_is_an_attempt(text: str) -> None:
    assert True in {piece.attempt for piece in pieces(text)}


@pytest.mark.parametrize(
    "text",
    [
        "bonsoir a vous",
        "je reviens demander la semaine prochaine",
        "I am standing outside",
        "au 06 12 34 56 78",
        "le 12 mars 2027",
        "OK 482913 oui",
    ],
)
def test_words_and_numbers_of_a_sentence_are_no_attempts(text: str) -> None:
    assert [piece.attempt for piece in pieces(text)].count(True) == 0 < len(pieces(text))


def test_the_chances_that_are_told_follow_from_the_limits() -> None:
    one_try = 20_000 / len(CROCKFORD) ** 8
    of_one_sender = UNKNOWN_BY_SENDER - 1 + PIECES_MOST
    assert round(1 / (one_try * of_one_sender), -3) == 504_000
    assert round(1 / (one_try * UNKNOWN_BY_NUMBER), -2) == 1_100


@given(st.text(min_size=1, max_size=60))
def test_links_carry_the_text_as_it_is(text: str) -> None:
    links = SmsLinks.to("+33757000000", text)
    assert unquote(links.android.removeprefix("sms:+33757000000?body=")) == text
    assert unquote(links.ios.removeprefix("sms:+33757000000&body=")) == text
    assert links.any.startswith("sms:+33757000000?&body=")


def test_who_guesses_is_not_heard_for_an_hour() -> None:
    sender, number = Unknown(), Unknown()
    for _ in range(5):
        assert may_guess(sender, number, claimed=False)
        sender = sender.at(10).more(ATTEMPT)
    assert not may_guess(sender, number, claimed=True)
    assert may_guess(sender.at(SPAN_US * 2), number, claimed=False)


def test_a_number_that_many_guess_at_hears_claimed_numbers_alone() -> None:
    many = Unknown(0, UNKNOWN_BY_NUMBER)
    assert not may_guess(Unknown(), many, claimed=False)
    assert may_guess(Unknown(), many, claimed=True)
