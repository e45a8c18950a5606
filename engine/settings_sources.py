"""Where settings come from: a TOML file, `SCEAU_*` variables, and the files that `SCEAU_…_FILE` variables name.

Each source becomes one nested mapping; what a variable means is read off the tree of sections itself. `settings`
puts the layers over each other and turns pydantic's complaints into lines that name the place and no value.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError

from engine.errors import SettingsError
from engine.private_files import read_private
from engine.settings_tree import ByName

PREFIX: Final = "SCEAU_"
FILE_SUFFIX: Final = "_FILE"
PATH_VARIABLE: Final = "SCEAU_SETTINGS"
_SECRET_FILE_LIMIT: Final = 4_096
_TOML_PLACE: Final = re.compile(r"\(at (line \d+), column \d+\)|\(at end of document\)")

Tree = dict[str, Any]
Where = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """One source: what it says, as a tree, and where each leaf of it stands, for errors."""

    tree: Tree = field(default_factory=dict, repr=False)
    places: Mapping[Where, str] = field(default_factory=dict)
    name: str = ""


def read_toml(path: Path, root: type[BaseModel]) -> Layer:
    """Read a settings file; its relative paths count from its folder. Raises `SettingsError`.

    A file that holds a secret must be closed to group and others.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"there is no settings file {path}") from None
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"the settings file {path} is not text in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        where = (place[1] or "its end") if place else "some place"
        raise SettingsError(f"the settings file {path} is not valid TOML at {where}") from None
    secret = False
    for where, holder in _leaves(tree, ()):
        leaf = leaf_type(root, where)
        secret = secret or leaf is SecretStr
        if isinstance(leaf, type) and issubclass(leaf, Path) and isinstance(holder[where[-1]], str):
            holder[where[-1]] = str(path.parent.resolve() / holder[where[-1]])
    if secret:
        read_private(path, "the settings file")
    return Layer(tree=tree, name=str(path))


def read_variables(environ: Mapping[str, str], root: type[BaseModel]) -> tuple[Layer, Layer]:
    """Return the layers of `SCEAU_SECTION__FIELD` variables and of `…_FILE` variables of secrets.

    A leaf of several values is JSON, or words between commas. Raises `SettingsError` for variables that are no setting.
    """
    plain, plain_places = {}, {}  # type: Tree, dict[Where, str]
    filed, filed_places = {}, {}  # type: Tree, dict[Where, str]
    problems: list[str] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == PATH_VARIABLE:
            continue
        where = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        target = leaf_type(root, where)
        of_file = (*where[:-1], where[-1].removesuffix(FILE_SUFFIX.lower()))
        if target is not None:
            _put(plain, where, _parsed(environ[variable], target))
            plain_places[where] = variable
        elif of_file != where and leaf_type(root, of_file) is SecretStr:
            if variable.removesuffix(FILE_SUFFIX) in environ:
                problems.append(f"{variable}: the same secret is also given by {variable.removesuffix(FILE_SUFFIX)}")
            else:
                try:
                    _put(filed, of_file, _read_secret(Path(environ[variable])))
                except SettingsError as error:
                    problems.append(f"{variable}: {error}")
                filed_places[of_file] = variable
        else:
            problems.append(f"{variable}: there is no such setting")
    if problems:
        raise SettingsError("environment variables are wrong:", problems)
    return Layer(plain, plain_places), Layer(filed, filed_places)


def leaf_type(root: type[BaseModel], where: Sequence[str]) -> Any:
    """Return the type of a leaf of the tree (a collection counts as one), or None if there is none such."""
    at: Any = root
    named = False  # the next piece is the name of a table
    for piece in where:
        if named:
            named = False
        elif isinstance(at, type) and issubclass(at, BaseModel):
            known = at.model_fields.get(piece)
            if known is None or piece == "name":
                return None
            at = _bare(known.annotation)
            if any(isinstance(mark, ByName) for mark in known.metadata):
                at, named = get_args(at)[0], True
        elif get_origin(at) is dict:
            at = _bare(get_args(at)[1])
        else:
            return None
    return None if named or (isinstance(at, type) and issubclass(at, BaseModel)) else at


def explained(error: ValidationError, layers: Sequence[Layer]) -> SettingsError:
    """Return pydantic's complaints as lines `file or variable: field: what is wrong`, without any value."""
    problems = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        where = tuple(str(piece) for piece in fault["loc"] if piece != "[key]")
        problems.append(f"{_place(where, layers)}: {_words(fault['type'], fault['msg'])}")
    return SettingsError("the settings are wrong:", problems)


def _words(kind: str, message: str) -> str:
    match kind:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "there is no such setting"
        case _:
            return message.removeprefix("Value error, ").replace("Input should", "should")


def _place(where: Where, layers: Sequence[Layer]) -> str:
    dotted = ".".join(where) or "settings"
    for layer in layers:
        for depth in range(len(where), 0, -1):
            if where[:depth] in layer.places:
                return layer.places[where[:depth]]
    for layer in layers:
        if layer.name and (not where or where[0] in layer.tree):
            return f"{layer.name}: {dotted}"
    return dotted


def _leaves(tree: Any, where: Where) -> Iterable[tuple[Where, Tree]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*where, key))
        else:
            yield (*where, key), tree


def _bare(annotation: Any) -> Any:
    """Strip `Annotated` and `| None` off a type."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        rest = [_bare(one) for one in get_args(annotation) if one is not NoneType]
        return rest[0] if len(rest) == 1 else annotation
    return annotation


def _parsed(text: str, target: Any) -> Any:
    if get_origin(target) not in {tuple, dict, list}:
        return text
    if text.lstrip().startswith(("[", "{")):
        try:
            return json.loads(text)
        except ValueError:
            return text  # pydantic says what it should have been
    return [word.strip() for word in text.split(",") if word.strip()]


def _put(tree: Tree, where: Where, value: Any) -> None:
    for piece in where[:-1]:
        tree = tree.setdefault(piece, {})
    tree[where[-1]] = value


def _read_secret(path: Path) -> str:
    text = read_private(path, "the secret file", group_may_read=True).rstrip("\r\n")
    if len(text) > _SECRET_FILE_LIMIT:
        raise SettingsError(f"the secret file {path} is too long")
    return text
