"""/v1/profiles: the settings of one use of an application, such as a login or a payment.

Ranges and what goes with what are the workflow's to check, through `engine.cases`; here are reading and writing.
"""

import re
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import Field
from sqlalchemy import bindparam, select
from starlette.responses import Response

from engine.api import paging
from engine.api.endpoint import Calling, Routes
from engine.api.idempotency import Answer
from engine.api.problems import Refused, problem_body
from engine.api.types import Body, OpenShown, ShortText, Shown, as_json
from engine.apikeys import Scope
from engine.cases.casebook import put_audit
from engine.store.statements import Statement
from engine.store.tables_tenancy import ProfileRow
from engine.store.transaction import Tx

routes = Routes("profiles")

MOST_PROFILES: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
NameCursor = Annotated[str | None, Query(max_length=64, description="`next_cursor` of the page before")]
_Whole = Annotated[int, Field(ge=0, le=1_000_000)]


class ProfileBody(Body):
    """A profile's settings; what is left out has its default. Durations are in seconds."""

    brand: ShortText | None = None
    code_length: _Whole | None = None
    alphabet: Literal["digits", "crockford"] | None = None
    short_codes: bool | None = None
    ttl_s: _Whole | None = None
    attempts: _Whole | None = None
    sends: _Whole | None = None
    cooldown_s: Annotated[list[_Whole], Field(max_length=10)] | None = None
    day_sends: _Whole | None = None
    lock_s: _Whole | None = None
    resend_policy: Literal["same_code", "rotate"] | None = None
    on_pending: Literal["join", "conflict", "replace"] | None = None
    join_without_session: bool | None = None
    languages: Annotated[list[Annotated[str, Field(max_length=8)]], Field(max_length=20)] | None = None
    do_not_share: bool | None = None
    webotp_host: Annotated[str, Field(max_length=253)] | None = None
    android_hash: Annotated[str, Field(max_length=11)] | None = None
    fallback_after_s: _Whole | None = None
    voice_codes: _Whole | None = None
    sender: ShortText | None = None
    cancel_on_air: bool | None = None


class ProfileShown(Shown):
    """A profile with every setting."""

    name: str
    settings: OpenShown


class ProfilePage(Shown):
    """Profiles by name."""

    data: list[ProfileShown]
    next_cursor: str | None


@routes.get("/v1/profiles", needs=(Scope.PROFILES_MANAGE,), shows=ProfilePage)
async def list_profiles(call: Calling, limit: paging.Limit = 50, cursor: NameCursor = None) -> Response:
    """List the application's profiles by name, the default one among them."""
    found = await call.read(lambda tx: call.context.verifications.profiles.page(tx, call.application_id))
    rows = [_shown(profile) for profile in found if cursor is None or profile.name > cursor]
    return call.shown(paging.page(rows, limit, key="name"))


@routes.get("/v1/profiles/{name}", needs=(Scope.PROFILES_MANAGE,), shows=ProfileShown)
async def read_profile(call: Calling, name: str) -> Response:
    """Read a profile."""
    profile = await call.read(lambda tx: call.context.verifications.profiles.of(tx, call.application_id, name))
    if profile is None:
        raise Refused("not_found")
    return call.shown(as_json(_shown(profile)))


@routes.put(
    "/v1/profiles/{name}",
    needs=(Scope.PROFILES_MANAGE,),
    answers={200: ProfileShown},
    refuses=("profile_invalid", "too_many"),
)
async def write_profile(call: Calling, name: str, body: ProfileBody) -> Response:
    """Write a profile whole; it holds for verifications that start from now on."""
    context = call.context
    if _NAME.fullmatch(name) is None:
        raise Refused("profile_invalid", setting="name")
    given = body.model_dump(exclude_none=True)

    def store(tx: Tx) -> Answer:
        profiles = context.verifications.profiles
        if len(profiles.page(tx, call.application_id)) >= MOST_PROFILES and not _has(tx, call.application_id, name):
            return Answer(409, problem_body("too_many", most=MOST_PROFILES))
        profile = profiles.put(tx, call.application_id, name, given, call.now)
        audit_id = context.clock.new_id("aud")
        put_audit(tx, audit_id, call.application_id, call.caller.actor, "profile.written", name, {}, call.now)
        return Answer(200, as_json(_shown(profile)))

    try:
        return await call.change(store)
    except ValueError as error:
        raise Refused("profile_invalid", setting=str(getattr(error, "setting", ""))) from None


def _has(tx: Tx, application_id: str, name: str) -> bool:
    return tx.one(_ONE, application=application_id, name=name) is not None


def _shown(profile: Any) -> dict[str, Any]:
    settings = profile.dump()
    del settings["name"]
    return {"name": profile.name, "settings": settings}


# Statements.

_profile: Any = ProfileRow.__table__  # type: ignore[attr-defined]
_ONE: Final = Statement(
    lambda _: select(_profile.c.name).where(
        _profile.c.application_id == bindparam("application"), _profile.c.name == bindparam("name")
    )
)
