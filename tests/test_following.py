"""Who is told what happened without a call: there is a follower for each workflow."""

from __future__ import annotations

import importlib
import pkgutil

import workflows
from engine.clock import VirtualClock
from engine.core import open_core
from engine.keyring import KeyRing
from engine.store.doorway import Store
from tests.rig import followers_of, settings

WORKFLOWS = {
    module.WORKFLOW
    for found in pkgutil.iter_modules(workflows.__path__)
    if hasattr(module := importlib.import_module(f"workflows.{found.name}"), "WORKFLOW")
}


async def test_every_workflow_has_a_follower(store: Store) -> None:
    clock = VirtualClock()
    core = await open_core(settings(), store, clock, KeyRing.generate(clock.entropy))
    assert set(followers_of(core)) == WORKFLOWS
