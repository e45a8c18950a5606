"""Keyset paging on time-ordered ids: a page, newest first, and the cursor of the next one.

The cursor is the last id of the page; one that is not ours in form is refused before any query. Every collection
uses it but the event feed, which runs forward by position.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import Query

from engine.api.problems import Refused
from engine.api.types import as_json

Limit = Annotated[int, Query(ge=1, le=200, description="at most this many")]
Cursor = Annotated[
    str | None, Query(max_length=64, description="`next_cursor` of the page before; leave out for the newest")
]

_ID: Final = re.compile(r"[a-z]{1,8}_[0-9a-f]{32}")
# Sorts after every id: the cursor of the first page.
NEWEST: Final = "~"


def after(cursor: str | None) -> str:
    """Return the id below which the page begins; refuses (422) what is no cursor of ours."""
    if cursor is None:
        return NEWEST
    if _ID.fullmatch(cursor) is None:
        raise Refused("invalid", errors=[{"at": ["query", "cursor"], "code": "cursor", "message": "not a cursor"}])
    return cursor


def page(rows: Sequence[Mapping[str, Any]], limit: int, key: str = "id") -> str:
    """Return the JSON of a page from up to `limit + 1` rows, of which the one too many tells that more follow."""
    shown = list(rows[:limit])
    more = len(rows) > limit
    return as_json({"data": shown, "next_cursor": shown[-1][key] if more else None})
