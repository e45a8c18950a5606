"""/v1/leads: what a marketing team's form and CRM call; and the figures of its funnel.

What these do is decided by the workflow behind `engine.cases.leads`; here are shapes, scopes and the mapping of
outcomes to HTTP.
"""

from datetime import date, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import Field, StringConstraints
from starlette.responses import Response

from engine.api import paging, reading
from engine.api.accepting import destination, network_of
from engine.api.changing import change, instant_of
from engine.api.endpoint import Calling, Routes
from engine.api.problems import NUMBERS, ROUTING, Refused
from engine.api.signature_bodies import Reason
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
    as_json,
)
from engine.apikeys import Scope
from engine.cases.leads import CreateLead

routes = Routes("leads")

_PATH: Final = "/v1/leads"
_ONE: Final = _PATH + "/{lead_id}"
_EPOCH: Final = date(1970, 1, 1)
_DAYS_MOST: Final = 400
_Day = Annotated[str, Query(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="YYYY-MM-DD, UTC")]
FieldName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]


class ConsentGiven(Body):
    """The words that were agreed to, exactly, and when."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=NO_NUL)]
    at: Instant


class LeadBody(Body):
    """A lead, as a form sends it."""

    phone: NumberText = Field(description="E.164, or national with `region`", examples=["+33612345678"])
    region: Region | None = None
    form: Name
    source: Name = "direct"
    language: Language | None = None
    proof: Literal["code", "reply"] = Field(default="code", description="reply: they answer YES (double opt-in)")
    model: Name = "bant"
    fields: dict[FieldName, ShortText] = Field(default_factory=dict, max_length=50)
    consent: ConsentGiven | None = Field(default=None, description="without it the lead gets its proof, nothing else")
    reference: ShortText | None = None


class LeadCheckBody(Body):
    """What was typed."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=NO_NUL)] = Field(repr=False)


class LeadEventBody(Body):
    """What happened outside: one of the model's events."""

    event: Name


class CloseBody(Body):
    """Why a lead is closed."""

    reason: Reason = ""


class LeadShown(OpenShown):
    """A lead with its score and every entry that gave it."""

    id: str
    state: Literal["unverified", "open", "closed"]
    form: str
    source: str
    to: str
    stage: Literal["cold", "warm", "qualified"]
    label: str | None
    total: int
    bant: dict[str, int]
    fit: int
    intent: int
    points: list[dict[str, Any]]
    heard_at: Instant | None
    reengaged: int
    dormant_at: Instant | None
    created_at: Instant
    verified_at: Instant | None
    final_at: Instant | None


class LeadPage(Shown):
    """Leads, newest first."""

    data: list[LeadShown]
    next_cursor: str | None


class FunnelRow(Shown):
    """How many leads of a form, a source and a day have reached each stage so far."""

    day: str
    form: str
    source: str
    created: int
    verified: int
    asked: int
    answered: int
    warm: int
    qualified: int
    opted_out: int
    unverified: int


class FunnelShown(Shown):
    """The funnel, by day of the leads' coming."""

    data: list[FunnelRow]
    next_cursor: None = None


@routes.post(
    _PATH,
    needs=(Scope.LEADS_WRITE,),
    answers={201: LeadShown},
    refuses=(*NUMBERS, *ROUTING, "model_unknown", "language_not_offered", "day_limit"),
)
async def create_lead(call: Calling, body: LeadBody) -> Response:
    """Take a lead: its number is asked to prove itself, by a code or by a yes."""
    phone = destination(body.phone, body.region)
    request = CreateLead(
        phone=phone.e164,
        country=phone.country,
        form=body.form,
        source=body.source,
        network=network_of(call.context, phone.e164),
        number_unverified=not phone.valid,
        language=body.language,
        proof=body.proof,
        model=body.model,
        fields=dict(body.fields),
        consent=None if body.consent is None else (body.consent.text, instant_of(body.consent.at, "consent.at")),
        reference=body.reference or "",
    )
    return await change(call, call.context.leads.create, request, created=201)


@routes.get(_PATH, needs=(Scope.LEADS_READ,), shows=LeadPage)
async def list_leads(call: Calling, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """List the application's leads, newest first."""
    return await reading.listed(call, call.context.leads.page, limit, cursor)


@routes.get("/v1/stats/leads", needs=(Scope.LEADS_READ, Scope.STATS_READ), shows=FunnelShown)
async def read_funnel(call: Calling, first: _Day, last: _Day) -> Response:
    """Read the funnel by form, source and day, both days included."""
    try:
        days = [(date.fromisoformat(one) - _EPOCH).days for one in (first, last)]
    except ValueError:
        raise Refused("invalid", "first and last must be days") from None
    if not 0 <= days[1] - days[0] <= _DAYS_MOST:
        raise Refused("invalid", f"last must follow first within {_DAYS_MOST} days")
    case = call.context.leads
    rows = await call.read(lambda tx: case.funnel(tx, call.application_id, *days))
    shown = [{**row, "day": (_EPOCH + timedelta(days=row["day"])).isoformat()} for row in rows]
    return call.shown(as_json({"data": shown, "next_cursor": None}))


@routes.get(_ONE, needs=(Scope.LEADS_READ,), shows=LeadShown)
async def read_lead(call: Calling, lead_id: str) -> Response:
    """Read a lead. Nothing is spent, and nothing has an effect."""
    return await reading.one(call, call.context.leads.read, lead_id)


@routes.get(f"{_ONE}/timeline", needs=(Scope.LEADS_READ,), shows=reading.Timeline)
async def read_lead_timeline(call: Calling, lead_id: str) -> Response:
    """Read everything that happened to a lead, each with its time."""
    return await reading.timeline(call, call.context.leads.timeline, lead_id)


@routes.post(
    f"{_ONE}/checks",
    needs=(Scope.LEADS_WRITE,),
    answers={200: LeadShown},
    refuses=(
        "lead_closed", "already_verified", "proven_by_reply", "code_expired", "code_mismatch", "bad_format",
        "superseded",
    ),
)  # fmt: skip
async def check_lead(call: Calling, lead_id: str, body: LeadCheckBody) -> Response:
    """Check the code that was typed on the form; an attempt is spent before anything is compared."""
    return await change(call, call.context.leads.check, lead_id, body.code, verified=200)


@routes.post(
    f"{_ONE}/resend",
    needs=(Scope.LEADS_WRITE,),
    answers={200: LeadShown},
    refuses=("lead_closed", "already_verified", "cooldown", "max_sends", "day_limit"),
)
async def resend_lead(call: Calling, lead_id: str) -> Response:
    """Ask for the proof once more; the code is the same within its life."""
    return await change(call, call.context.leads.resend, lead_id, resent=200)


@routes.post(
    f"{_ONE}/events", needs=(Scope.LEADS_WRITE,), answers={200: LeadShown}, refuses=("lead_closed", "event_unknown")
)
async def tell_lead_event(call: Calling, lead_id: str, body: LeadEventBody) -> Response:
    """Tell what a lead did outside: it scores as the model says, and may begin a sequence."""
    return await change(call, call.context.leads.happened, lead_id, body.event, noted=200)


@routes.post(f"{_ONE}/close", needs=(Scope.LEADS_WRITE,), answers={200: LeadShown}, refuses=("lead_closed",))
async def close_lead(call: Calling, lead_id: str, body: CloseBody) -> Response:
    """Close a lead; nothing is sent to it any more."""
    return await change(call, call.context.leads.close, lead_id, body.reason, closed=200)
