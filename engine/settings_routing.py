"""Settings of addresses: the senders each application uses, the numbers that are ours, and the routes to accounts.

Pure values and the table of TON/NPI; which account a message takes is decided by `engine.transit.routing`. `settings`
collects these sections and checks that they name each other rightly.
"""

import re
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from engine.settings_operators import Account, TonNpi
from engine.settings_tree import ANY, ByName, Country, LaneMatch, LaneName, Name, NamedPart

AddressKind = Literal["alphanumeric", "short", "long"]

# The usual pairs (Infobip, Sinch, operators' contracts); an account or one provisioned form may want others.
TON_NPI: Final[dict[AddressKind, tuple[int, int]]] = {"alphanumeric": (5, 0), "short": (3, 0), "long": (1, 1)}
_LONGEST_ALPHANUMERIC: Final = 11
_SHORT: Final = re.compile(r"[0-9]{3,8}")
_LONG: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_FRENCH_MOBILE: Final = re.compile(r"\+33[67][0-9]{8}")
# GSM 03.38 without its control codes and its extension: what an alphanumeric TP-OA can show on every handset. Without
# its Greek capitals too: source_addr goes out in Latin-1, which has none, and no account says how else it reads them.
_ALPHANUMERIC: Final = frozenset(
    "@£$¥èéùìòÇØøÅå_ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


class Provisioned(NamedTuple):
    """A sender as one account knows it: the octets and TON/NPI of `source_addr`."""

    address: str
    ton: int
    npi: int


def address_kind(address: str) -> AddressKind:
    """Tell what an address is; raises `ValueError` saying what a sender or number of ours may look like.

    `+` and 7 to 15 digits is long, 3 to 8 digits is short, at most 11 GSM characters with a letter is alphanumeric.
    """
    if _LONG.fullmatch(address):
        return "long"
    if _SHORT.fullmatch(address):
        return "short"
    if not any(character.isalpha() for character in address):
        raise ValueError("write a long number as + and country code, a short code as 3 to 8 digits")
    if len(address) > _LONGEST_ALPHANUMERIC:
        raise ValueError(f"an alphanumeric sender has at most {_LONGEST_ALPHANUMERIC} characters")
    if not _ALPHANUMERIC.issuperset(address) or address != address.strip():
        raise ValueError("an alphanumeric sender has GSM characters only, none of them Greek, and no space at its ends")
    return "alphanumeric"


def _checked_address(address: str) -> str:
    address_kind(address)
    return address


class SenderForm(NamedPart):
    """How an account (its name is the table's) provisioned a sender; whatever is left out is the usual."""

    address: str | None = None
    ton: Annotated[int, Field(ge=0, le=6)] | None = None
    npi: Annotated[int, Field(ge=0, le=18)] | None = None

    @field_validator("address")
    @classmethod
    def _legible(cls, address: str | None) -> str | None:
        return address if address is None else _checked_address(address)


class Sender(NamedPart):
    """As whom an application's messages of a lane appear, and on which accounts; the first one that fits is taken."""

    application: str = ANY
    lane: LaneMatch = ANY
    address: str
    stop_address: str | None = None  # where whoever has had enough writes STOP; said in marketing texts to France
    accounts: Annotated[tuple[SenderForm, ...], ByName()]

    _address = field_validator("address")(_checked_address)

    @field_validator("stop_address")
    @classmethod
    def _takes_replies(cls, address: str | None) -> str | None:
        if address is not None and address_kind(address) == "alphanumeric":
            raise ValueError("nobody can write to an alphanumeric address")
        return address

    @field_validator("accounts", mode="before")
    @classmethod
    def _plain_names(cls, given: Any) -> Any:
        if isinstance(given, list | tuple) and all(isinstance(name, str) for name in given):
            return {name: {} for name in given}
        return given

    @field_validator("accounts")
    @classmethod
    def _some(cls, forms: tuple[SenderForm, ...]) -> tuple[SenderForm, ...]:
        if not forms:
            raise ValueError("name at least one account that carries this sender")
        return forms

    def provisioned(self, account: Account) -> Provisioned | None:
        """Return the sender's form on an account, or None if that account does not carry it."""
        form = next((form for form in self.accounts if form.name == account.name), None)
        if form is None:
            return None
        address = form.address or self.address
        pair = ton_npi(address, account)
        plain = address.removeprefix("+") if account.strip_plus else address
        return Provisioned(
            plain,
            pair.ton if form.ton is None else form.ton,
            pair.npi if form.npi is None else form.npi,
        )

    @property
    def addresses(self) -> frozenset[str]:
        """Return every address that the sender has somewhere."""
        return frozenset({self.address, *(form.address for form in self.accounts if form.address)})


def ton_npi(address: str, account: Account) -> TonNpi:
    """Return the TON/NPI of one of our addresses on an account: its override, else the usual pair of the form."""
    kind = address_kind(address)
    override: TonNpi | None = getattr(account.ton_npi, kind)
    ton, npi = TON_NPI[kind]
    return override or TonNpi(ton=ton, npi=npi)


class Number(NamedPart):
    """An address of ours that handsets write to: whose it is, under which keywords, and where replies come in."""

    address: str
    application: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    keywords: tuple[Annotated[str, StringConstraints(min_length=1, max_length=32, strip_whitespace=True)], ...] = ()
    accounts: tuple[Name, ...]

    @field_validator("address")
    @classmethod
    def _receives(cls, address: str) -> str:
        if address_kind(address) == "alphanumeric":
            raise ValueError("nobody can write to an alphanumeric sender")
        return address

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.accounts:
            raise ValueError("name the accounts on which its replies arrive")
        return self


class RouteSettings(NamedPart):
    """Destinations and the accounts that serve them, best first. What is left out matches everything.

    Prefixes are `+` and digits; networks are MCC-MNC of the number's original network, such as `208-01`.
    """

    accounts: tuple[Name, ...]
    countries: tuple[Country, ...] = ()
    prefixes: tuple[Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{0,14}$")], ...] = ()
    networks: tuple[Annotated[str, StringConstraints(pattern=r"^[0-9]{3}-[0-9]{2,3}$")], ...] = ()
    lanes: tuple[LaneName, ...] = ()

    @model_validator(mode="after")
    def _served(self) -> Self:
        if not self.accounts:
            raise ValueError("a route needs at least one account")
        if len(set(self.accounts)) != len(self.accounts):
            raise ValueError("an account is named twice")
        return self


def is_french_mobile(address: str) -> bool:
    """Tell whether an address is a 06 or 07 number of metropolitan France, barred there as an application's sender."""
    return _FRENCH_MOBILE.fullmatch(address) is not None
