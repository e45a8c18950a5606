"""Which operator accounts may carry a message, in order of preference, and in what form its sender appears there.

A message is given a *plan* when it is created: a route's name and a sender's, so that the account itself is chosen
only when it is sent, by health. Pure: settings in, names out; `Health` is asked by the sender.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_WITHOUT: Final = "~"  # plan suffix, one for each account that was tried: not through it while another can
_ONLY: Final = "="  # plan suffix: through this account alone
_REPLY: Final = "!reply"  # the answer must come home


class SenderForm(NamedTuple):
    """A sender as one account provisioned it."""

    address: bytes
    ton: int
    npi: int


@dataclass(frozen=True, slots=True)
class Carrier:
    """What routing knows of an operator account: the senders it carries, and those whose replies arrive on it."""

    name: str
    senders: Mapping[str, SenderForm]
    replies: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Route:
    """Destinations and the accounts that serve them, best first; an empty set matches everything.

    `networks` are MCC and MNC (`20810`) of the number's original network; `prefixes` are E.164 digits with the plus
    sign.
    """

    name: str
    accounts: tuple[str, ...]
    countries: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    networks: frozenset[str] = frozenset()
    lanes: frozenset[int] = frozenset()

    def matches(self, recipient: str, country: str, network: str | None, lane: int) -> bool:
        """Tell whether this route serves the destination on the lane."""
        return (
            (not self.lanes or lane in self.lanes)
            and (not self.countries or country in self.countries)
            and (not self.networks or network in self.networks)
            and (not self.prefixes or recipient.startswith(self.prefixes))
        )


@dataclass(frozen=True, slots=True)
class SenderRule:
    """Which sender an application uses on a lane; None means any."""

    name: str
    application_id: str | None = None
    lane: int | None = None


class NoRoute(NamedTuple):
    """No account can carry the message: `no_route`, `no_sender` or `no_reply_route`."""

    code: str


@dataclass(frozen=True, slots=True)
class Router:
    """The routes in order, the accounts, and who sends as what."""

    routes: tuple[Route, ...]
    carriers: Mapping[str, Carrier]
    senders: tuple[SenderRule, ...]
    _parsed: dict[str, tuple[str, ...]] = field(default_factory=dict, compare=False)

    def sender_for(self, application_id: str, lane: int, wanted: str | None = None) -> str | None:
        """Return the sender's name: the wanted one if it is the application's, else the first rule that fits."""
        for rule in self.senders:
            if rule.application_id not in {None, application_id} or rule.lane not in {None, lane}:
                continue
            if wanted is None or rule.name == wanted:
                return rule.name
        return None

    def plan(
        self,
        sender: str,
        recipient: str,
        country: str,
        network: str | None,
        lane: int,
        *,
        expects_reply: bool = False,
    ) -> str | NoRoute:
        """Return the plan of the first route that serves the destination and has an account carrying the sender."""
        matched = False
        for route in self.routes:
            if not route.matches(recipient, country, network, lane):
                continue
            matched = True
            plan = f"{route.name}/{sender}{_REPLY if expects_reply else ''}"
            if self.accounts(plan):
                return plan
        if not matched:
            return NoRoute("no_route")
        return NoRoute("no_reply_route" if expects_reply else "no_sender")

    def accounts(self, plan: str) -> tuple[str, ...]:
        """Return the accounts of a plan, best first; empty if settings no longer know it."""
        known = self._parsed.get(plan)
        if known is None:
            known = self._parsed[plan] = self._accounts(plan)
        return known

    def _accounts(self, plan: str) -> tuple[str, ...]:
        base, _, only = plan.partition(_ONLY)
        base, *tried = base.split(_WITHOUT)
        able = self._able(base)
        if only:
            return tuple(name for name in able if name == only)
        return (*(name for name in able if name not in tried), *(name for name in tried if name in able))

    def _able(self, base: str) -> tuple[str, ...]:
        name, _, sender = base.partition("/")
        sender, marker, _ = sender.partition(_REPLY)
        for route in self.routes:
            if route.name == name:
                carriers = [self.carriers[account] for account in route.accounts if account in self.carriers]
                return tuple(
                    carrier.name
                    for carrier in carriers
                    if sender in carrier.senders and (not marker or sender in carrier.replies)
                )
        return ()

    def form(self, account: str, sender: str) -> SenderForm:
        """Return the sender as the account provisioned it; raises `KeyError` if it does not carry it."""
        return self.carriers[account].senders[sender]


def elsewhere(router: Router, plan: str, account: str) -> str | None:
    """Return the plan that prefers the accounts not tried yet, or None if this was the last of them."""
    base, *tried = plan.partition(_ONLY)[0].split(_WITHOUT)
    tried = [name for name in tried if name != account]
    if all(name == account or name in tried for name in router.accounts(base)):
        return None
    return _WITHOUT.join((base, *tried, account))


def only_through(plan: str, account: str) -> str:
    """Return the plan that leads through this account alone: parts of one message share reference and account."""
    return f"{plan.partition(_ONLY)[0].partition(_WITHOUT)[0]}{_ONLY}{account}"


def preferred(accounts: Sequence[str], usable: frozenset[str]) -> str | None:
    """Return the best account that is usable now, or None: then the message waits, unclaimed."""
    return next((name for name in accounts if name in usable), None)
