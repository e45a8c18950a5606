"""What every model of a scenario is made of: strict frozen models, and the scalar types of their fields.

It knows no single setting. Everything that a scenario file or the control API can say is built on it.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from engine.smpp.pdu import Status


class Data(BaseModel):
    """Immutable, and strict about names: a misspelt setting is an error, never a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """A copy with `changes`, validated; pydantic's ValidationError names the field."""
        return self.model_validate({**self._named(), **changes})

    def over(self, base: Self) -> Self:
        """`base` with whatever this one names."""
        return base.changed(self._named())

    def _named(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set}


def _read_status(value: object) -> object:
    """A status as number, as `0x58`, or by its name with or without `ESME_`."""
    if not isinstance(value, str):
        return value
    text = value.strip().upper()
    if re.fullmatch(r"0X[0-9A-F]{1,8}|[0-9]{1,10}", text):
        return int(text, 0) if text.startswith("0X") else int(text)
    named = getattr(Status, text if text.startswith("ESME_") else f"ESME_{text}", None)
    if named is None:
        raise ValueError("not a command status: write its number, 0x58 or ESME_RTHROTTLED")
    return named


CommandStatus = Annotated[int, BeforeValidator(_read_status), Field(ge=0, le=0xFFFF_FFFF)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
