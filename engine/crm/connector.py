"""Tells a CRM of leads: batches of those that changed, one at a time, again until they are taken or three days over.

What is posted is each lead's state at that moment, so that order is kept whatever is tried again. Rows say what is
owed: a process that dies in between posts it once more, and an upsert makes no second contact of it.
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx2
import trio

from engine.cases import lead_crm
from engine.cases.lead_crm import Owed
from engine.cases.leads import Leads
from engine.clock import DAY, SECOND, Clock
from engine.crm import hubspot
from engine.errors import CommitUnknown, StoreUnavailable
from engine.logs import logger
from engine.settings_service import Crm
from engine.store.doorway import Store

log = logger("crm")

_LOOK_EVERY_S: Final = 1.0
_GIVEN_UP_AFTER: Final = 3 * DAY
_FIRST_WAIT: Final = 10 * SECOND
_LONGEST_WAIT: Final = 3_600 * SECOND
_ANSWER_MOST: Final = 4 << 20
_BUSY: Final = 429
_SERVER_ERROR: Final = 500


@dataclass(slots=True)
class Connector:
    """One configured CRM. `transport` is for tests; `told` hears of the result of each contact."""

    settings: Crm
    store: Store
    clock: Clock
    leads: Leads
    told: Callable[[str], None] = lambda _result: None
    transport: httpx2.AsyncBaseTransport | None = field(default=None, repr=False)

    async def run(self) -> None:
        """Post whatever is owed, until cancelled."""
        tls = ssl.create_default_context()
        async with httpx2.AsyncClient(
            verify=tls, timeout=self.settings.timeout_s, trust_env=False, transport=self.transport
        ) as client:
            while True:
                try:
                    posted = await self.look(client)
                except (StoreUnavailable, CommitUnknown):
                    log.warning("crm.store_unavailable", connector=self.settings.name)
                    posted = 0
                if not posted:
                    await trio.sleep(_LOOK_EVERY_S)

    async def look(self, client: httpx2.AsyncClient) -> int:
        """Post one batch of what is due; return how many leads were in it."""
        now = self.clock.now()
        name = self.settings.name
        owed = await self.store.read(lambda tx: lead_crm.due(tx, self.leads, name, now, hubspot.BATCH_MOST))
        if owed:
            await self._post(client, owed, now)
        return len(owed)

    async def _post(self, client: httpx2.AsyncClient, owed: Sequence[Owed], now: int) -> None:
        status, answer, wait_s = await self._answer(client, hubspot.upsert_body([one.contact for one in owed]))
        if status is not None and status < 300:
            ids = hubspot.ids_of(answer)
            await self.store.write(lambda tx: lead_crm.taken(tx, self.settings.name, owed, ids))
            self._tell(owed, "taken")
        elif status is None or status == _BUSY or status >= _SERVER_ERROR:
            await self.store.write(lambda tx: self._postpone(tx, owed, now, wait_s))
            self._tell(owed, "again")
        elif len(owed) > 1:
            for one in owed:  # one of them is refused: the others are not to wait for it
                await self._post(client, [one], now)
        else:
            log.warning("crm.refused", connector=self.settings.name, lead=owed[0].contact.lead_id, status=status)
            await self.store.write(lambda tx: lead_crm.taken(tx, self.settings.name, owed, {}))
            self._tell(owed, "refused")

    async def _answer(self, client: httpx2.AsyncClient, body: bytes) -> tuple[int | None, bytes, int]:
        """Return status (None: not reached), body, and how long the CRM wants to be left alone, in seconds."""
        headers = {
            "Authorization": f"Bearer {self.settings.token.get_secret_value()}",
            "Content-Type": "application/json",
        }
        try:
            with trio.fail_after(self.settings.timeout_s):
                answer = await client.post(
                    self.settings.url.rstrip("/") + hubspot.UPSERT_PATH, content=body, headers=headers
                )
        except (httpx2.HTTPError, trio.TooSlowError) as error:
            log.warning("crm.unreachable", connector=self.settings.name, why=type(error).__name__)
            return None, b"", 0
        after = answer.headers.get("retry-after", "")
        wait_s = int(after) if after.isascii() and after.isdecimal() and len(after) < 6 else 0
        return answer.status_code, answer.content[:_ANSWER_MOST], wait_s

    def _postpone(self, tx: lead_crm.Tx, owed: Sequence[Owed], now: int, wait_s: int) -> None:
        given_up = [one for one in owed if now - one.changed_at > _GIVEN_UP_AFTER]
        lead_crm.taken(tx, self.settings.name, given_up, {})
        for one in owed:
            if one not in given_up:
                wait = max(wait_s * SECOND, min(_LONGEST_WAIT, _FIRST_WAIT << min(one.attempts, 10)))
                lead_crm.postpone(tx, self.settings.name, one, now + wait)

    def _tell(self, owed: Sequence[Owed], result: str) -> None:
        for _ in owed:
            self.told(result)
