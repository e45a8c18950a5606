"""smppsim.scenario_files: scenarios from TOML, and each mistake by its line and field."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from smppsim.cli import app
from smppsim.delays import Uniform
from smppsim.scenario import Scenario
from smppsim.scenario_files import ScenarioError, load_profile, load_scenario, profiles, read_scenario
from smppsim.simulator import Simulator

WRONG = """\
[[accounts]]
system_id = "demo"

[accounts.behaviour]
respnse = "never"
response_delay = { kind = "uniform", low = 1 }
receipt_text = "standrad"
outcomes = [
    { state = "delivered" },
    { state = "lost" },
]

[[accounts.rules]]
behaviour = { receipts_lost = 2 }

[[schedule]]
fault = { kind = "explode" }
"""


def test_every_mistake_is_told_at_once_with_its_line_and_its_field() -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(WRONG, "operator.toml")
    assert [(mistake.line, mistake.field) for mistake in caught.value.mistakes] == [
        (5, "accounts.0.behaviour.respnse"),
        (6, "accounts.0.behaviour.response_delay.high"),
        (7, "accounts.0.behaviour.receipt_text"),
        (10, "accounts.0.behaviour.outcomes.1.state"),
        (14, "accounts.0.rules.0.behaviour.receipts_lost"),
        (17, "schedule.0.fault"),
    ]
    lines = str(caught.value).splitlines()
    assert lines[2] == (
        "operator.toml:7: accounts.0.behaviour.receipt_text: neither the name of a dialect nor a template"
    )


@pytest.mark.parametrize(("text", "line"), [("a = 1\nb = = 2\n", 2), ("a = 1\nb = [", 2), ('a = "', 1)])
def test_what_is_no_toml_is_told_by_its_line_too(text: str, line: int) -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario(text)
    assert [mistake.line for mistake in caught.value.mistakes] == [line]


def test_a_rule_of_the_whole_scenario_names_no_field() -> None:
    with pytest.raises(ScenarioError) as caught:
        read_scenario('[[accounts]]\nsystem_id = "a"\n[[accounts]]\nsystem_id = "a"\n', "two.toml")
    assert str(caught.value) == "two.toml:1: two accounts have the same system_id"


def test_what_holds_for_everybody_holds_where_an_account_does_not_say_otherwise(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        "[behaviour]\nreceipts_lost = 0.5\nresponse_delay = 2\n[link]\nwindow = 5\n"
        '[[rules]]\nlast_digit = "9"\nbehaviour = { response = "never" }\n'
        '[[accounts]]\nsystem_id = "one"\n[accounts.behaviour]\nresponse_delay = 1\n[[accounts]]\nsystem_id = "two"\n'
    )
    one, two = load_scenario(tmp_path / "s.toml").customers()
    assert (one.behaviour.receipts_lost, one.behaviour.response_delay.draw(None)) == (0.5, 1)  # type: ignore[arg-type]
    assert (two.behaviour.response_delay.draw(None), two.link.window) == (2, 5)  # type: ignore[arg-type]
    assert [rule.last_digit for rule in one.rules] == ["9"]


def test_a_scenario_goes_on_top_of_a_profile() -> None:
    own = read_scenario('[[accounts]]\nsystem_id = "own"\n[behaviour]\nresponse_delay = 3\n[link]\nwindow = 7\n')
    both = own.on(load_profile("throttling"))
    assert [account.system_id for account in both.accounts] == ["own"]
    assert both.behaviour.response_delay.draw(None) == 3  # type: ignore[arg-type]
    assert isinstance(both.behaviour.receipt_delay, Uniform)
    assert (both.link.window, both.link.rate) == (7, 20)
    assert both.schedule == load_profile("throttling").schedule
    assert Scenario().on(own).accounts == own.accounts


def test_every_profile_says_what_it_rehearses_and_the_command_lists_it() -> None:
    listed = CliRunner().invoke(app, ["profiles"], env={"COLUMNS": "200"}).stdout
    expected = {"healthy", "slow", "lossy", "throttling", "flapping", "liar", "hostile", "ghost"}
    assert expected <= set(profiles())
    for name, about in profiles().items():
        assert about.endswith(".")
        assert name in listed
        assert about in listed


def test_a_profile_that_does_not_exist_is_refused_with_the_names_of_those_that_do() -> None:
    result = CliRunner().invoke(app, ["serve", "--profile", "helthy"])
    assert result.exit_code == 2
    assert "healthy" in result.stderr


def test_a_schedule_that_names_an_account_that_is_not_there_is_refused_before_the_run() -> None:
    planned = {"at": 5, "fault": {"kind": "drop", "account": "nobody"}}
    scenario = Scenario.model_validate({"accounts": [{"system_id": "bank"}], "schedule": [planned]})
    with pytest.raises(LookupError, match="the schedule's drop names the unknown account nobody"):
        Simulator(scenario)
    named = scenario.changed({"accounts": [{"system_id": "nobody"}]})
    assert named.complete() is named
