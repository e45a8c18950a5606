"""The bodies of deliveries: what merchants and couriers send, and what is shown of a delivery to each.

Shapes only; `deliveries` and `couriers` have the routes.
"""

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from engine.api.problems import Problem
from engine.api.signature_bodies import Reason, Sha256
from engine.api.types import (
    NO_NUL,
    Body,
    Instant,
    Language,
    Name,
    NumberText,
    OpenShown,
    Region,
    ShortText,
    Shown,
)
from engine.cases.deliveries import NOTICES

STOPS_MOST: Final = 200
ENTRIES_MOST: Final = 500
NoticeName = Literal["on_the_way", "arriving", "delivered", "missed", "changed"]
CourierId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$"),
    Field(description="the courier as your platform names them; no number and no name", examples=["courier-17"]),
]
_Latitude = Annotated[float, Field(ge=-90, le=90)]
_Longitude = Annotated[float, Field(ge=-180, le=180)]


class PositionBody(Body):
    """Where somebody is, in degrees (WGS 84)."""

    latitude: _Latitude
    longitude: _Longitude

    def text(self) -> str:
        """Return it as evidence keeps it, to a metre."""
        return f"{self.latitude:.5f},{self.longitude:.5f}"


class PersonBody(Body):
    """Who is to receive the delivery."""

    phone: NumberText = Field(description="E.164, or national with `region`", examples=["+33612345678"])
    region: Region | None = None
    name: ShortText | None = None
    language: Language | None = None


class SlotBody(Body):
    """When the delivery is due."""

    starts_at: Instant
    ends_at: Instant
    zone: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$")] = Field(
        default="Europe/Paris", description="IANA time zone in which its texts tell the time"
    )
    grace_s: Annotated[int, Field(ge=0, le=604_800)] = Field(
        default=7_200,
        description="how long codes live after the slot; a code lives 15 minutes at least, seven days at most",
    )


class DeliveryBody(Body):
    """A delivery."""

    recipient: PersonBody
    slot: SlotBody
    title: Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=NO_NUL)] = Field(
        description="what it is, as its recipient reads it", examples=["colis 4471"]
    )
    brand: Annotated[str, StringConstraints(min_length=1, max_length=16, pattern=NO_NUL)] = "Sceau"
    parcels: Annotated[list[ShortText], Field(max_length=50)] = Field(default_factory=list)
    reference: ShortText | None = None
    courier_reference: ShortText | None = None
    notices: Annotated[list[NoticeName], Field(max_length=5)] = Field(
        default_factory=lambda: list(NOTICES),  # type: ignore[arg-type]
        description="the messages that are sent; without `arriving` you tell the code yourself (`…/reveal`)",
    )
    code_length: Literal[6, 4] = Field(default=6, description="4 digits allow three wrong codes, 6 allow five")
    may_delegate: bool = True
    lead_s: Annotated[int, Field(ge=0, le=86_400)] = Field(
        default=0, description="send the code so long before the slot or the ETA; 0: when the courier arrives"
    )
    destination: PositionBody | None = Field(default=None, description="lets an arrival be guessed from positions")
    sender: Name | None = None


class DeliveryBatchBody(Body):
    """The stops of a route."""

    deliveries: Annotated[list[DeliveryBody], Field(min_length=1, max_length=STOPS_MOST)]


class DelegateBody(PersonBody):
    """To whom the code is passed on."""


class OverrideBody(Body):
    """What a supervisor decides and answers for."""

    decision: Literal["delivered", "unlocked"]
    supervisor_id: CourierId
    reason: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=NO_NUL)]
    courier_id: CourierId | None = None
    position: PositionBody | None = Field(default=None, description="required for `delivered`")
    photo_sha256: Sha256 | None = Field(default=None, description="of a photograph; required for `delivered`")


class WhyBody(Body):
    """Why."""

    reason: Reason = ""


class ArrivingBody(Body):
    """The courier is about to arrive."""

    courier_id: CourierId


class MovedBody(Body):
    """Where the courier is, or when they will arrive."""

    courier_id: CourierId
    position: PositionBody | None = None
    eta_at: Instant | None = None


class ConfirmBody(Body):
    """What the recipient gave: a typed code, or the text of a scanned QR code."""

    courier_id: CourierId
    code: Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=NO_NUL)] = Field(repr=False)
    position: PositionBody | None = None
    photo_sha256: Sha256 | None = None


class FailBody(Body):
    """Why this attempt at delivering failed."""

    courier_id: CourierId
    reason: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=NO_NUL)]
    position: PositionBody | None = None
    photo_sha256: Sha256 | None = None


class DeviceBody(Body):
    """A courier's device, by the public key that signs its log."""

    courier_id: CourierId
    public_key: Annotated[str, StringConstraints(min_length=43, max_length=44, pattern=r"^[A-Za-z0-9_-]+=?$")]
    name: ShortText | None = None


class SignedBody(Body):
    """A text as the device signed it."""

    content: Annotated[str, StringConstraints(min_length=2, max_length=2_048, pattern=NO_NUL)]
    signature: Annotated[str, StringConstraints(min_length=86, max_length=88, pattern=r"^[A-Za-z0-9_-]+={0,2}$")]


class LogEntryBody(SignedBody):
    """An entry of a log, with what its commitment hides."""

    salt: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    value: Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=NO_NUL)] = Field(repr=False)


class LogBody(Body):
    """What a device logged without a network, and where its log ends."""

    device_id: ShortText
    head: SignedBody
    entries: Annotated[list[LogEntryBody], Field(max_length=ENTRIES_MOST)] = Field(default_factory=list)


class DeliveryShown(OpenShown):
    """A delivery as its merchant sees it; never its code."""

    id: str
    state: Literal[
        "scheduled", "arriving", "claimed", "locked", "failed", "delivered", "returned", "canceled", "expired"
    ]
    reference: str | None
    title: str
    to: str
    delegate: str | None
    starts_at: Instant
    ends_at: Instant
    eta_at: Instant | None
    ready: bool
    generation: int
    code_expires_at: Instant | None
    attempts_remaining: int
    sends_remaining: int
    delegations_remaining: int
    next_send_at: Instant | None
    tries: int
    conflicts: int
    assurance: Literal["code", "qr", "offline_code", "offline_qr", "override"] | None
    courier_id: str | None
    created_at: Instant
    expires_at: Instant
    delivered_at: Instant | None
    final_at: Instant | None


class CourierShown(OpenShown):
    """A delivery as its courier sees it: whether it can be confirmed, and whether it was."""

    id: str
    state: str
    ready: bool
    attempts_remaining: int
    delivered_at: Instant | None


class DeliveryPage(Shown):
    """Deliveries, newest first."""

    data: list[DeliveryShown]
    next_cursor: str | None


class StopResult(Shown):
    """What became of one stop of a batch: created (201) or refused."""

    index: int
    status: int
    delivery: DeliveryShown | None = None
    problem: Problem | None = None


class StopsShown(Shown):
    """One result for each stop, in order."""

    created: int
    refused: int
    results: list[StopResult]


class Revealed(OpenShown):
    """The code and the path of its page; null when an idempotent request is repeated."""

    delivery_id: str
    code: str | None
    page: str | None


class DeviceShown(OpenShown):
    """A courier's device, and how far its log is known."""

    id: str
    courier_id: str
    name: str | None
    public_key: str
    seq: int
    adjudicated: int
    created_at: Instant
    revoked_at: Instant | None


class DevicePage(Shown):
    """Devices, newest first."""

    data: list[DeviceShown]
    next_cursor: str | None


class LogEntryShown(Shown):
    """What an entry came to: `claimed` until its log is whole."""

    seq: int
    delivery_id: str
    result: str


class LogShown(Shown):
    """What became of a log: `adjudicated`, or `claimed` while its head is not reached; `seq`, `hash`: what came."""

    device_id: str
    state: Literal["claimed", "adjudicated"]
    seq: int
    hash: str
    entries: list[LogEntryShown]


class HandoverKeys(Shown):
    """The public keys of QR codes by id: Ed25519, 32 octets in base64url."""

    keys: dict[str, str]
