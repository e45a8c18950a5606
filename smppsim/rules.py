"""Rules: other behaviour for some destinations, as frozen data.

A rule says whether it fits a number and what is different there, nothing else. Scenario files, the control API
and tests write them; `accounts` tries them in order.
"""

import re
from collections.abc import Callable
from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from smppsim.behaviour import Behaviour
from smppsim.data import Data
from smppsim.handsets import number_pattern


def _sound_regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Digits = Annotated[str, Field(pattern=r"^[0-9]{1,10}$")]


class Rule(Data):
    """What it names replaces the account's behaviour for the destinations that fit all of its conditions."""

    destination: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """A pattern over the digits: `*` any, `?` one, `[1-3]` a set; `+` is ignored."""
    regex: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_sound_regex)] | None = None
    """Searched in the digits."""
    first_digit: Digits | None = None
    """One of these: `"3"`, `"36"`."""
    last_digit: Digits | None = None
    """One of these: `"0"`, `"13579"`."""
    behaviour: Behaviour
    """Only the fields that differ."""

    @model_validator(mode="after")
    def _conditional(self) -> "Rule":
        if not any(self.conditions):
            raise ValueError("a rule needs a destination, regex, first_digit or last_digit")
        return self

    @property
    def conditions(self) -> tuple[str | None, ...]:
        """What tells two rules apart."""
        return self.destination, self.regex, self.first_digit, self.last_digit

    @cached_property
    def _tests(self) -> tuple[Callable[[bytes], object], ...]:
        tests: list[Callable[[bytes], object]] = []
        if self.first_digit is not None:
            tests.append(re.compile(b"[%b]" % self.first_digit.encode()).match)
        if self.last_digit is not None:
            tests.append(re.compile(rb"[%b]\Z" % self.last_digit.encode()).search)
        if self.destination is not None:
            tests.append(number_pattern(self.destination).fullmatch)
        if self.regex is not None:
            tests.append(re.compile(self.regex.encode("latin-1", "replace")).search)
        return tuple(tests)

    def matches(self, destination: bytes) -> bool:
        """Whether all conditions hold for this destination_addr."""
        number = destination.removeprefix(b"+")
        return all(test(number) for test in self._tests)
