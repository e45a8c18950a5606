"""The one table of legality: which side sends what, when."""

from __future__ import annotations

import itertools

import pytest

from engine.smpp import pdu
from engine.smpp.pdu import commands as c
from engine.smpp.states import BOUND_BY, MAY_SEND, BindState, Side, allowed

E, S = Side.ESME, Side.SMSC
BOUND = (BindState.BOUND_TX, BindState.BOUND_RX, BindState.BOUND_TRX)
REQUESTS = [number for number in pdu.BODIES if not pdu.is_response(number)]


def states_for(side: Side, command_id: int) -> set[BindState]:
    return {state for state in BindState if allowed(side, state, command_id)}


def test_the_table_has_every_side_and_state() -> None:
    assert set(MAY_SEND) == set(itertools.product(Side, BindState))


@pytest.mark.parametrize(
    ("command_id", "side", "states"),
    [
        (c.BIND_TRANSMITTER, E, {BindState.OPEN}),
        (c.BIND_TRANSCEIVER, E, {BindState.OPEN, BindState.OUTBOUND}),
        (c.OUTBIND, S, {BindState.OPEN}),
        (c.SUBMIT_SM, E, {BindState.BOUND_TX, BindState.BOUND_TRX}),
        (c.SUBMIT_MULTI, E, {BindState.BOUND_TX, BindState.BOUND_TRX}),
        (c.QUERY_SM, E, {BindState.BOUND_TX, BindState.BOUND_TRX}),
        (c.CANCEL_SM, E, {BindState.BOUND_TX, BindState.BOUND_TRX}),
        (c.REPLACE_SM, E, {BindState.BOUND_TX, BindState.BOUND_TRX}),
        (c.BROADCAST_SM, E, {BindState.BOUND_TX, BindState.BOUND_TRX}),
        (c.DATA_SM, E, {BindState.BOUND_TX, BindState.BOUND_TRX}),
        (c.DATA_SM, S, {BindState.BOUND_RX, BindState.BOUND_TRX}),
        (c.DELIVER_SM, S, {BindState.BOUND_RX, BindState.BOUND_TRX}),
        (c.ALERT_NOTIFICATION, S, {BindState.BOUND_RX, BindState.BOUND_TRX}),
        (c.UNBIND, E, set(BOUND)),
        (c.UNBIND, S, set(BOUND)),
        (c.ENQUIRE_LINK, E, set(BOUND)),
        (c.ENQUIRE_LINK, S, {BindState.OPEN, BindState.OUTBOUND, *BOUND}),
    ],
    ids=lambda value: pdu.command_name(value) if isinstance(value, int) else None,
)
def test_requests_are_legal_exactly_where_the_specification_says(
    command_id: int, side: Side, states: set[BindState]
) -> None:
    """B23: a submit on a receiver bind is never legal."""
    assert states_for(side, command_id) == states


def test_we_send_no_enquire_link_before_the_bind_but_answer_one() -> None:
    """B5: an SMSC may probe early."""
    assert not allowed(E, BindState.OPEN, c.ENQUIRE_LINK)
    assert allowed(S, BindState.OPEN, c.ENQUIRE_LINK)
    assert allowed(E, BindState.OPEN, c.ENQUIRE_LINK_RESP)


@pytest.mark.parametrize("state", BOUND)
def test_whoever_receives_a_request_may_answer_it(state: BindState) -> None:
    for side, other in ((E, S), (S, E)):
        for command_id in set(REQUESTS) - c.UNANSWERED:
            asked = allowed(side, state, command_id)
            assert allowed(other, state, command_id | c.RESPONSE) == asked, pdu.command_name(command_id)


def test_only_the_esme_binds_and_only_the_smsc_answers_binds() -> None:
    for command_id in c.BINDS:
        assert states_for(S, command_id) == states_for(E, command_id | c.RESPONSE) == set()
        assert BindState.OPEN in states_for(S, command_id | c.RESPONSE)


def test_after_unbind_only_answers_pass() -> None:
    """B11: outstanding responses are honoured, new requests are not."""
    assert allowed(S, BindState.UNBOUND, c.SUBMIT_SM_RESP)
    assert allowed(E, BindState.UNBOUND, c.UNBIND_RESP)
    assert allowed(E, BindState.UNBOUND, c.DELIVER_SM_RESP)
    for side in Side:
        assert not any(allowed(side, BindState.UNBOUND, command_id) for command_id in REQUESTS)


def test_nothing_passes_once_closed_and_nothing_unknown_ever() -> None:
    for side in Side:
        assert not any(allowed(side, BindState.CLOSED, command_id) for command_id in pdu.BODIES)
        assert not any(allowed(side, state, 0x999) for state in BindState)


def test_generic_nack_is_legal_wherever_octets_flow() -> None:
    for side in Side:
        assert states_for(side, c.GENERIC_NACK) == set(BindState) - {BindState.CLOSED}


def test_each_bind_response_leads_to_its_own_bound_state() -> None:
    assert {pdu.command_name(number): state.value for number, state in BOUND_BY.items()} == {
        "bind_transmitter_resp": "bound_tx",
        "bind_receiver_resp": "bound_rx",
        "bind_transceiver_resp": "bound_trx",
    }
