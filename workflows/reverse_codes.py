"""How a reverse code is written for reading, put into an SMS by a link, and found again in whatever came.

Pure. Which piece of a text is a code, and whether that one is pending, `engine.cases` knows; here are the pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import quote

from workflows.reverse_otp import CODE_LENGTH

_GROUP: Final = 4
_PIECES_MOST: Final = 40
_BETWEEN: Final = re.compile(r"[\s.,;:!?()\"'«»<>\[\]/|_]+")

SPAN_US: Final = 3_600 * 1_000_000
UNKNOWN_BY_SENDER: Final = 5
UNKNOWN_BY_NUMBER: Final = 50_000
"""With 20,000 codes pending so many guesses find one with a chance of 1 in 1,100 (S14)."""


def grouped(code: str) -> str:
    """Return a code in groups of four: `K7QF-3MZT`."""
    return "-".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP))


def pieces(text: str) -> Iterator[str]:
    """Yield the pieces of a text that have a code's length, at most forty: a word, or neighbours together.

    Only letters and digits count; what people put between them, dashes among it, does not.
    """
    words = [word if word.isalnum() else "".join(filter(str.isalnum, word)) for word in _BETWEEN.split(text)]
    words = [word for word in words if word]
    found = 0
    for start in range(len(words)):
        piece = ""
        for word in words[start : start + CODE_LENGTH]:
            piece += word
            if len(piece) >= CODE_LENGTH:
                break
        if len(piece) == CODE_LENGTH:
            yield piece
            found += 1
            if found == _PIECES_MOST:
                return


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
    """Codes that nobody waits for, counted within an hour: of one sender, or to one number of ours (S14)."""

    since: int = 0
    count: int = 0

    def at(self, now: int) -> Self:
        """Return the count as it stands now."""
        return type(self)(now) if now - self.since >= SPAN_US else self

    def more(self) -> Self:
        """Return it with one more."""
        return type(self)(self.since, self.count + 1)


def may_guess(sender: Unknown, number: Unknown, *, claimed: bool) -> bool:
    """Tell whether a right code counts: not from a sender who guesses; and to a number that many guess at, only from
    the number that was claimed, which a guesser would have to know too.
    """
    return sender.count < UNKNOWN_BY_SENDER and (claimed or number.count < UNKNOWN_BY_NUMBER)
