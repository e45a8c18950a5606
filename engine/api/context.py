"""What the routes need, in one frozen object that the composition root makes.

It holds no behaviour; the protocols here say what the API expects of its neighbours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from engine.api.auth import Door
from engine.api.idempotency import InFlight
from engine.cases.couriers import Couriers
from engine.cases.deliveries import Deliveries
from engine.cases.handover_logs import HandoverLogs
from engine.cases.leads import Leads
from engine.cases.reverse import Reverses
from engine.cases.signatures import Signatures
from engine.cases.verifications import Verifications
from engine.cases.waiting import Waiting
from engine.clock import Clock
from engine.consent import Consent
from engine.core import Core, Wake
from engine.evidence.custody import Custody
from engine.keyring import KeyRing
from engine.metrics import Metrics
from engine.phones import Resolver
from engine.settings import Settings
from engine.store.doorway import Store
from engine.transit.books import Books
from engine.transit.classes import CLASSES
from engine.transit.routing import Router


class Lines(Protocol):
    """The binds of this process (`engine.transit.pool.Pool`)."""

    def status(self) -> Sequence[Any]:
        """Return a `LineStatus` for each line."""

    def bound(self) -> int:
        """Return how many lines are bound."""


@dataclass(frozen=True, slots=True)
class Context:
    """The engine as the HTTP API sees it. `wake` is called after a commit."""

    settings: Settings
    clock: Clock
    store: Store
    keyring: KeyRing
    router: Router
    books: Books
    verifications: Verifications
    signatures: Signatures
    reverses: Reverses
    deliveries: Deliveries
    couriers: Couriers
    handover_logs: HandoverLogs
    leads: Leads
    consent: Consent
    waiting: Waiting
    custody: Custody
    resolver: Resolver
    metrics: Metrics
    wake: Wake
    lines: Lines
    door: Door = field(init=False)
    in_flight: InFlight = field(default_factory=InFlight)
    most_parts: Mapping[str, int] = field(init=False)  # by account
    lives_s: Mapping[str, int] = field(init=False)  # by message class
    by_network: bool = field(init=False)  # whether any route asks for the destination's network

    def __post_init__(self) -> None:
        object.__setattr__(self, "door", Door(self.settings.limits))
        object.__setattr__(self, "most_parts", {account.name: account.max_parts for account in self.settings.accounts})
        lives = {name: row.life_s for name, row in CLASSES.items()}
        lives |= {override.name: override.life_s for override in self.settings.classes if override.life_s is not None}
        object.__setattr__(self, "lives_s", lives)
        object.__setattr__(self, "by_network", any(route.networks for route in self.router.routes))

    @classmethod
    def of(cls, core: Core, resolver: Resolver) -> Self:
        """Return the context of a wired engine."""
        return cls(
            settings=core.settings,
            clock=core.clock,
            store=core.store,
            keyring=core.keyring,
            router=core.router,
            books=core.books,
            verifications=core.verifications,
            signatures=core.signatures,
            reverses=core.reverses,
            deliveries=core.deliveries,
            couriers=core.couriers,
            handover_logs=core.handover_logs,
            leads=core.leads,
            consent=core.consent,
            waiting=core.waiting,
            custody=core.custody,
            resolver=resolver,
            metrics=core.metrics,
            wake=core.wake,
            lines=core.pool,
        )
