"""Verifications on a store without lines: the calls of the API, and codes read the way the composer would write
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select

from engine.cases.conducting import Conductor
from engine.cases.effects import Effects
from engine.cases.outcomes import Outcome
from engine.cases.profiles import Profiles
from engine.cases.verifications import StartVerification, Verifications
from engine.clock import SystemClock, VirtualClock
from engine.codes import CodeSeed, derive
from engine.core import router_of
from engine.keyring import KeyRing
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables_cases import Case
from engine.transit import queue
from tests.rig import settings
from tests.shipped import shipped_templates
from workflows.profiles import VerificationProfile

APP = "app_one"
PHONE = "+33612345678"
_case: Any = Case.__table__  # type: ignore[attr-defined]
SEED = Statement(lambda _: select(_case.c.seed).where(_case.c.id == bindparam("id")))


@dataclass
class Desk:
    """What a caller does, on one store."""

    store: Store
    clock: SystemClock | VirtualClock
    keyring: KeyRing
    verifications: Verifications

    @classmethod
    def on(cls, store: Store, clock: SystemClock | VirtualClock, **profile: Any) -> Desk:
        """A desk whose default profile has these settings."""
        keyring = KeyRing.generate()
        effects = Effects(
            clock,
            router_of(settings()),
            shipped_templates(),
            lambda tx, rows, now: queue.store(tx, rows, clock.new_ids, now),
        )
        conductor = Conductor(clock, keyring, effects)
        return cls(store, clock, keyring, Verifications(conductor, Profiles(VerificationProfile(**profile))))

    async def start(self, to: str = PHONE, *, app: str = APP, **asked: Any) -> Outcome:
        """Start."""
        request = StartVerification(to=to, country="FR", **asked)
        return await self.store.write(lambda tx: self.verifications.start(tx, app, "key_1", request, self.clock.now()))

    async def check(
        self, case_id: str, entry: str, binding: Mapping[str, str] | None = None, *, app: str = APP
    ) -> Outcome:
        """Check."""
        return await self.store.write(
            lambda tx: self.verifications.check(tx, app, case_id, entry, binding, "key_1", self.clock.now())
        )

    async def call(self, what: str, case_id: str, *, app: str = APP) -> Outcome:
        """Resend, cancel or voice_code."""
        method = getattr(self.verifications, what)
        outcome: Outcome = await self.store.write(lambda tx: method(tx, app, case_id, "key_1", self.clock.now()))
        return outcome

    async def code(self, case_id: str) -> str:
        """The present code of a case, as only the handset should know it."""
        row = await self.store.read(lambda tx: tx.one(SEED, id=case_id))
        assert row is not None
        seed = CodeSeed.from_json(row[0])
        return derive(seed, self.keyring.code_key(seed.kid))

    async def wrong(self, case_id: str) -> str:
        """A well-formed code that is not the right one."""
        return "000000" if await self.code(case_id) != "000000" else "111111"
