"""The settings of one use of a workflow: what a verification's code is like and how often it may be tried and sent.

Values, checked when they are made and frozen after. The API stores them as JSON, `engine.cases` hands them to
workflows; nothing here sends or counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final, Self

from workflows.window import Limits
from workflows.wording import LANGUAGES, fits_autofill_room, problem_with

_FEWEST_SAFE: Final = 6
_ATTEMPTS: Final = 5
_ATTEMPTS_OF_FOUR_DIGITS: Final = 3
_LEAST_WINDOW_S: Final = 600


class ProfileError(ValueError):
    """A setting outside its range; `setting` names it."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting


class ResendPolicy(StrEnum):
    """What a resend carries: the code again, or a new one that voids the old."""

    SAME_CODE = "same_code"
    ROTATE = "rotate"


class OnPending(StrEnum):
    """What a second start does while a verification is pending."""

    JOIN = "join"
    CONFLICT = "conflict"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class VerificationProfile:
    """The settings of verifications, with the defaults of verification-behaviours 2.1; raises `ProfileError`.

    Durations are in seconds. `attempts` left out is 5, or 3 for four digits; codes under six characters need
    `short_codes`, a spoken-out opt-in. `cooldown_s` is the pause after the first message, the second …
    `fallback_after_s=None` raises no fallback for a missing receipt. `join_without_session` lets starts that name no
    session join one another: off, for then nothing tells an attacker's start from the victim's.
    """

    name: str = "default"
    brand: str = "Sceau"
    code_length: int = 6
    alphabet: str = "digits"
    short_codes: bool = False
    ttl_s: int = 600
    attempts: int | None = None
    sends: int = 5
    cooldown_s: tuple[int, ...] = (30, 60, 120, 240)
    day_sends: int = 10
    lock_s: int = 600
    resend_policy: ResendPolicy = ResendPolicy.SAME_CODE
    on_pending: OnPending = OnPending.JOIN
    join_without_session: bool = False
    languages: tuple[str, ...] = LANGUAGES
    do_not_share: bool = True
    webotp_host: str = ""
    android_hash: str = ""
    fallback_after_s: int | None = 30
    voice_codes: int = 2
    sender: str | None = None
    cancel_on_air: bool = False

    def __post_init__(self) -> None:
        """Check every setting against its range and the settings it depends on."""
        self._check_code()
        self._check_limits()
        self._check_wording()

    def _check_code(self) -> None:
        _within("code_length", self.code_length, 4, 10)
        _require(self.alphabet in {"digits", "crockford"}, "alphabet", "digits or crockford")
        safe = self.code_length >= _FEWEST_SAFE or self.short_codes
        _require(safe, "code_length", "below 6 needs short_codes")
        _within("ttl_s", self.ttl_s, 30, 600)

    def _check_limits(self) -> None:
        if self.attempts is not None:
            _within("attempts", self.attempts, 1, self._most_attempts)
        _within("sends", self.sends, 1, 10)
        _within("day_sends", self.day_sends, 1, 1_000)
        _require(1 <= len(self.cooldown_s) <= 10, "cooldown_s", "one to ten pauses")
        for pause in self.cooldown_s:
            _within("cooldown_s", pause, 0, 3_600)
        # No code may outlive the count of the attempts made on it.
        _within("lock_s", self.lock_s, self.ttl_s, 86_400)
        if self.fallback_after_s is not None:
            _within("fallback_after_s", self.fallback_after_s, 5, 600)
        _within("voice_codes", self.voice_codes, 0, 2)

    def _check_wording(self) -> None:
        _require(bool(self.name) and len(self.name) <= 64, "name", "1 to 64 characters")
        for setting in ("brand", "webotp_host", "android_hash"):
            problem = problem_with(setting, getattr(self, setting))
            _require(problem is None, setting, problem or "")
        _require(
            bool(self.languages) and set(self.languages) <= set(LANGUAGES),
            "languages",
            "some of " + ", ".join(LANGUAGES),
        )
        fits = fits_autofill_room(self.webotp_host, self.android_hash)
        _require(fits, "webotp_host", "too long beside an android_hash")

    @property
    def _most_attempts(self) -> int:
        return _ATTEMPTS_OF_FOUR_DIGITS if self.code_length == 4 and self.alphabet == "digits" else _ATTEMPTS

    @property
    def limits(self) -> Limits:
        """The figures that the window counts with."""
        return Limits(
            attempts=self._most_attempts if self.attempts is None else self.attempts,
            sends=self.sends,
            cooldown_s=self.cooldown_s,
            window_s=max(self.ttl_s, _LEAST_WINDOW_S, *self.cooldown_s),
            lock_s=self.lock_s,
            day_sends=self.day_sends,
        )

    def dump(self) -> dict[str, Any]:
        """Return the settings as a JSON object."""
        return asdict(self)

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Self:
        """Return the profile of a JSON object, defaults for what it leaves out; raises `ProfileError`."""
        known = {field.name for field in fields(cls)}
        for setting in stored:
            _require(setting in known, setting, "unknown setting")
        given = dict(stored)
        for setting in ("cooldown_s", "languages"):
            if setting in given:
                _require(isinstance(given[setting], list | tuple), setting, "a list")
                given[setting] = tuple(given[setting])
        for setting, kind in (("resend_policy", ResendPolicy), ("on_pending", OnPending)):
            if setting in given:
                choices = [str(choice) for choice in kind]
                _require(given[setting] in choices, setting, " or ".join(choices))
                given[setting] = kind(given[setting])
        for setting in ("short_codes", "join_without_session", "do_not_share", "cancel_on_air"):
            _require(isinstance(given.get(setting, False), bool), setting, "true or false")
        for setting in ("name", "brand", "alphabet", "webotp_host", "android_hash"):
            _require(isinstance(given.get(setting, ""), str), setting, "a text")
        _require(isinstance(given.get("sender"), str | None), "sender", "a text")
        return cls(**given)


def _within(setting: str, value: object, least: int, most: int) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    _require(whole and least <= int(value) <= most, setting, f"{least} to {most}")  # type: ignore[call-overload]


def _require(holds: bool, setting: str, problem: str) -> None:
    if not holds:
        raise ProfileError(setting, problem)
