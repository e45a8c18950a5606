"""Reverse OTP, pure: whoever sends the right code, in time and once, is who it proves; nobody else is."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.events import event_data
from workflows.base import SECOND, Notify, Refused, Step
from workflows.reverse_otp import (
    MOVES,
    STRANGERS_MOST,
    Assurance,
    Heard,
    ReverseCase,
    State,
    answer_confirm,
    cancel,
    heard,
    is_over,
    start,
    tick,
    view,
    view_without_secret,
)

NOW = 1_800_000_000 * SECOND
LIFE = 600 * SECOND
CASE = ReverseCase("rev_1", "38123", "fr", NOW, NOW + LIFE, claimed="+336••••••71")


def came(*, same: bool = True, trusted: bool = False) -> Heard:
    return Heard("rpl_1", "+336••••••71", same, trusted)


def types(step: Step[ReverseCase]) -> list[str]:
    return [effect.event_type for effect in step.effects if isinstance(effect, Notify)]


def test_the_right_code_from_the_claimed_number_approves() -> None:
    step = heard(CASE, came(), NOW + SECOND)
    assert (step.case.state, step.case.assurance) == (State.APPROVED, Assurance.UNAUTHENTICATED)
    assert types(step) == ["reverse.approved"]
    assert heard(CASE, came(trusted=True), NOW).case.assurance == Assurance.TRUSTED


def test_another_number_proves_nothing_and_five_of_them_void_the_code() -> None:
    case = CASE
    for number in range(1, STRANGERS_MOST + 1):
        step = heard(case, came(same=False), NOW)
        case = step.case
        assert types(step)[0] == "reverse.refused"
        assert case.state is (State.FAILED if number == STRANGERS_MOST else State.PENDING)
    assert heard(case, came(), NOW).case.state is State.FAILED
    assert heard(heard(CASE, came(same=False), NOW).case, came(), NOW).case.state is State.APPROVED


def test_a_code_is_worth_nothing_at_the_end_of_its_life_or_a_second_time() -> None:
    assert heard(CASE, came(), NOW + LIFE).case.state is State.EXPIRED
    approved = heard(CASE, came(), NOW).case
    again = heard(approved, came(), NOW)
    assert (again.case, types(again)) == (approved, [])


def test_with_a_confirmation_the_code_alone_approves_nothing() -> None:
    case = replace(CASE, confirm=True)
    received = heard(case, came(), NOW)
    assert (received.case.state, types(received)) == (State.RECEIVED, ["reverse.received"])
    agreed = answer_confirm(received.case, NOW, agreed=True)
    assert isinstance(agreed, Step)
    assert types(agreed) == ["reverse.approved"]
    denied = answer_confirm(received.case, NOW, agreed=False)
    assert isinstance(denied, Step)
    assert denied.case.state is State.REFUSED
    before = answer_confirm(case, NOW, agreed=True)
    assert before == Refused("not_received", 409)


def test_a_state_that_the_clock_has_ended_is_shown_as_ended() -> None:
    assert view(CASE, NOW)["state"] == State.PENDING
    assert view(CASE, NOW + LIFE)["state"] == State.EXPIRED


def test_without_the_secret_every_end_looks_alike() -> None:
    approved = heard(CASE, came(), NOW).case
    canceled = cancel(CASE, NOW)
    assert isinstance(canceled, Step)
    received = heard(replace(CASE, confirm=True), came(), NOW).case
    ends = [view_without_secret(case, NOW) for case in (approved, canceled.case)]
    assert ends[0] == ends[1] == view_without_secret(CASE, NOW + LIFE) == ends[0] | {"state": "ended"}
    assert view_without_secret(received, NOW) == view_without_secret(CASE, NOW) | {"confirm": True}


class Reverse(RuleBasedStateMachine):
    """Whatever comes in whatever order: approved once at most, by the right number, in time, and confirmed if asked."""

    @initialize(confirm=st.booleans(), claimed=st.booleans())
    def begin(self, confirm: bool, claimed: bool) -> None:
        self.now = NOW
        self.case = replace(CASE, confirm=confirm, claimed=CASE.claimed if claimed else "")
        self.approvals = 0
        self.confirmed = False
        self.right_at: list[int] = []
        self.take(start(self.case))

    def take(self, step: Step[ReverseCase] | Refused) -> None:
        if isinstance(step, Refused):
            return
        was, self.case = self.case.state, step.case
        if self.case.state is not was:
            assert self.case.state in MOVES[was]
        for effect in step.effects:
            if isinstance(effect, Notify):
                event_data(effect.event_type, **effect.data)
                self.approvals += effect.event_type == "reverse.approved"

    @rule(seconds=st.integers(0, 400))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(same=st.booleans(), trusted=st.booleans())
    def hear(self, same: bool, trusted: bool) -> None:
        if same and self.case.state is State.PENDING and self.now < self.case.expires_at:
            self.right_at.append(self.now)
        self.take(heard(self.case, came(same=same or not self.case.claimed, trusted=trusted), self.now))
        if not self.case.claimed and self.case.received_at:
            self.right_at.append(self.case.received_at)

    @rule(agreed=st.booleans())
    def confirm(self, agreed: bool) -> None:
        was = self.case.state
        self.take(answer_confirm(self.case, self.now, agreed=agreed))
        self.confirmed |= agreed and was is State.RECEIVED and self.now < self.case.expires_at

    @rule()
    def give_up(self) -> None:
        self.take(cancel(self.case, self.now))

    @rule()
    def fire(self) -> None:
        self.take(tick(self.case, self.now))

    @invariant()
    def holds(self) -> None:
        assert self.approvals <= 1
        if self.case.state is State.APPROVED:
            assert self.approvals == 1
            assert self.case.received_at in self.right_at
            assert self.case.final_at < self.case.expires_at
            assert self.confirmed or not self.case.confirm
        assert bool(self.case.final_at) == is_over(self.case)
        assert ReverseCase.load(self.case.dump()) == self.case


TestReverse = Reverse.TestCase
TestReverse.settings = settings(max_examples=100, stateful_step_count=25)
