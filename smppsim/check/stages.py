"""The situations through which a client is led, one short function each, in the order of the table at the end.

They use the simulator's handles alone and judge nothing: what the client did about them is in the trace. Played by
the conductor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import trio

from engine.smpp.pdu import (
    AlertNotification,
    DeliverSm,
    EnquireLink,
    Status,
    SubmitSmResp,
    encode,
)
from engine.smpp.text import Concatenation
from smppsim.behaviour import Cut
from smppsim.dialects import DIALECTS
from smppsim.faults import Drop, Raw, RefuseBinds, Throttle, Unbind
from smppsim.receipts import write_receipt
from smppsim.session import Session
from smppsim.simulator import Simulator

_PHONE: Final = "+33612345600"
_OURS: Final = "38200"
_LONG: Final = "A reply of several parts with € and { brackets }. " * 6
_EMOJI: Final = "Bien reçu 👍🏽, à demain. " * 8
_UNKNOWN_REQUEST: Final = 0x0000_0999
_UNKNOWN_RESPONSE: Final = 0x8000_0999
_NEVER_ASKED: Final = 0x7FFF_FF00
_ATTEMPTS: Final = 3
_REFUSING_S: Final = 45.0
_DUE_S: Final = 11.0
"""After it, a request without an answer is one that the client owes."""


class Theatre(NamedTuple):
    """What a situation plays on."""

    simulator: Simulator
    account: str

    def session(self, *, receives: bool = False) -> Session | None:
        """A bound session of the client, the latest one."""
        found = [each for each in self.simulator.account(self.account).sessions if each.receives or not receives]
        return found[-1] if found else None

    async def bound(self) -> None:
        """As soon as the client is bound."""
        await self.simulator.until(lambda: self.session() is not None)

    async def submits(self, count: int) -> None:
        """As soon as the client has sent so many more messages."""
        stats = self.simulator.stats
        goal = stats.submits + count
        await self.simulator.until(lambda: stats.submits >= goal)


class Stage(NamedTuple):
    """One situation; it is broken off after `most_s`."""

    id: str
    what: str
    most_s: float
    play: Callable[[Theatre], Awaitable[None]]


async def traffic(theatre: Theatre) -> None:
    """Whatever the client does by itself."""
    await trio.sleep(15)


async def probe(theatre: Theatre) -> None:
    """enquire_link from the operator, three times."""
    for _ in range(3):
        session = theatre.session()
        if session is not None:
            session.request(EnquireLink(), trio.current_time())
            theatre.simulator.server.stir()
        await trio.sleep(1)
    await trio.sleep(_DUE_S)


async def replies(theatre: Theatre) -> None:
    """Messages of a handset: short, long, with emoji, cut in each of the four ways."""
    simulator, account = theatre
    handset = simulator.handset(_PHONE)
    submitted = [message.pdu.source_addr for message in simulator.smsc.messages]
    to = submitted[-1].decode("latin-1") if submitted else _OURS
    handset.reply("OUI", to, account=account)
    for way in Concatenation:
        for text in (_LONG, _EMOJI):
            handset.reply(text, to, account=account, cut=way)
            await trio.sleep(0.5)
    await trio.sleep(_DUE_S)


async def receipts(theatre: Theatre) -> None:
    """Receipts of one message in every dialect, intermediate, repeated, and carried by data_sm."""
    simulator, account = theatre
    with trio.move_on_after(5):
        await simulator.until(lambda: len(simulator.smsc.messages))
    messages = list(simulator.smsc.messages)
    if not messages:
        return
    message = messages[-1]
    told = message.behaviour
    simulator.receipt(message, "enroute", intermediate=True)
    try:
        for dialect in (*DIALECTS, "standard"):
            message.behaviour = told.changed({"receipt_text": dialect})
            simulator.receipt(message, "delivered")
            await trio.sleep(0.2)
        message.behaviour = told.changed({"receipt_pdu": "data_sm"})
        simulator.send(account, write_receipt(message, wall=simulator.smsc.wall(), state="delivered"))
    finally:
        message.behaviour = told
    await trio.sleep(_DUE_S)


async def early(theatre: Theatre) -> None:
    """Receipts that overtake their responses."""
    before = theatre.simulator.account(theatre.account).behaviour
    theatre.simulator.behave(theatre.account, receipt_when="before", receipt_delay=0.3, receipts="always")
    try:
        await theatre.submits(3)
        await trio.sleep(1)
    finally:
        theatre.simulator.behave(
            theatre.account,
            receipt_when=before.receipt_when,
            receipt_delay=before.receipt_delay,
            receipts=before.receipts,
        )


_PLAIN: Final = DeliverSm(
    source_addr_ton=1,
    source_addr_npi=1,
    source_addr=_PHONE.removeprefix("+").encode(),
    dest_addr_ton=3,
    destination_addr=_OURS.encode(),
    short_message=b"odd",
)
_ALERT: Final = AlertNotification(source_addr=_PLAIN.source_addr, esme_addr=_OURS.encode())


def _longer(frame: bytes) -> bytes:
    """A changed frame with its command_length made true."""
    return len(frame).to_bytes(4, "big") + frame[4:]


def _bare(command_id: int, sequence: int) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in (16, command_id, 0, sequence))


ODD_PDUS: Final[tuple[Callable[[int], bytes], ...]] = (
    lambda number: encode(_PLAIN._replace(tlvs=((0x1400, b"vendor"),)), number),
    lambda number: encode(_PLAIN._replace(esm_class=0x40, short_message=b""), number),
    lambda number: encode(_PLAIN._replace(data_coding=0x0F), number),
    lambda number: _longer(encode(_PLAIN, number).replace(_PLAIN.source_addr, _PLAIN.source_addr + b"0" * 11)),
    lambda number: _longer(encode(_PLAIN, number) + b"\x14\x01\x00\x40ab"),
    lambda number: _bare(_UNKNOWN_REQUEST, number),
    lambda _: _bare(_UNKNOWN_RESPONSE, _NEVER_ASKED),
    lambda _: encode(SubmitSmResp(b"0"), _NEVER_ASKED + 1),
    lambda number: encode(_ALERT, number),
)
"""What a client should survive, each under the sequence number that it is given."""


async def odd(theatre: Theatre) -> None:
    """PDUs that are not as they should be, an enquire_link behind each to see whether the link still stands."""
    for write in ODD_PDUS:
        await theatre.simulator.until(lambda: theatre.session(receives=True))
        session = theatre.session(receives=True)
        assert session is not None
        theatre.simulator.cause(Raw(hex=write(session.next_sequence()).hex(), session=session.number))
        await trio.sleep(0.5)
        if not session.over:
            session.request(EnquireLink(), trio.current_time())
            theatre.simulator.server.stir()
        await trio.sleep(0.5)
    await trio.sleep(_DUE_S)


async def held(theatre: Theatre) -> None:
    """Responses kept back for a while, then given in reverse, the first of them twice."""
    simulator, account = theatre
    simulator.behave(account, response="hold")
    try:
        await theatre.submits(1)
        await trio.sleep(12)
    finally:
        simulator.behave(account, response="given")
        late = list(reversed(simulator.held))
        if late:
            simulator.release(*late)
    for response in late[:1]:
        message_id = response.message.message_id if response.message is not None else b""
        again = encode(SubmitSmResp(message_id), response.sequence)
        simulator.cause(Raw(hex=again.hex(), session=response.session.number))
    await trio.sleep(5)


async def silence(theatre: Theatre) -> None:
    """A few submits that are never answered."""
    theatre.simulator.behave(theatre.account, response="never")
    try:
        await theatre.submits(1)
        await trio.sleep(3)
    finally:
        theatre.simulator.behave(theatre.account, response="given")
    await trio.sleep(10)


async def throttle(theatre: Theatre) -> None:
    """Every submit throttled for a while."""
    theatre.simulator.cause(Throttle(for_s=8, account=theatre.account))
    await trio.sleep(15)


def _refusing(status: int) -> Callable[[Theatre], Awaitable[None]]:
    async def play(theatre: Theatre) -> None:
        before = theatre.simulator.account(theatre.account).behaviour.answers
        theatre.simulator.behave(theatre.account, answers=[{"status": status}])
        try:
            await theatre.submits(1)
            await trio.sleep(3)
        finally:
            theatre.simulator.behave(theatre.account, answers=before)
        await trio.sleep(5)

    return play


async def unbind(theatre: Theatre) -> None:
    """The operator asks the client to leave."""
    theatre.simulator.cause(Unbind(account=theatre.account))
    await trio.sleep(_DUE_S)
    await theatre.bound()


async def _refuse(theatre: Theatre, status: int) -> None:
    """Refuse binds until the client has tried a few times, or for as long as it may take to do so."""
    stats = theatre.simulator.stats
    goal = stats.binds_refused + _ATTEMPTS
    theatre.simulator.cause(
        RefuseBinds(account=theatre.account, status=status, times=_ATTEMPTS, for_s=_REFUSING_S),
    )
    with trio.move_on_after(_REFUSING_S):
        await theatre.simulator.until(lambda: stats.binds_refused >= goal)


async def drop(theatre: Theatre) -> None:
    """The link is closed, and binds are refused for a while."""
    theatre.simulator.cause(Drop(account=theatre.account))
    await _refuse(theatre, Status.ESME_RBINDFAIL)
    await theatre.bound()


async def ghost(theatre: Theatre) -> None:
    """The link is reset, and the operator takes the session for alive."""
    theatre.simulator.cause(Drop(account=theatre.account, how=Cut.reset))
    await _refuse(theatre, Status.ESME_RALYBND)
    await theatre.bound()


async def dead_link(theatre: Theatre) -> None:
    """The connection stands and carries nothing."""
    theatre.simulator.cause(Drop(account=theatre.account, how=Cut.black_hole))
    dead = [each for each in theatre.simulator.sessions if each.cut is Cut.black_hole]
    await theatre.simulator.until(lambda: all(each.over for each in dead))
    await theatre.bound()


async def credentials(theatre: Theatre) -> None:
    """The link is closed, and the password is wrong from now on."""
    theatre.simulator.cause(RefuseBinds(account=theatre.account, status=Status.ESME_RINVPASWD, for_s=45))
    theatre.simulator.cause(Drop(account=theatre.account))
    await trio.sleep(45)


STAGES: Final = (
    Stage("traffic", "the client's own traffic", 15, traffic),
    Stage("probe", "enquire_link from the operator", 20, probe),
    Stage("replies", "messages of handsets", 25, replies),
    Stage("receipts", "receipts in every dialect", 30, receipts),
    Stage("early", "receipts before their responses", 15, early),
    Stage("odd", "unknown and malformed PDUs", 90, odd),
    Stage("held", "late, repeated and unordered responses", 40, held),
    Stage("silence", "responses that never come", 30, silence),
    Stage("throttle", "ESME_RTHROTTLED", 15, throttle),
    Stage("queue-full", "ESME_RMSGQFUL", 30, _refusing(Status.ESME_RMSGQFUL)),
    Stage("system-error", "ESME_RSYSERR", 30, _refusing(Status.ESME_RSYSERR)),
    Stage("unbind", "unbind from the operator", 75, unbind),
    Stage("drop", "a closed link and refused binds", 120, drop),
    Stage("ghost", "a reset link and ESME_RALYBND", 120, ghost),
    Stage("dead-link", "a dead link", 150, dead_link),
    Stage("credentials", "a refused password", 45, credentials),
)
"""In the order in which they are played: the last one leaves the client unbound."""
