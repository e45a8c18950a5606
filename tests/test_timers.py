"""Every timer of the link, with the time as an argument."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.smpp.timers import Due, LinkTimers, Timings


def bound(now: float = 0.0, **timings: Any) -> LinkTimers:
    timers = LinkTimers(Timings(**timings), now)
    timers.binding(now)
    timers.bound(now)
    return timers


def test_the_bind_timer_runs_from_the_bind_pdu_until_bound() -> None:
    """B9: 30 s, and nothing of it afterwards."""
    timers = LinkTimers(Timings(), 0.0)
    assert timers.next_deadline() == float("inf")
    timers.binding(0.0)
    assert timers.next_deadline() == 30.0
    assert timers.due(29.9) == []
    assert timers.due(30.0) == [Due.BIND_TIMEOUT]
    assert bound().due(29.9) == []


def test_nothing_is_enquired_before_bound() -> None:
    """B5: only the bind timer runs."""
    timers = LinkTimers(Timings(bind=1000.0), 0.0)
    timers.binding(0.0)
    assert timers.due(999.0) == []


def test_an_idle_link_is_enquired_at_30_and_lost_after_two_misses() -> None:
    """B1: 30 + 10 + 10 s."""
    timers = bound()
    assert timers.next_deadline() == 30.0
    assert timers.due(30.0) == [Due.ENQUIRE]
    timers.enquired(30.0)
    assert timers.next_deadline() == 40.0
    assert timers.due(40.0) == [Due.MISSED, Due.ENQUIRE]
    timers.enquired(40.0)
    assert timers.due(50.0) == [Due.ENQUIRE_TIMEOUT]


def test_an_answered_enquire_starts_the_idle_time_again() -> None:
    timers = bound()
    timers.due(30.0)
    timers.enquired(30.0)
    timers.heard(31.0)
    timers.enquire_answered()
    assert timers.next_deadline() == 61.0


def test_a_miss_among_other_traffic_is_told_and_forgotten() -> None:
    """B2: any octet proves life."""
    timers = bound()
    for at in (30.0, 75.0, 120.0):
        assert timers.due(at) == [Due.ENQUIRE]
        timers.enquired(at)
        timers.heard(at + 5.0)
        assert timers.due(at + 10.0) == [Due.MISSED]
        timers.heard(at + 15.0)


def test_unanswered_submits_and_silence_are_probed_at_5_and_lost_at_15_seconds() -> None:
    """B1: the link's death is seen while submitting."""
    timers = bound()
    timers.heard(1.0)
    timers.submitted(2.0)
    timers.submitted(6.0)  # later ones do not move the beginning of the silence
    assert timers.next_deadline() == 7.0
    assert timers.due(7.0) == [Due.ENQUIRE]
    timers.enquired(7.0)
    assert timers.due(16.9) == []
    assert timers.due(17.0) == [Due.SILENT]


def test_one_octet_ends_the_suspicion_of_silence() -> None:
    timers = bound()
    timers.submitted(0.0)
    timers.due(5.0)
    timers.enquired(5.0)
    timers.heard(14.0)
    timers.waiting(14.0, 1)
    assert timers.due(15.0) == [Due.MISSED]
    assert timers.due(19.0) == [Due.ENQUIRE]


def test_silence_with_nothing_outstanding_is_only_idleness() -> None:
    timers = bound()
    timers.submitted(0.0)
    timers.heard(1.0)
    timers.waiting(1.0, 0)
    assert timers.next_deadline() == 31.0


def test_an_enquire_in_flight_serves_as_the_probe() -> None:
    """B1: no second enquire_link while one waits, and the ten seconds count from the probe."""
    timers = bound(enquire_answer=60.0)
    timers.due(30.0)
    timers.enquired(30.0)
    timers.submitted(31.0)
    assert timers.due(36.0) == []
    assert timers.due(46.0) == [Due.SILENT]


def test_a_pause_of_the_whole_process_ends_no_session_unasked() -> None:
    """B1: after an hour asleep the peer is asked first, and has its time to answer."""
    timers = bound(inactivity=float("inf"))
    timers.submitted(0.0)
    assert timers.due(3600.0) == [Due.ENQUIRE]
    timers.enquired(3600.0)
    assert timers.due(3609.9) == []


def test_an_unfinished_pdu_has_ten_seconds_from_its_last_octet() -> None:
    """A3: 10 s; A1: dripping octets are progress."""
    timers = bound()
    timers.framed(0.0, unfinished=True, completed=False)
    timers.framed(5.0, unfinished=True, completed=False)
    assert timers.due(14.9) == []
    assert timers.due(15.0) == [Due.PDU_TIMEOUT]
    timers.framed(15.0, unfinished=False, completed=True)
    assert timers.due(15.0) == []


def test_a_pdu_may_not_drip_for_ever() -> None:
    """A3: 300 s in all."""
    timers = bound(enquire_idle=float("inf"))
    for at in range(0, 300, 5):
        timers.heard(float(at))
        timers.framed(float(at), unfinished=True, completed=False)
        assert timers.due(float(at)) == []
    assert timers.due(300.0) == [Due.PDU_TIMEOUT]


def test_a_new_unfinished_pdu_behind_a_finished_one_has_its_own_time() -> None:
    """A3: the total counts for one PDU."""
    timers = bound(enquire_idle=float("inf"), pdu_completion_total=20.0)
    for at in range(0, 100, 5):
        timers.heard(float(at))
        timers.framed(float(at), unfinished=True, completed=True)
        assert timers.due(float(at)) == []


def test_inactivity_is_the_last_resort_where_enquire_link_is_off() -> None:
    timers = bound(enquire_idle=float("inf"))
    assert timers.next_deadline() == 120.0
    assert timers.due(120.0) == [Due.INACTIVE]


def test_drain_then_unbind_each_have_their_time() -> None:
    """B26: grace, then 5 s for the unbind_resp."""
    timers = bound()
    timers.draining(0.0, 20.0)
    timers.draining(1.0, 30.0)  # a longer one later does not prolong it
    assert timers.due(20.0) == [Due.DRAINED]
    timers.unbinding(28.0)
    assert timers.next_deadline() == 33.0  # and no enquire_link at 30
    assert timers.due(32.9) == []
    assert timers.due(33.0) == [Due.UNBIND_TIMEOUT]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["heard", "submitted", "waiting", "enquire_answered", "frame", "framed", "tick"]),
            st.sampled_from([0.0, 0.5, 4.0, 11.0]),
        ),
        max_size=40,
    )
)
def test_whatever_happens_the_next_deadline_is_ahead_after_a_tick(steps: list[tuple[str, float]]) -> None:
    """B9: nothing spins. Either the session is over or there is time until the next tick."""
    timers, now = bound(), 0.0
    for step, wait in steps:
        now += wait
        if step == "heard":
            timers.heard(now)
        elif step == "submitted":
            timers.submitted(now)
        elif step == "waiting":
            timers.waiting(now, 1)
        elif step == "enquire_answered":
            timers.enquire_answered()
        elif step == "frame":
            timers.framed(now, unfinished=True, completed=False)
        elif step == "framed":
            timers.framed(now, unfinished=False, completed=True)
        for what in timers.due(now):
            if what is Due.ENQUIRE:
                timers.enquired(now)
            elif what is not Due.MISSED:
                return
        assert timers.next_deadline() > now
