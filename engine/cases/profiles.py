"""Verification profiles: an application's own, else the one that the settings describe, by name.

Store functions for the API's profile routes and for starting verifications.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import bindparam, select

from engine.settings_service import Verification
from engine.store.statements import Statement, column_kinds, insert_new
from engine.store.tables_tenancy import ProfileRow
from engine.store.transaction import Tx
from workflows.profiles import OnPending, ResendPolicy, VerificationProfile

DEFAULT: Final = "default"


class Profiles:
    """The profiles of every application; `default` is what an application has without asking."""

    def __init__(self, default: VerificationProfile) -> None:
        self.default = default

    def of(self, tx: Tx, application_id: str, name: str) -> VerificationProfile | None:
        """Return an application's profile, or None for a name that it does not have."""
        row = tx.one(_PROFILE, application=application_id, name=name)
        if row is not None:
            return VerificationProfile.load({**json.loads(row[0]), "name": name})
        return self.default if name == self.default.name else None

    def of_case(self, tx: Tx, application_id: str, name: str) -> VerificationProfile:
        """Return the profile of a case that is there; one that was taken away since has our defaults."""
        return self.of(tx, application_id, name) or VerificationProfile(name=name)

    def put(self, tx: Tx, application_id: str, name: str, given: Mapping[str, Any], now: int) -> VerificationProfile:
        """Store a profile, new or in place of an earlier one; raises `ProfileError` for a setting out of range."""
        profile = VerificationProfile.load({**given, "name": name})
        text = json.dumps(profile.dump())
        tx.batch(_NEW, [(application_id, name, text, now)])
        tx.run(_PUT, application=application_id, name=name, text=text, now=now)
        return profile

    def page(self, tx: Tx, application_id: str) -> list[VerificationProfile]:
        """Return an application's profiles by name, the default among them."""
        own = {
            name: VerificationProfile.load({**json.loads(text), "name": name})
            for name, text in tx.all(_ALL, application=application_id)
        }
        own.setdefault(self.default.name, self.default)
        return [own[name] for name in sorted(own)]


def default_profile(given: Verification) -> VerificationProfile:
    """Return the profile that an application has without asking."""
    return VerificationProfile(
        code_length=given.length,
        alphabet=given.alphabet,
        short_codes=given.length < 6,
        ttl_s=given.life_s,
        attempts=min(given.attempts, 3) if given.length == 4 and given.alphabet == "digits" else given.attempts,
        sends=given.sends,
        cooldown_s=given.cooldown_s,
        lock_s=max(given.lock_s, given.life_s),
        resend_policy=ResendPolicy(given.resend),
        on_pending=OnPending(given.on_pending),
        languages=(given.language, *(tag for tag in VerificationProfile().languages if tag != given.language)),
        fallback_after_s=given.fallback_after_s,
        cancel_on_air=given.cancel_on_air,
    )


_profile: Any = ProfileRow.__table__  # type: ignore[attr-defined]
_NEW: Final = insert_new(ProfileRow, column_kinds(ProfileRow))
_PROFILE: Final = Statement(
    lambda _: select(_profile.c.settings).where(
        _profile.c.application_id == bindparam("application"), _profile.c.name == bindparam("name")
    )
)
_PUT: Final = Statement(
    lambda _: (
        _profile.update()
        .where(_profile.c.application_id == bindparam("application"), _profile.c.name == bindparam("name"))
        .values(settings=bindparam("text"), updated_at=bindparam("now"))
    )
)
_ALL: Final = Statement(
    lambda _: select(_profile.c.name, _profile.c.settings).where(_profile.c.application_id == bindparam("application"))
)
