"""PDUs that the operator damages on the wire: whatever arrives, the engine goes on, and nothing is lost in silence."""

from __future__ import annotations

import pytest
import trio

from engine.smpp.pdu import DeliverSmResp, GenericNack, Status, commands
from engine.store.connections import Database
from engine.store.moves import MESSAGE
from smppsim.behaviour import Cut
from smppsim.faults import (
    BrokenTlvs,
    Corrupt,
    Dribble,
    Drop,
    ForeignOctets,
    FrameFault,
    Nack,
    ResetMidPdu,
    StopMidPdu,
    Truncate,
    UnknownCommand,
    WrongLength,
    WrongSequence,
)
from tests.rig import Rig, rig
from tests.scenarios.wire import Autojump, binds, seen, submits

RESPONSES = {"command": commands.SUBMIT_SM_RESP}
RECEIPTS = {"command": commands.DELIVER_SM}


async def ends(pair: Rig, count: int = 5) -> list[str]:
    """The final states of so many messages, sent while a fault is at work."""
    ids = await pair.send_many([f"Bonjour {number}" for number in range(count)])
    return [await pair.until(one, *MESSAGE.final, within_s=10_000) for one in ids]


@pytest.mark.parametrize(
    ("fault", "rebinds"),
    [
        pytest.param(WrongLength(length=0, **RESPONSES), True, id="A4 length 0"),
        pytest.param(WrongLength(length=15, **RESPONSES), True, id="A4 length 15"),
        pytest.param(WrongLength(length=0xFFFF_FFFF, **RESPONSES), True, id="A5 huge length"),
        pytest.param(WrongLength(by=4, **RESPONSES), True, id="A6 longer than it is"),
        pytest.param(WrongLength(by=-1, **RESPONSES), True, id="A6 shorter than it is"),
        pytest.param(Truncate(**RESPONSES), False, id="A7 no NUL in a response"),
        pytest.param(UnknownCommand(command_id=0x8000_0999, **RESPONSES), False, id="A9 unknown response"),
        pytest.param(WrongSequence(**RESPONSES), False, id="B14 another's number"),
        pytest.param(Nack(**RESPONSES), False, id="B19 generic_nack"),
        pytest.param(Nack(sequence="zero", **RESPONSES), True, id="B20 generic_nack of nothing"),
        pytest.param(StopMidPdu(after=15, **RESPONSES), True, id="A3 begun and never finished"),
        pytest.param(ResetMidPdu(after=20, **RESPONSES), True, id="B13 reset while we read"),
        pytest.param(ForeignOctets(protocol="http", **RESPONSES), True, id="A13 HTTP"),
        pytest.param(ForeignOctets(protocol="tls", **RESPONSES), True, id="A13 TLS"),
        pytest.param(ForeignOctets(protocol="noise", **RESPONSES), True, id="A13 noise"),
    ],
)
async def test_a_damaged_response_costs_a_link_at_most(
    sqlite_database: Database, autojump_clock: Autojump, fault: FrameFault, rebinds: bool
) -> None:
    """A3, A4, A5, A6, A7, A9, A13, B13, B14, B19, B20: on the wire, one PDU of five.

    All five are delivered, the one without an answer by its receipt or a second submit; a refusal by generic_nack
    is one.
    """
    async with rig(sqlite_database) as pair:
        pair.sim.cause(fault)
        states = await ends(pair)
        end = "rejected" if isinstance(fault, Nack) and fault.sequence == "request" else "delivered"
        assert states == [end, *["delivered"] * 4]
        assert (len(binds(pair.sim)) > 1) is rebinds


async def test_a_request_of_an_unknown_kind_is_nacked_and_the_link_stays(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """A8: 0x00000999 instead of a deliver_sm; the receipt comes again after the operator's patience."""
    async with rig(sqlite_database) as pair:
        pair.sim.cause(UnknownCommand(**RECEIPTS))
        assert await ends(pair, 1) == ["delivered"]
        (nack,) = seen(pair.sim, GenericNack)
        assert nack.status == Status.ESME_RINVCMDID
        assert len(binds(pair.sim)) == 1


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("overrun", Status.ESME_RINVOPTPARSTREAM),
        ("half_head", Status.ESME_RINVOPTPARSTREAM),
        ("wrong_length", Status.ESME_ROK),
        ("repeated", Status.ESME_ROK),
        ("unknown", Status.ESME_ROK),
    ],
)
async def test_broken_parameters_of_a_receipt_are_refused_or_passed_over(
    sqlite_database: Database, autojump_clock: Autojump, how: str, status: int
) -> None:
    """A10: on the wire; the session stays."""
    async with rig(sqlite_database) as pair:
        pair.sim.cause(BrokenTlvs.model_validate({"how": how}))
        if status:
            await pair.send("Bonjour")
            await pair.sim.until(lambda: seen(pair.sim, DeliverSmResp))
        else:
            assert await ends(pair, 1) == ["delivered"]
        assert seen(pair.sim, DeliverSmResp)[0].status == status
        assert len(binds(pair.sim)) == 1


async def test_a_response_octet_by_octet_is_a_response(sqlite_database: Database, autojump_clock: Autojump) -> None:
    """A1: one octet each 0.1 s, and nothing is sent twice."""
    async with rig(sqlite_database) as pair:
        pair.sim.cause(Dribble(octets=1, every_s=0.1, times=10))
        assert set(await ends(pair)) == {"delivered"}
        assert len(submits(pair.sim)) == 5
        assert len(binds(pair.sim)) == 1


@pytest.mark.parametrize("seed", range(8))
async def test_octets_overwritten_by_chance_never_stop_the_engine(
    sqlite_database: Database, autojump_clock: Autojump, seed: int
) -> None:
    """A6: every third PDU of the operator for a minute, by seed; then everything still works."""
    async with rig(sqlite_database, seed=seed, honest=False) as pair:
        pair.sim.cause(Corrupt(octets=2, share=0.5, for_s=60, **RECEIPTS))
        await pair.send_many([f"Bonjour {number}" for number in range(10)])
        await trio.sleep(60)
        pair.sim.cause(Drop(how=Cut.reset))
        late = await pair.send("Enfin")
        assert await pair.until(late, "delivered") == "delivered"
