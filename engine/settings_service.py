"""Settings of the process around the binds: listeners, logs, lanes, webhooks, retention, limits, verification.

Values and their bounds only; `settings` puts them into the tree.
"""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, FilePath, IPvAnyNetwork, SecretStr, StringConstraints, field_validator, model_validator

from engine.settings_tree import ByName, Count, Days, NamedPart, Part, Port, Seconds, Share, is_loopback
from engine.transit.classes import CLASSES

KIB: Final = 1024
PUBLIC_URL: Final = r"^(https?://[A-Za-z0-9.-]{1,40}(:[0-9]{1,5})?)?$"
_LEAST_DIGITS: Final = 4
_SAFE_DIGITS: Final = 6
_TRIES_OF_SHORT_CODES: Final = 3


class Http(Part):
    """The API's listener. It leaves loopback only with TLS files or behind a proxy that ends TLS."""

    host: str = "127.0.0.1"
    port: Port = 8080
    tls_cert_file: FilePath | None = None
    tls_key_file: FilePath | None = None
    behind_proxy: bool = False
    public_url: Annotated[str, StringConstraints(pattern=PUBLIC_URL)] = ""  # where people reach our pages
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(default=("127.0.0.0/8", "::1/128"), validate_default=True)
    body_limit: Annotated[int, Field(ge=KIB, le=16 * KIB * KIB)] = 256 * KIB
    batch_body_limit: Annotated[int, Field(ge=KIB, le=64 * KIB * KIB)] = 4 * KIB * KIB
    upload_limit: Annotated[int, Field(ge=KIB, le=1024 * KIB * KIB)] = 64 * KIB * KIB
    upload_deadline_s: Seconds = 120
    header_limit: Annotated[int, Field(ge=KIB, le=64 * KIB)] = 16 * KIB
    receive_deadline_s: Seconds = 10
    keep_alive_s: Seconds = 75
    max_connections: Count = 1_000
    max_connections_per_ip: Count = 100
    shutdown_grace_s: Seconds = 10

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_cert_file and tls_key_file go together")
        if not (is_loopback(self.host) or self.tls or self.behind_proxy):
            raise ValueError(
                "API keys would travel in clear: listen on loopback, set tls_cert_file and tls_key_file, "
                "or behind_proxy = true"
            )
        return self

    @property
    def tls(self) -> bool:
        """Tell whether the listener speaks TLS itself."""
        return self.tls_cert_file is not None


class Operations(Part):
    """The listener of health, readiness, metrics and bind control."""

    host: str = "127.0.0.1"
    port: Port = 8081
    exposed: bool = False

    @model_validator(mode="after")
    def _local(self) -> Self:
        if not (is_loopback(self.host) or self.exposed):
            raise ValueError("it has no authentication: keep it on loopback, or set exposed = true behind a firewall")
        return self


class Logs(Part):
    """How log lines look; what they may hold is not a setting."""

    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Lanes(Part):
    """Shares and response deadlines of the three lanes."""

    otp_window_share: Share = 0.10  # of a window of at least 4, kept for the otp lane
    bulk_min_share: Share = 0.10  # of what otp leaves, against transactional
    otp_response_s: Seconds = 5
    transactional_response_s: Seconds = 30
    bulk_response_s: Seconds = 30


class ClassOverride(NamedPart):
    """Figures of a message class that differ from the built-in table; what is left out keeps its own."""

    resends: bool | None = None
    hold_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    least_life_s: Annotated[float, Field(ge=0, le=86_400)] | None = None
    life_s: Annotated[int, Field(ge=30, le=7 * 86_400)] | None = None

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in CLASSES:
            raise ValueError(f"no such message class; there are {', '.join(CLASSES)}")
        return name


class Webhooks(Part):
    """Calling applications back: deadlines, the retry table (S19), and what an endpoint's address may be (S18)."""

    timeout_s: Seconds = 15
    connect_timeout_s: Seconds = 5
    retry_s: Annotated[tuple[Annotated[int, Field(ge=0, le=7 * 86_400)], ...], Field(min_length=1, max_length=20)] = (
        0,
        5,
        5 * 60,
        30 * 60,
        2 * 3_600,
        5 * 3_600,
        10 * 3_600,
        14 * 3_600,
        20 * 3_600,
        24 * 3_600,
    )
    jitter: Share = 0.1
    ports: tuple[Annotated[int, Field(ge=1, le=65_535)], ...] = (443, 8443)  # none: any port
    allow_http: bool = False
    allow_loopback: bool = False
    response_limit: Annotated[int, Field(ge=KIB, le=KIB * KIB)] = 64 * KIB
    workers: Annotated[int, Field(ge=1, le=256)] = 16
    batch_events: Annotated[int, Field(ge=1, le=100)] = 100
    batch_octets: Annotated[int, Field(ge=20 * KIB, le=256 * KIB)] = 256 * KIB


class Retention(Part):
    """How long rows stay after their end. Bodies of codes are purged at the final state whatever stands here."""

    bodies_days: Days = 30
    messages_days: Days = 90
    verifications_days: Days = 30
    leads_days: Days = 1_500  # the burden of proof of a consent is the sender's, for four years and more
    events_days: Days = 30
    replies_days: Days = 90
    unmatched_receipts_days: Days = 7
    unmatched_entries_days: Days = 30
    parked_days: Days = 90
    idempotency_hours: Annotated[int, Field(ge=24, le=168)] = 24


class Authority(NamedPart):
    """A time-stamp authority (RFC 3161): where it is asked, and the roots that must stand behind what it answers."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[!-~]{1,2000}$")]
    ca_file: FilePath
    timeout_s: Seconds = 15


class Evidence(Part):
    """How long evidence is kept, how often closed chains are anchored, who time-stamps the log, how long replies are
    known for late ones.
    """

    retention_years: Annotated[int, Field(ge=1, le=100)] = 10
    anchor_every_s: Annotated[int, Field(ge=1, le=86_400)] = 10
    listening_days: Annotated[int, Field(ge=1, le=365)] = 7
    authorities: Annotated[tuple[Authority, ...], ByName()] = ()  # asked in this order


class ConsentSettings(Part):
    """What is done about STOP besides keeping to it."""

    confirm_stop: bool = True
    stop_all_stops_codes: tuple[str, ...] = ()  # applications


class Crm(NamedPart):
    """A CRM in HubSpot's shape that is told of an application's leads, and may say what became of them."""

    application: str
    kind: Literal["hubspot"] = "hubspot"
    url: Annotated[str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?$")] = (
        "https://api.hubapi.com"
    )
    token: SecretStr
    client_secret: SecretStr | None = None
    timeout_s: Seconds = 15


class Rate(Part):
    """At most `count` in every `per_s` seconds."""

    count: Count
    per_s: Annotated[int, Field(ge=1, le=86_400)]


class Limits(Part):
    """Rate limits of the API; those of a number are its profile's."""

    requests_per_key: Rate = Rate(count=2_000, per_s=1)
    refused_keys_per_ip: Rate = Rate(count=20, per_s=60)


class Verification(Part):
    """The profile of an application that has defined none."""

    length: Annotated[int, Field(ge=_LEAST_DIGITS, le=10)] = 6
    alphabet: Literal["digits", "crockford"] = "digits"
    life_s: Annotated[int, Field(ge=30, le=600)] = 600
    attempts: Annotated[int, Field(ge=1, le=5)] = 5
    sends: Annotated[int, Field(ge=1, le=10)] = 5
    cooldown_s: Annotated[tuple[Annotated[int, Field(ge=0, le=3_600)], ...], Field(min_length=1, max_length=10)] = (
        30,
        60,
        120,
        240,
    )
    resend: Literal["same_code", "rotate"] = "same_code"
    on_pending: Literal["join", "conflict", "replace"] = "join"
    language: Literal["fr", "en", "de", "es", "it"] = "en"
    fallback_after_s: Annotated[int, Field(ge=5, le=600)] = 30
    cancel_on_air: bool = False
    lock_s: Annotated[int, Field(ge=0, le=86_400)] = 600

    @model_validator(mode="after")
    def _guesses(self) -> Self:
        if self.length < _SAFE_DIGITS and self.attempts > _TRIES_OF_SHORT_CODES:
            raise ValueError(f"a code under {_SAFE_DIGITS} characters allows at most {_TRIES_OF_SHORT_CODES} attempts")
        return self
