"""A small working `cases` for the tests of verifications: steps applied whole, in memory, on a clock set by hand."""

from __future__ import annotations

from random import Random
from typing import Any

from workflows import verify
from workflows.base import (
    SECOND,
    Answer,
    Arm,
    Binding,
    Checked,
    Event,
    Finish,
    Notify,
    Refused,
    Send,
    Step,
    Verdict,
)
from workflows.profiles import VerificationProfile
from workflows.verify import EVENTS, MOVES, Block, Facts, Request, Spent, State, VerificationCase
from workflows.window import Day, Window

T0 = 1_795_000_000 * SECOND
TO = "+336••••••78"


class Desk:
    """A small working `cases`: it keeps cases, window and day in memory and applies each step whole."""

    def __init__(self, profile: VerificationProfile | None = None) -> None:
        self.profile = profile or VerificationProfile()
        self.now = T0
        self.random = Random(7)
        self.cases: dict[str, VerificationCase] = {}
        self.window, self.day = Window(), Day()
        self.effects: list[Any] = []
        self.approvals: list[str] = []
        self.evaluated: list[tuple[str, Verdict]] = []
        self._next = 0

    def facts(self, block: Block | None = None) -> Facts:
        pending = tuple(case for case in self.cases.values() if case.is_pending)
        return Facts(self.profile, self.window, self.day, pending, block)

    def start(self, *, block: Block | None = None, **request: Any) -> Answer | Refused:
        self._next += 1
        asked = Request(case_id=f"vrf_{self._next}", to=TO, **request)
        return self._apply(verify.start(asked, self.facts(block), self.now, self.random))

    def check(self, case_id: str, verdict: Verdict, binding: Binding = Binding.SAME) -> Answer | Refused:
        spent = verify.spend(self.cases[case_id], self.facts(), binding, self.now)
        if not isinstance(spent, Spent):
            return self._apply(spent)
        self.cases[case_id], self.window = spent.case, spent.window
        self.evaluated.append((case_id, verdict))
        return self.tell(case_id, Checked(verdict))

    def tell(self, case_id: str, event: Event) -> Answer | Refused:
        return self._apply(verify.step(self.cases[case_id], event, self.facts(), self.now, self.random))

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    def view(self, case_id: str) -> dict[str, Any]:
        return verify.view(self.cases[case_id], self.facts(), self.now)

    def _apply(self, outcome: Step[VerificationCase] | Refused) -> Answer | Refused:
        if isinstance(outcome, Refused):
            self.effects = []
            return outcome
        for other in outcome.also:
            self._apply(other)
        carried = list(self.effects) if outcome.also else []
        before = self.cases.get(outcome.case.id)
        if before is not None and before.state is not outcome.case.state:
            assert outcome.case.state in MOVES[before.state]
        self.cases[outcome.case.id] = VerificationCase.load(outcome.case.dump())
        assert self.cases[outcome.case.id] == outcome.case
        self.window = outcome.window or self.window
        self.day = outcome.day or self.day
        self.effects = carried + list(outcome.effects)
        for effect in outcome.effects:
            _check_effect(effect, outcome.case)
            if isinstance(effect, Finish) and effect.state == State.APPROVED:
                self.approvals.append(outcome.case.id)
        return outcome.answer or Answer("stepped")

    def told(self) -> list[str]:
        return [
            effect.event_type.removeprefix("verification.") for effect in self.effects if isinstance(effect, Notify)
        ]

    def sent(self) -> Send:
        (send,) = [effect for effect in self.effects if isinstance(effect, Send)]
        return send


def _check_effect(effect: Any, case: VerificationCase) -> None:
    if isinstance(effect, Notify):
        assert set(effect.data) == set(EVENTS[effect.event_type][1]), effect.event_type
        assert effect.data["verification_id"] == case.id
    if isinstance(effect, Arm):
        assert effect.at > T0
    if isinstance(effect, Finish):
        assert effect.state == case.state
