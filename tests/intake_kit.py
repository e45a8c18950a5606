"""The receiving side at store level: an account's desk without binds, fed with PDUs, answers and time by hand.

What a test does reads like the wire: `sent`, `answer`, `receipt`, `mo`; what came of it is read back from the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.clock import DAY, HOUR, MINUTE, SECOND, VirtualClock
from engine.core import Core, open_core
from engine.keyring import KeyRing
from engine.smpp.events import Delivered
from engine.smpp.pdu import DataSm, DeliverSm, Tag, Tlv, encode
from engine.smpp.text import Concat, preview
from engine.smpp.text.udh import concat_udh
from engine.store.doorway import Store
from engine.transit import queue
from engine.transit.answers import Answer
from engine.transit.claiming import Claim, InFlight
from engine.transit.classes import CATEGORIES, CLASSES
from engine.transit.inbox import Arrival, Batch
from engine.transit.intake import Desk, TakenIn, take_in
from engine.transit.queue import NewMessage
from engine.transit.reading import Reader
from tests.databases import hurry
from tests.rig import APP, EVENTS, MESSAGES, PARTS, PHONE, RECEIPTS, REPLIES, Statement, settings
from tests.shipped import shipped_templates

__all__ = ["APP", "DAY", "EVENTS", "HOUR", "MESSAGES", "MINUTE", "PARTS", "PHONE", "RECEIPTS", "REPLIES", "SECOND"]

OURS = "38123"
STATES = {
    "ENROUTE": 1, "DELIVRD": 2, "EXPIRED": 3, "DELETED": 4, "UNDELIV": 5, "ACCEPTD": 6, "UNKNOWN": 7, "REJECTD": 8,
}  # fmt: skip


@dataclass
class IntakeKit:
    """One account's intake. `session` is the link on which deliveries arrive, until a test names another."""

    core: Core
    store: Store
    clock: VirtualClock
    reader: Reader
    desk: Desk
    session: str = "ses_1"
    ended: dict[str, int] = field(default_factory=dict)
    _sequence: int = 0

    # Out.

    async def sent(self, parts: int = 1, to: str = PHONE, *, category: str = "transactional", app: str = APP,
                   ttl_s: int = 3_600) -> list[InFlight]:  # fmt: skip
        """A message of so many parts that has just been marked *on wire*: its tokens."""
        text = "Bonjour" if parts == 1 else "a" * (153 * (parts - 1) + 10)
        kind = CLASSES[CATEGORIES[category]]
        now = self.clock.now()
        plan = self.core.router.plan("main", to, "FR", None, int(kind.lane))
        assert isinstance(plan, str)
        assert preview(text).parts == parts
        row = NewMessage(
            id=self.clock.new_id("msg"), application_id=app, case_id=None, category=category, message_class=kind.name,
            lane=int(kind.lane), route=plan, recipient=to, country="FR", sender="main", created_at=now,
            expires_at=now + ttl_s * SECOND, body=text, parts=parts,
        )  # fmt: skip
        await self.store.write(lambda tx: queue.enqueue(tx, [row]))
        return await self.claimed(row._asdict())

    async def claimed(self, row: Mapping[str, Any]) -> list[InFlight]:
        """Mark the queued messages of a row's queue *on wire*: the tokens of their parts."""
        pool = self.core.pool
        line = next(iter(pool._slots.values())).line
        claim = Claim(
            lane=row["lane"], plan=row["route"], application_id=row["application_id"], room=50, most=50,
            now=self.clock.now(), run=self.core.run_id, simulated=True, wording=line.sender.wording,
            references=pool.references, books=self.core.books,
        )  # fmt: skip
        claimed = await self.store.write(claim)
        return [token for submits in claimed.submits for token, _ in submits]

    # In.

    async def take(self, **batch: Any) -> TakenIn:
        """Take a batch in, as intake does."""
        made, now = Batch(**batch), self.clock.now()
        return await self.store.write(lambda tx: take_in(tx, made, self.desk, now))

    async def answer(self, token: InFlight, smsc_id: str = "", status: int = 0, *, late: bool = False) -> TakenIn:
        """A submit_sm_resp."""
        return await self.take(answers=[Answer(token, status, smsc_id, late)])

    async def silence(self, *tokens: InFlight) -> TakenIn:
        """No answer to these."""
        return await self.take(silent=list(tokens))

    async def receipt(self, smsc_id: str, stat: str = "DELIVRD", to: str = PHONE, **odd: Any) -> TakenIn:
        """A receipt as most SMSCs write it."""
        return await self.arrive(receipt(smsc_id, stat, to, **odd))

    def read(self, pdu: DeliverSm | DataSm) -> Arrival:
        """A delivery as the line hands it to the inbox."""
        self._sequence += 1
        raw = encode(pdu, self._sequence)
        [arrival] = self.reader.read([Delivered(self._sequence, pdu.command_id, pdu, raw)], self.session)
        return arrival

    async def arrive(self, *pdus: DeliverSm | DataSm, acknowledged: bool = True) -> TakenIn:
        """Deliveries in one batch, and the note that their responses were written."""
        arrivals = [self.read(pdu) for pdu in pdus]
        taken = await self.take(arrivals=arrivals)
        digests = [arrival.part.digest for arrival in arrivals if arrival.part is not None]
        if acknowledged and digests:
            await self.take(acknowledged=digests)
        return taken

    def end_session(self, new: str) -> None:
        """The link drops; what comes next comes on another."""
        self.ended[self.session] = self.clock.now()
        self.session = new

    async def look(self, name: str) -> None:
        """Run one duty now."""
        await self.core.rounds.look(next(duty for duty in self.core.rounds.duties if duty.name == name))

    # Rows.

    async def rows(self, statement: Statement) -> list[dict[str, Any]]:
        """All rows of a statement over one table."""
        table = {MESSAGES: "message", PARTS: "part", EVENTS: "event", RECEIPTS: "receipt", REPLIES: "reply"}[statement]
        from sqlmodel import SQLModel

        names = [column.name for column in SQLModel.metadata.tables[table].columns]
        found = await self.store.read(lambda tx: tx.all(statement))
        return [dict(zip(names, row, strict=True)) for row in found]

    async def message(self, token: InFlight) -> dict[str, Any]:
        """The message of a token."""
        return next(row for row in await self.rows(MESSAGES) if row["id"] == token.message_id)

    async def state(self, token: InFlight) -> str:
        """Its state."""
        return str((await self.message(token))["state"])

    async def events(self, token: InFlight | None = None) -> list[str]:
        """The events of one message, or of all subjects."""
        return [
            row["type"].removeprefix("message.")
            for row in await self.rows(EVENTS)
            if token is None or row["subject_id"] == token.message_id
        ]

    async def effects(self) -> list[str]:
        """What each stored receipt did, in order of arrival."""
        return [row["effect"] for row in await self.rows(RECEIPTS)]

    async def texts(self) -> list[str]:
        """The texts of the replies, opened."""
        keyring = self.core.keyring
        return [keyring.unseal(row["sealed"], row["id"]).decode() for row in await self.rows(REPLIES)]


async def intake_kit(store: Store, seed: int = 0, *, clock: VirtualClock | None = None, **changed: Any) -> IntakeKit:
    """An account `sim` on an open store; `changed` as in `rig.settings`. The same seed has the same keys."""
    hurry(store)
    keyring = KeyRing.generate(VirtualClock(seed=seed).entropy)
    ours = {"code": {"address": OURS, "application": APP, "accounts": ["sim"]}}
    clock = clock or VirtualClock(seed=seed)
    core = await open_core(
        settings(**{"numbers": ours, **changed}), store, clock, keyring, templates=shipped_templates()
    )
    known = core.pool.desk_of("sim")
    assert known is not None
    kit = IntakeKit(core, store, clock, *known)
    joining = core.pool.joining
    kit.desk = Desk(
        kit.desk.rules, kit.desk.books, replace(joining, session_ended=kit.ended.get),
        kit.desk.fingerprint, kit.desk.seal,
    )  # fmt: skip
    return kit


def receipt(
    smsc_id: str, stat: str = "DELIVRD", to: str = PHONE, *, tlv_id: str | None = None, err: str = "000",
    text: str = "Bonjour", esm_class: int = 0x04,
) -> DeliverSm:  # fmt: skip
    """A receipt in the words of appendix B; with `tlv_id` also in optional parameters."""
    words = (
        f"id:{smsc_id} sub:001 dlvrd:001 submit date:2611230700 done date:2611230701 stat:{stat} err:{err} text:{text}"
    )
    tlvs: tuple[Tlv, ...] = ()
    if tlv_id is not None:
        tlvs = ((Tag.RECEIPTED_MESSAGE_ID, tlv_id.encode()), (Tag.MESSAGE_STATE, bytes((STATES[stat],))))
    return DeliverSm(
        source_addr_ton=1, source_addr_npi=1, source_addr=to.removeprefix("+").encode(), dest_addr_ton=5,
        destination_addr=b"Sceau", esm_class=esm_class, short_message=words.encode(), tlvs=tlvs,
    )  # fmt: skip


def mo(
    text: str | bytes, source: str = PHONE, to: str = OURS, *, concat: Concat | None = None, data_coding: int = 0,
    esm_class: int = 0, tlvs: tuple[Tlv, ...] = (),
) -> DeliverSm:  # fmt: skip
    """What a handset wrote; with `concat` one part of it."""
    body = text.encode("ascii") if isinstance(text, str) else text
    if concat is not None:
        body, esm_class = concat_udh(concat) + body, esm_class | 0x40
    return DeliverSm(
        source_addr_ton=1, source_addr_npi=1, source_addr=source.removeprefix("+").encode(), dest_addr_ton=3,
        destination_addr=to.removeprefix("+").encode(), esm_class=esm_class, data_coding=data_coding,
        short_message=body, tlvs=tlvs,
    )  # fmt: skip


def parts(texts: Sequence[str], reference: int = 7, width: int = 8, **given: Any) -> list[DeliverSm]:
    """A long reply, part by part."""
    total = len(texts)
    return [mo(text, concat=Concat(reference, width, total, number), **given) for number, text in enumerate(texts, 1)]
