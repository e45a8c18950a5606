"""smppsim.rules: which destinations a rule fits."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from smppsim.behaviour import Behaviour
from smppsim.rules import Rule


def rule(**conditions: Any) -> Rule:
    return Rule.model_validate({"behaviour": {"response": "never"}, **conditions})


@pytest.mark.parametrize(
    ("conditions", "fitting", "other"),
    [
        ({"destination": "+336*9?"}, b"33612345690", b"33612345600"),
        ({"destination": "336*"}, b"+33612345690", b"+12025550100"),
        ({"regex": "^336.*(00|99)$"}, b"33612345699", b"33612345698"),
        ({"regex": "4567"}, b"33612345678", b"12025550100"),
        ({"first_digit": "13"}, b"+33612345678", b"61491570156"),
        ({"last_digit": "02468"}, b"33612345678", b"33612345679"),
        ({"first_digit": "3", "last_digit": "9"}, b"33612345679", b"61491570159"),
        ({"destination": "336*", "regex": "99$"}, b"33612345699", b"33612345600"),
    ],
)
def test_a_rule_fits_where_all_its_conditions_hold(conditions: dict[str, str], fitting: bytes, other: bytes) -> None:
    assert rule(**conditions).matches(fitting)
    assert not rule(**conditions).matches(other)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"regex": "("}, {"first_digit": "x"}, {"last_digit": ""}, {"destination": "*", "behaviour": {"no": 1}}],
)
def test_a_rule_that_can_never_fit_or_says_nothing_known_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        rule(**wrong)


def test_a_rule_changes_only_what_it_names() -> None:
    whole = rule(destination="*").behaviour.over(Behaviour(receipts_lost=0.5, response="hold"))
    assert (whole.receipts_lost, whole.response) == (0.5, "never")
