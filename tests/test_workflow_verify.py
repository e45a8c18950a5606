"""Verification, rule by rule: starting, joining, sending again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verify_desk import T0, Desk
from workflows.base import (
    SECOND,
    Arm,
    Canceled,
    CancelSends,
    Resent,
    Send,
    TimerFired,
    Verdict,
)
from workflows.profiles import OnPending, ResendPolicy, VerificationProfile
from workflows.verify import Block, State
from workflows.window import Day, Window
from workflows.wording import load_templates, template_path

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
    binding: dict[str, Any] = {"binding": "digest", "amount": "120,00\u00a0€", "payee": "Durand SARL"} if bound else {}
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
def test_a_request_that_cannot_be_worded_is_refused_and_counts_nothing(request_: dict[str, Any], code: str) -> None:
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
    first: dict[str, Any], second: dict[str, Any]
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
