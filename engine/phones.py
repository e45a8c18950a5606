"""Phone numbers: what callers write and operators send in one form, masked for people, and the network each began in.

The only importer of phonenumbers; it knows neither senders nor routes, and our own numbers are never checked here.
Called by the API for destinations, by intake for sources, by routing for networks.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable, Collection
from functools import lru_cache
from importlib import resources
from typing import Final, NamedTuple, Protocol

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType, timezone

_CACHED: Final = 16_384
"""Numbers whose reading is remembered: metadata look-ups take some 40 µs each."""

_LONGEST_INPUT: Final = 40
_SHORT_CODE_DIGITS: Final = 6

_TYPES: Final[dict[int, str]] = {
    PhoneNumberType.FIXED_LINE: "fixed",
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "fixed_or_mobile",
    PhoneNumberType.TOLL_FREE: "toll_free",
    PhoneNumberType.PREMIUM_RATE: "premium",
    PhoneNumberType.SHARED_COST: "shared",
    PhoneNumberType.VOIP: "voip",
    PhoneNumberType.PERSONAL_NUMBER: "personal",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.UAN: "uan",
    PhoneNumberType.VOICEMAIL: "voicemail",
}

_SATELLITE: Final = frozenset({870, 881, 882, 883})
"""Calling codes of Inmarsat, satellite systems and international networks: no country, prices without limit."""

DENIED_TYPES: Final = frozenset({"premium", "shared", "pager", "satellite"})
"""Types refused as destinations unless settings say otherwise (row F8)."""

# Countries that dial each other without a prefix: 0692… written in Paris is a mobile of La Réunion.
_SHARED_PLANS: Final = {"FR": ("RE", "GP", "GF", "MQ", "PM")}

# A mobile is written one way when it is sent to and another when it answers. Prefix, digits in all, prefix in E.164:
# Mexico gave its 1 up in 2019 and its networks still send it; Argentina's mobiles have the 9, which some leave out.
_MOBILE_MARKERS: Final = (("521", 13, "52"), ("54", 12, "549"))


class Phone(NamedTuple):
    """A destination. `country` is ISO 3166-1 alpha-2, or 001 for numbers of no country.

    `possible` is the right length for its country; `valid` is known to the numbering plan as well. A number that is
    possible but not valid is sent all the same and marked `number_unverified`.
    """

    e164: str
    country: str
    country_code: int
    type: str
    possible: bool
    valid: bool


class BadNumber(Exception):
    """A destination that is refused: `code` is `invalid_number`, `number_needs_country`, `impossible_number` or
    `number_type_denied`. The message never holds the number.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


_MESSAGES: Final = {
    "invalid_number": "this is not a phone number",
    "number_needs_country": "the number has no country: write it in international form, with +",
    "impossible_number": "no such number can exist in its country",
    "number_type_denied": "numbers of this type are not served",
}


def _refuse(code: str) -> BadNumber:
    return BadNumber(code, _MESSAGES[code])


def parse_destination(
    text: str, default_region: str | None = None, denied_types: Collection[str] = DENIED_TYPES
) -> Phone:
    """Read a destination as people write it: `+`, `00`, spaces, dashes, brackets, digits of any script.

    National form needs `default_region` (ISO 3166-1 alpha-2). Mobile markers are put in their E.164 form, so that the
    number compares equal to what `canonical_source` makes of the handset's reply. Raises BadNumber only for what is
    no number, is impossible, or is of a denied type.
    """
    phone = _parsed(text, default_region)
    if isinstance(phone, str):
        raise _refuse(phone)
    if phone.type in denied_types:
        raise _refuse("number_type_denied")
    return phone


@lru_cache(maxsize=_CACHED)
def _parsed(text: str, region: str | None) -> Phone | str:
    """A Phone, or the code of the refusal."""
    digits = _digits_of(text)
    if digits is None:
        return "invalid_number"
    if not digits.startswith("+") and region is None:
        if not digits.startswith("00"):
            return "number_needs_country"
        digits = f"+{digits[2:]}"
    if digits.startswith("+"):
        digits = f"+{_without_markers(digits[1:])}"
    number = _parse(digits, None) if digits.startswith("+") else _parse_national(digits, region)
    if number is None:
        return "invalid_number"
    given = _e164(number)
    e164 = f"+{_without_markers(given[1:])}"
    if e164 != given:  # a national form with a marker
        number = _parse(e164, None) or number
    if not phonenumbers.is_possible_number(number):
        return "impossible_number"
    kind = _TYPES.get(phonenumbers.number_type(number), "unknown")
    code = number.country_code or 0
    return Phone(
        e164,
        _country_of(number),
        code,
        "satellite" if code in _SATELLITE else kind,
        possible=True,
        valid=phonenumbers.is_valid_number(number),
    )


def _digits_of(text: str) -> str | None:
    """ASCII digits with at most a leading `+`; None if anything but digits and punctuation is in the text."""
    if len(text) > _LONGEST_INPUT:
        return None
    found: list[str] = []
    for character in text.replace("(0)", "") if "+" in text else text:
        value = unicodedata.decimal(character, None)
        if value is not None:
            found.append(str(value))
        elif character in "+＋":
            if found:
                return None
            found.append("+")
        elif character not in "()./\t" and unicodedata.category(character) not in ("Zs", "Pd", "Cf"):
            return None
    digits = "".join(found)
    return digits if digits.strip("+") else None


def _parse(text: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None


def _parse_national(digits: str, region: str | None) -> PhoneNumber | None:
    number = _parse(digits, region)
    if number is not None and region in _SHARED_PLANS and not phonenumbers.is_valid_number(number):
        for sibling in _SHARED_PLANS[region]:
            other = _parse(digits, sibling)
            if other is not None and phonenumbers.is_valid_number(other):
                return other
    return number


def _e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def _country_of(number: PhoneNumber) -> str:
    return (
        phonenumbers.region_code_for_number(number)
        or phonenumbers.region_code_for_country_code(number.country_code or 0)
        or "ZZ"
    )


def _without_markers(digits: str) -> str:
    """International digits with the mobile markers of `_MOBILE_MARKERS` as E.164 has them."""
    for prefix, length, standard in _MOBILE_MARKERS:
        if len(digits) == length and digits.startswith(prefix):
            return standard + digits[len(prefix) :]
    return digits


_INTERNATIONAL: Final = 1
_NATIONAL: Final = 2
_NOT_A_NUMBER: Final = frozenset({3, 5, 6})  # network specific, alphanumeric, abbreviated


@lru_cache(maxsize=_CACHED)
def canonical_source(digits: str, ton: int, npi: int, default_region: str | None) -> str:
    """The address a message came from: E.164 where it is a phone number, else as received; never refused.

    `ton` decides; where it says nothing, the reading that is a valid number wins, the default region's first. Short
    codes and names stay as they are. `npi` is taken as it comes: operators set it at random.
    """
    raw = digits.strip()
    bare = raw.removeprefix("+")
    if ton in _NOT_A_NUMBER or not (bare.isascii() and bare.isdigit()) or len(bare) <= _SHORT_CODE_DIGITS:
        return raw
    if raw.startswith("+") or ton == _INTERNATIONAL:
        return f"+{_without_markers(bare.removeprefix('00'))}"
    if bare.startswith("00"):
        return f"+{_without_markers(bare[2:])}"
    national = _parse_national(bare, default_region) if default_region else None
    if national is not None and (ton == _NATIONAL or bare.startswith("0") or phonenumbers.is_valid_number(national)):
        return f"+{_without_markers(_e164(national)[1:])}"
    international = f"+{_without_markers(bare)}"
    number = _parse(international, None)
    if number is not None and phonenumbers.is_possible_number(number):
        return international
    return raw


def mask(e164: str) -> str:
    """A number for people's eyes: its first four characters and last two, the rest dots; less of a short one."""
    hidden = len(e164) - 6
    if hidden >= 3:
        return f"{e164[:4]}{'•' * hidden}{e164[-2:]}"
    return "•" * max(len(e164) - 2, 0) + e164[-2:] if len(e164) > 2 else "•" * len(e164)


def zones_of(e164: str) -> tuple[str, ...]:
    """Return every IANA time zone in which a number may be; none where nobody knows."""
    number = _parse(e164, None)
    found = () if number is None else timezone.time_zones_for_number(number)
    return tuple(name for name in found if name != _UNKNOWN_ZONE)


_UNKNOWN_ZONE: Final = "Etc/Unknown"


class Lookup(NamedTuple):
    """What is known of a number without asking its network; `network_*` None where nobody knows."""

    country: str
    type: str
    network_mccmnc: str | None
    network_name: str | None


class Resolver(Protocol):
    """Number intelligence: the offline one of this module, or a paid look-up later."""

    def lookup(self, e164: str) -> Lookup:
        """Country, type and network of a number in E.164."""
        ...


class OfflineResolver:
    """Looks a number up in the numbering plan: the network its range was first given to, ported or not.

    Reads `engine/data/mccmnc.csv` and the carrier ranges of phonenumbers when made, nothing afterwards.
    """

    def __init__(self) -> None:
        from phonenumbers import carrier  # 29,000 ranges that only this class needs

        self._name_of: Callable[[PhoneNumber, str], str] = carrier.name_for_number
        self._networks = _read_networks()
        self._found = lru_cache(maxsize=_CACHED)(self._find)

    def lookup(self, e164: str) -> Lookup:
        """Country, type and original network; a text that is no number has country `ZZ` and type `unknown`."""
        return self._found(e164)

    def _find(self, e164: str) -> Lookup:
        phone = _parsed(e164, None)
        number = None if isinstance(phone, str) else _parse(phone.e164, None)
        if isinstance(phone, str) or number is None:
            return Lookup("ZZ", "unknown", None, None)
        carrier_name = self._name_of(number, "en")
        if not carrier_name:
            return Lookup(phone.country, phone.type, None, None)
        mccmnc, network = self._networks.get((phone.country_code, carrier_name), (None, carrier_name))
        return Lookup(phone.country, phone.type, mccmnc, network)


def _read_networks() -> dict[tuple[int, str], tuple[str, str]]:
    """(calling code, carrier name of phonenumbers) → (MCC-MNC, brand)."""
    lines = resources.files("engine").joinpath("data/mccmnc.csv").read_text(encoding="utf-8").splitlines()
    return {
        (int(row["calling_code"]), name): (row["mcc_mnc"], row["network"])
        for row in csv.DictReader(lines)
        for name in row["carriers"].split(";")
        if name
    }
