"""References of long messages on their way: whose they are, and for how long."""

from __future__ import annotations

from engine.transit.references import LiveReferences

TO = "+33612345601"


def test_two_accounts_that_write_to_one_handset_share_its_references() -> None:
    """E19: the handset joins parts by sender and reference, and does not see through which account they came."""
    live = LiveReferences()
    drawn = {live.draw(f"msg_{account}{number}", account, TO, 16) for account in ("a", "b") for number in range(5)}
    assert len(drawn) == len(live) == 10


def test_a_message_keeps_its_reference_on_its_account_and_gets_another_elsewhere() -> None:
    live = LiveReferences()
    first = live.draw("msg_1", "a", TO, 16)
    assert live.draw("msg_1", "a", TO, 16) == first
    assert live.draw("msg_1", "b", TO, 16) != first
    assert len(live) == 1


def test_what_an_earlier_run_left_unfinished_is_not_drawn_again_by_any_account() -> None:
    live = LiveReferences()
    live.hold("msg_1", "a", TO, 0, 16)
    assert live.draw("msg_2", "b", TO, 16) != 0
    live.end("msg_1")
    live.end("msg_1")
    assert len(live) == 1
