"""Deliveries, pure: whatever comes in whatever order, each ends with exactly one outcome, and no guess is free."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.events import event_data
from workflows.base import SECOND, Arm, Canceled, Notify, Outcome, Refused, Send, Settled, Step, TimerFired, Verdict
from workflows.handover import EVENTS, Facts, Spent, spend, start, step, view
from workflows.handover_case import (
    ATTEMPTS,
    DELEGATIONS,
    GRACE_S,
    MOVES,
    SENDS,
    DeliveryCase,
    Door,
    Party,
    Slot,
    State,
    attempts_remaining,
)
from workflows.handover_eta import Position, distance_m, eta
from workflows.handover_events import (
    ArrivalTold,
    Claimed,
    CodeEntered,
    Delegated,
    DelegationEnded,
    Entry,
    Event,
    FailTold,
    Override,
    OverrideAsked,
    PositionTold,
    RegenerateAsked,
    Released,
    Returned,
    SlotChanged,
    Stated,
)
from workflows.handover_log import adjudicate
from workflows.handover_replies import passed_on
from workflows.handover_sending import slot_text
from workflows.window import Day

NOW = 1_800_000_000 * SECOND
HOUR = 3_600 * SECOND
ANNA = Party("pty_1", "+336••••••71", "fr")
CASE = DeliveryCase(
    id="dlv_1", brand="Boutique", title="colis", slot=Slot(NOW + HOUR, NOW + 3 * HOUR), created_at=NOW, expires_at=0,
    people=(ANNA,), holder=ANNA.id, replies=True,
)  # fmt: skip


def began(case: DeliveryCase = CASE) -> DeliveryCase:
    step_of = start(case, NOW)
    assert isinstance(step_of, Step)
    return step_of.case


def after(case: DeliveryCase, *events: Event, now: int = NOW) -> DeliveryCase:
    for event in events:
        decided = step(case, event, Facts(), now)
        assert isinstance(decided, Step), decided
        case = decided.case
    return case


def arrived() -> DeliveryCase:
    case = after(began(), ArrivalTold("c1"))
    return after(case, Settled(case.messages[-1], Outcome.ACCEPTED))


def entered(
    case: DeliveryCase, verdict: Verdict, door: Door = Door.CODE, now: int = NOW
) -> Step[DeliveryCase] | Refused:
    entry = Entry(door, now, Stated("c1"))
    spent = spend(case, entry, now)
    return step(spent.case, CodeEntered(verdict, entry), Facts(), now) if isinstance(spent, Spent) else spent


def types(decided: Step[DeliveryCase]) -> list[str]:
    return [one.event_type.removeprefix("handover.") for one in decided.effects if isinstance(one, Notify)]


def test_a_code_can_be_entered_once_an_operator_has_taken_it_whatever_caused_it() -> None:
    told = after(began(), ArrivalTold("c1"))
    assert entered(told, Verdict.RIGHT) == Refused("not_ready", 409, {"delivery_id": "dlv_1", "attempts_remaining": 5})
    for outcome in (Outcome.ACCEPTED, Outcome.DELIVERED):
        decided = step(told, Settled(told.messages[-1], outcome), Facts(), NOW)
        assert isinstance(decided, Step)
        assert (decided.case.ready, types(decided)) == (True, ["code_sent"])


def test_the_last_allowed_code_may_be_the_right_one() -> None:
    case = arrived()
    for _ in range(ATTEMPTS[6] - 1):
        wrong = entered(case, Verdict.WRONG)
        assert isinstance(wrong, Step)
        case = wrong.case
    right = entered(case, Verdict.RIGHT)
    assert isinstance(right, Step)
    assert right.case.state is State.DELIVERED


def test_four_digits_allow_three_wrong_codes() -> None:
    case = replace(arrived(), code_length=4)
    for _ in range(ATTEMPTS[4]):
        wrong = entered(case, Verdict.WRONG)
        assert isinstance(wrong, Step)
        case = wrong.case
    assert case.state is State.LOCKED


def locked(case: DeliveryCase) -> DeliveryCase:
    for _ in range(ATTEMPTS[6]):
        wrong = entered(case, Verdict.WRONG)
        assert isinstance(wrong, Step)
        case = wrong.case
    assert case.state is State.LOCKED
    return case


AGAIN = SlotChanged(Slot(NOW + 24 * HOUR, NOW + 26 * HOUR), again=True)


def test_a_locked_delivery_can_be_failed_and_is_locked_again_until_a_supervisor_decides() -> None:
    failed = after(locked(arrived()), FailTold("no right code", Stated("c1")))
    again = step(failed, AGAIN, Facts(), NOW)
    assert isinstance(again, Step)
    assert (again.case.state, types(again)) == (State.LOCKED, ["changed", "locked"])
    for event in (ArrivalTold("c1"), RegenerateAsked(), SlotChanged(AGAIN.slot)):
        refused = step(again.case, event, Facts(), NOW)
        assert isinstance(refused, Refused)
        assert refused.code == "delivery_locked"
    case = after(again.case, OverrideAsked(Override.UNLOCKED, "boss", "why", Stated()))
    assert (case.state, case.attempts, case.messages) == (State.SCHEDULED, 0, ())  # its code leaves when its time comes
    case = after(case, ArrivalTold("c1"), now=AGAIN.slot.starts_at)
    right = entered(after(case, Settled(case.messages[-1], Outcome.ACCEPTED)), Verdict.RIGHT, now=AGAIN.slot.starts_at)
    assert isinstance(right, Step)
    assert right.case.state is State.DELIVERED


def test_the_lead_time_of_a_slot_that_was_locked_counts_once_it_is_unlocked() -> None:
    case = after(locked(replace(arrived(), lead_s=600)), FailTold("no right code", Stated("c1")), AGAIN)
    due = AGAIN.slot.starts_at - 600 * SECOND
    assert after(case, TimerFired("lead"), now=due) == case
    unlocked = step(case, OverrideAsked(Override.UNLOCKED, "boss", "why", Stated()), Facts(), due + SECOND)
    assert isinstance(unlocked, Step)
    assert Arm("lead", due) in unlocked.effects


@pytest.mark.parametrize("state", [State.SCHEDULED, State.ARRIVING, State.CLAIMED, State.LOCKED, State.FAILED])
@pytest.mark.parametrize("door", [Door.CODE, Door.QR, Door.SMS, Door.OFFLINE_CODE, Door.OFFLINE_QR])
def test_nothing_is_compared_by_any_door_once_the_attempts_are_spent(state: State, door: Door) -> None:
    case = replace(arrived(), state=state, attempts=ATTEMPTS[6])
    refused = spend(case, Entry(door, NOW, Stated("c1")), NOW)
    assert isinstance(refused, Refused)
    assert refused.code == ("attempt_failed" if state is State.FAILED else "delivery_locked")


@pytest.mark.parametrize("verdict", [Verdict.SUPERSEDED, Verdict.BAD_FORMAT])
def test_what_is_no_guess_costs_nothing(verdict: Verdict) -> None:
    decided = entered(arrived(), verdict)
    assert isinstance(decided, Step)
    assert decided.case.attempts == 0


def test_codes_are_sent_so_often_to_a_delivery_and_to_a_number_in_a_day() -> None:
    case = replace(arrived(), sends=SENDS, next_send_at=0)
    assert step(case, RegenerateAsked(), Facts(), NOW) == Refused(
        "max_sends", 429, {"delivery_id": "dlv_1", "attempts_remaining": 5}
    )
    full = step(replace(case, sends=1), RegenerateAsked(), Facts(Day(NOW // (86_400 * SECOND), 20)), NOW)
    assert isinstance(full, Refused)
    assert full.code == "day_limit"
    early = step(arrived(), RegenerateAsked(), Facts(), NOW + SECOND)
    assert isinstance(early, Refused)
    assert early.code == "cooldown"


@pytest.mark.parametrize(
    "slot",
    [
        Slot(NOW, NOW),
        Slot(NOW, NOW + 8 * 24 * HOUR),
        Slot(NOW - 9 * HOUR, NOW - 8 * HOUR),
        Slot(NOW, NOW + HOUR, "Mars/X"),
    ],
)
def test_a_slot_that_cannot_be_is_refused(slot: Slot) -> None:
    refused = start(replace(CASE, slot=slot), NOW)
    assert isinstance(refused, Refused)
    assert refused.code == "bad_slot"


def test_a_code_lives_until_the_slot_and_its_grace_are_over_and_seven_days_at_most() -> None:
    assert arrived().code_until == CASE.slot.until
    far = replace(CASE, slot=Slot(NOW, NOW + 6 * 24 * HOUR, grace_s=6 * 86_400))
    assert after(began(far), ArrivalTold("c1")).code_until == NOW + 7 * 24 * HOUR


def test_a_code_made_when_slot_and_grace_are_over_lives_long_enough_to_be_read_out() -> None:
    case = began(replace(CASE, slot=replace(CASE.slot, grace_s=0)))
    late = case.slot.until + HOUR
    told = after(case, ArrivalTold("c1"), now=late)
    assert told.code_until == late + 15 * 60 * SECOND
    again = after(told, RegenerateAsked(), now=told.code_until)
    assert again.code_until == told.code_until + 15 * 60 * SECOND
    assert after(case, ArrivalTold("c1")).code_until == case.slot.until  # a slot that is not over is long enough


def links(step_of: Step[DeliveryCase]) -> list[bool]:
    """Tell of each message with a code whether the link of the code's page is in it."""
    return ["page" in one.slots for one in step_of.effects if isinstance(one, Send) and "code" in one.slots]


def test_a_message_leaves_the_link_out_only_if_its_reader_has_the_one_of_this_very_code() -> None:
    on_the_way = after(began(), PositionTold("c1", NOW + HOUR))
    told = step(on_the_way, ArrivalTold("c1"), Facts(), NOW)
    late = step(on_the_way, ArrivalTold("c1"), Facts(), CASE.slot.until)  # the code of that link has ended
    assert isinstance(told, Step)
    assert isinstance(late, Step)
    assert (links(told), links(late)) == ([False], [True])
    boris = Party("pty_2", "+336••••••72", "fr")
    for again in (RegenerateAsked(), Delegated(boris)):
        case = after(told.case, again, now=NOW + 60 * SECOND)
        rerouted = step(case, Settled(case.messages[-1], Outcome.UNDELIVERED), Facts(), NOW + 90 * SECOND)
        assert isinstance(rerouted, Step)
        assert links(rerouted) == [True]


def test_slots_are_told_in_the_zone_of_the_delivery_on_both_sides_of_a_change_of_clocks() -> None:
    october = 1_793_000_000 * SECOND  # 26 October 2026, after the change in Paris
    assert slot_text(Slot(october, october + HOUR, "Europe/Paris")) == "26/10 08:33-09:33"
    assert slot_text(Slot(october - 48 * HOUR, october, "Europe/Paris")) == "24/10 09:33-26/10 08:33"


@pytest.mark.parametrize(
    ("text", "code", "number"),
    [
        ("482913 +33612345678", "482913", "+33612345678"),
        ("482913, +33 6 12 34 56 78", "482913", "+33 6 12 34 56 78"),
        ("482 913 06.12.34.56.78 merci", "482913", "06.12.34.56.78"),
        ("code 482913 pour le 0033612345678", "482913", "0033612345678"),
        ("+33612345678 482913", "482913", "+33612345678"),
        ("٤٨٢٩١٣ +33612345678", "482913", "+33612345678"),
    ],
)
def test_a_code_and_a_number_in_one_text_pass_the_code_on(text: str, code: str, number: str) -> None:
    found = passed_on(text, 6)
    assert found is not None
    assert (found.code, found.number.strip()) == (code, number)


@pytest.mark.parametrize("text", ["482913", "+33612345678", "merci", "", "1 2 3", "482913 12345", "9" * 300])
def test_anything_less_passes_nothing_on(text: str) -> None:
    assert passed_on(text, 6) is None


def test_an_arrival_is_guessed_from_where_the_courier_is() -> None:
    notre_dame, eiffel = Position(48.85296, 2.34990), Position(48.85837, 2.29448)
    assert 4_050 < distance_m(notre_dame, eiffel) < 4_150
    assert 13 * 60 * SECOND < eta(notre_dame, eiffel, NOW) - NOW < 14 * 60 * SECOND
    assert eta(notre_dame, notre_dame, NOW) == NOW


EVENT_KINDS = st.sampled_from(
    ["arriving", "position", "regenerate", "delegate", "undelegate", "fail", "again", "slot", "return", "cancel",
     "unlock", "deliver", "claim", "release", "accepted", "undelivered", "expiry", "lead"]
)  # fmt: skip
OUTCOMES = {
    State.DELIVERED: "confirmed",
    State.RETURNED: "returned",
    State.CANCELED: "canceled",
    State.EXPIRED: "expired",
}


class Handover(RuleBasedStateMachine):
    """Couriers, merchants, supervisors, handsets, devices and the clock, in any order."""

    @initialize(length=st.sampled_from([6, 4]), lead=st.sampled_from([0, 600]), grace=st.sampled_from([0, GRACE_S]))
    def begin(self, length: int, lead: int, grace: int) -> None:
        self.now, self.numbers = NOW, count(2)
        self.outcomes: list[str] = []
        self.rights: set[int] = set()  # generations whose right code was entered
        self.wrongs = 0  # since the last unlocking
        self.case = replace(CASE, code_length=length, lead_s=lead, slot=replace(CASE.slot, grace_s=grace))
        decided = start(self.case, self.now)
        assert isinstance(decided, Step)
        self.take(decided)

    def take(self, decided: Step[DeliveryCase] | Refused) -> None:
        if isinstance(decided, Refused):
            return
        was, self.case = self.case, decided.case
        if was.state is not self.case.state:
            assert self.case.state in MOVES[was.state]
        for effect in decided.effects:
            if isinstance(effect, Notify):
                event_data(effect.event_type, **effect.data)
                assert effect.event_type in EVENTS
                name = effect.event_type.removeprefix("handover.")
                self.outcomes += [name] if name in OUTCOMES.values() else []
            if isinstance(effect, Send) and effect.message_class == "handover_code":
                assert effect.recipient == self.case.holder
                assert effect.expires_at > self.now
        assert DeliveryCase.load(self.case.dump()) == self.case

    @rule(seconds=st.integers(0, 40_000))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule()
    def outlive_the_slot(self) -> None:
        self.now = max(self.now, self.case.slot.until)

    @rule(kind=EVENT_KINDS)
    def happen(self, kind: str) -> None:
        was = self.case.unlocks
        self.take(step(self.case, self.event(kind), Facts(), self.now))
        if self.case.unlocks > was:
            self.wrongs = 0

    def event(self, kind: str) -> Event:
        later = Slot(self.now + HOUR, self.now + 2 * HOUR, grace_s=self.case.slot.grace_s)
        role = self.case.messages[-1] if self.case.messages else "code:0:0"
        made: dict[str, Event] = {
            "arriving": ArrivalTold("c1"),
            "position": PositionTold("c1", self.now + HOUR),
            "regenerate": RegenerateAsked(),
            "delegate": Delegated(Party(f"pty_{next(self.numbers)}", "+336••••••72", "en"), "rpl_1"),
            "undelegate": DelegationEnded(),
            "fail": FailTold("nobody", Stated("c1")),
            "again": SlotChanged(later, again=True),
            "slot": SlotChanged(later),
            "return": Returned("refused"),
            "cancel": Canceled(),
            "unlock": OverrideAsked(Override.UNLOCKED, "boss", "why", Stated()),
            "deliver": OverrideAsked(Override.DELIVERED, "boss", "why", Stated()),
            "claim": Claimed("dev_1", "c1"),
            "release": Released("dev_1"),
            "accepted": Settled(role, Outcome.ACCEPTED),
            "undelivered": Settled(role, Outcome.UNDELIVERED),
            "expiry": TimerFired("expiry"),
            "lead": TimerFired("lead"),
        }
        return made[kind]

    @rule(verdict=st.sampled_from(Verdict), door=st.sampled_from([Door.CODE, Door.QR]), suspended=st.booleans())
    def enter(self, verdict: Verdict, door: Door, suspended: bool) -> None:
        before = self.case
        entry = Entry(door, self.now, Stated("c1"), suspended=suspended)
        spent = spend(self.case, entry, self.now)
        if isinstance(spent, Spent):
            assert not suspended
            assert before.state in {State.SCHEDULED, State.ARRIVING}
            assert attempts_remaining(before)
            self.wrongs += verdict is Verdict.WRONG
            if verdict is Verdict.RIGHT:
                self.rights.add(before.generation)
            self.take(step(spent.case, CodeEntered(verdict, entry), Facts(), self.now))
        else:
            self.take(spent)

    @rule()
    def arrive(self) -> None:
        self.happen("arriving")
        self.happen("accepted")

    @rule()
    def try_again(self) -> None:
        self.happen("fail")
        self.happen("again")

    @rule(door=st.sampled_from([Door.CODE, Door.QR]))
    def guess(self, door: Door) -> None:
        for _ in range(6):
            self.enter(Verdict.WRONG, door, suspended=False)

    @rule(verdict=st.sampled_from([Verdict.RIGHT, Verdict.WRONG, Verdict.SUPERSEDED]), hours=st.integers(0, 30))
    def log(self, verdict: Verdict, hours: int) -> None:
        before = self.case
        entry = Entry(Door.OFFLINE_CODE, max(NOW, self.now - hours * HOUR), Stated("c1"), device="dev_1", logged=1)
        decided, result = adjudicate(before, verdict, entry, self.now)
        self.take(decided)
        self.wrongs += verdict is Verdict.WRONG and decided.case.attempts > before.attempts
        assert attempts_remaining(before) or result not in {"confirmed", "wrong", "superseded", "conflict"}
        if result == "confirmed":
            assert verdict is Verdict.RIGHT
            self.rights.add(before.generation)
        if before.is_over:
            assert self.case.state is before.state

    @invariant()
    def holds(self) -> None:
        case = getattr(self, "case", None)
        if case is None:
            return
        assert len(self.outcomes) == case.is_over
        if case.is_over:
            assert self.outcomes == [OUTCOMES[case.state]]
            assert case.final_at
        if case.state is State.DELIVERED and case.door != Door.OVERRIDE:
            assert case.generation in self.rights
        assert self.wrongs <= ATTEMPTS[case.code_length]
        if not case.is_over and case.state is not State.FAILED:
            assert (case.state is State.LOCKED) is (attempts_remaining(case) == 0)  # a supervisor alone opens it
        assert case.delegations <= DELEGATIONS
        assert case.sends <= SENDS + DELEGATIONS + 4  # what a person may always do: take back, and be unlocked
        shown = view(case, self.now)
        assert shown["state"] in set(State)


Handover.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestHandover = Handover.TestCase
