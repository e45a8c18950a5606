"""What becomes of a verification's messages; voice calls and replies."""

from __future__ import annotations

from random import Random

import pytest

from tests.verify_desk import T0, TO, Desk
from workflows import verify
from workflows.base import (
    SECOND,
    Audit,
    Disarm,
    Notify,
    Outcome,
    Replied,
    Resent,
    Settled,
    Step,
    TimerFired,
    Verdict,
    Voiced,
)
from workflows.profiles import VerificationProfile
from workflows.verify import MOVES, Facts, State, VerificationCase


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
