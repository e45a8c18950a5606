"""The metrics: every collector is shown, labels hold nothing of a person, bind states exclude each other."""

from __future__ import annotations

from dataclasses import fields

import pytest

from engine.metrics import BIND_STATES, Metrics, label_names

HARMLESS = {"lane", "account", "bind", "route", "state", "status", "cause", "kind", "result", "method"}


def lines(metrics: Metrics) -> list[str]:
    return metrics.render().decode().splitlines()


def test_no_label_can_hold_a_number_a_text_or_a_name_of_a_person() -> None:
    """S30: no personal data in labels."""
    assert label_names(Metrics.create()) <= HARMLESS


def test_every_collector_is_documented_in_what_is_shown() -> None:
    metrics = Metrics.create()
    shown = metrics.render().decode()
    for field in fields(metrics):
        if field.name != "registry":
            assert f"# HELP {getattr(metrics, field.name)._name}" in shown


def test_two_sets_do_not_know_each_other() -> None:
    one, other = Metrics.create(), Metrics.create()
    one.queued.labels("otp").set(7)
    assert 'sceau_messages_queued{lane="otp"} 7.0' in lines(one)
    assert 'sceau_messages_queued{lane="otp"} 7.0' not in lines(other)


def test_a_bind_is_in_one_state_at_a_time() -> None:
    metrics = Metrics.create()
    for state in ("connecting", "bound"):
        metrics.show_bind_state("orange", "main", state)
    shown = [line for line in lines(metrics) if line.startswith("sceau_bind_state{")]
    assert len(shown) == len(BIND_STATES)
    assert [line for line in shown if line.endswith(" 1.0")] == [
        'sceau_bind_state{account="orange",bind="main",state="bound"} 1.0'
    ]


def test_a_bind_state_nobody_listed_is_refused() -> None:
    with pytest.raises(ValueError, match="no such bind state"):
        Metrics.create().show_bind_state("orange", "main", "asleep")


def test_accept_to_wire_is_a_histogram_of_lane_account_and_route() -> None:
    metrics = Metrics.create()
    metrics.accept_to_wire.labels("otp", "orange", "france").observe(0.004)
    counted = 'sceau_accept_to_wire_seconds_bucket{account="orange",lane="otp",le="0.005",route="france"} 1.0'
    assert counted in lines(metrics)
