"""smppsim.behaviour, outcomes, scenario and agenda: what can be said, and what is refused."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from engine.smpp.pdu import Status
from smppsim.agenda import Agenda
from smppsim.behaviour import Behaviour, Link
from smppsim.delays import Fixed, Uniform
from smppsim.outcomes import Answer, Outcome
from smppsim.rules import Rule
from smppsim.scenario import Scenario


def test_a_bare_number_is_a_fixed_delay() -> None:
    behaviour = Behaviour.model_validate({"response_delay": 1.5, "receipt_delay": {"kind": "uniform", "high": 2}})
    assert behaviour.response_delay == Fixed(seconds=1.5)
    assert behaviour.receipt_delay == Uniform(low=0, high=2)


@pytest.mark.parametrize("written", [0x58, "0x58", "88", "ESME_RTHROTTLED", "rthrottled"])
def test_a_status_is_read_as_number_hex_or_name(written: object) -> None:
    assert Answer.model_validate({"status": written}).status == Status.ESME_RTHROTTLED


@pytest.mark.parametrize(
    "changes",
    [
        {"respnse": "never"},
        {"answers": []},
        {"answers": [{"status": "ESME_RNOSUCH"}]},
        {"answers": [{"weight": 0}]},
        {"outcomes": [{"state": "lost"}]},
        {"receipts_lost": 1.5},
        {"receipt_delay": {"kind": "uniform", "low": 2, "high": 1}},
        {"response_delay": -1},
        {"receipt_text": "{id.__class__}"},
        {"receipt_text": "{nobody}"},
        {"receipt_text": "standrad"},
    ],
)
def test_a_mistake_in_behaviour_is_an_error_and_never_a_default(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Behaviour().changed(changes)


def test_a_rule_and_a_settings_tree_are_checked_when_they_are_read() -> None:
    with pytest.raises(ValidationError):
        Rule.model_validate({"destination": "336*", "behaviour": {"nonsense": 1}})
    with pytest.raises(ValidationError):
        Scenario.model_validate({"accounts": [{"system_id": "a"}, {"system_id": "a"}]})
    with pytest.raises(ValidationError):
        Link().changed({"window": 0})


def test_changes_keep_what_they_do_not_name() -> None:
    behaviour = Behaviour().changed({"receipts_lost": 0.5}).changed({"response": "never"})
    assert (behaviour.receipts_lost, behaviour.response) == (0.5, "never")


def test_only_a_liar_reports_what_no_handset_got() -> None:
    assert Outcome().on_handset
    assert not Outcome(state="expired").on_handset
    assert not Outcome(state="delivered", reaches_handset=False).on_handset


def test_the_agenda_runs_what_is_due_in_order_and_equal_instants_as_written() -> None:
    agenda, ran = Agenda(), []
    for due, name in ((2.0, "c"), (1.0, "a"), (1.0, "b"), (3.0, "d")):
        agenda.at(due, lambda name, now: ran.append((name, now)), name)
    assert agenda.next_due == 1.0
    assert agenda.run(2.5, limit=2) == 2
    assert agenda.run(2.5, limit=9) == 1
    assert ran == [("a", 2.5), ("b", 2.5), ("c", 2.5)]
    agenda.clear()
    assert (len(agenda), agenda.next_due) == (0, math.inf)
