"""A simulator where an operator should stand: development takes it for one, production has nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from engine.smpp.pdu import (
    BindTransceiverResp,
    DeliverSm,
    DeliverSmResp,
    Header,
    Pdu,
    Unbind,
    UnbindResp,
    commands,
    encode,
)
from engine.store.connections import Database
from tests.rig import RECEIPTS, REPLIES, OpenStream, rig
from tests.scenarios.wire import Autojump
from tests.scripted_smsc import Network
from tests.session_kit import VERSION_34

OPERATOR = {"kind": "operator"}  # the settings do not know who will answer
RECEIPT = b"id:7 sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:DELIVRD err:000 text:"


def delivery(text: bytes, sequence: int, esm_class: int = 0) -> bytes:
    """A deliver_sm of a handset."""
    pdu = DeliverSm(
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr=b"33612345678",
        destination_addr=b"38123",
        esm_class=esm_class,
        short_message=text,
    )
    return encode(pdu, sequence)


def dialling(network: Network) -> Callable[[Any, Any], OpenStream]:
    """A `dial` for the rig that reaches scripted peers."""
    return lambda _bind, _sim: network.connect


def bound_with_deliveries(header: Header, _pdu: Pdu) -> bytes:
    """bind_resp of a simulator, and in the same octets a reply and a receipt."""
    answer = encode(BindTransceiverResp(b"SMPPSIM", VERSION_34), header.sequence_number)
    return answer + delivery(b"Oui", 1) + delivery(RECEIPT, 2, esm_class=4)


def one_more_before_the_end(header: Header, _pdu: Pdu) -> bytes:
    """Another reply, which crossed our unbind, and unbind_resp."""
    return delivery(b"Encore", 3) + encode(UnbindResp(), header.sequence_number)


SCRIPT = {commands.BIND_TRANSCEIVER: bound_with_deliveries, commands.UNBIND: one_more_before_the_end}


async def test_production_neither_stores_nor_acknowledges_what_a_simulator_delivers(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """Its replies would step the cases of real people, and its receipts end their messages."""
    async with trio.open_nursery() as nursery:
        network = Network(nursery, SCRIPT)
        async with rig(
            sqlite_database, dial=dialling(network), bound=0, environment="production", account=OPERATOR
        ) as pair:
            await pair.settled(120)
            assert await pair.rows(REPLIES) == await pair.rows(RECEIPTS) == []
            assert len(network.peers) > 1
            assert {len(peer.seen(Unbind)) for peer in network.peers} == {1}
            assert not any(peer.seen(DeliverSmResp) for peer in network.peers)
            alarms = pair.core.metrics.alarms.labels("sim", "main", "simulator_in_production")._value.get()
            assert alarms == len(network.peers)
        nursery.cancel_scope.cancel()


async def test_development_takes_in_what_a_simulator_delivers(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """The same octets are good ones."""
    async with trio.open_nursery() as nursery:
        network = Network(nursery, SCRIPT)
        async with rig(sqlite_database, dial=dialling(network), account=OPERATOR) as pair:
            await pair.settled()
            assert (len(await pair.rows(REPLIES)), len(await pair.rows(RECEIPTS))) == (1, 1)
            assert len(network.peers[0].seen(DeliverSmResp)) == 2
        nursery.cancel_scope.cancel()
