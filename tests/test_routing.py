"""Plans: which accounts may carry a message, best first, and where its answer can come home."""

from __future__ import annotations

from engine.transit.routing import (
    Carrier,
    NoRoute,
    Route,
    Router,
    SenderForm,
    SenderRule,
    elsewhere,
    only_through,
    preferred,
    sender_of,
    without,
)

FORM = SenderForm(b"38123", 3, 0)
ROUTER = Router(
    routes=(
        Route("fr-orange", ("orange", "backup"), countries=frozenset({"FR"}), networks=frozenset({"208-01"})),
        Route("fr", ("backup", "orange", "reply"), countries=frozenset({"FR"})),
        Route("us", ("us",), prefixes=("+1202",)),
    ),
    carriers={
        "orange": Carrier("orange", {"Sceau": FORM, "38123": FORM}),
        "backup": Carrier("backup", {"Sceau": FORM}),
        "reply": Carrier("reply", {"38123": FORM}, replies=frozenset({"38123"})),
        "us": Carrier("us", {"Sceau": FORM}),
    },
    senders=(SenderRule("38123", "app_a", 0), SenderRule("Sceau")),
)


def test_the_first_route_that_matches_and_carries_the_sender_is_planned() -> None:
    plan = ROUTER.plan("Sceau", "+33612345678", "FR", "208-01", 0)
    assert plan == "fr-orange/Sceau"
    assert ROUTER.accounts("fr-orange/Sceau") == ("orange", "backup")
    assert ROUTER.plan("Sceau", "+33612345678", "FR", None, 0) == "fr/Sceau"
    assert ROUTER.plan("Sceau", "+12025550123", "US", None, 0) == "us/Sceau"


def test_only_accounts_that_carry_the_wanted_sender_are_considered() -> None:
    assert ROUTER.accounts("fr/38123") == ("orange", "reply")
    assert ROUTER.plan("38123", "+12025550123", "US", None, 0) == NoRoute("no_sender")


def test_a_destination_that_no_route_serves_has_no_route() -> None:
    assert ROUTER.plan("Sceau", "+61491570156", "AU", None, 0) == NoRoute("no_route")


def test_a_message_that_expects_an_answer_takes_only_accounts_where_it_comes_home() -> None:
    plan = ROUTER.plan("38123", "+33612345678", "FR", None, 0, expects_reply=True)
    assert isinstance(plan, str)
    assert ROUTER.accounts(plan) == ("reply",)
    assert ROUTER.plan("Sceau", "+33612345678", "FR", None, 0, expects_reply=True) == NoRoute("no_reply_route")


def test_a_second_submit_prefers_another_account_and_keeps_the_first_as_the_last_resort() -> None:
    plan = elsewhere(ROUTER, "fr/Sceau", "backup")
    assert plan is not None
    assert ROUTER.accounts(plan) == ("orange", "backup")
    assert elsewhere(ROUTER, "us/Sceau", "us") is None


def test_every_account_of_a_plan_is_tried_once_and_then_there_is_no_other() -> None:
    plan = elsewhere(ROUTER, "fr/Sceau", "backup")
    assert plan is not None
    assert elsewhere(ROUTER, plan, "orange") is None


def test_an_account_that_refused_is_never_taken_again_and_the_last_refusal_is_the_end() -> None:
    """C6: a refusal that every account shares does not wander between them."""
    plan = without(ROUTER, "fr/Sceau~orange", "backup")
    assert plan == "fr/Sceau~orange^backup"
    assert ROUTER.accounts(plan) == ("orange",)
    assert sender_of(plan) == "Sceau"
    assert without(ROUTER, plan, "orange") is None
    assert only_through(plan, "orange") == "fr/Sceau=orange"
    assert without(ROUTER, "fr/38123!reply", "reply") is None


def test_a_part_of_a_long_message_goes_again_through_its_own_account_alone() -> None:
    assert ROUTER.accounts(only_through("fr/Sceau", "orange")) == ("orange",)
    assert ROUTER.accounts(only_through("fr/Sceau~backup", "orange")) == ("orange",)


def test_a_plan_that_settings_no_longer_know_has_no_account() -> None:
    assert ROUTER.accounts("gone/Sceau") == ()


def test_an_application_sends_as_its_own_sender_on_its_lane_and_as_the_common_one_elsewhere() -> None:
    assert ROUTER.sender_for("app_a", 0) == "38123"
    assert ROUTER.sender_for("app_a", 2) == "Sceau"
    assert ROUTER.sender_for("app_b", 0) == "Sceau"
    assert ROUTER.sender_for("app_b", 0, wanted="38123") is None


def test_work_waits_while_no_account_is_usable() -> None:
    assert preferred(("orange", "backup"), frozenset({"backup"})) == "backup"
    assert preferred(("orange",), frozenset({"backup"})) is None
