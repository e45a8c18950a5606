"""The hand-packed path and the table agree on every input, good or bad."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.smpp import pdu
from engine.smpp.errors import CodecError, ProtocolError
from engine.smpp.pdu.codec import decode_flagged
from engine.smpp.pdu.table import decode_by_table, encode_by_table
from tests import strategies

HOT = [pdu.SubmitSm, pdu.DeliverSm, pdu.SubmitSmResp, pdu.DeliverSmResp]
hot = pytest.mark.parametrize("body", HOT, ids=lambda body: body.__name__)
loose = st.binary(max_size=300)


@hot
@settings(max_examples=150)
@given(data=st.data())
def test_both_ways_of_encoding_give_the_same_octets_or_the_same_refusal(
    body: type[pdu.SubmitSm], data: st.DataObject
) -> None:
    wild = {"source_addr": loose, "destination_addr": loose, "esm_class": st.integers(-2, 300)}
    fields = wild if body in (pdu.SubmitSm, pdu.DeliverSm) else {"message_id": loose}
    chosen = {name: value for name, value in fields.items() if data.draw(st.booleans())}
    made = data.draw(strategies.pdus_of(body, **chosen))
    outcomes = []
    for encode in (pdu.encode, encode_by_table):
        try:
            outcomes.append(encode(made, 1))
        except ProtocolError as error:
            outcomes.append((type(error), str(error)))
    assert outcomes[0] == outcomes[1]


@hot
@settings(max_examples=200)
@given(data=st.data())
def test_both_ways_of_decoding_see_the_same_pdu_or_the_same_fault(
    body: type[pdu.SubmitSm], data: st.DataObject
) -> None:
    octets = bytearray(pdu.encode(data.draw(strategies.pdus_of(body)), 1)[16:])
    for _ in range(data.draw(st.integers(0, 4))):
        if octets:
            octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    del octets[data.draw(st.integers(0, len(octets))) :]
    length = 16 + len(octets)
    frame = length.to_bytes(4, "big") + body.command_id.to_bytes(4, "big") + bytes(7) + b"\1" + octets
    outcomes = []
    for decode in (lambda: decode_flagged(frame)[1:], lambda: decode_by_table(body, frame, pdu.peek(frame))):
        try:
            seen, flags = decode()
            outcomes.append((type(seen), seen, flags))
        except CodecError as error:
            outcomes.append((str(error), error.status, error.header, error.recoverable))
    assert outcomes[0] == outcomes[1]


@given(strategies.any_sequence, strategies.any_sequence, strategies.message_id)
def test_the_short_cut_for_submit_sm_resp_is_the_long_way(sequence: int, status: int, message_id: bytes) -> None:
    assert pdu.encode_submit_sm_resp(sequence, status, message_id) == pdu.encode(
        pdu.SubmitSmResp(message_id), sequence, status
    )


@given(strategies.any_sequence, st.one_of(st.just(0), strategies.any_sequence))
def test_the_short_cut_for_deliver_sm_resp_is_the_long_way(sequence: int, status: int) -> None:
    assert pdu.encode_deliver_sm_resp(sequence, status) == pdu.encode(pdu.DeliverSmResp(), sequence, status)


@given(strategies.message_id, strategies.any_sequence)
def test_a_submit_sm_resp_is_read_from_its_header_on(message_id: bytes, sequence: int) -> None:
    frame = pdu.encode_submit_sm_resp(sequence, 0, message_id)
    assert pdu.decode_submit_sm_resp(frame, pdu.peek(frame)) == (pdu.SubmitSmResp(message_id), ())


def test_octet_strings_are_bytes_and_bodies_plain_tuples() -> None:
    body = pdu.decode(pdu.encode(pdu.DeliverSm(short_message=b"x", tlvs=((0x1400, b"y"),)), 1))[1]
    assert isinstance(body, tuple)
    assert {type(value) for value in body} == {bytes, int, tuple}
    assert type(body.tlvs[0][1]) is bytes
