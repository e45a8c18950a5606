"""/v1/webhook-endpoints: where an application is called back, and with which secret that is signed.

A secret is shown once, when it is made. Which addresses may be called is `engine.webhooks.guard`'s to say; the rows are
`engine.webhooks.endpoints`'.
"""

from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from engine.api import paging
from engine.api.context import Context
from engine.api.endpoint import Calling, Routes
from engine.api.idempotency import Answer
from engine.api.problems import Refused, problem_body
from engine.api.types import NO_NUL, Body, Instant, Shown, as_json
from engine.apikeys import Scope
from engine.cases.casebook import put_audit
from engine.clock import to_rfc3339
from engine.events import EVENT_TYPES
from engine.store.transaction import Tx
from engine.webhooks import endpoints
from engine.webhooks.endpoints import EndpointSpec, EndpointView
from engine.webhooks.guard import BadUrl, read_url
from engine.webhooks.options import WebhookOptions
from engine.webhooks.signing import Scheme, new_secret, receiver_key

routes = Routes("webhooks")

MOST_ENDPOINTS: Final = 50
_MANAGE: Final = (Scope.WEBHOOKS_MANAGE,)
_PATH: Final = "/v1/webhook-endpoints"
_THIS: Final = f"{_PATH}/{{endpoint_id}}"

Url = Annotated[str, Field(min_length=8, max_length=2_000, pattern=NO_NUL)]
EventTypes = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=100)]
Mode = Literal["single", "batch"]
Concurrency = Annotated[int, Field(ge=1, le=64)]
IdCursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")]


class EndpointBody(Body):
    """An endpoint to call from now on."""

    url: Url
    scheme: Scheme = Field(default="v1", description="v1: HMAC-SHA256; v1a: Ed25519")
    event_types: EventTypes = Field(default_factory=list, description="none: all")
    mode: Mode = "single"
    full_numbers: bool = Field(
        default=False, description="who wrote, in full: in message.received, reverse.received and reverse.approved"
    )
    concurrency: Concurrency = 4


class EndpointChange(Body):
    """What to change; what is left out stays."""

    url: Url | None = None
    event_types: EventTypes | None = None
    mode: Mode | None = None
    full_numbers: bool | None = None
    concurrency: Concurrency | None = None
    state: Literal["enabled", "disabled"] | None = None


class RotationBody(Body):
    """For how long the present secret signs beside the new one."""

    overlap_s: Annotated[int, Field(ge=0, le=604_800)] = 86_400


class EndpointShown(Shown):
    """An endpoint without its secret."""

    id: str
    url: str
    scheme: str
    event_types: list[str]
    mode: str
    full_numbers: bool
    concurrency: int
    state: str
    disabled_reason: str | None
    created_at: Instant


class NewEndpointShown(EndpointShown):
    """An endpoint just made; `secret` verifies its signatures and is shown this once (null in a repeat)."""

    secret: str | None


class RotatedShown(Shown):
    """The new secret, shown this once (null in a repeat)."""

    id: str
    secret: str | None


class EndpointPage(Shown):
    """Endpoints, oldest first."""

    data: list[EndpointShown]
    next_cursor: str | None


@routes.post(_PATH, needs=_MANAGE, answers={201: NewEndpointShown}, refuses=("endpoint_refused", "too_many"))
async def create_webhook_endpoint(call: Calling, body: EndpointBody) -> Response:
    """Name an address to call back; events recorded from now on are owed to it."""
    context = call.context
    _check(context, body.url, body.event_types)
    spec = EndpointSpec(body.url, body.scheme, tuple(body.event_types), body.mode, body.concurrency, body.full_numbers)
    drafted = endpoints.draft(call.application_id, spec, context.keyring, context.clock)
    audit_id = context.clock.new_id("aud")

    def store(tx: Tx) -> Answer:
        if len(endpoints.list_page(tx, call.application_id, "", MOST_ENDPOINTS)) >= MOST_ENDPOINTS:
            return Answer(409, problem_body("too_many", most=MOST_ENDPOINTS))
        made = endpoints.create(tx, drafted)
        put_audit(tx, audit_id, call.application_id, call.caller.actor, "endpoint.created", made.id, {}, call.now)
        return _once(201, _shown(made), receiver_key(drafted.secret))

    return await call.change(store)


@routes.get(_PATH, needs=_MANAGE, shows=EndpointPage)
async def list_webhook_endpoints(call: Calling, limit: paging.Limit = 50, cursor: IdCursor = None) -> Response:
    """List the application's endpoints, oldest first."""
    rows = await call.read(lambda tx: endpoints.list_page(tx, call.application_id, cursor or "", limit + 1))
    return call.shown(paging.page([_shown(row) for row in rows], limit))


@routes.get(_THIS, needs=_MANAGE, shows=EndpointShown)
async def read_webhook_endpoint(call: Calling, endpoint_id: str) -> Response:
    """Read an endpoint."""
    found = await call.read(lambda tx: endpoints.get(tx, call.application_id, endpoint_id))
    if found is None:
        raise Refused("not_found")
    return call.shown(as_json(_shown(found)))


@routes.patch(_THIS, needs=_MANAGE, answers={200: EndpointShown}, refuses=("endpoint_refused",))
async def change_webhook_endpoint(call: Calling, endpoint_id: str, body: EndpointChange) -> Response:
    """Change an endpoint; enabling it lets flow what it is owed."""
    changes = body.model_dump(exclude_none=True)
    _check(call.context, body.url, body.event_types or [])
    if "event_types" in changes:
        changes["event_types"] = tuple(changes["event_types"])

    def store(tx: Tx) -> Answer:
        changed = endpoints.update(tx, call.application_id, endpoint_id, changes)
        if changed is None:
            return Answer(404, problem_body("not_found"))
        bells = [(call.application_id, endpoint_id)]
        return Answer(200, as_json(_shown(changed)), bells=bells)

    return await call.change(store)


@routes.delete(_THIS, needs=_MANAGE, answers={200: EndpointShown})
async def delete_webhook_endpoint(call: Calling, endpoint_id: str) -> Response:
    """Delete an endpoint; what it is owed is given up."""
    audit_id = call.context.clock.new_id("aud")

    def store(tx: Tx) -> Answer:
        found = endpoints.get(tx, call.application_id, endpoint_id)
        if found is None or not endpoints.delete(tx, call.application_id, endpoint_id):
            return Answer(404, problem_body("not_found"))
        put_audit(tx, audit_id, call.application_id, call.caller.actor, "endpoint.deleted", endpoint_id, {}, call.now)
        shown = as_json(_shown(found._replace(state="deleted")))
        return Answer(200, shown, bells=[(call.application_id, endpoint_id)])

    return await call.change(store)


@routes.post(f"{_THIS}/rotate-secret", needs=_MANAGE, answers={200: RotatedShown})
async def rotate_webhook_secret(call: Calling, endpoint_id: str, body: RotationBody) -> Response:
    """Give an endpoint a new secret; the present one signs beside it for a while, so that no post is lost."""
    context = call.context
    audit_id = context.clock.new_id("aud")

    def store(tx: Tx) -> Answer:
        found = endpoints.get(tx, call.application_id, endpoint_id)
        if found is None:
            return Answer(404, problem_body("not_found"))
        secret = new_secret("v1a" if found.scheme == "v1a" else "v1", context.clock.entropy)
        endpoints.rotate(
            tx,
            call.application_id,
            endpoint_id,
            secret,
            context.keyring,
            now=call.now,
            overlap_s=body.overlap_s,
        )
        put_audit(tx, audit_id, call.application_id, call.caller.actor, "endpoint.rotated", endpoint_id, {}, call.now)
        return _once(200, {"id": endpoint_id}, receiver_key(secret))

    return await call.change(store)


def _check(context: Context, url: str | None, event_types: list[str]) -> None:
    given = context.settings.webhooks
    options = WebhookOptions(ports=given.ports, allow_http=given.allow_http, allow_loopback=given.allow_loopback)
    if url is not None and isinstance(bad := read_url(url, options), BadUrl):
        raise Refused("endpoint_refused", bad.detail, reason=bad.code)
    if set(event_types) - EVENT_TYPES.keys():
        wrong = {"at": ["body", "event_types"], "code": "event_type", "message": "names a type that does not exist"}
        raise Refused("invalid", errors=[wrong])


def _once(status: int, shown: dict[str, Any], secret: str) -> Answer:
    """Return an answer whose stored form has no secret."""
    return Answer(
        status,
        as_json({**shown, "secret": secret}),
        stored=as_json({**shown, "secret": None}),
    )


def _shown(view: EndpointView) -> dict[str, Any]:
    made = view._asdict()
    del made["application_id"]
    return {**made, "event_types": list(view.event_types), "created_at": to_rfc3339(view.created_at)}
