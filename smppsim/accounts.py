"""Accounts at run time: who may bind and how often, which behaviour a destination meets, what waits for a receiver.

It counts and looks up; it sends nothing. Made by `smsc` from the settings, asked by `smsc`, `submission` and
`delivery`.
"""

from __future__ import annotations

import hmac
import random
from collections import Counter, deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from engine.smpp.pdu import Status
from smppsim.behaviour import Behaviour
from smppsim.duplicates import Duplicates
from smppsim.handsets import number_pattern
from smppsim.rules import Rule
from smppsim.scenario import AccountSettings
from smppsim.session import Session

if TYPE_CHECKING:
    from smppsim.delivery import Delivery

_SECOND = 1.0


class Account:
    """One customer of the operator and its sessions."""

    def __init__(self, settings: AccountSettings, seed: int, waiting: int) -> None:
        self.system_id = settings.system_id
        self.duplicates = Duplicates()
        # Dice of its own, so that one account's traffic does not change another one's luck.
        self.dice = random.Random(f"{seed}:{settings.system_id}")  # noqa: S311 - reproducible by intent
        self.sessions: list[Session] = []
        self.waiting: deque[Delivery] = deque(maxlen=waiting)
        self.parked: deque[Delivery] = deque(maxlen=waiting)
        """Given up after `redeliver_times`, until a receiver binds anew."""
        self.pending: Counter[bytes] = Counter()
        """Undelivered messages by destination, counted only where a `queue_limit` asks for it."""
        self._refused_until = 0.0
        self._refused_with = Status.ESME_ROK
        self._refused_times: int | None = None
        self.enquiries_ignored_until = 0.0
        self.throttled_until = 0.0
        self.throttled_share = 1.0
        self.submits = 0
        self.busiest_second = 0
        """Most submits that arrived within one second."""
        self.most_sessions = 0
        self.widest_window = 0
        """Most submits that one session had unanswered."""
        self._ghosts: list[float] = []
        self._arrivals: deque[float] = deque()
        self._taken: deque[float] = deque()
        self._turn = 0
        self._settle(settings)

    def _settle(self, settings: AccountSettings) -> None:
        self._password = settings.password.encode()
        self.numbers = tuple(number_pattern(number) for number in settings.numbers)
        self.distribution_lists = settings.distribution_lists
        self.behaviour = settings.behaviour
        self.link = settings.link
        self._rules = self._effective(settings.rules)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """In the order in which they are tried."""
        return tuple(rule for rule, _ in self._rules)

    def admits(self, password: bytes) -> bool:
        """Whether the password is right."""
        return hmac.compare_digest(self._password, password)

    # -- behaviour ------------------------------------------------------------------------------------------

    def behaviour_for(self, destination: bytes) -> Behaviour:
        """What a message to `destination` meets."""
        for rule, behaviour in self._rules:
            if rule.matches(destination):
                return behaviour
        return self.behaviour

    def change(self, behaviour: dict[str, Any] | None, link: dict[str, Any] | None) -> None:
        """Change some fields of either; ValidationError leaves both as they were."""
        new_behaviour = self.behaviour.changed(behaviour or {})
        new_link = self.link.changed(link or {})
        self.behaviour, self.link = new_behaviour, new_link
        self._rules = self._effective(self.rules)

    def add_rule(self, rule: Rule) -> None:
        """Put a rule first; one with the same conditions is extended by it."""
        others = [known for known in self.rules if known.conditions != rule.conditions]
        for known in self.rules:
            if known.conditions == rule.conditions:
                rule = rule.changed({"behaviour": rule.behaviour.over(known.behaviour)})
        self._rules = self._effective([rule, *others])

    def reset(self, settings: AccountSettings) -> None:
        """To these settings, with nothing that waits and all faults over."""
        self._settle(settings)
        self.waiting.clear()
        self.parked.clear()
        self.pending.clear()
        self._refused_until = self.throttled_until = self.enquiries_ignored_until = 0.0
        self._ghosts.clear()
        self.duplicates.clear()

    def _effective(self, rules: Iterable[Rule]) -> list[tuple[Rule, Behaviour]]:
        """Each rule with the whole behaviour that it comes to, so that no message has to work it out."""
        return [(rule, rule.behaviour.over(self.behaviour)) for rule in rules]

    # -- sessions -------------------------------------------------------------------------------------------

    def refuse_binds(self, status: int, until: float, times: int | None) -> None:
        """Refuse binds with `status` until an instant, at most `times`."""
        self._refused_with, self._refused_until, self._refused_times = status, until, times

    def refuses_bind(self, now: float) -> int:
        """The status that a bind with the right password gets at `now`, ESME_ROK if it may bind; it is counted."""
        if now < self._refused_until and self._refused_times != 0:
            if self._refused_times is not None:
                self._refused_times -= 1
            return self._refused_with
        if self.link.bind_status:
            return self.link.bind_status
        self._ghosts = [until for until in self._ghosts if until > now]
        if len(self.sessions) + len(self._ghosts) >= self.link.max_binds:
            return self.link.bind_limit_status
        return Status.ESME_ROK

    def joined(self, session: Session) -> None:
        """A session has bound."""
        self.sessions.append(session)
        self.most_sessions = max(self.most_sessions, len(self.sessions))

    def left(self, session: Session, *, cleanly: bool, now: float) -> None:
        """A session has ended; without unbind its ghost may keep the place."""
        if session in self.sessions:
            self.sessions.remove(session)
            if not cleanly and self.link.ghost_s:
                self._ghosts.append(now + self.link.ghost_s)

    def receiver(self, origin: Session | None, choice: str) -> Session | None:
        """Where a deliver_sm goes out: `same`, `sibling` or `any` as seen from `origin`; None if nothing receives."""
        if choice == "same" and origin is not None and origin.receives and not origin.over:
            return origin
        receivers = [session for session in self.sessions if session.receives]
        if choice == "sibling":
            receivers = [session for session in receivers if session is not origin] or receivers
        if not receivers:
            return None
        self._turn += 1
        return receivers[self._turn % len(receivers)]

    def answers_enquiries(self, now: float) -> bool:
        """Whether enquire_link gets its answer."""
        return self.link.enquire_link == "answered" and now >= self.enquiries_ignored_until

    # -- limits ---------------------------------------------------------------------------------------------

    def arrived(self, now: float) -> None:
        """Count a submit, taken or not."""
        self.submits += 1
        arrivals = self._arrivals
        arrivals.append(now)
        while arrivals[0] <= now - _SECOND:
            arrivals.popleft()
        if len(arrivals) > self.busiest_second:
            self.busiest_second = len(arrivals)

    def throttles(self, now: float) -> bool:
        """Whether the rate or a throttle window refuses a submit at `now`; if not, it is counted as taken."""
        if now < self.throttled_until and (self.throttled_share >= 1 or self.dice.random() < self.throttled_share):
            return True
        rate = self.link.rate
        if rate is None:
            return False
        taken = self._taken
        while taken and taken[0] <= now - _SECOND:
            taken.popleft()
        if len(taken) >= rate:
            return True
        taken.append(now)
        return False
