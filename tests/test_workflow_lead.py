"""Leads, pure: nothing is asked without consent, nothing is qualified without proof, and every point has its cause."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.events import event_data
from workflows.base import (
    SECOND,
    Arm,
    Canceled,
    CancelSends,
    Checked,
    Disarm,
    Notify,
    Outcome,
    Refused,
    Resent,
    Send,
    Settled,
    Step,
    TimerFired,
    Verdict,
)
from workflows.lead import Facts, Happened, Marketing, Replied, Spent, Stopped, spend, start, step, view
from workflows.lead_answers import accepts, points_of
from workflows.lead_case import ATTEMPTS, MOVES, POINTS_MOST, SENDS, LeadCase, Proof, State
from workflows.lead_model import AXES, BANT, FIT, INTENT, Kind, Model, ModelError, Question
from workflows.lead_scoring import axis, classed, intent, total, with_level, with_points
from workflows.lead_telling import EVENTS, reached

NOW = 1_800_000_000 * SECOND
DAY = 86_400 * SECOND
CASE = LeadCase(
    id="led_1", form="demo", source="ads", to="+336••••••71", language="fr", model="bant", created_at=NOW,
    expires_at=0, consented=True, replies=True,
)  # fmt: skip
QUESTION = BANT.dump()["questions"][0]
FACTS = Facts(BANT)
WAIT = {"after_s": 3_600, "text": {"fr": "Toujours partant ?"}}
BACK = {"name": "back", "trigger": "dormant", "messages": [WAIT]}
SEQUENCE = {
    "questions": BANT.dump()["questions"],
    "events": BANT.dump()["events"],
    "sequences": [
        {"name": "later", "trigger": "silence", "messages": [WAIT] * 3},
        {"name": "demo", "trigger": "demo_request", "messages": [{"after_s": 60, "text": {"en": "Shall we call?"}}]},
    ],
}  # fmt: skip


def verified(case: LeadCase = CASE, facts: Facts = FACTS) -> LeadCase:
    begun = start(case, (), facts, NOW)
    assert isinstance(begun, Step)
    spent = spend(begun.case, NOW)
    assert isinstance(spent, Spent)
    decided = step(spent.case, Checked(Verdict.RIGHT), facts, NOW)
    assert isinstance(decided, Step)
    return decided.case


def after(case: LeadCase, *events: Any, facts: Facts = FACTS, now: int = NOW) -> LeadCase:
    for event in events:
        decided = step(case, event, facts, now)
        assert isinstance(decided, Step), decided
        case = decided.case
    return case


def test_the_thresholds_are_those_of_the_scorecard() -> None:
    case = replace(CASE, state=State.OPEN, verified_at=NOW)
    labels = {}
    for fit in range(6):
        for level in range(1, 6):
            scored = case
            for name in AXES:
                scored = with_level(scored, name, level, "x", "y", NOW)
            scored = classed(with_points(scored, FIT, fit, "x", "y", NOW), BANT)
            labels[total(scored, BANT)] = (scored.stage, scored.label)
    assert labels[25] == labels[20] == ("qualified", "hot")
    assert labels[17] == ("warm", "warm")
    assert labels[12] == labels[13] == ("warm", "marketing_qualified")
    assert labels[8] == ("cold", "nurture")
    assert labels[4] == ("cold", "dropped")


def test_an_unverified_lead_is_cold_whatever_it_scored_and_intent_changes_no_class() -> None:
    model = Model.load("m", {"fields": [{"name": "size", "axis": axis, "points": 5} for axis in (*AXES, FIT)]})
    begun = start(CASE, (("size", "900"),), Facts(model), NOW)
    assert isinstance(begun, Step)
    assert (total(begun.case, model), begun.case.stage) == (25, "cold")
    keen = after(verified(), *[Happened(f"lev_{number}", "demo_request") for number in range(5)])
    assert (intent(keen, BANT, NOW), keen.stage) == (100, "cold")
    assert intent(keen, BANT, NOW + 7 * DAY) == 100  # 200 points, halved
    assert intent(keen, BANT, NOW + 14 * DAY) == 50


def test_an_answer_counts_however_many_events_came_before_it_and_the_oldest_intent_makes_room() -> None:
    case = with_level(CASE, "budget", 3, "rpl_1", "first", NOW)
    for number in range(POINTS_MOST + 20):
        case = with_points(case, INTENT, 1, f"evt_{number}", "visit", NOW)
    assert len(case.points) == POINTS_MOST
    case = with_level(case, "budget", 5, "rpl_2", "second", NOW)
    assert axis(case, "budget") == 5
    assert [one.source for one in case.points if one.axis == "budget"] == ["rpl_1", "rpl_2"]
    assert case.points[1].source == f"evt_{22}"


def test_weights_say_what_an_axis_is_worth_and_the_total_keeps_its_range() -> None:
    heavy = Model.load("m", {"weights": {"budget": 10, "authority": 0, "need": 0, "timeline": 0}})
    case = with_level(CASE, "budget", 5, "x", "y", NOW)
    assert (total(case, BANT), total(case, heavy)) == (8, 20)


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("A", 1), ("b", 3), ("C.", 5), ("réponse c", 5), ("C merci", 5), ("D", None), ("merci", None), ("", None),
        ("abc", None),
    ],
)  # fmt: skip
def test_a_letter_is_read_as_people_write_it(text: str, points: int | None) -> None:
    assert points_of(BANT.questions[0], text) == points


@pytest.mark.parametrize(
    ("text", "points"), [("12", 0), ("env. 80 personnes", 2), ("1 500", 5), ("2k", 5), ("beaucoup", None), ("٢٠٠", 4)]
)
def test_a_number_earns_the_greatest_row_that_it_reaches(text: str, points: int | None) -> None:
    size = Question("size", FIT, Kind.NUMBER, {"fr": "?"}, {"50": 2, "200": 4, "1000": 5}, else_points=0)
    assert points_of(size, text) == points


def test_words_earn_their_points_and_any_words_the_rest() -> None:
    why = Question("why", "need", Kind.FREE, {"fr": "?"}, {"urgent": 5, "sous peu": 4}, else_points=2)
    assert [points_of(why, text) for text in ("C'est URGENT !", "oui, sous  peu", "bof", " !! ")] == [5, 4, 2, None]


@pytest.mark.parametrize(
    ("text", "is_accepted"), [("ne m'envoyez plus de pub", False), ("Trop de SMS, plus de sms !", True), ("bof", False)]
)
def test_any_words_answer_a_free_question_but_only_its_own_are_surely_meant_for_it(
    text: str, is_accepted: bool
) -> None:
    why = Question("why", "need", Kind.FREE, {"fr": "?"}, {"plus de sms": 1, "moins": 3}, else_points=2)
    assert points_of(why, text) is not None
    assert accepts(why, text) is is_accepted


@pytest.mark.parametrize(("text", "is_accepted"), [("B", True), ("stop it", False), ("arretez", False)])
def test_a_choice_accepts_its_letters_alone(text: str, is_accepted: bool) -> None:
    assert accepts(BANT.questions[0], text) is is_accepted


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({"questions": [{"id": "q"}]}, "questions[0]"),
        ({"questions": [{**QUESTION, "axis": "luck"}]}, "questions[0]"),
        ({"questions": [{**QUESTION, "points": {"Z": 1}}]}, "questions[0]"),
        ({"questions": [{**QUESTION, "text": {"fr": "see http://evil.example"}}]}, "questions[0].text"),
        ({"questions": BANT.dump()["questions"] * 2}, "questions"),
        ({"weights": {"budget": -1}}, "weights"),
        ({"weights": dict.fromkeys(AXES, 0)}, "weights"),
        ({"half_life_s": 1}, "half_life_s"),
        ({"silence_s": 59}, "silence_s"),
        ({"silence_s": 86_400.0}, "silence_s"),
        ({"events": [{"name": "visit", "axis": INTENT, "points": 101}]}, "events[0]"),
        ({"sequences": [{"name": "s", "trigger": "t", "messages": []}]}, "sequences[0].messages"),
        ({"surprise": 1}, "surprise"),
        ({"brand": "x" * 99}, "brand"),
        ({"dormancy": {"after_days": 30}}, "dormancy"),  # and no sequence for it
        ({"sequences": [{"name": "back", "trigger": "dormant", "messages": [WAIT]}]}, "dormancy"),
        ({"sequences": [BACK], "dormancy": {"after_days": 0}}, "dormancy"),
        ({"sequences": [BACK], "dormancy": {"after_days": 30, "most": 11}}, "dormancy"),
        ({"sequences": [BACK], "dormancy": {"after_days": 30, "consent_days": 30}}, "dormancy"),
        ({"sequences": [BACK], "dormancy": {"after_days": 30, "often": 2}}, "dormancy"),
        ({"sequences": [BACK], "dormancy": [30]}, "dormancy"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_is_refused_by_the_setting_that_is_wrong(given: dict[str, Any], setting: str) -> None:
    with pytest.raises(ModelError) as raised:
        Model.load("m", given)
    assert raised.value.setting == setting


def test_a_model_is_written_and_read_back_unchanged() -> None:
    for given in (SEQUENCE | {"silence_s": 7_200}, {"sequences": [BACK], "dormancy": {"after_days": 30}}):
        model = Model.load("m", given)
        assert Model.load("m", model.dump()) == model
    assert Model.load("bant", BANT.dump()) == BANT


def test_a_sequence_waits_for_the_hours_and_ends_for_whoever_is_qualified() -> None:
    model = Model.load("m", SEQUENCE)
    asleep, awake = (Facts(model, marketing=Marketing(at, at + 3_600 * SECOND)) for at in (NOW + 5 * SECOND, NOW))
    case = replace(verified(facts=awake), asked="", questions_over=True, sequence="later")
    waits = step(case, TimerFired("nurture"), asleep, NOW)
    assert isinstance(waits, Step)
    assert not [one for one in waits.effects if isinstance(one, Send)]
    sent = step(case, TimerFired("nurture"), awake, NOW)
    assert isinstance(sent, Step)
    [text] = [one for one in sent.effects if isinstance(one, Send)]
    assert (text.message_class, text.params["notice"]) == ("marketing", "Toujours partant ?")
    done = step(replace(case, stage="qualified"), TimerFired("nurture"), awake, NOW)
    assert isinstance(done, Step)
    assert (done.case.sequence, done.effects) == ("", ())


TALKING = Model.load("m", SEQUENCE)
ASKED = replace(
    CASE, state=State.OPEN, verified_at=NOW, heard_at=NOW, asked="budget", asked_at=NOW, model="m", attempts=1
)  # fmt: skip


def stepped(case: LeadCase, event: Any, now: int) -> Step[LeadCase]:
    marketing = Marketing(now, now + DAY) if isinstance(event, TimerFired) else None
    decided = step(case, event, Facts(TALKING, marketing=marketing), now)
    assert isinstance(decided, Step)
    return decided


def test_a_question_arms_a_timer_only_if_its_model_says_something_to_silence() -> None:
    fresh = replace(ASKED, state=State.UNVERIFIED, verified_at=0, asked="", asked_at=0)
    for model, arms in ((TALKING, [Arm("unanswered", NOW + DAY)]), (BANT, [])):
        proven = step(fresh, Checked(Verdict.RIGHT), Facts(model), NOW)
        assert isinstance(proven, Step)
        assert proven.case.asked == "budget"
        assert [one for one in proven.effects if isinstance(one, Arm)] == arms


def test_an_unanswered_question_lets_the_sequence_for_silence_begin_and_may_still_be_answered() -> None:
    assert stepped(ASKED, TimerFired("unanswered"), NOW + DAY - 1).effects == (Arm("unanswered", NOW + DAY),)
    silent = stepped(ASKED, TimerFired("unanswered"), NOW + DAY)
    assert (silent.case.sequence, silent.case.asked) == ("later", "budget")
    assert Arm("nurture", NOW + DAY + 3_600 * SECOND) in silent.effects
    sent = stepped(silent.case, TimerFired("nurture"), NOW + 2 * DAY)
    assert [one.message_class for one in sent.effects if isinstance(one, Send)] == ["marketing"]
    late = stepped(sent.case, Replied("rpl_1", "C"), NOW + 3 * DAY)
    assert (late.case.answered, axis(late.case, "budget"), late.case.sequence) == (("budget",), 5, "")
    assert late.effects[:2] == (Disarm("nurture"), CancelSends(roles=("nurture:1",)))
    assert Arm("unanswered", NOW + 4 * DAY) in late.effects  # the next question's


def test_silence_is_met_once_a_question_and_never_beside_another_sequence() -> None:
    silent = stepped(ASKED, TimerFired("unanswered"), NOW + DAY).case
    over = replace(silent, sequence="")
    assert stepped(over, TimerFired("unanswered"), NOW + 9 * DAY).effects == ()
    again = stepped(over, Replied("rpl_1", "quoi ?"), NOW + 9 * DAY)
    assert Arm("unanswered", NOW + 10 * DAY) in again.effects  # it was asked once more
    busy = stepped(ASKED, Happened("lev_1", "demo_request"), NOW)
    assert Disarm("unanswered") in busy.effects
    assert stepped(busy.case, TimerFired("unanswered"), NOW + DAY).effects == ()


@pytest.mark.parametrize("changed", [{"stage": "qualified"}, {"consented": False}, {"state": State.CLOSED}])
def test_silence_of_whom_nothing_may_be_sent_begins_nothing(changed: dict[str, Any]) -> None:
    assert stepped(replace(ASKED, **changed), TimerFired("unanswered"), NOW + DAY).effects == ()


def test_a_lead_whose_model_has_no_questions_was_asked_nothing() -> None:
    mute = Model.load("m", {})
    assert reached(verified(facts=Facts(mute))) == {"created", "verified"}
    assert reached(verified()) == {"created", "verified", "asked"}


TIMERS = ("expiry", "nurture", "unanswered")


class Leads(RuleBasedStateMachine):
    """Forms, handsets, CRMs and the clock, in any order."""

    @initialize(proof=st.sampled_from(Proof), consented=st.booleans())
    def begin(self, proof: Proof, consented: bool) -> None:
        self.now, self.model = NOW, Model.load("m", SEQUENCE)
        self.case = replace(CASE, proof=proof, consented=consented, model="m")
        self.closed = self.wrong = 0
        self.stages: frozenset[str] = frozenset()
        self.take(start(self.case, (), self.facts(), self.now))

    def facts(self, kind: str = "") -> Facts:
        """Whether marketing may be sent is worked out for timers alone: nothing else may ask."""
        marketing = Marketing(self.now, self.now + DAY) if kind in TIMERS else None
        return Facts(self.model, marketing=marketing)

    def take(self, decided: Step[LeadCase] | Refused) -> None:
        if isinstance(decided, Refused):
            return
        was, self.case = self.case, decided.case
        if was.state is not self.case.state:
            assert self.case.state in MOVES[was.state]
        for effect in decided.effects:
            if isinstance(effect, Notify):
                event_data(effect.event_type, **effect.data)
                assert effect.event_type in EVENTS
                self.closed += effect.event_type == "lead.closed"
            if isinstance(effect, Send) and not effect.role.startswith("proof:"):
                assert self.case.consented
                assert was.verified_at or self.case.verified_at
        assert LeadCase.load(self.case.dump()) == self.case
        self.stages |= reached(self.case)
        assert ("verified" in self.stages) == bool(self.case.verified_at)
        assert ("answered" in self.stages) == bool(self.case.answered)

    @rule(seconds=st.integers(0, 100_000))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(verdict=st.sampled_from(Verdict))
    def check(self, verdict: Verdict) -> None:
        spent = spend(self.case, self.now)
        if isinstance(spent, Spent):
            self.wrong += verdict is Verdict.WRONG
            self.take(step(spent.case, Checked(verdict), self.facts(), self.now))

    @rule(text=st.sampled_from(["oui", "A", "b", "C", "quoi ?", "42", "non"]))
    def reply(self, text: str) -> None:
        self.take(step(self.case, Replied("rpl_1", text), self.facts(), self.now))

    @rule(kind=st.sampled_from([*TIMERS, "stop", "resend", "cancel", "visit", "demo_request", "unknown", "accepted"]))
    def happen(self, kind: str) -> None:
        events: dict[str, Any] = {
            **{one: TimerFired(one) for one in TIMERS}, "stop": Stopped("rpl_2"),
            "resend": Resent(), "cancel": Canceled(), "accepted": Settled("proof:1", Outcome.ACCEPTED),
        }  # fmt: skip
        self.take(step(self.case, events.get(kind) or Happened("lev_1", kind), self.facts(kind), self.now))

    @invariant()
    def holds(self) -> None:
        case = getattr(self, "case", None)
        if case is None:
            return
        assert self.closed == case.is_over
        assert self.wrong <= ATTEMPTS
        assert case.sends <= SENDS
        if not case.verified_at:
            assert case.stage == "cold"
        for name in AXES:
            assert 1 <= axis(case, name) <= 5
            assert axis(case, name) == 1 + sum(one.points for one in case.points if one.axis == name)
        assert all(one.source and one.why for one in case.points)
        assert 4 <= total(case, self.model) <= 25
        assert 0 <= intent(case, self.model, self.now) <= 100
        assert view(case, self.model, self.now)["stage"] == case.stage


Leads.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestLeads = Leads.TestCase
