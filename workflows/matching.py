"""Which open case a reply answers, and why: opt-out words, then codes, then the latest question, then nobody.

Pure: `engine.cases` reads the open cases of the pair (their number, our number), derives the codes that `candidates` of
the text could equal, and stores the choice with its reason. It decides nothing about what the case makes of the reply.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """What a reply is taken for."""

    OPT_OUT = "opt_out"
    OPT_IN = "opt_in"
    CODE = "code"
    REVERSE_CODE = "reverse_code"
    WRONG_CODE = "wrong_code"
    AMBIGUOUS = "ambiguous"
    ANSWER = "answer"
    NONE = "none"


class Reason(StrEnum):
    """Why; stored with the reply."""

    OPT_OUT_WORD = "opt_out_word"
    OPT_OUT_ALL_WORDS = "opt_out_all_words"
    OPT_IN_WORD = "opt_in_word"
    CODE_EQUAL = "code_equal"
    REVERSE_CODE_EQUAL = "reverse_code_equal"
    CODE_EQUAL_TO_NONE = "code_equal_to_none"
    SEVERAL_CODES = "several_codes"
    LATEST_QUESTION = "latest_question"
    EARLIER_QUESTION = "earlier_question"
    NO_GRAMMAR_ACCEPTS = "no_grammar_accepts"
    NO_OPEN_CASE = "no_open_case"


class PendingCode(NamedTuple):
    """A case whose code, of `length` characters, is pending for this pair of numbers."""

    case_id: str
    length: int


class Question(NamedTuple):
    """A case that asked this pair something at `asked_at`; `accepts` is its grammar, a pure function of the text."""

    case_id: str
    asked_at: int
    accepts: Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Pair:
    """What is open between their number and our number, over all applications."""

    codes: Sequence[PendingCode] = ()
    questions: Sequence[Question] = ()
    reverse_case: str | None = None
    """The case whose reverse code the text carries, found through the keyed index."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The decision: `cases` is the chosen case, or for a wrong or ambiguous code all that it may have been meant for.

    `code` is the candidate that decided, digits as the code writes them.
    """

    kind: Kind
    reason: Reason
    cases: tuple[str, ...] = ()
    code: str | None = field(default=None, repr=False)
    all_senders: bool = False


def candidates(text: str, lengths: Collection[int]) -> tuple[str, ...]:
    """Return the different numbers in a text that could be codes of these lengths, in ASCII digits.

    A candidate is a maximal run of decimal digits of any script, single spaces, NBSPs, dots or dashes between them
    allowed, of exactly a code's length (verification-behaviours 2.7).
    """
    found: dict[str, None] = {}
    for run in _RUN.findall(text):
        digits = _digits_of(run)
        if len(digits) in lengths:
            found[digits] = None
    return tuple(found)


def numbers_of(text: str, at_least: int) -> set[str]:
    """Return the digits of every number in a text that has so many or more, as `candidates` reads numbers."""
    return {digits for run in _RUN.findall(text) if len(digits := _digits_of(run)) >= at_least}


def _digits_of(run: str) -> str:
    return "".join(str(unicodedata.decimal(symbol)) for symbol in run if symbol.isdecimal())


def match(text: str, pair: Pair, holders: Mapping[str, str]) -> Choice:
    """Choose what a reply answers.

    `holders` maps each candidate that equals a pending code of the pair to its case: codes pending for one pair differ,
    so there is one. Order of DESIGN, "One reply, in".
    """
    spoken = opting_words(text)
    if spoken in OPT_OUT_ALL:
        return Choice(Kind.OPT_OUT, Reason.OPT_OUT_ALL_WORDS, all_senders=True)
    if spoken in OPT_OUT:
        return Choice(Kind.OPT_OUT, Reason.OPT_OUT_WORD)
    if spoken in OPT_IN:
        return Choice(Kind.OPT_IN, Reason.OPT_IN_WORD)
    return _match_code(text, pair, holders) or _match_question(text, pair.questions)


def _match_code(text: str, pair: Pair, holders: Mapping[str, str]) -> Choice | None:
    if pair.reverse_case is not None:
        return Choice(Kind.REVERSE_CODE, Reason.REVERSE_CODE_EQUAL, (pair.reverse_case,))
    possible = candidates(text, {pending.length for pending in pair.codes})
    if not possible:
        return None
    if len(possible) > 1:
        return Choice(Kind.AMBIGUOUS, Reason.SEVERAL_CODES, tuple(pending.case_id for pending in pair.codes))
    code = possible[0]
    if code in holders:
        return Choice(Kind.CODE, Reason.CODE_EQUAL, (holders[code],), code)
    # A number of code length never goes on to a question while a code is pending.
    meant = tuple(pending.case_id for pending in pair.codes if pending.length == len(code))
    return Choice(Kind.WRONG_CODE, Reason.CODE_EQUAL_TO_NONE, meant, code)


def _match_question(text: str, questions: Sequence[Question]) -> Choice:
    latest_first = sorted(questions, key=lambda question: (question.asked_at, question.case_id), reverse=True)
    for place, question in enumerate(latest_first):
        if question.accepts(text):
            reason = Reason.EARLIER_QUESTION if place else Reason.LATEST_QUESTION
            return Choice(Kind.ANSWER, reason, (question.case_id,))
    return Choice(Kind.NONE, Reason.NO_GRAMMAR_ACCEPTS if questions else Reason.NO_OPEN_CASE)


def words_of(text: str) -> str:
    """Return the words of a text without case, accents and punctuation: " ARRÊT ! " is `arret`."""
    plain = text.casefold()
    if not plain.isascii():
        plain = "".join(
            character
            for character in unicodedata.normalize("NFKD", plain)
            if not unicodedata.combining(character) and unicodedata.category(character) != "Cf"
        )
    return " ".join(_NOT_WORD.sub(" ", plain).split())


def opting_words(text: str) -> str:
    """Return the words of a text from which an opt-out is read: STOP beside a number is STOP, be it a code or ours."""
    spoken = words_of(text)
    if not any(symbol.isdecimal() for symbol in spoken):
        return spoken
    bare = words_of(_RUN.sub(" ", text))
    return bare if bare in _PLAIN_STOPS or bare in OPT_OUT_ALL else spoken


_RUN: Final = re.compile(r"\d(?:[ \u00a0\u202f.\u2010-\u2015-]?\d)*")
_NOT_WORD: Final = re.compile(r"[\W_]+")


def phrases(*lines: str) -> frozenset[str]:
    """Return the phrases of lines, which commas part."""
    return frozenset(phrase.strip() for line in lines for phrase in line.split(","))


# Only a text that is nothing but the word counts. Words that also cancel an appointment in their language (annuler,
# cancelar, annulla) are left out; "yes" is an answer, not an opt-in.
OPT_OUT: Final = phrases(
    "stop, unsubscribe, end, quit, cancel, revoke, optout, opt out, remove, td",
    "arret, arreter, arretez, desabonner, desabonnement, desinscrire, desinscription, stop sms",
    "stopp, abmelden, abbestellen, abmeldung",
    "baja, dar de baja, darse de baja, parar",
    "disiscrivi, disiscrivimi, disiscrizione, basta",
)
OPT_OUT_ALL: Final = phrases(
    "stopall, stop all, stop tout, arret tout, tout arreter",
    "stop alles, alles stoppen, stop todo, baja total, stop tutto",
)
OPT_IN: Final = phrases("start, unstop, optin, opt in", "reabonner", "anmelden", "alta", "iscrivi, iscrivimi")

_LOOSE_WORDS_MOST: Final = 12
_OPT_OUT_MEANINGS: Final = phrases(
    "stop sending, stop texting, do not text me, don t text me, leave me alone, take me off, no more messages, stop it",
    "ne m envoyez plus, plus de sms, plus de messages, arretez de m envoyer, laissez moi tranquille, retirez moi",
    "keine sms mehr, keine nachrichten mehr, horen sie auf, lassen sie mich in ruhe, nicht mehr schreiben",
    "no me envien mas, no mas mensajes, no mas sms, dejen de enviar, dejadme en paz",
    "non inviate piu, non scrivetemi piu, niente piu sms, basta messaggi, lasciatemi in pace",
)
_PLAIN_STOPS: Final = phrases("stop, unsubscribe, arret, arretez, abmelden, baja, disiscrivimi")


def means_opt_out(text: str) -> bool:
    """Tell whether a reader takes a short text for an opt-out, though it is not nothing but the word."""
    return _means_opt_out(words_of(text))


def is_about_consent(text: str) -> bool:
    """Tell whether a text is an opt-out or opt-in word, or means an opt-out."""
    spoken = opting_words(text)
    return spoken in _WHOLE_WORDS or _means_opt_out(spoken)


def _means_opt_out(spoken: str) -> bool:
    if not spoken or spoken.count(" ") >= _LOOSE_WORDS_MOST:
        return False
    return spoken.partition(" ")[0] in _PLAIN_STOPS or _MEANS_OPT_OUT.search(f" {spoken} ") is not None


_WHOLE_WORDS: Final = OPT_OUT | OPT_OUT_ALL | OPT_IN
_MEANS_OPT_OUT: Final = re.compile(f" (?:{'|'.join(map(re.escape, sorted(_OPT_OUT_MEANINGS)))}) ")
