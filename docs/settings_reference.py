"""Every setting as a table for docs/operate.md, read off the pydantic tree: its place, values, default and meaning."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from docs.settings_words import SECTIONS, WORDS
from engine.settings import Settings
from engine.settings_tree import ByName

ROOT: Final = Path(__file__).resolve().parent.parent
_NAME: Final = "NAME"


class Section:
    """One table of the file: its heading, its key in `SECTIONS`, its model."""

    def __init__(self, key: str, heading: str, model: type[BaseModel]) -> None:
        self.key, self.heading, self.model = key, heading, model
        self.leaves: list[str] = []
        self.below: list[Section] = []
        for name, field in model.model_fields.items():
            if name == "name":
                continue
            kind, where, path = _kind(field.annotation), f"{key}.{name}".lstrip("."), f"{heading}.{name}".lstrip(".")
            if any(isinstance(mark, ByName) for mark in field.metadata):
                self.below.append(Section(where, f"{path}.{_NAME}", get_args(kind)[0]))
            elif isinstance(kind, type) and issubclass(kind, BaseModel) and where in SECTIONS:
                self.below.append(Section(where, path, kind))
            if where in WORDS:
                self.leaves.append(name)

    def walk(self) -> Iterator["Section"]:
        """Yield this section and those below it."""
        yield self
        for section in self.below:
            yield from section.walk()


def sections() -> list[Section]:
    """Return every section in the order of the tree."""
    return list(Section("", "", Settings).walk())


def leaves(model: type[BaseModel] = Settings, key: str = "") -> Iterator[str]:
    """Yield the dotted key of every setting; a table that is one value counts as one."""
    for name, field in model.model_fields.items():
        if name == "name":
            continue
        kind, where = _kind(field.annotation), f"{key}.{name}".lstrip(".")
        if any(isinstance(mark, ByName) for mark in field.metadata):
            yield from leaves(get_args(kind)[0], where)
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and where in SECTIONS:
            yield from leaves(kind, where)
        else:
            yield where


def _kind(annotation: Any) -> Any:
    """Strip `Annotated` and `| None` off a type."""
    if get_origin(annotation) is Annotated:
        return _kind(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        rest = [_kind(one) for one in get_args(annotation) if one is not NoneType]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def settings_block() -> str:
    """Return the reference as Markdown."""
    pieces = []
    for section in sections():
        heading = f"`[{section.heading}]`" if section.heading else "The file itself"
        lines = [f"### {heading}", "", SECTIONS[section.key], ""]
        if section.leaves:
            lines += ["| setting | values | default | what it is |", "|---|---|---|---|"]
            schema = section.model.model_json_schema()
            lines += [_row(section, name, schema) for name in section.leaves]
            lines.append("")
        pieces.append("\n".join(lines))
    return "\n".join(pieces)


def _row(section: Section, name: str, schema: dict[str, Any]) -> str:
    key = f"{section.key}.{name}".lstrip(".")
    field = section.model.model_fields[name]
    return f"| `{name}` | {_values(schema['properties'][name], schema)} | {_default(field)} | {WORDS[key]} |"


def _values(schema: dict[str, Any], root: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_values(one, root) for one in schema["anyOf"] if one.get("type") != "null")
    if "$ref" in schema:
        known = root["$defs"][schema["$ref"].rpartition("/")[2]]
        if "enum" in known:
            return _values(known, root)
        return "`{ " + ", ".join(f"{name} = …" for name in known.get("properties", {})) + " }`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items") or {}
        return f"list of {_values(items, root)}" if items else "list"
    if kind == "object":
        return "table"
    if kind in {"integer", "number"}:
        return _range(schema, "whole" if kind == "integer" else "number")
    if schema.get("format") == "password":
        return "secret"
    return {"boolean": "`true`, `false`", "string": _text(schema)}.get(str(kind), "text")


def _text(schema: dict[str, Any]) -> str:
    return "file" if schema.get("format") in {"path", "file-path"} else "text"


def _range(schema: dict[str, Any], kind: str) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f"{kind}, {_figure(least)} to {_figure(most)}"
    if "exclusiveMinimum" in schema and most is not None:
        return f"{kind}, up to {_figure(most)}"
    return kind


def _figure(value: float) -> str:
    return f"{int(value):,}" if value == int(value) else str(value)


def _default(field: Any) -> str:
    if field.default_factory is not None:
        return "none"
    value = field.default
    if value is PydanticUndefined:
        return "**required**"
    if value is None or value == ():
        return "none"
    if isinstance(value, BaseModel):
        inner = {name: one for name, one in value.model_dump(mode="json").items() if one is not None}
        return "`{ " + ", ".join(f"{name} = {_plain(one)}" for name, one in inner.items()) + " }`" if inner else "none"
    if isinstance(value, tuple):
        return "`[" + ", ".join(_plain(one) for one in value) + "]`"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, float) and value == int(value):
        value = int(value)
    return json.dumps(value) if isinstance(value, bool | int | float | str) else json.dumps(str(value))
