"""What every section of the settings is made of: a frozen part, tables by name, and the types of their leaves.

It knows no section. The `settings_*` modules build on it; `settings_sources` walks the tree that they form.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import GenericAlias
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler, SecretStr, StringConstraints
from pydantic_core import CoreSchema, core_schema

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$", max_length=32)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Port = Annotated[int, Field(ge=0, le=65_535)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Days = Annotated[int, Field(ge=0, le=3_660)]
LaneName = Literal["otp", "transactional", "bulk"]
LaneMatch = Literal["otp", "transactional", "bulk", "*"]

ANY: Final = "*"
_GUESSED: Final = frozenset(
    {"password", "passwd", "secret", "changeme", "default", "admin", "test", "1234", "12345678"}
)


def _printable_ascii(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise ValueError("should be of printable ASCII characters")
    return text


PRINTABLE: Final = AfterValidator(_printable_ascii)
"""Marks a text that becomes a C-octet string of a PDU (SMPP 3.4 section 3.1)."""


class Part(BaseModel):
    """One section: frozen, no stray keys, and no value repeated in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class NamedPart(Part):
    """A section that its table's heading names: `[accounts.orange]` is the account `orange`."""

    name: Name


@dataclass(frozen=True, slots=True)
class ByName:
    """Marks a tuple of named parts that the file writes as one table of tables, in the order of the file."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate a mapping by name, so that errors name the table, and keep a tuple."""
        tables = handler.generate_schema(GenericAlias(dict, (Name, get_args(source)[0])))
        return core_schema.no_info_after_validator_function(
            lambda parts: tuple(parts.values()),
            core_schema.no_info_before_validator_function(_with_names, tables),
            serialization=core_schema.plain_serializer_function_ser_schema(_tables),
        )


def _with_names(given: Any) -> Any:
    """Put each table's name into it; a sequence of tables or parts that carry theirs is as good."""
    if isinstance(given, Mapping):
        if any(isinstance(table, Mapping) and table.get("name", name) != name for name, table in given.items()):
            raise ValueError("the table's heading is the name: leave `name` out")
        return {name: {**table, "name": name} if isinstance(table, Mapping) else table for name, table in given.items()}
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        named = {
            table.name if isinstance(table, NamedPart) else table.get("name", ""): table
            for table in given
            if isinstance(table, NamedPart | dict)
        }
        if len(named) != len(given):
            raise ValueError("each needs a name of its own")
        return named
    return given


def _tables(parts: tuple[NamedPart, ...]) -> dict[str, Any]:
    return {part.name: part.model_dump(mode="json", exclude={"name"}) for part in parts}


def is_loopback(host: str) -> bool:
    """Tell whether a listening or connecting address stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_guessable(password: SecretStr, *also: str) -> bool:
    """Tell whether a password is blank, a factory default, or one of `also` (S26)."""
    value = password.get_secret_value().strip().lower()
    return not value or value in _GUESSED or value in {word.lower() for word in also}
