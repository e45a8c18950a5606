"""Which open case a reply answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.matching import (
    OPT_IN,
    OPT_OUT,
    OPT_OUT_ALL,
    Choice,
    Kind,
    Pair,
    PendingCode,
    Question,
    Reason,
    candidates,
    match,
    means_opt_out,
)

CODES = (PendingCode("sig_1", 6), PendingCode("sig_2", 6))
HOLDERS = {"482913": "sig_1", "111222": "sig_2"}


def _anything(_: str) -> bool:
    return True


def _yes(text: str) -> bool:
    return text.strip().lower() in {"oui", "yes"}


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
def test_a_text_that_is_an_opt_out_word_is_one_whatever_is_open(text: str) -> None:
    """E20: case, accents, script and punctuation do not matter."""
    pair = Pair(CODES, (Question("lead_1", 1, _anything),), reverse_case="rev_1")
    assert match(text, pair, HOLDERS) == Choice(Kind.OPT_OUT, Reason.OPT_OUT_WORD)


@pytest.mark.parametrize("text", ["STOP 482913", "482 913 stop.", "STOP 36111", "arrêt ４８２９１３"])
def test_stop_beside_a_number_is_stop(text: str) -> None:
    assert match(text, Pair(CODES), HOLDERS) == Choice(Kind.OPT_OUT, Reason.OPT_OUT_WORD)


@pytest.mark.parametrize("text", ["STOP ALL", "stopall", "Stop tout !", "stop alles", "STOP TUTTO"])
def test_stop_all_speaks_of_every_sender(text: str) -> None:
    assert match(text, Pair(), {}) == Choice(Kind.OPT_OUT, Reason.OPT_OUT_ALL_WORDS, all_senders=True)


@pytest.mark.parametrize("text", ["START", "unstop", "Alta."])
def test_an_opt_in_word_is_one(text: str) -> None:
    assert match(text, Pair(CODES), HOLDERS).kind is Kind.OPT_IN


@pytest.mark.parametrize(
    "text", ["STOP the 12345", "start 12345", "end 12345", "please stop", "non-stop", "stopper", "", "  ", "!!"]
)
def test_a_text_that_only_contains_the_word_is_no_opt_out(text: str) -> None:
    assert match(text, Pair(), {}) == Choice(Kind.NONE, Reason.NO_OPEN_CASE)


def test_the_word_lists_are_written_as_texts_are_compared() -> None:
    for word in OPT_OUT | OPT_OUT_ALL | OPT_IN:
        assert match(f" {word.upper()}.", Pair(), {}).kind in {Kind.OPT_OUT, Kind.OPT_IN}
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
def test_a_pending_code_chooses_its_case(text: str) -> None:
    pair = Pair(CODES, (Question("lead_1", 9, _anything),))
    assert match(text, pair, HOLDERS) == Choice(Kind.CODE, Reason.CODE_EQUAL, ("sig_1",), "482913")


def test_of_two_open_conversations_the_code_chooses_and_not_the_latest() -> None:
    """F6: the code selects the conversation."""
    assert match("111222", Pair(CODES), HOLDERS).cases == ("sig_2",)


def test_two_different_numbers_of_code_length_are_ambiguous_even_if_one_is_right() -> None:
    choice = match("482913 ou 482914", Pair(CODES, (Question("lead_1", 1, _anything),)), HOLDERS)
    assert choice == Choice(Kind.AMBIGUOUS, Reason.SEVERAL_CODES, ("sig_1", "sig_2"))


def test_a_number_of_code_length_never_goes_on_to_a_question_while_a_code_is_pending() -> None:
    pair = Pair((PendingCode("sig_1", 6), PendingCode("dlv_1", 4)), (Question("lead_1", 1, _anything),))
    assert match("999999", pair, HOLDERS) == Choice(Kind.WRONG_CODE, Reason.CODE_EQUAL_TO_NONE, ("sig_1",), "999999")


def test_a_number_of_another_length_may_answer_a_question() -> None:
    pair = Pair(CODES, (Question("lead_1", 1, _anything),))
    assert match("250", pair, HOLDERS) == Choice(Kind.ANSWER, Reason.LATEST_QUESTION, ("lead_1",))


def test_without_a_pending_code_any_number_may_answer_a_question() -> None:
    assert match("482913", Pair((), (Question("lead_1", 1, _anything),)), {}).kind is Kind.ANSWER


def test_a_reverse_code_chooses_its_case() -> None:
    choice = match("ABCD EFGH", Pair(CODES, reverse_case="rev_1"), HOLDERS)
    assert choice == Choice(Kind.REVERSE_CODE, Reason.REVERSE_CODE_EQUAL, ("rev_1",))


def test_the_latest_question_is_answered_or_an_earlier_one_whose_grammar_accepts() -> None:
    older, newer = Question("app_1", 1, _yes), Question("lead_1", 2, str.isdigit)
    assert match("3", Pair((), (older, newer)), {}) == Choice(Kind.ANSWER, Reason.LATEST_QUESTION, ("lead_1",))
    assert match("Oui", Pair((), (newer, older)), {}) == Choice(Kind.ANSWER, Reason.EARLIER_QUESTION, ("app_1",))
    assert match("peut-être", Pair((), (newer, older)), {}) == Choice(Kind.NONE, Reason.NO_GRAMMAR_ACCEPTS)


def test_questions_of_one_instant_are_taken_by_id_whatever_their_order() -> None:
    one, two = Question("lead_1", 5, _anything), Question("lead_2", 5, _anything)
    assert match("ok", Pair((), (one, two)), {}) == match("ok", Pair((), (two, one)), {})


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
def test_any_text_is_chosen_for_with_a_reason(text: str) -> None:
    pair = Pair(CODES, (Question("lead_1", 1, _yes),))
    found = candidates(text, {6})
    assert all(len(code) == 6 and code.isascii() and code.isdigit() for code in found)
    choice = match(text, pair, HOLDERS)
    assert choice.reason in Reason
    assert (choice.kind is Kind.AMBIGUOUS) == (len(found) > 1)


def test_a_choice_does_not_show_the_code_in_its_repr() -> None:
    assert "482913" not in repr(match("482913", Pair(CODES), HOLDERS))


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
