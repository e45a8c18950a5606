"""Who is told what happened without a call: a follower for each workflow, and readers who are asked in turn."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import workflows
from engine.cases.following import Followers, Reader
from engine.cases.outcomes import Claimed, Wakes
from engine.clock import VirtualClock
from engine.core import open_core
from engine.keyring import KeyRing
from engine.store.doorway import Store
from engine.store.transaction import Tx
from engine.transit.replying import JoinedReply
from tests.rig import APP, PHONE, REPLIES, followers_of, settings

WORKFLOWS = {
    module.WORKFLOW
    for found in pkgutil.iter_modules(workflows.__path__)
    if hasattr(module := importlib.import_module(f"workflows.{found.name}"), "WORKFLOW")
}


async def test_every_workflow_has_a_follower(store: Store) -> None:
    clock = VirtualClock()
    core = await open_core(settings(), store, clock, KeyRing.generate(clock.entropy))
    assert set(followers_of(core)) == WORKFLOWS


@pytest.mark.parametrize(
    ("takes", "state", "asked", "matched"),
    [
        ("second", "whole", ["first", "second"], "matched"),
        ("nobody", "whole", ["first", "second", "third", "unclaimed"], "unmatched"),
        ("second", "incomplete", [], "incomplete"),
    ],
)
async def test_readers_are_asked_in_turn_until_one_takes_a_reply_that_is_whole(
    store: Store, takes: str, state: str, asked: list[str], matched: str
) -> None:
    clock = VirtualClock()
    heard: list[str] = []

    def reader(name: str) -> Reader:
        def read(_tx: Tx, _reply: JoinedReply, _now: int, _wakes: Wakes) -> Claimed | None:
            heard.append(name)
            return Claimed(APP, "ver_1", "because") if name == takes else None

        return read

    followers = Followers(
        clock,
        KeyRing.generate(clock.entropy),
        lambda _address, _text: None,
        {},
        [reader(name) for name in ("first", "second", "third")],
        lambda _tx, _reply, _now: heard.append("unclaimed"),
    )
    reply = JoinedReply("rep_1", "sim", PHONE, PHONE, "38123", "Bonjour", state, "", clock.now())
    await store.write(lambda tx: followers.replied(tx, reply, clock.now()))
    [row] = await store.read(lambda tx: tx.all(REPLIES))
    assert (heard, matched in row) == (asked, True)
