"""How a reverse code is written for reading, put into an SMS by a link, and found again in whatever came.

Pure. Which piece of a text is a code, and whether that one is pending, `engine.cases` knows; here are the pieces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple, Self
from urllib.parse import quote

from workflows.reverse_otp import CODE_LENGTH

_GROUP: Final = 4
PIECES_MOST: Final = 10
_OTHERS_MOST: Final = 40
_BETWEEN: Final = re.compile(r"[\s.,;:!?()\"'«»<>\[\]/|_]+")
_GROUPED: Final = re.compile(r"\w{4}[^\w\s]\w{4}")

SPAN_US: Final = 3_600 * 1_000_000
ATTEMPT: Final = 20
"""What an attempt weighs with its sender; a word of a sentence that has a code's length weighs 1: people write such."""
UNKNOWN_BY_SENDER: Final = 5 * ATTEMPT
"""So a sender tries 109 codes an hour at most: 99 words, and one SMS more. With 20,000 codes pending they find one with
a chance of 20,000 x 109 / 32^8, 1 in 504,000 (S14).
"""
UNKNOWN_BY_NUMBER: Final = 50_000
"""All that is looked up counts here. With 20,000 codes pending so many tries find one with a chance of
20,000 x 50,000 / 32^8, 1 in 1,100 (S14).
"""


class Piece(NamedTuple):
    """What has a code's length in a text; an `attempt` reads like a code, else it may as well be words and numbers."""

    text: str
    attempt: bool


def grouped(code: str) -> str:
    """Return a code in groups of four: `K7QF-3MZT`."""
    return "-".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP))


def pieces(text: str) -> list[Piece]:
    """Return the pieces of a text that have a code's length, ten at most, attempts before others: a word, or neighbours
    together. Only letters and digits count; what people put between them, dashes among it, does not.
    """
    words = [_word(written) for written in _BETWEEN.split(text)]
    words = [one for one in words if one.text]
    alone = sum(len(word.text) for word in words) == CODE_LENGTH
    attempts: list[Piece] = []
    others: list[Piece] = []
    for start in range(len(words)):
        piece, attempt = "", alone
        for word in words[start : start + CODE_LENGTH]:
            piece += word.text
            attempt = attempt or word.attempt
            if len(piece) >= CODE_LENGTH:
                break
        if len(piece) == CODE_LENGTH:
            (attempts if attempt else others).append(Piece(piece, attempt))
            if len(attempts) == PIECES_MOST or len(others) == _OTHERS_MOST:
                break
    return [*attempts, *others][:PIECES_MOST]


def _word(written: str) -> Piece:
    """Return a word; it reads like (some of) a code if letters and digits mix in it, or grouped as we write it."""
    text = written if written.isalnum() else "".join(filter(str.isalnum, written))
    plain = text.isalpha() or text.isdecimal()
    return Piece(text, not plain or _GROUPED.fullmatch(written) is not None)


@dataclass(frozen=True, slots=True)
class SmsLinks:
    """Links that open the phone's messaging application with number and text filled in."""

    android: str
    ios: str
    any: str

    @classmethod
    def to(cls, number: str, body: str) -> Self:
        """Return the links: RFC 5724 has `?body=`; iOS wants `&body=`, and both take `?&body=`."""
        text = quote(body, safe="")
        return cls(f"sms:{number}?body={text}", f"sms:{number}&body={text}", f"sms:{number}?&body={text}")


@dataclass(frozen=True, slots=True)
class Unknown:
    """Codes that nobody waits for, tried within an hour: weighed of one sender, counted to one number of ours (S14)."""

    since: int = 0
    count: int = 0

    def at(self, now: int) -> Self:
        """Return the count as it stands now."""
        return type(self)(now) if now - self.since >= SPAN_US else self

    def more(self, count: int) -> Self:
        """Return it with so many more."""
        return type(self)(self.since, self.count + count)


def may_guess(sender: Unknown, number: Unknown, *, claimed: bool) -> bool:
    """Tell whether a right code counts: not from a sender who guesses; and to a number that many guess at, only from
    the number that was claimed, which a guesser would have to know too.
    """
    return sender.count < UNKNOWN_BY_SENDER and (claimed or number.count < UNKNOWN_BY_NUMBER)
