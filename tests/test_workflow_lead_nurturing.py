"""Dormant leads, pure: called back after long silence, so often at most, never at night and never after STOP."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from engine.events import event_data
from workflows.base import (
    SECOND,
    Arm,
    Canceled,
    CancelSends,
    Checked,
    Disarm,
    Effect,
    Notify,
    Send,
    Step,
    TimerFired,
    Verdict,
)
from workflows.lead import Facts, Happened, Marketing, Remodeled, Replied, Stopped, dormant_at, step, view
from workflows.lead_case import LeadCase, State
from workflows.lead_model import BANT, Model

NOW = 1_800_000_000 * SECOND
HOUR, DAY = 3_600 * SECOND, 86_400 * SECOND
BACK = {
    "name": "back",
    "trigger": "dormant",
    "messages": [
        {"after_s": 60, "text": {"fr": "Toujours partant ?"}},
        {"after_s": 86_400, "text": {"fr": "Dernier mot."}},
    ],
}
GIVEN: dict[str, Any] = {
    "questions": BANT.dump()["questions"],
    "events": BANT.dump()["events"],
    "sequences": [
        BACK,
        {"name": "demo", "trigger": "demo_request", "messages": [{"after_s": 60, "text": {"fr": "On en parle ?"}}]},
    ],
    "dormancy": {"after_days": 60, "most": 2},
}
MODEL = Model.load("m", GIVEN)
CASE = LeadCase(
    id="led_1", form="demo", source="ads", to="+336••••••71", language="fr", model="m", created_at=NOW, expires_at=0,
    consented=True, replies=True, state=State.OPEN, verified_at=NOW, heard_at=NOW, questions_over=True,
)  # fmt: skip
DORMANT = NOW + 60 * DAY


def facts(now: int, *, free_in: int = 0, silenced: bool = False, model: Model = MODEL) -> Facts:
    return Facts(model, marketing=Marketing(now + free_in, now + free_in + 12 * HOUR, silenced))


def stepped(case: LeadCase, event: Any, given: Facts, now: int) -> Step[LeadCase]:
    decided = step(case, event, given, now)
    assert isinstance(decided, Step)
    return decided


def fire(case: LeadCase, kind: str, now: int, **known: Any) -> Step[LeadCase]:
    return stepped(case, TimerFired(kind), facts(now, **known), now)


def kinds(effects: tuple[Effect, ...]) -> list[str]:
    return [one.event_type.removeprefix("lead.") for one in effects if isinstance(one, Notify)]


def called_back(case: LeadCase = CASE) -> LeadCase:
    """A lead that is called back, its first message sent."""
    return fire(fire(case, "dormancy", DORMANT).case, "nurture", DORMANT + HOUR).case


def test_a_dormant_lead_is_called_back_by_the_sequence_for_it_message_after_message() -> None:
    woken = fire(CASE, "dormancy", DORMANT)
    [told] = [one for one in woken.effects if isinstance(one, Notify)]
    assert told.event_type == "lead.reengaged"
    assert (told.data["sequence"], told.data["time"], told.data["heard_at"]) == ("back", 1, NOW)
    assert Arm("nurture", DORMANT + 60 * SECOND) in woken.effects
    assert Arm("dormancy", DORMANT + 60 * DAY) in woken.effects  # the second time, if this one is in vain
    first = fire(woken.case, "nurture", DORMANT + HOUR)
    second = fire(first.case, "nurture", DORMANT + DAY + HOUR)
    texts = [one for one in (*first.effects, *second.effects) if isinstance(one, Send)]
    assert [(one.message_class, one.params["notice"]) for one in texts] == [
        ("marketing", "Toujours partant ?"), ("marketing", "Dernier mot."),
    ]  # fmt: skip
    assert (second.case.sequence, second.case.reengaging) == ("", True)


def test_a_message_is_worth_nothing_after_the_hours_close() -> None:
    woken = fire(CASE, "dormancy", DORMANT).case
    known = Facts(MODEL, marketing=Marketing(DORMANT, DORMANT + HOUR))
    [text] = [one for one in stepped(woken, TimerFired("nurture"), known, DORMANT).effects if isinstance(one, Send)]
    assert text.expires_at == DORMANT + HOUR


def test_outside_the_hours_nothing_is_sent_and_the_morning_is_waited_for() -> None:
    woken = fire(CASE, "dormancy", DORMANT, free_in=8 * HOUR).case
    assert fire(woken, "nurture", DORMANT, free_in=8 * HOUR).effects == (Arm("nurture", DORMANT + 8 * HOUR),)


def test_a_timer_that_fires_too_early_or_again_calls_nobody_back() -> None:
    assert fire(CASE, "dormancy", DORMANT - 1).effects == (Arm("dormancy", DORMANT),)
    woken = fire(CASE, "dormancy", DORMANT).case
    assert fire(woken, "dormancy", DORMANT).effects == (Arm("dormancy", DORMANT + 60 * DAY),)


def test_it_is_called_back_so_often_as_the_model_says_and_never_again() -> None:
    case, at, times = CASE, DORMANT, []
    for _ in range(5):
        woken = fire(case, "dormancy", at)
        times += [one.data["time"] for one in woken.effects if isinstance(one, Notify)]
        case, at = replace(woken.case, sequence=""), at + 60 * DAY
    assert times == [1, 2]
    assert dormant_at(case, MODEL) is None
    assert view(case, MODEL, at)["dormant_at"] is None


@pytest.mark.parametrize(
    "changed",
    [
        {"consented": False},
        {"stage": "qualified"},
        {"state": State.CLOSED},
        {"state": State.UNVERIFIED, "verified_at": 0},
        {"reengaged": 2},
    ],
)
def test_who_may_not_be_called_back_never_is(changed: dict[str, Any]) -> None:
    case = replace(CASE, **changed)
    assert dormant_at(case, MODEL) is None
    assert fire(case, "dormancy", DORMANT).effects == ()


def test_a_model_without_dormancy_calls_nobody_back() -> None:
    assert dormant_at(CASE, BANT) is None
    assert fire(CASE, "dormancy", DORMANT, model=BANT).effects == ()


def test_consent_is_good_for_so_long_after_the_last_sign_of_life_and_a_late_look_does_not_stretch_it() -> None:
    short = Model.load("m", GIVEN | {"dormancy": {"after_days": 60, "most": 5, "consent_days": 100}})
    assert dormant_at(CASE, short) == DORMANT
    assert fire(CASE, "dormancy", NOW + 100 * DAY, model=short).effects == ()
    woken = fire(CASE, "dormancy", DORMANT, model=short)
    assert dormant_at(woken.case, short) is None  # the second time would come after its end
    assert Disarm("dormancy") in woken.effects
    late = fire(woken.case, "nurture", NOW + 100 * DAY, model=short)
    assert (late.case.sequence, late.effects) == ("", ())


def test_whoever_said_stop_is_not_called_and_looked_at_again_later() -> None:
    assert fire(CASE, "dormancy", DORMANT, silenced=True).effects == (Arm("dormancy", DORMANT + 60 * DAY),)
    said = fire(called_back(), "nurture", DORMANT + 2 * DAY, silenced=True)
    assert (said.case.sequence, said.effects) == ("", ())


def test_a_lead_whose_sequence_is_under_way_waits_for_its_end() -> None:
    busy = replace(CASE, sequence="demo")
    assert fire(busy, "dormancy", DORMANT).effects == (Arm("dormancy", DORMANT + DAY),)


@pytest.mark.parametrize(
    "event", [Replied("rpl_1", "pourquoi pas"), Happened("lev_1", "visit"), Happened("lev_1", "demo_request")]
)
def test_any_sign_of_life_ends_the_call_and_counts_the_time_anew(event: Any) -> None:
    case, now = called_back(), DORMANT + 2 * HOUR
    decided = stepped(case, event, Facts(MODEL), now)
    assert Disarm("nurture") in decided.effects
    assert CancelSends(roles=("nurture:1",)) in decided.effects  # what is queued for the morning does not leave
    assert Arm("dormancy", now + 60 * DAY) in decided.effects
    assert (decided.case.reengaging, decided.case.heard_at) == (False, now)
    assert decided.case.sequence in ("", "demo")


def test_an_answer_to_a_question_ends_the_call_too_also_one_that_is_not_understood() -> None:
    asked = replace(CASE, asked="budget", asked_at=NOW, questions_over=False)
    for text, told in (("C", ["answered", "scored", "stage_changed", "question_asked"]), ("hein ?", [])):
        decided = stepped(called_back(asked), Replied("rpl_1", text), Facts(MODEL), DORMANT + 2 * HOUR)
        assert kinds(decided.effects) == told
        assert Disarm("nurture") in decided.effects
        assert not decided.case.reengaging


def test_a_lead_that_becomes_qualified_is_called_no_more() -> None:
    keen = replace(called_back(), points=(), stage="qualified")
    assert fire(keen, "nurture", DORMANT + DAY).effects == ()


@pytest.mark.parametrize("event", [Stopped("rpl_1"), Canceled()])
def test_a_closed_lead_has_no_call_under_way(event: Any) -> None:
    closed = stepped(called_back(), event, Facts(MODEL), DORMANT + 2 * HOUR)
    assert (closed.case.sequence, closed.case.reengaging) == ("", False)
    for kind in ("nurture", "dormancy"):
        assert fire(closed.case, kind, DORMANT + 90 * DAY).effects == ()


def test_the_names_of_our_own_triggers_are_no_events() -> None:
    refused = step(CASE, Happened("lev_1", "dormant"), Facts(MODEL), NOW)
    assert getattr(refused, "code", "") == "event_unknown"


def test_a_timer_follows_a_model_that_was_written_since() -> None:
    for written, effect in ((GIVEN, Arm("dormancy", DORMANT)), (BANT.dump(), Disarm("dormancy"))):
        assert stepped(CASE, Remodeled(), Facts(Model.load("m", written)), NOW).effects == (effect,)


def test_a_lead_that_proves_its_number_is_watched_from_then_on() -> None:
    fresh = replace(CASE, state=State.UNVERIFIED, verified_at=0, heard_at=0, attempts=1, code_until=NOW + HOUR)
    proven = stepped(fresh, Checked(Verdict.RIGHT), Facts(MODEL), NOW)
    assert Arm("dormancy", DORMANT) in proven.effects


def test_rows_of_before_are_read_as_leads_that_nobody_called_back() -> None:
    stored = CASE.dump()
    for name in ("reengaging", "reengaged", "reengaged_at"):
        del stored[name]
    assert LeadCase.load(stored) == CASE


class World:
    """A lead, its timers, its handset, its CRM, nights and STOP, for months."""

    def __init__(self, drawn: random.Random) -> None:
        self.drawn = drawn
        self.after_days, self.most = drawn.randint(1, 9), drawn.randint(1, 3)
        self.consent_days = self.after_days + drawn.choice([1, 2, 30, 600])
        dormancy = {"after_days": self.after_days, "most": self.most, "consent_days": self.consent_days}
        self.model = Model.load("m", GIVEN | {"dormancy": dormancy})
        self.now, self.case, self.silenced, self.stopped, self.heard_at = NOW, CASE, False, False, NOW
        self.timers = {"dormancy": NOW + self.after_days * DAY}
        self.calls = self.sent = 0

    def take(self, event: Any) -> None:
        is_night = self.now // HOUR % 24 >= 13
        opens = (self.now // DAY + 1) * DAY if is_night else self.now
        closes = opens // DAY * DAY + 13 * HOUR
        known = Marketing(opens, closes, self.silenced) if isinstance(event, TimerFired) else None
        decided = step(self.case, event, Facts(self.model, marketing=known), self.now)
        if not isinstance(decided, Step):
            return
        self.case = decided.case
        for effect in decided.effects:
            match effect:
                case Arm(kind, at):
                    self.timers[kind] = at
                case Disarm(kind):
                    self.timers.pop(kind, None)
                case Notify("lead.reengaged", data):
                    self.calls += 1
                    assert self.now >= self.heard_at + self.after_days * DAY
                    assert data["time"] == self.calls <= self.most
                case Send(message_class="marketing"):
                    self.sent += 1
                    assert not is_night
                    assert effect.expires_at <= closes
                    assert not self.silenced
                    assert not self.stopped
                    assert not self.case.reengaging or self.now < self.heard_at + self.consent_days * DAY
                case _:
                    pass
            if isinstance(effect, Notify):
                event_data(effect.event_type, **effect.data)
        assert LeadCase.load(self.case.dump()) == self.case

    def wait(self) -> None:
        """Time passes, and what is due fires, in order; now and then out of turn."""
        until = self.now + self.drawn.choice([1, 7, 12, 24, 50, 24 * 9]) * HOUR
        while self.timers and min(self.timers.values()) <= until:
            kind = min(self.timers, key=lambda one: (self.timers[one], one))
            self.now = max(self.now, self.timers.pop(kind))
            self.take(TimerFired(kind))
        self.now = until
        if self.drawn.random() < 0.1:
            self.take(TimerFired(self.drawn.choice(["nurture", "dormancy"])))

    def speak(self) -> None:
        """Of all that a lead does, only an event that its model does not know is no sign of life."""
        event = self.drawn.choice(
            [Replied("rpl_1", "C"), Replied("rpl_1", "qui ?"), Happened("lev_1", "visit"),
             Happened("lev_1", "demo_request"), Happened("lev_1", "unknown")]
        )  # fmt: skip
        if not self.stopped and event != Happened("lev_1", "unknown"):
            self.heard_at = self.now
        self.take(event)
        assert self.case.heard_at == self.heard_at

    def opt(self) -> None:
        """By telephone, which closes no lead; or by STOP, which does."""
        self.silenced = not self.silenced
        if self.drawn.random() < 0.2 and not self.stopped:
            self.take(Stopped("rpl_2"))
            self.stopped, self.timers = True, {}


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_whatever_happens_it_is_never_night_never_after_stop_and_never_oftener_than_the_model_says(seed: int) -> None:
    world = World(random.Random(seed))
    for _ in range(60):
        world.drawn.choices([world.wait, world.speak, world.opt], [20, 2, 1])[0]()
        assert world.calls == world.case.reengaged <= world.most
    note(f"{world.calls} calls, {world.sent} messages")
