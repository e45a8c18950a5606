"""Settings of one contract with an operator: its account, its binds, their timers and quirks.

It opens nothing. `settings` collects the accounts; the composition root turns each into binds and a routing carrier.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, FilePath, IPvAnyAddress, SecretStr, StringConstraints, field_validator, model_validator

from engine.settings_tree import (
    PRINTABLE,
    ByName,
    Country,
    LaneName,
    NamedPart,
    Part,
    Seconds,
    is_guessable,
    is_loopback,
)
from engine.smpp.pdu import Disposition

Mode = Literal["TX", "RX", "TRX"]
InterfaceVersion = Literal["3.3", "3.4", "5.0"]
AlphabetName = Literal["gsm7", "latin1", "ascii", "ucs2"]
ConcatenationName = Literal["udh16", "udh8", "sar", "payload"]
IdStyleName = Literal["plain", "hex_submit_dec_receipt", "dec_submit_hex_receipt", "any"]

_INTERFACE_OCTETS: Final[dict[InterfaceVersion, int]] = {"3.3": 0x33, "3.4": 0x34, "5.0": 0x50}
_LONGEST_PASSWORD: Final = 64  # 8 by the specification, but operators hand out longer ones (facts, section 5)
_STATUS_MOST: Final = 0xFFFFFFFF

SystemId = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,15}$")]


class Tls(Part):
    """TLS towards an SMSC: the peer is always verified, against the system's authorities or `ca_file`."""

    ca_file: FilePath | None = None
    cert_file: FilePath | None = None
    key_file: FilePath | None = None
    server_hostname: str | None = None
    minimum: Literal["1.2", "1.3"] = "1.2"

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        return self


class Timers(Part):
    """The timers of a session (SMPP 3.4 section 7.2 gives no values), in seconds."""

    connect_s: Seconds = 10
    bind_s: Seconds = 30
    enquire_idle_s: Seconds = 30
    enquire_answer_s: Seconds = 10
    enquire_misses: Annotated[int, Field(ge=1, le=10)] = 2
    silent_s: Seconds = 5  # submits unanswered and no octet for this long: enquire at once …
    silent_grace_s: Seconds = 10  # … and this much more silence drops the link
    pdu_completion_s: Seconds = 10  # without one more octet of a PDU that was begun
    pdu_completion_total_s: Seconds = 300  # for one that drips in
    write_s: Seconds = 10
    inactivity_s: Seconds = 120
    drain_s: Seconds = 10  # grace for outstanding responses before an unbind
    unbind_wait_s: Seconds = 5
    late_s: Seconds = 3_600  # a response later than its deadline still counts for this long
    reconnect_first_s: Seconds = 1
    reconnect_most_s: Seconds = 60
    refused_first_s: Seconds = 300  # after a refused password or system_id
    refused_most_s: Seconds = 900

    @model_validator(mode="after")
    def _orders(self) -> Self:
        if self.reconnect_first_s > self.reconnect_most_s or self.refused_first_s > self.refused_most_s:
            raise ValueError("the first wait before a reconnect must not be longer than the longest")
        return self


class Bind(NamedPart):
    """One bind of an account: where to, as whom, in which mode, with how many sessions."""

    host: Annotated[str, StringConstraints(min_length=1, max_length=253)]
    port: Annotated[int, Field(ge=1, le=65_535)] = 2775
    mode: Mode = "TRX"
    system_id: SystemId
    password: SecretStr
    system_type: Annotated[str, StringConstraints(max_length=12), PRINTABLE] | None = None  # None: the account's
    tls: Tls | None = None
    insecure: bool = False
    local_address: IPvAnyAddress | None = None  # from which address of ours, where the operator's list wants one
    addr_ton: Annotated[int, Field(ge=0, le=6)] = 0
    addr_npi: Annotated[int, Field(ge=0, le=18)] = 0
    address_range: Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{0,40}$")] = ""
    window: Annotated[int, Field(ge=1, le=10_000)] = 10
    sessions: Annotated[int, Field(ge=1, le=64)] = 1
    dedicated_lane: LaneName | None = None

    @field_validator("tls", mode="before")
    @classmethod
    def _switch(cls, given: Any) -> Any:
        if isinstance(given, bool):
            return {} if given else None
        return given

    @field_validator("password")
    @classmethod
    def _fits(cls, password: SecretStr) -> SecretStr:
        value = password.get_secret_value()
        if len(value) > _LONGEST_PASSWORD or not value.isascii() or "\0" in value:
            raise ValueError(f"must be at most {_LONGEST_PASSWORD} ASCII characters")
        if not value:
            raise ValueError("must not be blank")
        return password

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.tls is None and not self.insecure and not self.stays_here:
            raise ValueError(
                "the password would travel in clear: set tls, or insecure = true if a VPN or tunnel protects the link"
            )
        if not self.stays_here and is_guessable(self.password, self.system_id):
            raise ValueError("password is a factory default or the system_id: ask the operator for another")
        if self.dedicated_lane is not None and self.mode == "RX":
            raise ValueError("an RX bind sends nothing: no lane can be dedicated to it")
        return self

    @property
    def stays_here(self) -> bool:
        """Tell whether the bind never leaves this machine."""
        return is_loopback(self.host)

    @property
    def sends(self) -> bool:
        """Tell whether the bind may submit."""
        return self.mode != "RX"

    @property
    def receives(self) -> bool:
        """Tell whether receipts and replies may arrive on the bind."""
        return self.mode != "TX"


class TonNpi(Part):
    """A pair of type of number and numbering plan indicator (SMPP 3.4 sections 5.2.5, 5.2.6)."""

    ton: Annotated[int, Field(ge=0, le=6)]
    npi: Annotated[int, Field(ge=0, le=18)]


class AddressForms(Part):
    """What an account wants instead of the usual TON/NPI of each form of address."""

    alphanumeric: TonNpi | None = None
    short: TonNpi | None = None
    long: TonNpi | None = None
    destination: TonNpi | None = None


class Account(NamedPart):
    """One contract with an operator. `rate` counts PDUs a second, for the whole account or for each bind."""

    kind: Literal["operator", "simulator"] = "operator"
    binds: Annotated[tuple[Bind, ...], ByName()]
    rate: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    rate_per: Literal["account", "bind"] = "account"
    interface_version: InterfaceVersion = "3.4"
    assumed_version: InterfaceVersion = "3.3"  # of a peer whose bind_resp does not say (row B10)
    system_type: Annotated[str, StringConstraints(max_length=12), PRINTABLE] = ""
    service_type: Annotated[str, StringConstraints(max_length=5), PRINTABLE] = ""
    default_region: Country | None = None
    default_alphabet: AlphabetName = "gsm7"
    concatenation: ConcatenationName = "udh16"
    max_parts: Annotated[int, Field(ge=1, le=255)] = 10
    validity: Literal["relative", "absolute", "none"] = "relative"
    registered_delivery: Annotated[int, Field(ge=0, le=31)] = 1
    id_style: IdStyleName = "plain"
    receipt_text_only: bool = False
    strip_plus: bool = True
    ton_npi: AddressForms = AddressForms()
    cancel_sm: bool = False
    trusted_origin: bool = False  # the operator checks the senders of what it delivers
    status_overrides: dict[str, Disposition] = Field(default_factory=dict)
    timers: Timers = Timers()

    @field_validator("status_overrides")
    @classmethod
    def _statuses(cls, given: dict[str, Disposition]) -> dict[str, Disposition]:
        for status in given:
            _status_number(status)
        return given

    @field_validator("binds")
    @classmethod
    def _some(cls, binds: tuple[Bind, ...]) -> tuple[Bind, ...]:
        if not binds:
            raise ValueError("an account needs at least one bind")
        return binds

    @property
    def interface_octet(self) -> int:
        """Return the `interface_version` octet of the bind PDU."""
        return _INTERFACE_OCTETS[self.interface_version]

    @property
    def assumed_octet(self) -> int:
        """Return the version taken for a peer that does not say its own."""
        return _INTERFACE_OCTETS[self.assumed_version]

    @property
    def dispositions(self) -> dict[int, Disposition]:
        """Return the overridden statuses by number, as `engine.smpp.pdu.disposition` takes them."""
        return {_status_number(status): what for status, what in self.status_overrides.items()}

    @property
    def sessions(self) -> int:
        """Return how many sessions the account holds in all."""
        return sum(bind.sessions for bind in self.binds)


def _status_number(text: str) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if not 0 < number <= _STATUS_MOST:
        raise ValueError("a status is written as a number, such as 0x45 or 1029")
    return number
