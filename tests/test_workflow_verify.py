"""Verification: the conversation, rule by rule, and a machine that tries every order of events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from workflows import verify
from workflows.base import (
    SECOND,
    Answer,
    Arm,
    Audit,
    Binding,
    Canceled,
    CancelSends,
    Checked,
    Disarm,
    Event,
    Finish,
    Notify,
    Outcome,
    Refused,
    Replied,
    Resent,
    Send,
    Settled,
    Step,
    TimerFired,
    Verdict,
    Voiced,
)
from workflows.profiles import OnPending, ResendPolicy, VerificationProfile
from workflows.verify import EVENTS, MOVES, Block, Facts, Request, Spent, State, VerificationCase
from workflows.verify_case import Delivery
from workflows.window import Day, Window
from workflows.wording import load_templates, template_path

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


# Starting.


def test_a_start_sends_a_code_and_arms_expiry_and_fallback() -> None:
    desk = Desk(VerificationProfile(brand="Acme", sender="38123"))
    answer = desk.start(language="fr-FR", purpose="signup")
    assert (answer.code, answer.status) == ("created", 201)
    assert answer.facts["verification_id"] == "vrf_1"
    assert answer.facts["expires_at"] == T0 + 600 * SECOND
    assert answer.facts["sends_remaining"] == 4
    assert 30 * SECOND <= answer.facts["next_send_at"] - T0 <= 33 * SECOND  # type: ignore[operator]
    assert desk.told() == ["created"]
    send = desk.sent()
    assert (send.step, send.language, send.message_class, send.sender) == ("code", "fr", "otp", "38123")
    assert (send.generation, send.expires_at, send.slots) == (1, T0 + 600 * SECOND, ("code",))
    assert Arm("expiry", T0 + 600 * SECOND) in desk.effects
    assert Arm("fallback", T0 + 30 * SECOND) in desk.effects
    assert desk.day.sends == 1


@pytest.mark.parametrize("resend_policy", list(ResendPolicy))
@pytest.mark.parametrize("bound", [False, True])
def test_what_is_sent_renders_with_the_slots_filled(resend_policy: ResendPolicy, bound: bool) -> None:
    desk = Desk(VerificationProfile(brand="Acme", resend_policy=resend_policy, webotp_host="acme.example"))
    binding = {"binding": "digest", "amount": "120,00\u00a0€", "payee": "Durand SARL"} if bound else {}
    desk.start(language="it", **binding)
    send = desk.sent()
    slots = {"code": "482913", "reference": "K7"}
    filled = {**send.params, **{name: slots[name] for name in send.slots}}
    text = load_templates().render(template_path("verify", send.step, send.language), filled)
    assert ("120,00 € a Durand SARL" in text) == bound
    assert ("Rif. K7." in text) == (resend_policy is ResendPolicy.ROTATE)
    assert text.endswith("\n@acme.example #482913")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"language": "pt"}, "language_not_offered"),
        ({"amount": "12 EUR"}, "bad_binding"),
        ({"payee": "Durand"}, "bad_binding"),
        ({"amount": "12 EUR", "payee": "visit evil.example"}, "bad_binding"),
        ({"amount": "12 EUR", "payee": "a\n@evil.fr #1234"}, "bad_binding"),
        ({"amount": "lots", "payee": "Durand"}, "bad_binding"),
    ],
)
def test_a_request_that_cannot_be_worded_is_refused_and_counts_nothing(request_: dict[str, str], code: str) -> None:
    desk = Desk()
    answer = desk.start(**request_)
    assert (answer.code, answer.status) == (code, 422)
    assert desk.day.sends == 0
    assert not desk.cases
    assert all(value not in str(answer.facts) for key, value in request_.items() if key == "payee")


def test_a_start_that_the_shield_blocks_sends_nothing_and_is_told_of() -> None:
    desk = Desk()
    answer = desk.start(block=Block("suspicious", ("prefix_concentration",)))
    assert (answer.code, answer.status, answer.facts["reason"]) == ("blocked", 403, "suspicious")
    assert desk.cases["vrf_1"].state is State.BLOCKED
    assert desk.told() == ["blocked"]
    assert not any(isinstance(effect, Send) for effect in desk.effects)
    assert (desk.window, desk.day) == (Window(), Day())
    assert desk.check("vrf_1", Verdict.RIGHT).status == 403


# A second start.


def test_a_start_of_the_same_session_and_binding_joins_and_says_when_it_may_resend() -> None:
    desk = Desk()
    desk.start(session="s", binding="b")
    joined = desk.start(session="s", binding="b")
    assert (joined.code, joined.status) == ("joined", 200)
    assert joined.facts["verification_id"] == "vrf_1"
    assert joined.facts["resent"] is False
    assert joined.facts["next_send_at"] == desk.window.next_send_at
    assert desk.effects == []
    desk.wait(34)
    joined = desk.start(session="s", binding="b")
    assert (joined.facts["verification_id"], joined.facts["resent"]) == ("vrf_1", True)
    assert desk.sent().role == "code.2"
    assert list(desk.cases) == ["vrf_1"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"session": "victim"}, {"session": "attacker"}),
        ({"session": "victim"}, {}),
        ({}, {"session": "attacker"}),
        ({}, {}),
        ({"session": "s", "binding": "b"}, {"session": "s", "binding": "c"}),
        ({"session": "s", "binding": "b"}, {"session": "s"}),
    ],
)
def test_any_other_start_opens_its_own_case_under_the_same_counters(
    first: dict[str, str], second: dict[str, str]
) -> None:
    """An attacker's start for a victim's number is never approved by the victim's check."""
    desk = Desk()
    desk.start(**first)
    cooling = desk.start(**second)
    assert (cooling.code, cooling.status) == ("cooldown", 429)
    assert "verification_id" not in cooling.facts
    desk.wait(34)
    assert desk.start(**second).facts["verification_id"] == "vrf_3"
    assert desk.window.sends == 2
    assert desk.check("vrf_1", Verdict.RIGHT).code == "approved"
    assert desk.cases["vrf_3"].is_pending
    assert desk.approvals == ["vrf_1"]


def test_starts_without_a_session_join_only_where_the_profile_says_so() -> None:
    desk = Desk(VerificationProfile(join_without_session=True))
    desk.start()
    assert desk.start().code == "joined"
    assert desk.start(session="s").code == "cooldown"


def test_on_pending_conflict_points_to_the_pending_one() -> None:
    desk = Desk(VerificationProfile(on_pending=OnPending.CONFLICT))
    desk.start(session="s")
    answer = desk.start(session="s")
    assert (answer.code, answer.status, answer.facts["verification_id"]) == ("pending", 409, "vrf_1")
    desk.wait(600)
    assert desk.start(session="s").code == "created"


def test_on_pending_replace_cancels_the_old_one_once_a_message_may_be_sent() -> None:
    desk = Desk(VerificationProfile(on_pending=OnPending.REPLACE, cancel_on_air=True))
    desk.start()
    assert desk.start().code == "cooldown"
    assert desk.cases["vrf_1"].is_pending
    desk.wait(34)
    assert desk.start().code == "created"
    assert (desk.cases["vrf_1"].state, desk.cases["vrf_1"].reason) == (State.CANCELED, "replaced")
    assert desk.told() == ["canceled", "created"]
    assert CancelSends(on_air=True) in desk.effects
    answer = desk.check("vrf_1", Verdict.RIGHT)
    assert (answer.code, answer.status) == ("canceled", 410)


def test_cancelling_and_starting_again_resets_no_counter() -> None:
    desk = Desk()
    desk.start()
    for _ in range(4):
        desk.check("vrf_1", Verdict.WRONG)
    assert desk.tell("vrf_1", Canceled()).code == "canceled"
    desk.wait(34)
    desk.start()
    assert desk.view("vrf_2")["attempts_remaining"] == 1
    assert desk.check("vrf_2", Verdict.WRONG).facts["attempts_remaining"] == 0
    assert desk.cases["vrf_2"].state is State.MAX_ATTEMPTS


# Sending again.


def test_five_messages_a_window_and_pauses_that_grow() -> None:
    desk = Desk()
    desk.start()
    for sends, pause in ((2, 30), (3, 60), (4, 120), (5, 240)):
        answer = desk.tell("vrf_1", Resent())
        assert (answer.code, answer.status) == ("cooldown", 429)
        wait_s = (answer.facts["next_send_at"] - desk.now) / SECOND  # type: ignore[operator]
        assert pause <= wait_s <= pause * 1.1
        desk.wait(wait_s)
        assert desk.tell("vrf_1", Resent()).code == "resent"
        assert desk.window.sends == sends
    answer = desk.tell("vrf_1", Resent())
    assert (answer.code, answer.facts["sends_remaining"]) == ("max_sends", 0)
    assert answer.facts["next_send_at"] == desk.window.last_at + 600 * SECOND
    desk.now = answer.facts["next_send_at"]  # type: ignore[assignment]
    assert desk.start().code == "created"


def test_ten_messages_a_day_to_one_number_whatever_the_window_says() -> None:
    desk = Desk()
    desk.now = (T0 // (86_400 * SECOND) + 1) * 86_400 * SECOND
    for number in range(1, 11):
        assert desk.start().code == "created", number
        desk.wait(1_000)
    answer = desk.start()
    assert (answer.code, answer.status) == ("day_limit", 429)
    desk.now = answer.facts["next_send_at"]  # type: ignore[assignment]
    assert desk.start().code == "created"


def test_a_resend_carries_the_same_code_until_the_same_end() -> None:
    """Complaint 3: late messages in any order: either one approves."""
    desk = Desk()
    desk.start()
    desk.wait(90)
    desk.tell("vrf_1", Resent())
    send = desk.sent()
    assert (send.generation, send.expires_at) == (1, T0 + 600 * SECOND)
    assert send.params["life"] == "8 min"
    assert not any(isinstance(effect, CancelSends) for effect in desk.effects)
    assert desk.check("vrf_1", Verdict.RIGHT).code == "approved"


def test_a_rotation_makes_a_new_code_with_a_life_of_its_own_and_stops_the_old_ones_messages() -> None:
    """Complaints 3 and 4: the old code is superseded, at no cost, and never approves."""
    desk = Desk(VerificationProfile(resend_policy=ResendPolicy.ROTATE))
    desk.start()
    assert desk.sent().slots == ("code", "reference")
    desk.wait(90)
    desk.tell("vrf_1", Resent())
    send = desk.sent()
    assert (send.generation, send.expires_at) == (2, desk.now + 600 * SECOND)
    assert desk.effects[:2] == [CancelSends(before_generation=2), Arm("expiry", desk.now + 600 * SECOND)]
    attempts = desk.window.attempts
    answer = desk.check("vrf_1", Verdict.SUPERSEDED)
    assert (answer.code, answer.status, answer.facts["attempts_remaining"]) == ("superseded", 422, 5)
    assert desk.window.attempts == attempts
    assert desk.cases["vrf_1"].attempts == 0
    assert desk.cases["vrf_1"].is_pending


def test_an_expiry_timer_of_an_earlier_code_is_armed_anew() -> None:
    desk = Desk(VerificationProfile(resend_policy=ResendPolicy.ROTATE))
    desk.start()
    desk.wait(500)
    desk.tell("vrf_1", Resent())
    desk.wait(100)
    desk.tell("vrf_1", TimerFired("expiry"))
    assert desk.cases["vrf_1"].is_pending
    assert desk.effects == [Arm("expiry", T0 + 1_100 * SECOND)]


def test_a_resend_never_resets_the_attempts() -> None:
    """Complaint 5: four wrong, a resend, one wrong: locked, and no resend unlocks."""
    desk = Desk(VerificationProfile(resend_policy=ResendPolicy.ROTATE))
    desk.start()
    for _ in range(4):
        desk.check("vrf_1", Verdict.WRONG)
    desk.wait(34)
    assert desk.tell("vrf_1", Resent()).facts["attempts_remaining"] == 1
    assert desk.check("vrf_1", Verdict.WRONG).facts["attempts_remaining"] == 0
    assert desk.tell("vrf_1", Resent()).code == "max_attempts"
    desk.wait(100)
    answer = desk.start()
    assert (answer.code, answer.status, answer.facts["next_send_at"]) == ("locked", 429, desk.window.locked_until)


# Checking.


def test_the_right_code_approves_once_and_for_all() -> None:
    desk = Desk()
    desk.start()
    answer = desk.check("vrf_1", Verdict.RIGHT)
    assert (answer.code, answer.status) == ("approved", 200)
    assert desk.told() == ["approved"]
    assert desk.effects[1:] == [CancelSends(), Disarm("expiry"), Disarm("fallback"), Finish("approved")]
    for verdict in Verdict:
        again = desk.check("vrf_1", verdict)
        assert (again.code, again.status) == ("already_approved", 409)
    assert desk.tell("vrf_1", Resent()).code == "already_approved"
    assert desk.tell("vrf_1", Canceled()).code == "already_approved"
    assert desk.approvals == ["vrf_1"]


def test_two_hundred_right_checks_in_a_row_are_one_approval() -> None:
    """Complaint 6: exactly one approved, 199 already_approved."""
    desk = Desk()
    desk.start()
    codes = [desk.check("vrf_1", Verdict.RIGHT).code for _ in range(200)]
    assert codes == ["approved"] + ["already_approved"] * 199


def test_two_hundred_wrong_checks_in_a_row_are_five_comparisons() -> None:
    """Complaint 6: exactly the allowed number is evaluated."""
    desk = Desk()
    desk.start()
    answers = [desk.check("vrf_1", Verdict.WRONG) for _ in range(200)]
    assert [answer.facts["attempts_remaining"] for answer in answers[:5]] == [4, 3, 2, 1, 0]
    assert [(answer.code, answer.status) for answer in answers] == [("code_mismatch", 422)] * 5 + [
        ("max_attempts", 429)
    ] * 195
    assert len(desk.evaluated) == 5


def test_the_last_allowed_check_may_still_approve() -> None:
    desk = Desk()
    desk.start()
    for _ in range(4):
        desk.check("vrf_1", Verdict.WRONG)
    assert desk.check("vrf_1", Verdict.RIGHT).code == "approved"
    assert desk.window.attempts == 0


def test_the_last_wrong_code_is_told_and_locks_the_number_for_ten_minutes() -> None:
    desk = Desk()
    desk.start()
    for _ in range(4):
        desk.check("vrf_1", Verdict.WRONG)
        assert desk.told() == ["check_failed"]
    desk.check("vrf_1", Verdict.WRONG)
    assert desk.told() == ["check_failed", "max_attempts"]
    assert desk.window.locked_until == T0 + 600 * SECOND
    assert desk.start().code == "locked"
    desk.wait(600)
    assert desk.start().code == "created"
    assert desk.view("vrf_3")["attempts_remaining"] == 5


def test_a_lock_closes_the_other_verifications_of_the_window_when_they_are_checked() -> None:
    desk = Desk()
    desk.start(session="a")
    desk.wait(34)
    desk.start(session="b")
    for _ in range(5):
        desk.check("vrf_1", Verdict.WRONG)
    answer = desk.check("vrf_2", Verdict.RIGHT)
    assert (answer.code, answer.status) == ("max_attempts", 429)
    assert desk.cases["vrf_2"].state is State.MAX_ATTEMPTS
    assert len(desk.evaluated) == 5


def test_an_approval_forgives_its_own_wrong_codes_and_none_of_another_verification() -> None:
    desk = Desk()
    desk.start(session="attacker")
    desk.wait(34)
    desk.start(session="victim")
    for case_id in ("vrf_1", "vrf_1", "vrf_1", "vrf_2"):
        desk.check(case_id, Verdict.WRONG)
    assert desk.check("vrf_2", Verdict.RIGHT).code == "approved"
    assert desk.view("vrf_1")["attempts_remaining"] == 2
    assert desk.start(session="victim").code == "created"


def test_a_wrong_format_costs_no_attempt() -> None:
    desk = Desk()
    desk.start()
    answer = desk.check("vrf_1", Verdict.BAD_FORMAT)
    assert (answer.code, answer.status, answer.facts["attempts_remaining"]) == ("bad_format", 422, 5)
    assert desk.told() == []


@pytest.mark.parametrize("binding", [Binding.MISSING, Binding.MISMATCH])
def test_a_binding_that_is_not_repeated_is_refused_before_anything_is_compared(binding: Binding) -> None:
    desk = Desk()
    desk.start(binding="b")
    answer = desk.check("vrf_1", Verdict.RIGHT, binding)
    assert (answer.code, answer.status, answer.facts["attempts_remaining"]) == (f"binding_{binding}", 422, 5)
    assert desk.evaluated == []
    assert desk.cases["vrf_1"].is_pending


def test_a_check_after_the_end_of_life_says_expired_even_before_the_timer_fired() -> None:
    desk = Desk()
    desk.start()
    desk.wait(600)
    assert desk.view("vrf_1")["state"] == "expired"
    answer = desk.check("vrf_1", Verdict.RIGHT)
    assert (answer.code, answer.status) == ("expired", 410)
    assert desk.told() == ["expired"]
    assert desk.evaluated == []
    desk.tell("vrf_1", TimerFired("expiry"))
    assert desk.effects == []


def test_the_last_instant_of_a_life_still_counts() -> None:
    desk = Desk()
    desk.start()
    desk.now = T0 + 600 * SECOND - 1
    assert desk.check("vrf_1", Verdict.RIGHT).code == "approved"


def _let(desk: Desk, ends: str) -> None:
    match ends:
        case "approved":
            desk.check("vrf_1", Verdict.RIGHT)
        case "expired":
            desk.wait(600)
            desk.tell("vrf_1", TimerFired("expiry"))
        case "max_attempts":
            for _ in range(5):
                desk.check("vrf_1", Verdict.WRONG)
        case "canceled":
            desk.tell("vrf_1", Canceled())
        case "failed":
            desk.tell("vrf_1", Settled("code.1", Outcome.REJECTED, reason="no_route"))


@pytest.mark.parametrize(
    ("ends", "code", "status"),
    [
        ("approved", "already_approved", 409),
        ("expired", "expired", 410),
        ("max_attempts", "max_attempts", 429),
        ("canceled", "canceled", 410),
        ("failed", "failed", 410),
    ],
)
def test_every_end_is_told_apart_a_day_later(ends: str, code: str, status: int) -> None:
    """Complaint 7."""
    desk = Desk()
    desk.start()
    _let(desk, ends)
    desk.wait(86_400)
    assert desk.view("vrf_1")["state"] == ends
    for answer in (desk.check("vrf_1", Verdict.RIGHT), desk.tell("vrf_1", Resent()), desk.tell("vrf_1", Voiced())):
        assert (answer.code, answer.status) == (code, status)
    assert desk.cases["vrf_1"].state == ends


def test_cancelling_twice_is_cancelling_once() -> None:
    desk = Desk(VerificationProfile(cancel_on_air=True))
    desk.start()
    assert desk.tell("vrf_1", Canceled()).status == 200
    assert CancelSends(on_air=True) in desk.effects
    assert desk.tell("vrf_1", Canceled()).status == 200
    assert desk.effects == []


def test_cancelling_after_the_end_of_life_says_expired() -> None:
    desk = Desk()
    desk.start()
    desk.wait(601)
    assert desk.tell("vrf_1", Canceled()).code == "expired"
    assert desk.cases["vrf_1"].state is State.EXPIRED


# What becomes of the message.


def test_acceptance_and_receipt_are_told_once_each_in_this_order() -> None:
    """D12: copies change nothing."""
    desk = Desk()
    desk.start()
    desk.tell("vrf_1", Settled("code.1", Outcome.ACCEPTED))
    assert desk.told() == ["sent"]
    desk.tell("vrf_1", Settled("code.1", Outcome.ACCEPTED))
    assert desk.effects == []
    desk.tell("vrf_1", Settled("code.1", Outcome.DELIVERED))
    assert desk.told() == ["delivered"]
    assert Disarm("fallback") in desk.effects
    for outcome in Outcome:
        desk.tell("vrf_1", Settled("code.1", outcome))
        assert desk.effects == []
    assert desk.view("vrf_1")["delivery"] == "delivered"


def test_a_receipt_without_its_response_tells_both() -> None:
    desk = Desk()
    desk.start()
    desk.tell("vrf_1", Settled("code.1", Outcome.IN_DOUBT))
    assert (desk.told(), desk.view("vrf_1")["delivery"]) == ([], "submitted")
    desk.tell("vrf_1", Settled("code.1", Outcome.DELIVERED))
    assert desk.told() == ["sent", "delivered"]


def test_a_late_receipt_overtakes_unknown_even_after_the_end() -> None:
    desk = Desk()
    desk.start()
    desk.check("vrf_1", Verdict.RIGHT)
    desk.tell("vrf_1", Settled("code.1", Outcome.ACCEPTED))
    desk.tell("vrf_1", Settled("code.1", Outcome.UNKNOWN))
    desk.tell("vrf_1", Settled("code.1", Outcome.DELIVERED))
    assert desk.told() == ["delivered"]
    assert desk.cases["vrf_1"].state is State.APPROVED


def test_fallback_is_due_when_no_receipt_has_come() -> None:
    desk = Desk()
    desk.start()
    desk.tell("vrf_1", Settled("code.1", Outcome.ACCEPTED))
    desk.wait(29.9)
    desk.tell("vrf_1", TimerFired("fallback"))
    assert desk.effects == []
    desk.wait(0.1)
    desk.tell("vrf_1", TimerFired("fallback"))
    (notice,) = [effect for effect in desk.effects if isinstance(effect, Notify)]
    assert notice.event_type == "verification.fallback_due"
    assert (notice.data["reason"], notice.data["voice_codes_remaining"]) == ("no_receipt", 2)
    desk.tell("vrf_1", TimerFired("fallback"))
    assert desk.effects == []
    desk.tell("vrf_1", Settled("code.1", Outcome.UNDELIVERED))
    assert desk.told() == ["undelivered"]


@pytest.mark.parametrize("fallback_after_s", [30, None])
def test_fallback_is_due_at_once_when_the_message_was_not_delivered(fallback_after_s: int | None) -> None:
    desk = Desk(VerificationProfile(fallback_after_s=fallback_after_s))
    desk.start()
    desk.tell("vrf_1", Settled("code.1", Outcome.ACCEPTED))
    desk.tell("vrf_1", Settled("code.1", Outcome.UNDELIVERED, reason="absent"))
    assert desk.told() == ["undelivered", "fallback_due"]
    assert desk.cases["vrf_1"].is_pending


def test_no_fallback_for_a_delivered_message_or_one_that_a_resend_has_overtaken() -> None:
    desk = Desk()
    desk.start()
    desk.wait(34)
    desk.tell("vrf_1", Resent())
    desk.tell("vrf_1", Settled("code.1", Outcome.UNDELIVERED))
    assert desk.told() == ["sent", "undelivered"]
    desk.tell("vrf_1", Settled("code.2", Outcome.DELIVERED))
    desk.wait(60)
    desk.tell("vrf_1", TimerFired("fallback"))
    assert desk.effects == []


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.FAILED, Outcome.EXPIRED])
def test_it_fails_when_no_operator_took_any_message(outcome: Outcome) -> None:
    desk = Desk()
    desk.start()
    desk.wait(34)
    desk.tell("vrf_1", Resent())
    desk.tell("vrf_1", Settled("code.1", outcome))
    assert desk.cases["vrf_1"].is_pending
    desk.tell("vrf_1", Settled("code.2", outcome, reason="barred"))
    assert desk.told() == ["undelivered", "failed"]
    assert (desk.cases["vrf_1"].state, desk.cases["vrf_1"].reason) == (State.FAILED, "barred")


def test_it_does_not_fail_once_the_code_was_given_to_a_voice() -> None:
    desk = Desk()
    desk.start()
    desk.tell("vrf_1", Voiced())
    desk.tell("vrf_1", Settled("code.1", Outcome.REJECTED))
    assert desk.cases["vrf_1"].is_pending


def test_a_message_stopped_by_us_or_of_another_role_changes_nothing() -> None:
    desk = Desk()
    desk.start()
    before = desk.cases["vrf_1"]
    desk.tell("vrf_1", Settled("code.1", Outcome.CANCELED))
    desk.tell("vrf_1", Settled("code.9", Outcome.REJECTED))
    assert desk.cases["vrf_1"] == before


# Voice, replies.


def test_the_code_is_given_to_a_voice_twice_at_most_and_each_time_on_record() -> None:
    desk = Desk()
    desk.start(language="de")
    for call in (1, 2):
        answer = desk.tell("vrf_1", Voiced(by="key_1"))
        assert (answer.code, answer.facts["language"], answer.facts["generation"]) == ("voice_code", "de", 1)
        assert desk.effects == [
            Audit("verification.voice_code", {"by": "key_1", "call": call, "generation": 1}),
            Disarm("fallback"),
        ]
        assert desk.window.sends == 1 + call
    assert (desk.window.sends, desk.day.sends) == (3, 3)
    answer = desk.tell("vrf_1", Voiced())
    assert (answer.code, answer.status) == ("max_voice_codes", 429)
    assert desk.tell("vrf_1", Resent()).code == "cooldown"


def test_a_voice_call_needs_a_send_that_is_left() -> None:
    desk = Desk(VerificationProfile(sends=1))
    desk.start()
    assert desk.tell("vrf_1", Voiced()).code == "max_sends"


def test_a_reply_never_proves_anything() -> None:
    """F5: the sender of a reply can be forged."""
    desk = Desk()
    desk.start()
    desk.tell("vrf_1", Replied("mo_1", "482913", verdict=Verdict.RIGHT))
    assert desk.cases["vrf_1"].is_pending
    assert desk.effects == [Audit("verification.reply_ignored", {"reply_id": "mo_1"})]


def test_nothing_that_a_case_says_of_itself_shows_binding_or_session() -> None:
    desk = Desk()
    desk.start(session="opaque-session", binding="opaque-binding", amount="120,00 EUR", payee="Durand SARL")
    shown = repr(desk.cases["vrf_1"]) + repr(desk.effects) + repr(desk.view("vrf_1"))
    for secret in ("opaque-session", "opaque-binding", "120,00", "Durand"):
        assert secret not in shown


def test_a_closed_case_cannot_be_moved_on() -> None:
    case = VerificationCase("vrf_1", "p", "login", TO, "fr", T0, T0 + SECOND, state=State.APPROVED)
    assert all(not MOVES[state] for state in State if state is not State.PENDING)
    step = verify.step(case, TimerFired("expiry"), Facts(VerificationProfile()), T0 + 2 * SECOND, Random(1))
    assert step == Step(case)


# Every order of events.


class Verifications(RuleBasedStateMachine):
    """Several sessions of one number and purpose, with starts, checks, resends, receipts and timers in any order."""

    @initialize(
        rotate=st.booleans(),
        on_pending=st.sampled_from(OnPending),
        attempts=st.integers(1, 5),
        sends=st.integers(1, 5),
        ttl_s=st.sampled_from([30, 120, 600]),
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

    def _pick(self, place: int) -> str:
        ids = sorted(self.desk.cases, key=lambda case_id: int(case_id.removeprefix("vrf_")))
        return ids[-1 - place % len(ids)]

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

    @rule(session=st.sampled_from(["", "a", "b"]), binding=st.sampled_from(["", "x"]))
    def start(self, session: str, binding: str) -> None:
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
    @rule(place=st.integers(0, 2), event=st.sampled_from([Resent(), Voiced("key_1"), Canceled()]))
    def ask(self, place: int, event: Event) -> None:
        self._count_sends(lambda: self.desk.tell(self._pick(place), event))

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
def test_the_machine_notices_a_mistake(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, mistake: Any) -> None:
    """Its invariants have teeth: a resend that resets attempts, a missing pause, a lost lock, a stranger's join."""
    monkeypatch.setattr(target, name, mistake)
    hunt = settings(
        max_examples=300,
        stateful_step_count=40,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
    )
    with pytest.raises((AssertionError, ValueError)):
        run_state_machine_as_test(Verifications, settings=hunt)
