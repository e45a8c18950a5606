"""A store on which a test makes the weather: commits take their time, fail, hang, or come to nobody knows what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from engine.errors import CommitUnknown, StoreUnavailable
from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.transaction import Tx

T = TypeVar("T")


class WeatherStore(Store):
    """Inline, on virtual time. `commit_s` is what a write takes; `down`, `hangs` and `unknown` may change at will."""

    def __init__(self, database: Database, *, commit_s: float = 0.0) -> None:
        super().__init__(database, inline=True)
        self.commit_s = commit_s
        self.down = False
        self.hangs = False
        self.unknown = False
        self.refused = 0

    async def write(self, job: Callable[[Tx], T], *, urgent: bool = False, apart: bool = False) -> T:
        """As `Store.write`, weather permitting."""
        if self.commit_s:
            await trio.sleep(self.commit_s)
        while self.hangs:
            await trio.sleep(0.1)
        if self.down:
            self.refused += 1
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("the database is down")
        value = await super().write(job, urgent=urgent, apart=apart)
        if self.unknown:
            raise CommitUnknown("the answer to COMMIT was lost")
        return value
