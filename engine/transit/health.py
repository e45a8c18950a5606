"""Which operator accounts may be sent through now: bound lines, open breakers, senders that an account has refused.

In memory and never the truth: it only decides who claims first, and every change of it wakes the senders.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from engine.smpp.pdu import Disposition
from engine.transit.classes import Lane
from engine.transit.routing import Router, preferred, sender_of

_FAILURES_TO_OPEN: Final = 5
_FAILURES: Final = frozenset({Disposition.TMP, Disposition.TMP_ONCE})
_NEITHER: Final = frozenset({Disposition.THR, Disposition.SES})
_OPEN_S: Final = 10.0
_LONGEST_OPEN_S: Final = 300.0
_REFUSED_SENDER_S: Final = 900.0
_PROBE_S: Final = 35.0  # longer than any response deadline: then the probe has told nothing
_FAR_S: Final = 0.015
_SLOW_S: Final = 1.0
_SLOWER: Final = 4.0
_SLOW_FOR_S: Final = 60.0
MANY: Final = 1_000_000


@dataclass(slots=True)
class LineFigures:
    """One bound line as others see it: its account, the lanes it sends, its smoothed response time in seconds."""

    account: str
    lanes: frozenset[int]
    response_s: float = 0.0
    measured_at: float = 0.0  # monotonic seconds

    def answered(self, seconds: float, now: float) -> None:
        """Take one response time, or the deadline that passed without a response, into the average."""
        self.response_s += (seconds - self.response_s) * (0.2 if self.response_s else 1.0)
        self.measured_at = now


@dataclass(slots=True)
class _Breaker:
    failures: int = 0
    opened: int = 0  # times in a row
    until: float = 0.0
    probing: float = 0.0  # until when the outcome of one message is awaited


@dataclass(slots=True)
class Health:
    """Health of every account. `changed` is called after each change that may move work elsewhere."""

    router: Router
    monotonic: Callable[[], float]
    changed: Callable[[], None]
    lines: dict[str, LineFigures] = field(default_factory=dict)
    _breakers: dict[str, _Breaker] = field(default_factory=dict)
    _refused: dict[tuple[str, str], float] = field(default_factory=dict)  # (account, sender) → until

    def up(self, line: str, account: str, lanes: frozenset[int]) -> LineFigures:
        """Note a line that is bound for sending."""
        figures = self.lines[line] = LineFigures(account, lanes)
        self.changed()
        return figures

    def down(self, line: str) -> None:
        """Note a line that can send no more."""
        if self.lines.pop(line, None) is not None:
            self.changed()

    def is_far(self, line: str) -> bool:
        """Tell whether answers take so long that several claims should be under way at once."""
        figures = self.lines.get(line)
        return figures is not None and figures.response_s >= _FAR_S

    def answered(self, account: str, meaning: Disposition) -> bool:
        """Count an answer for the account's breaker; tell whether it opened now.

        It opens after five temporary failures in a row, for 10 s and twice as long each time; then one message probes
        the account: its success closes the breaker, its failure opens it again.
        """
        breaker = self._breakers.setdefault(account, _Breaker())
        if meaning not in _FAILURES:
            if breaker.opened and meaning not in _NEITHER:
                breaker.opened = 0
                breaker.until = breaker.probing = 0.0
                self.changed()
            if meaning is Disposition.OK:
                breaker.failures = 0
            return False
        breaker.failures += 1
        if breaker.failures < _FAILURES_TO_OPEN and not breaker.opened:
            return False
        now = self.monotonic()
        if now < breaker.until:
            return False
        breaker.until = now + min(_OPEN_S * 2**breaker.opened, _LONGEST_OPEN_S)
        breaker.opened += 1
        breaker.failures = 0
        breaker.probing = 0.0
        self.changed()
        return True

    def refuse_sender(self, account: str, sender: str) -> bool:
        """Stop sending as `sender` through an account that refused it (C6); tell whether this is news."""
        now = self.monotonic()
        news = self._refused.get((account, sender), 0.0) <= now
        self._refused[(account, sender)] = now + _REFUSED_SENDER_S
        if news:
            self.changed()
        return news

    def is_open(self, account: str) -> bool:
        """Tell whether the account's breaker keeps work away now."""
        breaker = self._breakers.get(account)
        return breaker is not None and breaker.opened > 0 and self.monotonic() < max(breaker.until, breaker.probing)

    def most(self, account: str) -> int:
        """Return how many messages a claim for the account may take now; the one that probes it is reserved by this."""
        breaker = self._breakers.get(account)
        if breaker is None or not breaker.opened:
            return MANY
        if self.is_open(account):
            return 0
        breaker.probing = self.monotonic() + _PROBE_S
        return 1

    def unprobed(self, account: str) -> None:
        """Take back the probe of an account: there was no message to send."""
        breaker = self._breakers.get(account)
        if breaker is not None:
            breaker.probing = 0.0

    def chosen(self, plan: str, lane: int) -> str | None:
        """Return the account that should carry the plan's messages of the lane now, or None: they wait."""
        sender = sender_of(plan)
        now = self.monotonic()
        bound = {line.account for line in self.lines.values() if lane in line.lanes}
        usable = frozenset(
            name for name in bound if not self.is_open(name) and self._refused.get((name, sender), 0.0) <= now
        )
        return preferred(self.router.accounts(plan), usable)

    def serves(self, line: str, plan: str, lane: int) -> bool:
        """Tell whether this line should claim from the plan now: its account is chosen, and it is not the slow one of
        several.
        """
        mine = self.lines.get(line)
        if mine is None or lane not in mine.lanes or self.chosen(plan, lane) != mine.account:
            return False
        if lane != Lane.OTP or mine.response_s < _SLOW_S or self.monotonic() - mine.measured_at > _SLOW_FOR_S:
            return True
        others = [
            one
            for name, one in self.lines.items()
            if name != line and one.account == mine.account and lane in one.lanes
        ]
        return not any(one.response_s * _SLOWER < mine.response_s for one in others)
