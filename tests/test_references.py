"""References of long messages on their way: whose they are, and for how long."""

from __future__ import annotations

from engine.clock import VirtualClock
from engine.core import open_core
from engine.keyring import KeyRing
from engine.store.doorway import Store
from engine.transit.references import LiveReferences
from tests.rig import settings
from tests.shipped import shipped_templates

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


async def test_a_new_run_begins_elsewhere_than_the_last_one_did(store: Store) -> None:
    """E19: a handset would join the parts of two messages that bore one number shortly after one another."""
    clock, keyring = VirtualClock(), KeyRing.generate()
    first, second = [
        await open_core(settings(), store, clock, keyring, templates=shipped_templates()) for _ in range(2)
    ]
    used = {first.books.references.draw(f"msg_{number}", "sim", TO, 16) for number in range(100)}
    assert second.books.references.draw("msg_100", "sim", TO, 16) not in used
