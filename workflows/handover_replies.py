"""How a holder passes their code on by SMS: the code and a number in one text, `482913 +336…`, since a sender can be
forged.

Pure. Whether the code is right, and the number one that is served, `engine.cases` finds out.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

_NUMBER: Final = re.compile(r"\+?\d(?:[\s.()\u00a0\u202f/-]{0,2}\d){5,16}")
_PLUS: Final = "+＋"
_LONGEST: Final = 200


class PassedOn(NamedTuple):
    """A text that passes a code on: the code's digits, and the number as it was written."""

    code: str
    number: str


def passed_on(text: str, length: int) -> PassedOn | None:
    """Return what a text passes on, if its first digits are a code's length and a number follows, or stands before."""
    if len(text) > _LONGEST:
        return None
    digits = [(place, unicodedata.decimal(one)) for place, one in enumerate(text) if one.isdecimal()]
    if len(digits) < length + 6:
        return None
    starts_with_number = text[: digits[0][0]].rstrip()[-1:] in set(_PLUS)
    code, number = (
        (digits[-length:], text[: digits[-length][0]])
        if starts_with_number and digits[0][0]
        else (
            digits[:length],
            text[digits[length - 1][0] + 1 :],
        )
    )
    found = _NUMBER.search(number.replace("＋", "+"))
    return None if found is None else PassedOn("".join(str(value) for _, value in code), found[0])
