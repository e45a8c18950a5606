"""What the words of short answers mean, in five languages."""

from __future__ import annotations

import pytest

from workflows.reply_words import Meaning, denies, meaning_of


@pytest.mark.parametrize("text", ["Oui", " oui !", "YES.", "Ja", "Sí", "si", "D’accord", "OK", "je signe"])
def test_a_yes_is_a_yes_in_any_dress(text: str) -> None:
    assert meaning_of(text) is Meaning.YES


@pytest.mark.parametrize("text", ["Non", "no", "NEIN", "je refuse", "I decline", "ich lehne ab", "rechazo", "rifiuto"])
def test_a_refusal_is_one_in_five_languages(text: str) -> None:
    assert meaning_of(text) is Meaning.REFUSAL


@pytest.mark.parametrize("text", ["oui mais demain", "what is this?", "", "482913", "non merci beaucoup"])
def test_more_than_such_words_is_something_else(text: str) -> None:
    assert meaning_of(text) is Meaning.OTHER


@pytest.mark.parametrize(
    "text", ["non 482913", "482913 NON", "je ne signe pas 482913", "not 482913", "don't use 482913", "482913 nicht"]
)
def test_a_negation_anywhere_denies(text: str) -> None:
    assert denies(text)


@pytest.mark.parametrize("text", ["482913", "oui 482913", "je signe 482 913.", "notaire 482913", "nonante 482913"])
def test_what_only_looks_like_a_negation_does_not(text: str) -> None:
    assert not denies(text)
