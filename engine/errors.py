"""The engine's own errors: local faults reach callers as exceptions, remote ones as events or values.

It builds on `engine.smpp.errors` and re-exports what callers catch from there. No message carries a secret,
a code, a text or a phone number; `engine.api` maps the classes to HTTP answers in one table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from engine.smpp import errors as smpp
from engine.smpp.errors import CodecError, FramingError, NotEncodable, ProtocolError

__all__ = [
    "CodecError",
    "CommitUnknown",
    "Conflict",
    "EngineError",
    "FramingError",
    "NotAllowed",
    "NotEncodable",
    "ProtocolError",
    "SettingsError",
    "StoreUnavailable",
    "Tampered",
    "UnknownKey",
    "WrongPlace",
]


class EngineError(Exception):
    """Root of the engine's own errors; `code` is the stable word for log lines and problem+json answers."""

    code: ClassVar[str] = "engine_error"


class SettingsError(EngineError):
    """The settings cannot be used; `problems` are lines `where: what is wrong`, never with a value."""

    code: ClassVar[str] = "settings_error"

    def __init__(self, message: str, problems: Iterable[str] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__("\n  ".join((message, *self.problems)))


class WrongPlace(SettingsError):
    """One of our packages would be loaded from somewhere else than the others."""

    code: ClassVar[str] = "wrong_place"


class NotAllowed(EngineError, smpp.NotAllowed):
    """Our bug: a move, an event or a call outside the table that lists the legal ones."""

    code: ClassVar[str] = "not_allowed"


class Conflict(EngineError):
    """The request cannot be met in the present state; nothing was changed."""

    code: ClassVar[str] = "conflict"


class StoreUnavailable(EngineError):
    """The database did not take the work: nothing was changed, the caller may try again later."""

    code: ClassVar[str] = "store_unavailable"


class CommitUnknown(EngineError):
    """The database broke off during COMMIT: whether the work is in it is not known."""

    code: ClassVar[str] = "commit_unknown"


class Tampered(EngineError):
    """A sealed value does not open: altered, moved from another row, or sealed with a key not in the ring."""

    code: ClassVar[str] = "tampered"


class UnknownKey(EngineError):
    """The key ring holds no key of this id."""

    code: ClassVar[str] = "unknown_key"
