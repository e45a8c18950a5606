"""What a reply's text is matched by: opt-out and opt-in words, numbers that may be codes, and words as they compare.

Pure. Whose a reply is, `engine.cases` decides with it: opt-out words first, then codes, then the latest question, then
nobody (`engine.cases.hearing`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final


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
