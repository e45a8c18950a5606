"""A merchant, its couriers and a supervisor on a rig: what they call, and what handsets got, read as people read it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.cases.couriers import Said
from engine.cases.deliveries import Asked, AskedSlot, CreateDelivery, Decided
from engine.cases.outcomes import Outcome
from engine.clock import HOUR
from tests.rig import APP, Rig

ANNA, BORIS, CHLOE = "+33612345671", "+33612345672", "+33612345673"
OURS = "38123"
SENDERS: dict[str, Any] = {
    "senders": {"main": {"address": OURS, "accounts": ["sim"]}},
    "numbers": {"short": {"address": OURS, "application": APP, "accounts": ["sim"]}},
    "http": {"public_url": "https://sceau.test"},
}
COURIER = "courier-17"


@dataclass
class Depot:
    """The calls of one application on a rig."""

    pair: Rig
    ahead: int = 0  # microseconds that its calls are later than the rig's clock: days cost nothing so

    @property
    def now(self) -> int:
        """The instant of its calls."""
        return self.pair.clock.now() + self.ahead

    async def tick(self) -> None:
        """Fire the timers that are due by then."""
        duty = next(one for one in self.pair.core.rounds.duties if one.name == "timers")
        await self.pair.core.store.write(lambda tx: duty.look(tx, self.now))
        await self.pair.settled(2)

    async def run(self, call: Callable[[Any, int], Outcome]) -> Outcome:
        """Run a store function, wake what it queued, let messages arrive."""
        core, now = self.pair.core, self.now
        outcome: Outcome = await core.store.write(lambda tx: call(tx, now))
        core.wake(outcome.queued, list(outcome.bells), outcome.on_air)
        await self.pair.settled(2)
        return outcome

    async def create(self, to: str = ANNA, *, app: str = APP, **asked: Any) -> str:
        """Create a delivery due in an hour, for two hours; return its id."""
        now = self.now
        slot = AskedSlot(now + HOUR, now + 3 * HOUR, "Europe/Paris")
        given: dict[str, Any] = {"title": "colis 4471", "slot": slot, "brand": "Boutique"}
        recipient = Asked(to, "FR", name="Anna Durand", language="fr")
        request = CreateDelivery(recipient=recipient, **{**given, **asked})
        outcome = await self.run(
            lambda tx, now: self.pair.core.deliveries.create(tx, app, request, "key_merchant", now)
        )
        assert outcome.code == "created", outcome
        return str(outcome.body["id"])

    async def arriving(self, delivery: str, courier: str = COURIER) -> Outcome:
        """The courier arrives."""
        return await self.run(
            lambda tx, now: self.pair.core.couriers.arriving(tx, APP, delivery, courier, "key_courier", now)
        )

    async def position(self, delivery: str, where: str = "", eta_at: int = 0) -> Outcome:
        """The courier is somewhere."""
        said = Said(COURIER, where)
        return await self.run(
            lambda tx, now: self.pair.core.couriers.position(tx, APP, delivery, said, eta_at, "key_courier", now)
        )

    async def confirm(self, delivery: str, code: str, courier: str = COURIER, *, app: str = APP) -> Outcome:
        """The courier enters a code."""
        said = Said(courier, "48.85661,2.35222")
        return await self.run(
            lambda tx, now: self.pair.core.couriers.confirm(tx, app, delivery, code, said, "key_courier", now)
        )

    async def fail(self, delivery: str, reason: str = "nobody home") -> Outcome:
        """This attempt failed."""
        return await self.run(
            lambda tx, now: self.pair.core.couriers.fail(tx, APP, delivery, Said(COURIER), reason, "key_courier", now)
        )

    async def override(self, delivery: str, decision: str) -> Outcome:
        """A supervisor decides."""
        decided = Decided(decision, "chief-1", "seen on the camera", COURIER, "48.85661,2.35222", "ab" * 32)
        return await self.run(
            lambda tx, now: self.pair.core.deliveries.override(tx, APP, delivery, decided, "key_chief", now)
        )

    async def call(self, what: str, delivery: str, *given: Any, **named: Any) -> Outcome:
        """Regenerate, delegate, undelegate, give_back, cancel, reveal or change_slot."""
        method = getattr(self.pair.core.deliveries, what)
        return await self.run(lambda tx, now: method(tx, APP, delivery, *given, "key_merchant", now, **named))

    async def state(self, delivery: str) -> str:
        """Return where a delivery stands."""
        return str((await self.shown(delivery))["state"])

    async def shown(self, delivery: str) -> dict[str, Any]:
        """Return what a merchant sees of it."""
        core = self.pair.core
        found = await core.store.read(lambda tx: core.deliveries.read(tx, APP, delivery))
        assert found is not None
        return found

    async def events(self, delivery: str) -> list[str]:
        """Return its events without their prefix."""
        return [one.removeprefix("handover.") for one in await self.pair.events_of(delivery)]

    # Handsets.

    def texts(self, phone: str = ANNA) -> list[str]:
        """Return what a handset got."""
        return [one.text for one in self.pair.sim.handset(phone).messages]

    def code(self, phone: str = ANNA) -> str:
        """Return the latest code on a handset."""
        found: list[str] = re.findall(r"\b(?:[0-9]{6}|[0-9]{4}(?=,))\b", " ".join(self.texts(phone)))
        return found[-1]

    def wrong(self, phone: str = ANNA) -> str:
        """Return a code of the same length that is not the latest one."""
        code = self.code(phone)
        return "0" * len(code) if code != "0" * len(code) else "1" * len(code)

    def page(self, phone: str = ANNA) -> str:
        """Return the token of the latest link on a handset."""
        found: list[str] = re.findall(r"/h/([A-Za-z0-9_-]{22})", " ".join(self.texts(phone)))
        return found[-1]

    async def says(self, text: str, phone: str = ANNA) -> None:
        """A handset writes."""
        self.pair.sim.handset(phone).reply(text, to=OURS)
        await self.pair.settled(2)
