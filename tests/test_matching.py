"""What a reply's text is matched by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.matching import OPT_IN, OPT_OUT, OPT_OUT_ALL, candidates, means_opt_out, numbers_of, opting_words


@pytest.mark.parametrize(
    "text",
    [
        "STOP",
        "Stop.",
        " ARRÊT",
        "arret !",
        "«stop»",
        "OPT-OUT",
        "Unsubscribe",
        "Stopp",
        "BAJA",
        "désabonner",
        "ｓｔｏｐ",
    ],
)
def test_a_text_that_is_an_opt_out_word_is_one(text: str) -> None:
    """E20: case, accents, script and punctuation do not matter."""
    assert opting_words(text) in OPT_OUT


@pytest.mark.parametrize("text", ["STOP 482913", "482 913 stop.", "STOP 36111", "arrêt ４８２９１３"])
def test_stop_beside_a_number_is_stop(text: str) -> None:
    assert opting_words(text) in OPT_OUT


@pytest.mark.parametrize("text", ["STOP ALL", "STOP ALL 482913", "stopall", "Stop tout !", "stop alles", "STOP TUTTO"])
def test_stop_all_speaks_of_every_sender(text: str) -> None:
    assert opting_words(text) in OPT_OUT_ALL


@pytest.mark.parametrize("text", ["START", "unstop", "Alta."])
def test_an_opt_in_word_is_one(text: str) -> None:
    assert opting_words(text) in OPT_IN


@pytest.mark.parametrize(
    "text", ["STOP the 12345", "start 12345", "end 12345", "please stop", "non-stop", "stopper", "", "  ", "!!"]
)
def test_a_text_that_only_contains_the_word_is_no_opt_out(text: str) -> None:
    assert opting_words(text) not in OPT_OUT | OPT_OUT_ALL | OPT_IN


def test_the_word_lists_are_written_as_texts_are_compared() -> None:
    for word in OPT_OUT | OPT_OUT_ALL | OPT_IN:
        assert opting_words(f" {word.upper()}.") == word
    assert not OPT_OUT & OPT_IN
    assert not OPT_OUT & OPT_OUT_ALL


@pytest.mark.parametrize(
    "text",
    [
        "482913",
        "OUI 482 913",
        "je signe 482913.",
        "４８２９１３",
        "٤٨٢٩١٣",
        "482\u00a0913",
        "code:482-913!",
        "482913, 482 913",
    ],
)
def test_a_code_is_found_however_it_is_written(text: str) -> None:
    assert candidates(text, {6}) == ("482913",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0612345678", ()),
        ("06 12 34 56", ()),
        ("482913 +33612345678", ("482913",)),
        ("4829 13", ("482913",)),
        ("4 8 2 9 1 3", ("482913",)),
        ("482.913", ("482913",)),
        ("482  913", ()),
        ("a482913b", ("482913",)),
        ("482913/482914", ("482913", "482914")),
        ("²82913", ()),
    ],
)
def test_a_candidate_is_a_maximal_run_of_exactly_a_codes_length(text: str, found: tuple[str, ...]) -> None:
    assert candidates(text, {6}) == found


@given(st.text(max_size=60))
def test_any_text_has_numbers_of_which_those_of_a_codes_length_are_candidates(text: str) -> None:
    found = candidates(text, {6})
    assert all(len(code) == 6 and code.isascii() and code.isdigit() for code in found)
    assert set(found) == {number for number in numbers_of(text, 6) if len(number) == 6}


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("Please stop sending me this", True),
        ("ne m'envoyez plus rien", True),
        ("STOP svp", True),
        ("Keine SMS mehr bitte!", True),
        ("No me envíen más", True),
        ("Basta messaggi", True),
        ("Je m'arrête au magasin demain", False),
        ("The bus stop is near", False),
        ("merci", False),
        ("", False),
        ("stop " + "word " * 20, False),
    ],
)
def test_words_that_any_reader_takes_for_an_opt_out_are_taken_for_one(text: str, means: bool) -> None:
    assert means_opt_out(text) is means
