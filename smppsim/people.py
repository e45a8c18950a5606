"""The persons who hold the handsets, as frozen data: what they react to and what they then write, by weight.

Pure: it draws from its own distributions with the dice it is given and sends nothing. Scenario files, the
control API and tests write these values; `crowd` plays them.
"""

import random
import re
import string
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from smppsim.chances import Lottery, Weighted
from smppsim.data import Data
from smppsim.delays import NO_DELAY, Delay
from smppsim.handsets import InboxMessage, code_in, handset_key, number_pattern

_FIELDS: Final = ("code", "code_spaced", "code_dashed", "wrong_code", "text", "sender", "number")
_OF_THE_CODE: Final = frozenset({"code", "code_spaced", "code_dashed", "wrong_code"})


class NumberForm(StrEnum):
    """How the handset's own number is written in a reply: operators disagree."""

    international = "international"
    """`33612345678`, TON 1, NPI 1."""
    plus = "plus"
    """`+33612345678`, TON 1, NPI 1."""
    zeros = "zeros"
    """`0033612345678`, TON 0, NPI 1."""
    untyped = "untyped"
    """`33612345678`, TON 0, NPI 0."""
    national = "national"
    """`0612345678`, TON 2, NPI 1."""
    national_untyped = "national_untyped"
    """`0612345678`, TON 0, NPI 0."""


_NATIONAL: Final = frozenset({NumberForm.national, NumberForm.national_untyped})
_TYPES: Final[Mapping[NumberForm, tuple[int, int]]] = {
    NumberForm.international: (1, 1),
    NumberForm.plus: (1, 1),
    NumberForm.zeros: (0, 1),
    NumberForm.untyped: (0, 0),
    NumberForm.national: (2, 1),
    NumberForm.national_untyped: (0, 0),
}
_PREFIXES: Final = {NumberForm.plus: "+", NumberForm.zeros: "00"}


def _sound_template(text: str) -> str:
    _fields_of(text)
    return text


def _fields_of(text: str) -> set[str]:
    """The fields that a template names; ValueError if it knows others, or braces do not match."""
    named = set()
    for _, name, spec, conversion in string.Formatter().parse(text):
        if name is None:
            continue
        if name not in _FIELDS or spec or conversion:
            raise ValueError(f"a text knows only the fields {', '.join(_FIELDS)}; write {{{{ for a brace")
        named.add(name)
    return named


def _sound_regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Template = Annotated[str, Field(max_length=2000), AfterValidator(_sound_template)]
Regex = Annotated[str, Field(max_length=500), AfterValidator(_sound_regex)]
Address = Annotated[str, Field(min_length=1, max_length=20)]
Glob = Annotated[str, Field(min_length=1, max_length=64)]


class Line(Data):
    """One text that a person writes; a bare string is its text."""

    text: Template
    """May name `{code}` of the message, `{code_spaced}` (482 913), `{code_dashed}`, `{wrong_code}`, and `{text}`,
    `{sender}`, `{number}`. One `{{` is written for a brace."""
    after: Delay = NO_DELAY
    """From the message, or from the line before."""
    times: Annotated[int, Field(ge=1, le=1000)] = 1
    """Written so often, each `after` the one before."""
    to: Address | None = None
    """Another number of ours than the one that wrote."""
    written: NumberForm = NumberForm.international
    """How the handset's number is written."""
    cut: Literal["udh16", "udh8", "sar", "payload"] | None = None
    """How a long text is cut; absent, as the account's link says."""


def _read_line(value: object) -> object:
    return {"text": value} if isinstance(value, str) else value


def _read_lines(value: object) -> object:
    return [value] if isinstance(value, (str, dict)) else value


Lines = Annotated[tuple[Annotated[Line, BeforeValidator(_read_line)], ...], BeforeValidator(_read_lines)]


class Choice(Weighted):
    """One of the things that a person may do."""

    says: Lines = ()
    """Nothing means: never answers."""


class Reaction(Data):
    """What a person does about some texts. `says` instead of `one_of` is a single choice."""

    heard: Regex = ""
    """Searched in the text, capitals or not."""
    sender: Glob = "*"
    """Which of our numbers it came from."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """How often one handset reacts so; afterwards the next reaction has its turn."""
    one_of: Annotated[tuple[Choice, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _single(cls, value: Any) -> Any:
        if isinstance(value, dict) and "says" in value:
            if "one_of" in value:
                raise ValueError("says and one_of exclude each other")
            value = {**value, "one_of": [{"says": value["says"]}]}
            del value["says"]
        return value

    @cached_property
    def lottery(self) -> Lottery[Choice]:
        """`one_of`, ready to be drawn from."""
        return Lottery(self.one_of)

    @property
    def about_a_code(self) -> bool:
        """Whether it makes sense only for a message with a code in it."""
        return any(_fields_of(line.text) & _OF_THE_CODE for choice in self.one_of for line in choice.says)


CHARACTERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "obliging": {"reactions": [{"says": "{code}"}]},
    "chatty": {"reactions": [{"says": "OUI {code_spaced}"}]},
    "mistaken": {"reactions": [{"says": "{wrong_code}"}]},
    "corrects_itself": {"reactions": [{"says": ["{wrong_code}", {"text": "{code}", "after": 2}]}]},
    "impatient": {"reactions": [{"says": {"text": "{code}", "times": 2}}]},
    "leaves": {"reactions": [{"limit": 1, "says": "STOP"}, {"says": []}]},
    "silent": {"reactions": [{"says": []}]},
    "long_winded": {"reactions": [{"says": "Merci 🙏 " + "je réponds longuement à votre message… " * 6}]},
}
"""Persons by name, for `like`."""


class Person(Data):
    """Who holds some handsets. Reactions are tried in order; the first that fits is played, one choice by weight."""

    number: Glob = "*"
    """A pattern over the digits of the handsets, as in rules."""
    name: Annotated[str, Field(max_length=64)] = ""
    pace: Delay = NO_DELAY
    """Thinking and typing: added before every line."""
    code: Regex | None = None
    """Finds the code in a text by its first group, or whole; absent, a lone run of 4 to 10 digits, or WebOTP's."""
    country_code: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}$")] | None = None
    """What national forms leave out."""
    trunk_prefix: Annotated[str, Field(pattern=r"^[0-9]{0,3}$")] = "0"
    """What national forms begin with."""
    reactions: tuple[Reaction, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _like(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "like" not in value:
            return value
        own = dict(value)
        like = own.pop("like")
        if like not in CHARACTERS:
            raise ValueError(f"like is one of {', '.join(CHARACTERS)}")
        return {"name": like, **CHARACTERS[like], **own}

    @model_validator(mode="after")
    def _knows_its_country(self) -> "Person":
        lines = [line for reaction in self.reactions for choice in reaction.one_of for line in choice.says]
        if self.country_code is None and any(line.written in _NATIONAL for line in lines):
            raise ValueError("a national form needs country_code")
        return self

    def code_in(self, text: str) -> str | None:
        """The code that this person sees in a text."""
        if self.code is None:
            return code_in(text)
        found = re.search(self.code, text)
        return None if found is None else found[1 if found.re.groups else 0]


class Utterance(NamedTuple):
    """One reply to send `wait` seconds from now. `source_form` is TON and NPI."""

    wait: float
    text: str
    to: str
    source: str
    source_form: tuple[int, int]
    cut: str | None


def reaction_to(person: Person, message: InboxMessage, played: Mapping[int, int]) -> int | None:
    """Which of the reactions fits a message, None if none does; `played` counts them on this handset."""
    code = person.code_in(message.text)
    for index, reaction in enumerate(person.reactions):
        if reaction.limit is not None and played.get(index, 0) >= reaction.limit:
            continue
        if not re.search(reaction.heard, message.text, re.IGNORECASE):
            continue
        if not number_pattern(reaction.sender).fullmatch(handset_key(message.source)):
            continue
        if code is None and reaction.about_a_code:
            continue
        return index
    return None


def utterances(
    person: Person, reaction: Reaction, message: InboxMessage, number: str, dice: random.Random
) -> list[Utterance]:
    """What the person writes from handset `number` (its digits), earliest first."""
    said = []
    wait = 0.0
    for line in reaction.lottery.draw(dice).says:
        source, form = written_as(number, line.written, person.country_code or "", person.trunk_prefix)
        for _ in range(line.times):
            wait += person.pace.draw(dice) + line.after.draw(dice)
            text = _fill(line.text, person, message, number, dice)
            said.append(Utterance(wait, text, line.to or message.source, source, form, line.cut))
    return said


def _fill(template: str, person: Person, message: InboxMessage, number: str, dice: random.Random) -> str:
    named = _fields_of(template)
    values = {"text": message.text, "sender": message.source, "number": number}
    code = person.code_in(message.text)
    if code is not None and named & _OF_THE_CODE:
        half = (len(code) + 1) // 2
        values |= {"code": code, "code_spaced": f"{code[:half]} {code[half:]}".strip()}
        values["code_dashed"] = values["code_spaced"].replace(" ", "-")
        if "wrong_code" in named:
            values["wrong_code"] = mistyped(code, dice)
    return template.format_map(values)


def mistyped(code: str, dice: random.Random) -> str:
    """`code` with one character wrong: a digit for a digit, a letter for a letter."""
    place = dice.randrange(len(code))
    others = string.digits if code[place].isdigit() else string.ascii_uppercase
    wrong = dice.choice(others.replace(code[place].upper(), ""))
    return code[:place] + wrong + code[place + 1 :]


def written_as(number: str, form: NumberForm, country_code: str, trunk_prefix: str) -> tuple[str, tuple[int, int]]:
    """A handset's digits in one of the forms, with TON and NPI; a number of another country stays international."""
    if form in _NATIONAL:
        if not number.startswith(country_code):
            return number, _TYPES[NumberForm.international]
        return trunk_prefix + number.removeprefix(country_code), _TYPES[form]
    return _PREFIXES.get(form, "") + number, _TYPES[form]
