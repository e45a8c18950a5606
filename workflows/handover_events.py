"""What a delivery is told besides settled messages and timers, and the table of events that it raises.

Values only. Verdicts on codes and masked numbers come in; no code, no number, no name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from workflows.base import Canceled, Settled, TimerFired, Verdict
from workflows.handover_case import Door, Party, Slot


@dataclass(frozen=True, slots=True)
class Stated:
    """What a courier or a supervisor states of where they are and who they are; nobody observed it.

    `position` is `latitude,longitude` in degrees; `photo_sha256` hashes a photograph that the platform keeps.
    """

    courier: str = ""
    position: str = field(default="", repr=False)
    photo_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """How a code came: by which door, from whom; offline also by which device, in which entry of its log, and when.

    `at` is the instant of the entry: now, or the logged one, corrected by the device's own clock.
    """

    door: Door
    at: int
    stated: Stated = field(default_factory=Stated)
    device: str = ""
    logged: int = 0
    suspended: bool = False  # the courier has entered too many wrong codes today


@dataclass(frozen=True, slots=True)
class ArrivalTold:
    """The courier is about to arrive."""

    courier: str = ""


@dataclass(frozen=True, slots=True)
class PositionTold:
    """The courier is somewhere, and will arrive at `eta_at` (0: unknown)."""

    courier: str
    eta_at: int = 0


@dataclass(frozen=True, slots=True)
class CodeEntered:
    """A code or token was entered and compared, after an attempt had been spent on it."""

    verdict: Verdict
    entry: Entry


@dataclass(frozen=True, slots=True)
class RegenerateAsked:
    """Somebody wants another code; the present one is void."""


@dataclass(frozen=True, slots=True)
class Delegated:
    """The code is to be another person's; `reply_id` if the holder asked for it by SMS, with the right code."""

    party: Party
    reply_id: str = ""


@dataclass(frozen=True, slots=True)
class DelegationEnded:
    """The recipient takes the code back; `reply_id` if by SMS."""

    reply_id: str = ""


class Override(StrEnum):
    """What a supervisor decides."""

    DELIVERED = "delivered"
    UNLOCKED = "unlocked"


@dataclass(frozen=True, slots=True)
class OverrideAsked:
    """A supervisor decides, and says why."""

    decision: Override
    supervisor: str
    reason: str
    stated: Stated


@dataclass(frozen=True, slots=True)
class FailTold:
    """This attempt at delivering has failed."""

    reason: str
    stated: Stated


@dataclass(frozen=True, slots=True)
class SlotChanged:
    """The delivery has another slot; `again` after a failed attempt."""

    slot: Slot
    again: bool = False


@dataclass(frozen=True, slots=True)
class Returned:
    """The parcels went back."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A device's log speaks of this delivery, and cannot be adjudicated yet."""

    device: str
    courier: str


@dataclass(frozen=True, slots=True)
class Released:
    """What a device's log claimed has been adjudicated."""

    device: str


class Said(StrEnum):
    """What a reply comes to that passes no code on."""

    NOT_DELEGATED = "not_delegated"  # a number that is not served, or no right code beside it
    HOW_TO = "how_to"  # a code alone


@dataclass(frozen=True, slots=True)
class TextReplied:
    """A handset wrote something that changes nothing but deserves an answer."""

    party: str
    reply_id: str
    said: Said


Event: TypeAlias = (
    Settled
    | TimerFired
    | Canceled
    | ArrivalTold
    | PositionTold
    | CodeEntered
    | RegenerateAsked
    | Delegated
    | DelegationEnded
    | OverrideAsked
    | FailTold
    | SlotChanged
    | Returned
    | Claimed
    | Released
    | TextReplied
)

_DELIVERY: Final = {
    "delivery_id": "the delivery",
    "state": "its state after this event",
    "reference": "the caller's own reference, or null",
}
_COURIER: Final = {**_DELIVERY, "courier_id": "the courier, as the caller's platform names them, or null"}
_ENTERED: Final = {
    **_COURIER,
    "door": "code, qr, offline_code, offline_qr or override",
    "attempts_remaining": "wrong codes still allowed, over all codes of the delivery",
    "device_id": "the device in whose log it stood, or null",
}

EVENTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "handover.created": ("A delivery was created.", {**_DELIVERY, "expires_at": "when it ends undelivered"}),
    "handover.on_the_way": ("The courier is on the way.", {**_COURIER, "eta_at": "expected arrival, or null"}),
    "handover.arriving": ("The courier is about to arrive.", _COURIER),
    "handover.code_sent": (
        "An operator took the message with the code: from here on it can be confirmed.",
        {**_DELIVERY, "generation": "which of its codes", "to": "whose code it is, masked"},
    ),
    "handover.code_undelivered": (
        "The message with the code did not arrive; it was sent once more, by another route if there is one.",
        {**_DELIVERY, "reason": "why, or null"},
    ),
    "handover.unreachable": (
        "No SMS reaches the holder of the code: tell it by voice or e-mail (`…/reveal` opens it), or change the slot.",
        {**_DELIVERY, "reason": "why, or null"},
    ),
    "handover.regenerated": ("There is another code; the one before is void.", {**_DELIVERY, "generation": "which"}),
    "handover.delegated": (
        "The code is another person's now, who was sent one; the recipient was told.",
        {**_DELIVERY, "to": "the delegate's number, masked", "by": "sms or api", "reply_id": "the SMS, or null"},
    ),
    "handover.delegation_ended": (
        "The recipient took the code back, and was sent a new one.",
        {**_DELIVERY, "by": "sms or api", "reply_id": "the SMS, or null"},
    ),
    "handover.delegation_refused": (
        "An SMS wanted to pass the code on, and was refused.",
        {**_DELIVERY, "reply_id": "the SMS", "reason": "why"},
    ),
    "handover.attempt_failed": ("A wrong code was entered.", _ENTERED),
    "handover.locked": ("Too many wrong codes: a supervisor has to decide.", _COURIER),
    "handover.courier_suspended": (
        "A courier entered too many wrong codes today, over all deliveries: confirmations of theirs wait.",
        {**_COURIER, "until_at": "when they may confirm again"},
    ),
    "handover.claimed": (
        "Entries made offline speak of the delivery and wait for the rest of their log.",
        {**_COURIER, "device_id": "the device"},
    ),
    "handover.conflict": (
        "An entry made offline contradicts what is known: nothing was changed, both are in the proof.",
        {**_ENTERED, "reason": "what it contradicts", "logged_at": "when the device says that it was made"},
    ),
    "handover.confirmed": (
        "The delivery is proven: whoever had the code was there, or a supervisor answers for it.",
        {**_ENTERED, "delivered_at": "when"},
    ),
    "handover.override": (
        "A supervisor decided.",
        {**_DELIVERY, "decision": "delivered or unlocked", "supervisor_id": "who", "reason": "why"},
    ),
    "handover.failed": ("This attempt at delivering failed.", {**_COURIER, "reason": "why"}),
    "handover.changed": (
        "The delivery has another slot.",
        {**_DELIVERY, "starts_at": "its beginning", "ends_at": "its end", "tries": "attempts at delivering"},
    ),
    "handover.returned": ("The parcels went back.", {**_DELIVERY, "reason": "why"}),
    "handover.canceled": ("The delivery was given up.", {**_DELIVERY, "reason": "why"}),
    "handover.expired": ("Nothing became of the delivery in time.", _DELIVERY),
}
