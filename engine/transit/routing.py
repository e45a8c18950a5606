"""Which operator accounts may carry a message, in order of preference, and in what form its sender appears there.

A message is given a *plan* when it is created: a route's name and a sender's, so that the account itself is chosen
only when it is sent, by health. Pure: settings in, names out; `Health` is asked by the sender.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

# Plan suffixes, each with an account.
_AVOID: Final = "~"  # it was tried: not through it while another can
_WITHOUT: Final = "^"  # it refused: never through it
_ONLY: Final = "="  # through it alone
_SUFFIX: Final = re.compile(r"([~^=])([^~^=]+)")
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
    stops: Mapping[str, str] = field(default_factory=dict)  # sender → where STOP may be sent to
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
        base, marks = _parts(plan)
        only = next((name for mark, name in marks if mark == _ONLY), None)
        if only is not None:
            return tuple(name for name in self._able(base) if name == only)
        refused = {name for mark, name in marks if mark == _WITHOUT}
        able = [name for name in self._able(base) if name not in refused]
        avoided = [name for mark, name in marks if mark == _AVOID]
        return (*(name for name in able if name not in avoided), *(name for name in avoided if name in able))

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

    def senders_at(self, account: str, address: str) -> frozenset[str]:
        """Return the senders that have this address on an account: who a handset that wrote to it was answering."""
        carrier = self.carriers.get(account)
        if carrier is None:
            return frozenset()
        wanted = address.lstrip("+").encode("latin-1", "replace")
        answered = {name for name, form in carrier.senders.items() if form.address.lstrip(b"+") == wanted}
        return frozenset(answered | (self.stopped_at(address) & carrier.senders.keys()))

    def stopped_at(self, address: str) -> frozenset[str]:
        """Return the senders whose marketing says that STOP may be sent to this address."""
        wanted = address.lstrip("+")
        return frozenset(name for name, stop in self.stops.items() if stop.lstrip("+") == wanted)

    def owners(self, senders: Collection[str]) -> frozenset[str | None]:
        """Return the applications that write as these senders; None among them stands for every one."""
        return frozenset(rule.application_id for rule in self.senders if rule.name in senders)

    def form(self, account: str, sender: str) -> SenderForm:
        """Return the sender as the account provisioned it; raises `KeyError` if it does not carry it."""
        return self.carriers[account].senders[sender]


def elsewhere(router: Router, plan: str, account: str) -> str | None:
    """Return the plan that prefers the accounts not tried yet, or None if this was the last of them."""
    base, marks = _parts(plan)
    marks = [(mark, name) for mark, name in marks if mark != _ONLY and name != account]
    tried = {name for _, name in marks} | {account}
    if tried.issuperset(router.accounts(base)):
        return None
    return _plan(base, [*marks, (_AVOID, account)])


def without(router: Router, plan: str, account: str) -> str | None:
    """Return the plan that never leads through this account, which refused; None if it leads nowhere."""
    base, marks = _parts(plan)
    marks = [(mark, name) for mark, name in marks if mark != _ONLY and name != account]
    left = _plan(base, [*marks, (_WITHOUT, account)])
    return left if router.accounts(left) else None


def only_through(plan: str, account: str) -> str:
    """Return the plan that leads through this account alone: parts of one message share reference and account."""
    return _plan(_parts(plan)[0], [(_ONLY, account)])


def route_of(plan: str) -> str:
    """Return the route's name that a plan holds."""
    return plan.partition("/")[0]


def sender_of(plan: str) -> str:
    """Return the sender's name that a plan holds."""
    return _parts(plan)[0].partition("/")[2].partition(_REPLY)[0]


def _parts(plan: str) -> tuple[str, list[tuple[str, str]]]:
    base = _SUFFIX.sub("", plan)
    return base, _SUFFIX.findall(plan) if base != plan else []


def _plan(base: str, marks: Sequence[tuple[str, str]]) -> str:
    return base + "".join(mark + name for mark, name in marks)


def preferred(accounts: Sequence[str], usable: frozenset[str]) -> str | None:
    """Return the best account that is usable now, or None: then the message waits, unclaimed."""
    return next((name for name in accounts if name in usable), None)
