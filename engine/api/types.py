"""The types of request bodies and of answers: text that both databases can hold, names, instants.

It validates shapes; meaning (is this a number? may this sender be used?) is the routes' affair. Every module of
routes imports it.
"""

import json
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from engine.logs import escaped

# PostgreSQL cannot store NUL; the JSON parser refuses lone surrogates, which no encoding can carry.
NO_NUL: Final = r"^[^\x00]*$"

Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=NO_NUL)]
NumberText = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=NO_NUL)]
BodyText = Annotated[str, StringConstraints(min_length=1, max_length=4_000, pattern=NO_NUL)]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]
Instant = Annotated[str, Field(description="RFC 3339, UTC", json_schema_extra={"format": "date-time"})]
Binding = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=NO_NUL)],
        Annotated[str, StringConstraints(max_length=255, pattern=NO_NUL)],
    ],
    Field(max_length=16),
]


class Body(BaseModel):
    """A request body: no coercion, no stray fields, nothing of it repeated in an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Shown(BaseModel):
    """An answer's shape, for the documentation: answers are built once, as JSON, and not validated again."""

    model_config = ConfigDict(extra="forbid")


class OpenShown(BaseModel):
    """An answer's shape that may grow: members that this version does not name may be present."""

    model_config = ConfigDict(extra="allow")


def as_json(value: Any) -> str:
    """Return an answer's JSON text; what a terminal or a reader would obey is written as JSON escapes (E23)."""
    return escaped(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
