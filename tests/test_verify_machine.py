"""Every order of a verification's events: no order approves twice, guesses too often or sends too soon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.verify_desk import Desk
from workflows import verify
from workflows.base import (
    SECOND,
    Answer,
    Binding,
    Canceled,
    Outcome,
    Refused,
    Resent,
    Send,
    Settled,
    TimerFired,
    Verdict,
    Voiced,
)
from workflows.profiles import OnPending, ResendPolicy, VerificationProfile
from workflows.verify import State
from workflows.verify_case import Delivery
from workflows.window import Window


class Verifications(RuleBasedStateMachine):
    """Several sessions of one number and purpose, with starts, checks, resends, receipts and timers in any order."""

    @initialize(
        rotate=st.booleans(),
        on_pending=st.sampled_from(OnPending),
        attempts=st.sampled_from([5, 3, 1]),
        sends=st.sampled_from([5, 2]),
        ttl_s=st.sampled_from([600, 120, 30, 600]),
        fallback_after_s=st.sampled_from([None, 30]),
    )
    def open(
        self, rotate: bool, on_pending: OnPending, attempts: int, sends: int, ttl_s: int, fallback_after_s: int | None
    ) -> None:
        self.desk = Desk(
            VerificationProfile(
                resend_policy=ResendPolicy.ROTATE if rotate else ResendPolicy.SAME_CODE,
                on_pending=on_pending,
                attempts=attempts,
                sends=sends,
                ttl_s=ttl_s,
                fallback_after_s=fallback_after_s,
            )
        )
        self.wrong: dict[tuple[str, int], int] = {}
        self.finals: dict[str, State] = {}
        self.sends: list[int] = []
        self.locked_until = 0
        self.start("a", "", patient=False)

    def _pick(self, place: int) -> str:
        """The latest pending case first: what nobody waits for any more is the rarer target."""
        cases = self.desk.cases
        ids = sorted(cases, key=lambda case_id: (cases[case_id].is_pending, int(case_id.removeprefix("vrf_"))))
        return ids[-1 - place % len(ids)]

    def _wait_for_the_pause(self, patient: bool) -> None:
        if patient:
            self.desk.now = max(self.desk.now, self.desk.window.next_send_at)

    def _window(self) -> Window:
        return self.desk.window.at(self.desk.profile.limits, self.desk.now)

    def _count_sends(self, act: Callable[[], Answer | Refused]) -> Answer | Refused:
        """Nothing but a send counts as one, and no request for one gives attempts back."""
        day, window = self.desk.day.at(self.desk.now), self._window()
        answer = act()
        is_sent = any(isinstance(effect, Send) for effect in self.desk.effects) or answer.code == "voice_code"
        if is_sent:
            assert self.desk.now >= self.locked_until
            self.sends.append(self.desk.now)
        assert self.desk.day.at(self.desk.now).sends == day.sends + is_sent
        assert self._window().sends == window.sends + is_sent
        assert self._window().attempts == window.attempts
        return answer

    @rule(session=st.sampled_from(["", "a", "b"]), binding=st.sampled_from(["", "x"]), patient=st.booleans())
    def start(self, session: str, binding: str, patient: bool) -> None:
        self._wait_for_the_pause(patient)
        before = dict(self.desk.cases)
        answer = self._count_sends(lambda: self.desk.start(session=session, binding=binding))
        if answer.code == "joined":
            joined = before[str(answer.facts["verification_id"])]
            assert (joined.session, joined.binding) == (session, binding)
            assert session
        if answer.code == "created":
            assert answer.facts["verification_id"] not in before

    @precondition(lambda self: self.desk.cases)
    @rule(place=st.integers(0, 2), verdict=st.sampled_from(Verdict), binding=st.sampled_from(Binding))
    def check(self, place: int, verdict: Verdict, binding: Binding) -> None:
        case_id = self._pick(place)
        case, window, evaluated = self.desk.cases[case_id], self._window(), len(self.desk.evaluated)
        answer = self.desk.check(case_id, verdict, binding)
        compared = len(self.desk.evaluated) > evaluated
        assert compared <= (case.is_pending and self.desk.now < case.expires_at and binding is Binding.SAME)
        assert (answer.code == "approved") == (compared and verdict is Verdict.RIGHT)
        if "max_attempts" in self.desk.told() and self.desk.now >= self.locked_until:
            self.locked_until = self.desk.now + 600 * SECOND
        if case.state is State.APPROVED:
            assert answer.code == "already_approved"
        if compared and verdict is Verdict.WRONG:
            key = (case_id, case.generation)
            self.wrong[key] = self.wrong.get(key, 0) + 1
        if not compared or verdict in {Verdict.SUPERSEDED, Verdict.BAD_FORMAT}:
            assert self._window().attempts == window.attempts

    @precondition(lambda self: self.desk.cases)
    @rule(place=st.integers(0, 2), times=st.integers(2, 6))
    def guess(self, place: int, times: int) -> None:
        for _ in range(times):
            self.check(place, Verdict.WRONG, Binding.SAME)

    @precondition(lambda self: self.desk.cases)
    @rule(place=st.integers(0, 2), patient=st.booleans())
    def resend(self, place: int, patient: bool) -> None:
        self._wait_for_the_pause(patient)
        self._count_sends(lambda: self.desk.tell(self._pick(place), Resent()))

    @precondition(lambda self: self.desk.cases)
    @rule(place=st.integers(0, 2))
    def voice(self, place: int) -> None:
        self._count_sends(lambda: self.desk.tell(self._pick(place), Voiced("key_1")))

    @precondition(lambda self: self.desk.cases)
    @rule(place=st.integers(0, 2))
    def cancel(self, place: int) -> None:
        self._count_sends(lambda: self.desk.tell(self._pick(place), Canceled()))

    @precondition(lambda self: self.desk.cases)
    @rule(place=st.integers(0, 2), message=st.integers(1, 3), outcome=st.sampled_from(Outcome))
    def settle(self, place: int, message: int, outcome: Outcome) -> None:
        case_id = self._pick(place)
        self.desk.tell(case_id, Settled(f"code.{message}", outcome))
        if "delivered" in self.desk.told():
            sent = self.desk.cases[case_id].messages[message - 1]
            assert (sent.delivery, sent.taken) == (Delivery.DELIVERED, True)

    @precondition(lambda self: self.desk.cases)
    @rule(place=st.integers(0, 2), kind=st.sampled_from(["expiry", "fallback", "other"]))
    def fire(self, place: int, kind: str) -> None:
        case = self.desk.cases[self._pick(place)]
        self.desk.tell(case.id, TimerFired(kind))
        if "expired" in self.desk.told():
            assert self.desk.now >= case.expires_at
        if "fallback_due" in self.desk.told():
            assert case.is_pending
            assert case.delivery is not Delivery.DELIVERED

    @rule(seconds=st.sampled_from([0.001, 1, 29, 34, 70, 130, 270, 599, 600, 3_600]))
    def wait(self, seconds: float) -> None:
        self.desk.wait(seconds)

    @invariant()
    def no_case_is_approved_twice_and_no_end_is_undone(self) -> None:
        if not hasattr(self, "desk"):
            return
        assert len(self.desk.approvals) == len(set(self.desk.approvals))
        for case_id, case in self.desk.cases.items():
            if case_id in self.finals:
                assert case.state is self.finals[case_id]
            elif not case.is_pending:
                self.finals[case_id] = case.state

    @invariant()
    def no_code_is_guessed_at_more_often_than_the_profile_allows(self) -> None:
        if hasattr(self, "desk"):
            assert all(count <= self.desk.profile.limits.attempts for count in self.wrong.values())

    @invariant()
    def messages_keep_to_the_day_and_to_the_first_pause(self) -> None:
        if not hasattr(self, "desk"):
            return
        assert self.desk.day.sends <= self.desk.profile.day_sends
        assert self.desk.window.sends <= self.desk.profile.sends
        # Only an approval ends a pause early, and only a voice call does not wait for its end.
        if not self.desk.approvals and not any(case.voice_calls for case in self.desk.cases.values()):
            assert all(
                later - earlier >= 30 * SECOND for earlier, later in zip(self.sends, self.sends[1:], strict=False)
            )


TestVerifications = Verifications.TestCase
TestVerifications.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def _walk(seed: int) -> None:
    """One long conversation of even chances, through the machine's own rules: Hypothesis prefers short and odd ones."""
    dice = Random(seed)
    machine = Verifications()
    machine.open(
        rotate=dice.random() < 0.5,
        on_pending=dice.choice(list(OnPending)),
        attempts=dice.choice([5, 3, 1]),
        sends=dice.choice([5, 2]),
        ttl_s=dice.choice([600, 600, 120, 30]),
        fallback_after_s=dice.choice([None, 30]),
    )
    rules: list[Callable[[], None]] = [
        lambda: machine.start(dice.choice(["", "a", "b"]), dice.choice(["", "x"]), patient=dice.random() < 0.7),
        lambda: machine.check(dice.randrange(3), dice.choice(list(Verdict)), dice.choice(list(Binding))),
        lambda: machine.guess(dice.randrange(3), dice.randrange(1, 7)),
        lambda: machine.resend(dice.randrange(3), patient=dice.random() < 0.7),
        lambda: machine.voice(dice.randrange(3)),
        lambda: machine.settle(dice.randrange(3), dice.randrange(1, 4), dice.choice(list(Outcome))),
        lambda: machine.fire(dice.randrange(3), dice.choice(["expiry", "fallback"])),
        lambda: machine.cancel(dice.randrange(3)),
        lambda: machine.wait(dice.choice([0.001, 1, 29, 34, 70, 130, 270, 599, 600])),
    ]
    for _ in range(60):
        dice.choice(rules)()
        machine.no_case_is_approved_twice_and_no_end_is_undone()
        machine.no_code_is_guessed_at_more_often_than_the_profile_allows()
        machine.messages_keep_to_the_day_and_to_the_first_pause()


def test_three_hundred_long_conversations_keep_every_rule() -> None:
    for seed in range(300):
        _walk(seed)


def _forgetful(window: Window, *given: Any) -> Window:
    return replace(_SENT(window, *given), attempts=0)


def _hasty(window: Window, *given: Any) -> Window:
    return replace(_SENT(window, *given), next_send_at=0)


_SENT = Window.sent


@pytest.mark.parametrize(
    ("target", "name", "mistake"),
    [
        (Window, "sent", _forgetful),
        (Window, "sent", _hasty),
        (Window, "at", lambda window, *_: replace(window, locked_until=0, attempts=0)),
        (Window, "locked", lambda window, *_: window),
        (Window, "spent", lambda window, _: window),
        (verify, "_is_twin", lambda *_: True),
        (verify, "refuse_closed", lambda _: None),
    ],
)
def test_the_rules_notice_a_mistake(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, mistake: Any) -> None:
    """The invariants have teeth: a resend that resets attempts, a missing pause, a lost lock, a stranger's join."""
    monkeypatch.setattr(target, name, mistake)
    with pytest.raises((AssertionError, ValueError)):
        test_three_hundred_long_conversations_keep_every_rule()
