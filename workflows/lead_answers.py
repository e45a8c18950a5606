"""What an answer by SMS is worth: a letter, a number, or words, as people write them.

Pure.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from workflows.lead_model import Kind, Question
from workflows.matching import words_of

_NUMBER: Final = re.compile(r"\d(?:[\s\u00a0\u202f.,']?\d)*")
_LETTER: Final = re.compile(r"^(?:[a-z]{2,12} )?([a-h])(?: |$)")
_LONGEST: Final = 500


def points_of(question: Question, text: str) -> int | None:
    """Return what an answer is worth, or None if it is no answer to this question."""
    if len(text) > _LONGEST:
        return None
    match question.kind:
        case Kind.CHOICE:
            found = _LETTER.match(words_of(text))
            return None if found is None else question.points.get(found[1].upper())
        case Kind.NUMBER:
            return _by_number(question, text)
        case Kind.FREE:
            return _by_words(question, text)


def accepts(question: Question, text: str) -> bool:
    """Tell whether a text answers a question in its own terms: to a free one any words are an answer, but only those
    that it asks for are told from words that mean something else.
    """
    if question.kind is Kind.FREE:
        return len(text) <= _LONGEST and bool(_said(question, text))
    return points_of(question, text) is not None


def _by_number(question: Question, text: str) -> int | None:
    """The greatest row that the number reaches; `20 000`, `20.000` and `20k` are the same."""
    found = _NUMBER.search(text)
    if found is None:
        return None
    digits = "".join(str(unicodedata.decimal(one)) for one in found[0] if one.isdecimal())
    if len(digits) > 12:
        return None
    number = int(digits) * (1_000 if text[found.end() : found.end() + 1].casefold() == "k" else 1)
    reached = [worth for least, worth in question.points.items() if number >= int(least)]
    return max(reached, default=question.else_points)


def _by_words(question: Question, text: str) -> int | None:
    return max(_said(question, text), default=question.else_points) if words_of(text) else None


def _said(question: Question, text: str) -> list[int]:
    spoken = f" {words_of(text)} "
    return [worth for word, worth in question.points.items() if f" {words_of(word)} " in spoken]
