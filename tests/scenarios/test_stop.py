"""STOP: said in every marketing text to France, taken at its address, and looked at when a message leaves."""

from __future__ import annotations

from typing import Any

import trio.testing

from engine.store.connections import Database
from tests.couriers import ANNA
from tests.rig import APP, REPLIES, rig

Autojump = trio.testing.MockClock
STOP_AT, CODES = "36180", "38123"
MARKETING = {"lane": "bulk", "stop_address": STOP_AT, "application": APP, "accounts": ["sim"]}
TREE: dict[str, Any] = {
    "senders": {
        "main": {"address": CODES, "lane": "otp", "accounts": ["sim"]},
        "news": {"address": "Boutique", **MARKETING},
        "sales": {"address": "Soldes", **MARKETING},
    },
}


async def test_stop_at_its_address_silences_every_sender_that_names_it_and_no_code(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **TREE) as pair:
        pair.sim.handset(ANNA).reply("Stop.", to=STOP_AT)
        await pair.settled(2)
        [reply] = await pair.rows(REPLIES)
        assert (reply["application_id"], reply["choice"]) == (APP, "opt_out_word")
        asked = [(name, ANNA, name) for name in ("news", "sales", "main")]
        silenced = await pair.core.store.read(lambda tx: pair.core.consent.silenced(tx, APP, asked))
        assert silenced == {"news", "sales"}
        verification = await pair.verify(ANNA, sender="main")
        assert verification.code == "created"
        await pair.settled(5)
        assert pair.sim.handset(ANNA).code is not None  # a code that was just asked for leaves all the same
        pair.sim.handset(ANNA).reply("START", to=STOP_AT)
        await pair.settled(2)
        assert await pair.core.store.read(lambda tx: pair.core.consent.silenced(tx, APP, asked)) == set()
