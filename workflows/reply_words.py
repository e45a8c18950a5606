"""What the words of a short answer mean, in five languages: yes, no, or let us begin.

Pure and without context: which conversation a text belongs to, and whether a code in it counts, is decided by its
callers (verification-behaviours 2.7).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from workflows.matching import OPT_OUT, OPT_OUT_ALL, phrases, words_of


class Meaning(StrEnum):
    """What a whole text says."""

    YES = "yes"
    START = "start"
    REFUSAL = "refusal"
    OTHER = "other"


def meaning_of(text: str) -> Meaning:
    """Return what a text means, if it is nothing but such words."""
    spoken = words_of(text)
    if spoken in _YES:
        return Meaning.YES
    if spoken in _START:
        return Meaning.START
    if spoken in _REFUSAL:
        return Meaning.REFUSAL
    return Meaning.OTHER


def denies(text: str) -> bool:
    """Tell whether a refusal, a negation or an opt-out stands anywhere in a text: then no code in it signs."""
    spoken = f" {words_of(text)} "
    return any(f" {phrase} " in spoken for phrase in _DENIALS)


_YES: Final = phrases(
    "oui, o, ok, okay, d accord, j accepte, accepte, je signe, oui je signe",
    "yes, y, yep, i agree, agree, i sign, yes i sign, accept, i accept",
    "ja, einverstanden, ich unterschreibe, ja ich unterschreibe, ich stimme zu",
    "si, acepto, de acuerdo, firmo, si firmo",
    "accetto, d accordo, va bene, si accetto",
)
_START: Final = phrases(
    "signer, code, signature, envoyer, commencer",
    "sign, send, send code, begin",
    "unterschreiben, code senden, starten",
    "firmar, codigo, empezar",
    "firmare, firma, codice, inizia",
)
_REFUSAL: Final = phrases(
    "non, no, n, nein, je refuse, refuse, refus, refuser, non merci, je ne signe pas",
    "no thanks, i refuse, decline, i decline, reject, i do not sign",
    "nein danke, ich lehne ab, ablehnen, abgelehnt, ich unterschreibe nicht",
    "no gracias, rechazo, me niego, no firmo, no acepto",
    "no grazie, rifiuto, mi rifiuto, non firmo, non accetto",
)
_NEGATIONS: Final = phrases(
    "ne, pas, jamais, rien, aucun, annule, annuler, faux, erreur",
    "not, don t, dont, never, cancel, wrong, cannot, can t, won t",
    "nicht, kein, keine, keinen, nie, niemals, falsch",
    "nunca, jamas, cancelar, tampoco",
    "mai, annulla, sbagliato",
    # Refusals in other forms: alone they decline nothing, beside a code they keep it from signing.
    "refusee, refuses, refusons, rejete, rejeter, annulee, conteste, refused, declined, rejected, denied, nope, nah",
    "lehne, ablehne, abgelehnte, verweigere, verweigert, rechazado, rechazada, rechazar, niego, negado",
    "refuso, rifiutato, rifiutata, rifiutare, rifiutiamo, annullato, negato",
)
_DENIALS: Final = _REFUSAL | _NEGATIONS | OPT_OUT | OPT_OUT_ALL
