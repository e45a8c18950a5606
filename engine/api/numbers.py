"""/v1/lookup and /v1/preview: what a number is, and what a text costs, before anything is sent.

Both are computed from the numbering plan and the alphabets; nothing is read, stored or counted.
"""

from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import Response

from engine.api.endpoint import Calling, Routes
from engine.api.problems import NUMBERS, Refused
from engine.api.types import Body, BodyText, Name, Region, Shown, as_json
from engine.apikeys import Scope
from engine.consent import with_stop
from engine.phones import BadNumber, parse_destination
from engine.smpp.text import Alphabet, Concatenation, preview
from engine.transit.classes import Lane

routes = Routes("numbers and texts")


class Network(Shown):
    """The network to which the number was first given; numbers are ported, so it may be another today."""

    mcc_mnc: str | None
    name: str | None


class NumberShown(Shown):
    """A number as the numbering plan knows it. `possible`: the right length; `valid`: known to the plan as well."""

    number: str
    country: str
    country_code: int
    type: str
    possible: bool
    valid: bool
    original_network: Network


class PreviewBody(Body):
    """A text to measure."""

    text: BodyText
    default_alphabet: Literal["gsm7", "latin1"] = "gsm7"
    concatenation: Literal["udh16", "udh8", "sar", "payload"] = "udh16"
    category: Literal["otp", "signature", "handover", "transactional", "marketing"] | None = None
    country: Region | None = Field(default=None, description="of the reader: marketing to FR says where STOP goes")
    sender: Name | None = Field(default=None, description="one of the application's senders; the lane's own if absent")


class PreviewShown(Shown):
    """What a text costs; `non_gsm` are the characters that made it leave the GSM alphabet."""

    alphabet: str
    characters: int
    units: int
    parts: int
    non_gsm: list[str] = Field(description="distinct, in order of appearance")


@routes.get("/v1/lookup/{number}", needs=(Scope.LOOKUP_READ,), shows=NumberShown, refuses=NUMBERS)
async def look_up_number(
    call: Calling,
    number: Annotated[str, Path(max_length=40)],
    region: Annotated[str | None, Query(pattern=r"^[A-Z]{2}$")] = None,
) -> Response:
    """Tell a number's country, type and original network, offline."""
    try:
        phone = parse_destination(number, region, denied_types=())
    except BadNumber as error:
        raise Refused(error.code) from None
    found = call.context.resolver.lookup(phone.e164)
    shown = {
        "number": phone.e164,
        "country": phone.country,
        "country_code": phone.country_code,
        "type": phone.type,
        "possible": phone.possible,
        "valid": phone.valid,
        "original_network": {"mcc_mnc": found.network_mccmnc, "name": found.network_name},
    }
    return call.shown(as_json(shown))


@routes.post("/v1/preview", needs=(), answers={200: PreviewShown})
async def preview_text(call: Calling, body: PreviewBody) -> Response:
    """Tell a text's alphabet and parts. A repeat gives the same answer with or without an Idempotency-Key."""
    text = body.text
    if body.category == "marketing":
        router = call.context.router
        sender = router.sender_for(call.application_id, Lane.BULK, body.sender)
        text = with_stop(text, router.stops.get(sender or "", ""), body.country or "")
    made = preview(text, Alphabet(body.default_alphabet), Concatenation(body.concatenation))
    shown = {
        "alphabet": made.alphabet.value,
        "characters": made.characters,
        "units": made.units,
        "parts": made.parts,
        "non_gsm": list(made.non_gsm),
    }
    return call.shown(as_json(shown))
