"""How a call reads what its application has: a page of it, one of it, all that happened to one.

Routes give the store functions of `engine.cases`; a foreign id answers the same 404 as an unknown one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from starlette.responses import Response

from engine.api import paging
from engine.api.endpoint import Call
from engine.api.problems import Refused
from engine.api.types import Instant, OpenShown, Shown, as_json
from engine.store.transaction import Tx

Page: TypeAlias = Callable[[Tx, str, str, int], Sequence[Mapping[str, Any]]]
"""(application, id below which it begins, at most) → rows, newest first."""
One: TypeAlias = Callable[[Tx, str, str], Mapping[str, Any] | None]
"""(application, id) → what is shown of it."""
Entries: TypeAlias = Callable[[Tx, str, str], Sequence[Mapping[str, Any]] | None]
"""(application, id) → what happened to it, in order of time."""


class TimelineEntry(OpenShown):
    """One thing that happened; further members depend on `what`."""

    at: Instant
    what: str


class Timeline(Shown):
    """Everything that happened, in order."""

    data: list[TimelineEntry]
    next_cursor: None = None


async def listed(call: Call, page: Page, limit: int, cursor: str | None) -> Response:
    """Answer with a page; refuses (422) a cursor that is none of ours."""
    before = paging.after(cursor)
    rows = await call.read(lambda tx: page(tx, call.application_id, before, limit + 1))
    return call.shown(paging.page(rows, limit))


async def one(call: Call, read: One, subject_id: str) -> Response:
    """Answer with one; refuses (404) what the application does not have."""
    found = await call.read(lambda tx: read(tx, call.application_id, subject_id))
    if found is None:
        raise Refused("not_found")
    return call.shown(as_json(found))


async def timeline(call: Call, happened: Entries, subject_id: str) -> Response:
    """Answer with all that happened to one; refuses (404) what the application does not have."""
    entries = await call.read(lambda tx: happened(tx, call.application_id, subject_id))
    if entries is None:
        raise Refused("not_found")
    return call.shown(as_json({"data": entries, "next_cursor": None}))
