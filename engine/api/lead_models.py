"""/v1/lead-models: how an application qualifies its leads: questions, what answers are worth, sequences of messages.

What a model may hold is the workflow's to check, through `engine.cases`; here are reading and writing. Those that the
settings file defines are read here and written there.
"""

import re
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from engine.api import paging
from engine.api.endpoint import Calling, Routes
from engine.api.idempotency import Answer
from engine.api.problems import Refused, problem_body
from engine.api.types import Body, OpenShown, Shown, as_json
from engine.apikeys import Scope
from engine.cases.casebook import put_audit
from engine.cases.lead_models import Defined
from engine.store.transaction import Tx

routes = Routes("leads")

MODELS_MOST: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_Rules = Annotated[list[dict[str, Any]], Field(max_length=100)]
NameCursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")]


class ModelBody(Body):
    """A model whole; what is left out has its default."""

    questions: _Rules | None = None
    fields: _Rules | None = None
    events: _Rules | None = None
    sequences: _Rules | None = None
    weights: dict[str, float] | None = None
    half_life_s: int | None = None
    brand: Annotated[str, Field(max_length=64)] | None = None
    sender: Annotated[str, Field(max_length=64)] | None = None
    dormancy: dict[str, int] | None = None
    silence_s: int | None = None


class ModelShown(Shown):
    """A model with everything in it, and who defined it: only an application's own can be written."""

    name: str
    defined_by: Literal["settings", "application", "built_in"]
    settings: OpenShown


class ModelPage(Shown):
    """Models by name."""

    data: list[ModelShown]
    next_cursor: str | None


@routes.get("/v1/lead-models", needs=(Scope.LEADS_READ,), shows=ModelPage)
async def list_lead_models(call: Calling, limit: paging.Limit = 50, cursor: NameCursor = None) -> Response:
    """List the application's models by name, the default one (`bant`) among them."""
    models = call.context.leads.models
    found = await call.read(lambda tx: models.page(tx, call.application_id))
    rows = [_shown(one) for one in found if cursor is None or one.model.name > cursor]
    return call.shown(paging.page(rows, limit, key="name"))


@routes.get("/v1/lead-models/{name}", needs=(Scope.LEADS_READ,), shows=ModelShown)
async def read_lead_model(call: Calling, name: str) -> Response:
    """Read a model."""
    models = call.context.leads.models
    found = await call.read(lambda tx: models.of(tx, call.application_id, name))
    if found is None:
        raise Refused("not_found")
    return call.shown(as_json(_shown(found)))


@routes.put(
    "/v1/lead-models/{name}",
    needs=(Scope.LEADS_WRITE,),
    answers={200: ModelShown},
    refuses=("model_invalid", "model_in_settings", "too_many"),
)
async def write_lead_model(call: Calling, name: str, body: ModelBody) -> Response:
    """Write a model whole; leads under way go on with it."""
    if _NAME.fullmatch(name) is None:
        raise Refused("model_invalid", setting="name")
    models = call.context.leads.models
    if models.of_file(call.application_id, name) is not None:
        raise Refused("model_in_settings", model=name)
    given = body.model_dump(exclude_none=True)

    def store(tx: Tx) -> Answer:
        known = {one.model.name for one in models.page(tx, call.application_id)}
        if len(known) >= MODELS_MOST and name not in known:
            return Answer(409, problem_body("too_many", most=MODELS_MOST))
        model = models.put(tx, call.application_id, name, given, call.now)
        audit_id = call.context.clock.new_id("aud")
        put_audit(tx, audit_id, call.application_id, call.caller.actor, "lead_model.written", name, {}, call.now)
        return Answer(200, as_json(_shown(Defined(model, "application"))))

    try:
        return await call.change(store)
    except ValueError as error:
        raise Refused("model_invalid", setting=str(getattr(error, "setting", ""))) from None


def _shown(found: Defined) -> dict[str, Any]:
    return {"name": found.model.name, "defined_by": found.by, "settings": found.model.dump()}
