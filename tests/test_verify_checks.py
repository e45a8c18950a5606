"""Verification, rule by rule: checking a code, and every way in which a verification ends."""

from __future__ import annotations

import pytest

from tests.verify_desk import T0, Desk
from workflows.base import (
    SECOND,
    Binding,
    Canceled,
    CancelSends,
    Disarm,
    Finish,
    Outcome,
    Resent,
    Settled,
    TimerFired,
    Verdict,
    Voiced,
)
from workflows.profiles import VerificationProfile
from workflows.verify import State


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
