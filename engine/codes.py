"""Codes derived from a key and a case's public facts, never stored; how an entry is read, compared and said aloud.

It holds no key, no row and no clock: `engine.cases`, its caller, hands in the key of a seed's `kid` and fresh nonces.
Rules: security-rules S1–S4.
"""

import hashlib
import hmac
import itertools
import json
import unicodedata
from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple, Self

from engine import base64url

DIGITS: Final = "0123456789"
CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ALPHABETS: Final = {"digits": DIGITS, "crockford": CROCKFORD}
SHORTEST: Final = 4
LONGEST: Final = 10

_LABEL: Final = b"sceau.code.1"
_REFERENCE_LABEL: Final = b"sceau.reference.1"
_PAGE_LABEL: Final = b"sceau.page.1"
_QR_LABEL: Final = b"sceau.qr.1"
_TOKEN_OCTETS: Final = 16  # 128 bits (S40)
_LONGEST_ENTRY: Final = 64
_MOST_DRAWS: Final = 10_000
# Neither letters nor digits that are misread for one another (B/8, G/6, I/1, O/0, S/5, U/V, Z/2).
_REFERENCE_LETTERS: Final = "ACEFHJKLMNPRTVWXY"
_REFERENCE_DIGITS: Final = "23456789"
_REFERENCE_STEP: Final = 31  # coprime with 17 × 8: a case's references differ for 136 generations


class CodeSeed(NamedTuple):
    """The public facts that, with the key of `kid`, give a code.

    `digest` is that of the binding (document, amount and payee, recipient); `nonce` is redrawn until the codes that
    must differ do. `alphabet` is `digits` or `crockford`; `length` is 4–10.
    """

    kid: str
    purpose: str
    case_id: str
    generation: int
    nonce: str
    digest: str
    length: int
    alphabet: str

    def to_json(self) -> str:
        """Return the seed as JSON text; it holds no secret."""
        return json.dumps(self._asdict(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the seed that `to_json` wrote; raises `ValueError` for anything else."""
        try:
            seed = cls(**json.loads(text))
            _check(seed)
        except TypeError:
            raise ValueError("not a code seed") from None
        return seed


def _check(seed: CodeSeed) -> None:
    if seed.alphabet not in ALPHABETS or not SHORTEST <= seed.length <= LONGEST:
        raise ValueError("a code has 4 to 10 characters of a known alphabet")


def derive(seed: CodeSeed, key: bytes) -> str:
    """Return the code of a seed: uniform over its alphabet (S1), leading zeros kept.

    HMAC-SHA256 over the length-prefixed fields, extended by a counter; octets past the last whole multiple of the
    alphabet's size are rejected.
    """
    _check(seed)
    symbols = ALPHABETS[seed.alphabet]
    bound = 256 - 256 % len(symbols)
    octets = (octet for octet in _stream(_LABEL, seed, key) if octet < bound)
    return "".join(symbols[next(octets) % len(symbols)] for _ in range(seed.length))


def draw(
    seed: CodeSeed,
    key: bytes,
    new_nonce: Callable[[], str],
    *,
    taken: Collection[str] = (),
    needs_digit: bool = False,
) -> tuple[CodeSeed, str]:
    """Return the seed, its nonce redrawn until the code is not in `taken`, and the code.

    `needs_digit` also asks for a digit, without which a browser does not fill a code in (WebOTP). Raises `ValueError`
    when no free code is found.
    """
    for _ in range(_MOST_DRAWS):
        code = derive(seed, key)
        if code not in taken and (not needs_digit or any(symbol in DIGITS for symbol in code)):
            return seed, code
        seed = seed._replace(nonce=new_nonce())
    raise ValueError("no free code of this length is left")


def reference_of(seed: CodeSeed, key: bytes) -> str:
    """Return a letter and a digit, such as `K7`, which tell one generation's message from another's.

    It says nothing about the code, and a case's successive generations never share one.
    """
    anchor = seed._replace(generation=0, nonce="", digest="", kid="")
    octets = _stream(_REFERENCE_LABEL, anchor, key)
    start = next(octets) << 8 | next(octets)
    count = len(_REFERENCE_LETTERS) * len(_REFERENCE_DIGITS)
    letter, digit = divmod((start + seed.generation * _REFERENCE_STEP) % count, len(_REFERENCE_DIGITS))
    return _REFERENCE_LETTERS[letter] + _REFERENCE_DIGITS[digit]


def page_token(seed: CodeSeed, key: bytes) -> str:
    """Return the token of the page that belongs to a code: 22 characters of base64url, which say nothing of it."""
    return _token(_PAGE_LABEL, seed, key)


def qr_nonce(seed: CodeSeed, key: bytes) -> str:
    """Return what makes the QR code of one code differ from every other: 22 characters of base64url."""
    return _token(_QR_LABEL, seed, key)


def _token(label: bytes, seed: CodeSeed, key: bytes) -> str:
    octets = bytes(itertools.islice(_stream(label, seed, key), _TOKEN_OCTETS))
    return base64url.encode(octets)


def normalise(entry: str, alphabet: str, length: int) -> str | None:
    """Return what a person typed as the code would be written, or None if it has not the form of a code.

    Accepts spaces, dashes and invisible marks anywhere, decimal digits of every script, and for Crockford either case
    and the look-alikes O, I and L.
    """
    if len(entry) > _LONGEST_ENTRY:
        return None
    if alphabet == "crockford" and entry.isascii() and entry.isalnum():  # what storms of codes are made of
        written = entry.upper().translate(_LOOK_ALIKE_ORDS)
        return written if len(written) == length and _CROCKFORD_SET.issuperset(written) else None
    symbols = [_symbol(character, alphabet) for character in entry if not _is_filler(character)]
    if len(symbols) != length or None in symbols:
        return None
    return "".join(symbol for symbol in symbols if symbol is not None)


def equal(one: str, other: str) -> bool:
    """Tell whether two codes are equal, in a time that says nothing of where they differ (S4)."""
    return hmac.compare_digest(hashlib.sha256(one.encode()).digest(), hashlib.sha256(other.encode()).digest())


def spell(code: str, language: str) -> str:
    """Return a code as a voice should say it in fr, en, de, es or it: `four, eight, two. nine, one, three.`

    Letters are said with a word of the international spelling alphabet. Raises `ValueError` for another language.
    """
    voice = _VOICES.get(language)
    if voice is None:
        raise ValueError("no voice for this language")
    words, like = voice
    said = [words[int(symbol)] if symbol in DIGITS else f"{symbol} {like} {_SPELLING[symbol]}" for symbol in code]
    return " ".join(", ".join(said[start:end]) + "." for start, end in _groups(len(said)))


def _groups(length: int) -> Iterator[tuple[int, int]]:
    """Even groups of at most four: what an ear keeps until the pause."""
    count = -(-length // 4)
    size, longer = divmod(length, count)
    start = 0
    for number in range(count):
        end = start + size + (number < longer)
        yield start, end
        start = end


def _stream(label: bytes, seed: CodeSeed, key: bytes) -> Iterator[int]:
    fields = (
        seed.purpose,
        seed.case_id,
        str(seed.generation),
        seed.nonce,
        seed.digest,
        str(seed.length),
        seed.alphabet,
    )
    parts = [label, *(field.encode() for field in fields)]
    prefix = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    counter = 0
    while True:
        yield from hmac.digest(key, prefix + counter.to_bytes(4, "big"), "sha256")
        counter += 1


def _is_filler(character: str) -> bool:
    # Dashes, spaces, line ends, and marks that change direction or join letters.
    return unicodedata.category(character) in {"Pd", "Zs", "Zl", "Zp", "Cf"} or character in "\t\r\n\u2212"


def _symbol(character: str, alphabet: str) -> str | None:
    value = unicodedata.decimal(character, None)
    if value is not None:
        return DIGITS[value]
    if alphabet != "crockford":
        return None
    letter = unicodedata.normalize("NFKC", character).upper()
    letter = _LOOK_ALIKES.get(letter, letter)
    return letter if len(letter) == 1 and letter in CROCKFORD else None


_LOOK_ALIKES: Final = {"O": "0", "I": "1", "L": "1"}
_LOOK_ALIKE_ORDS: Final = str.maketrans(_LOOK_ALIKES)
_CROCKFORD_SET: Final = frozenset(CROCKFORD)

_VOICES: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "fr": (("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"), "comme"),
    "en": (("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"), "as in"),
    # "zwo" is what German speakers say on the telephone, because "zwei" sounds like "drei".
    "de": (("null", "eins", "zwo", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"), "wie"),
    "es": (("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"), "como"),
    "it": (("zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove"), "come"),
}

# fmt: off
_SPELLING: Final = {
    "A": "Alfa", "B": "Bravo", "C": "Charlie", "D": "Delta", "E": "Echo", "F": "Foxtrot",
    "G": "Golf", "H": "Hotel", "J": "Juliett", "K": "Kilo", "M": "Mike", "N": "November",
    "P": "Papa", "Q": "Quebec", "R": "Romeo", "S": "Sierra", "T": "Tango", "V": "Victor",
    "W": "Whiskey", "X": "X-ray", "Y": "Yankee", "Z": "Zulu",
}
# fmt: on
