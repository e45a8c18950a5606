"""Every PDU out and back, every fault of a peer answered as the catalogue says."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.smpp import pdu
from engine.smpp.errors import CodecError, FramingError, NotEncodable
from engine.smpp.pdu import Status, Tag, commands
from tests import strategies
from tests.golden import GOLDEN

ALL = sorted(pdu.BODIES.values(), key=lambda body: body.command_id)
every_pdu = pytest.mark.parametrize("body", ALL, ids=lambda body: body.__name__)


def frame_of(command_id: int, body: bytes, *, status: int = 0, sequence: int = 7) -> bytes:
    return struct.pack(">IIII", 16 + len(body), command_id, status, sequence) + body


def fault_of(frame: bytes) -> CodecError | None:
    try:
        pdu.decode(frame)
    except CodecError as error:
        return error
    return None


def refused(frame: bytes) -> CodecError:
    with pytest.raises(CodecError) as caught:
        pdu.decode(frame)
    return caught.value


# --- round trips -----------------------------------------------------------------------------------------


@every_pdu
@settings(max_examples=60)
@given(data=st.data())
def test_a_pdu_survives_the_wire(body: type[pdu.Pdu], data: st.DataObject) -> None:
    sent = data.draw(strategies.pdus_of(body))
    sequence = data.draw(strategies.any_sequence)
    status = data.draw(strategies.any_sequence) if pdu.is_response(body.command_id) else 0
    header, received = pdu.decode(pdu.encode(sent, sequence, status))
    assert (type(received), received) == (type(sent), sent)
    assert header[1:] == (body.command_id, status, sequence)


@every_pdu
def test_a_body_has_defaults_one_layout_entry_per_field_and_parameters_last(body: type[pdu.Pdu]) -> None:
    empty = body()
    assert empty._fields[-1] == "tlvs"
    assert len(body.layout) == len(empty._fields) - 1
    assert pdu.decode_flagged(pdu.encode(empty, 1))[1:] == (empty, ())


@every_pdu
def test_bodies_are_immutable(body: type[pdu.Pdu]) -> None:
    with pytest.raises(AttributeError):
        body().tlvs = ()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        body().extra = 1  # type: ignore[union-attr]


def test_every_command_of_3_4_and_the_broadcast_trio_are_spoken() -> None:
    requests = {1, 2, 3, 4, 5, 6, 7, 8, 9, 0x0B, 0x15, 0x21, 0x102, 0x103, 0x111, 0x112, 0x113}
    responses = {number | 0x80000000 for number in requests - {0x0B, 0x102}}
    assert set(pdu.BODIES) == requests | responses | {0x80000000}


@pytest.mark.parametrize("sequence", [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_the_full_range_of_sequence_numbers_is_read_and_echoed(sequence: int) -> None:
    """B4: a response carries the number of its request, whatever the peer counts with."""
    header = pdu.peek(pdu.encode(pdu.EnquireLink(), sequence))
    answer = pdu.encode(pdu.EnquireLinkResp(), header.sequence_number)
    assert pdu.peek(answer).sequence_number == sequence
    assert pdu.peek(pdu.encode_deliver_sm_resp(sequence)).sequence_number == sequence
    assert pdu.peek(pdu.encode_submit_sm_resp(sequence, 0, b"1")).sequence_number == sequence


@every_pdu
@settings(max_examples=5)
@given(data=st.data())
def test_a_repr_shows_sizes_and_never_octets(body: type[pdu.Pdu], data: st.DataObject) -> None:
    canary = b"CanaryKey"
    texts = {
        name: st.just(canary)
        for name, value in zip(body()._fields, body(), strict=True)
        if isinstance(value, bytes) and not name.endswith(("_time", "_date", "_period"))
    }
    made = body(**{name: data.draw(value) for name, value in texts.items()}, tlvs=((0x1400, canary),))
    assert "Canary" not in repr(made)
    assert "Canary" not in f"{made} {made!s}"


def test_a_repr_of_nested_addresses_shows_sizes_only() -> None:
    many = pdu.SubmitMulti(dest_addresses=(pdu.SmeAddress(1, 1, b"33612345678"), pdu.DistributionList(b"VIP")))
    failed = pdu.SubmitMultiResp(unsuccess_smes=(pdu.UnsuccessSme(1, 1, b"33612345678", 11),))
    shown = f"{many} {failed}"
    assert "33612345678" not in shown
    assert "VIP" not in shown
    assert "error_status_code=11" in shown


# --- A6: lengths that lie --------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [-1, 1, 100])
def test_a_frame_must_be_as_long_as_it_says(by: int) -> None:
    """A6: octets are never read beyond the declared slice."""
    frame = pdu.encode(pdu.SubmitSm(), 3)
    with pytest.raises(FramingError) as caught:
        pdu.decode(struct.pack(">I", len(frame) + by) + frame[4:])
    assert not caught.value.recoverable
    assert pdu.answer_to(caught.value) == bytes.fromhex("00000010 80000000 00000002 00000000")


@pytest.mark.parametrize("name", [name for name, golden in GOLDEN.items() if golden.body.command_id < 0x80000000])
def test_a_request_cut_short_anywhere_is_refused_or_a_pdu(name: str) -> None:
    """A6: command_length shorter than the body; the session stays."""
    frame = GOLDEN[name].frame
    for size in range(16, len(frame)):
        error = fault_of(struct.pack(">I", size) + frame[4:size])
        assert error is None or (error.recoverable and error.header is not None)


def test_an_sm_length_beyond_the_end_is_refused() -> None:
    """A6: sm_length longer than what follows."""
    frame = pdu.encode(pdu.DeliverSm(short_message=b"hello"), 7)
    error = refused(struct.pack(">I", len(frame) - 1) + frame[4:-1])
    assert (error.status, error.recoverable) == (Status.ESME_RINVMSGLEN, True)


def test_an_sm_length_of_255_is_refused() -> None:
    """A7: a field over its limit."""
    frame = frame_of(commands.DELIVER_SM, bytes(16) + b"\xff" + bytes(255))
    assert refused(frame).status == Status.ESME_RINVMSGLEN


# --- A7: C-strings in requests and in responses ----------------------------------------------------------


def test_a_source_of_22_digits_without_nul_is_answered_and_the_session_stays() -> None:
    """A7: deliver_sm_resp ESME_RINVSRCADR with the request's sequence number."""
    error = refused(frame_of(commands.DELIVER_SM, b"\0\1\1" + b"3" * 22 + b"\1\1" + b"3" * 60, sequence=0x99))
    assert error.recoverable
    assert error.header == (103, commands.DELIVER_SM, 0, 0x99)
    assert pdu.answer_to(error) == bytes.fromhex("00000010 80000005 0000000A 00000099")


LONG = b"x" * 70
FIELD_FAULTS = {
    "system_id": (commands.BIND_TRANSCEIVER, LONG, Status.ESME_RINVSYSID),
    "password": (commands.BIND_TRANSCEIVER, b"a\0" + LONG, Status.ESME_RINVPASWD),
    "system_type": (commands.BIND_TRANSMITTER, b"a\0b\0" + LONG, Status.ESME_RINVSYSTYP),
    "address_range": (commands.BIND_RECEIVER, b"a\0b\0c\0\x34\0\0" + LONG, Status.ESME_RBINDFAIL),
    "service_type": (commands.SUBMIT_SM, LONG, Status.ESME_RINVSERTYP),
    "source_addr": (commands.SUBMIT_SM, b"\0\1\1" + LONG, Status.ESME_RINVSRCADR),
    "destination_addr": (commands.SUBMIT_SM, b"\0\1\1a\0\1\1" + LONG, Status.ESME_RINVDSTADR),
    "schedule_delivery_time": (commands.SUBMIT_SM, b"\0\1\1a\0\1\1b\0\0\0\0" + LONG, Status.ESME_RINVSCHED),
    "validity_period": (commands.SUBMIT_SM, b"\0\1\1a\0\1\1b\0\0\0\0\0" + LONG, Status.ESME_RINVEXPIRY),
    "message_id": (commands.QUERY_SM, LONG, Status.ESME_RINVMSGID),
    "number_of_dests": (commands.SUBMIT_MULTI, b"\0\1\1a\0\0", Status.ESME_RINVNUMDESTS),
    "number_of_dests 255": (commands.SUBMIT_MULTI, b"\0\1\1a\0\xff", Status.ESME_RINVNUMDESTS),
    "dest_flag": (commands.SUBMIT_MULTI, b"\0\1\1a\0\1\3", Status.ESME_RINVDESTFLAG),
    "dl_name": (commands.SUBMIT_MULTI, b"\0\1\1a\0\1\2" + LONG, Status.ESME_RINVDLNAME),
    "dest address of many": (commands.SUBMIT_MULTI, b"\0\1\1a\0\1\1\1\1" + LONG, Status.ESME_RINVDSTADR),
    "a body that ends at a number": (commands.SUBMIT_SM, b"\0\1", Status.ESME_RINVCMDLEN),
    "a body that ends at a string": (commands.SUBMIT_SM, b"\0\1\1", Status.ESME_RINVCMDLEN),
    "no body": (commands.SUBMIT_SM, b"", Status.ESME_RINVCMDLEN),
}


@pytest.mark.parametrize("tail", [b"", b"\0" * 40], ids=["without NUL", "over the limit"])
@pytest.mark.parametrize("name", FIELD_FAULTS)
def test_a_bad_field_of_a_request_is_answered_with_its_own_status(name: str, tail: bytes) -> None:
    """A7: recoverable, in the request's own response."""
    command_id, body, status = FIELD_FAULTS[name]
    if not body.endswith(LONG):
        tail = b""
    error = refused(frame_of(command_id, body + tail))
    assert (error.status, error.recoverable) == (status, True)
    assert pdu.answer_to(error) == struct.pack(">IIII", 16, command_id | 0x80000000, status, 7)


@pytest.mark.parametrize(
    ("body", "message_id", "flags"),
    [
        (b"abcdef", b"abcdef", ("unterminated:message_id",)),
        (b"i" * 80 + b"\0", b"i" * 80, ("too_long:message_id",)),
        (b"", b"", ("truncated:body",)),
        (b"77\0\4\x27\0\1", b"77", ("overrun:tlvs",)),
        (b"77\0\4\x27", b"77", ("overrun:tlvs",)),
    ],
)
def test_a_bad_field_of_a_response_is_accepted_and_flagged(
    body: bytes, message_id: bytes, flags: tuple[str, ...]
) -> None:
    """A7, A10: the answer counts, however it is written."""
    _, response, seen = pdu.decode_flagged(frame_of(commands.SUBMIT_SM_RESP, body))
    assert (response, seen) == (pdu.SubmitSmResp(message_id), flags)


@every_pdu
def test_a_response_without_a_body_is_always_readable(body: type[pdu.Pdu]) -> None:
    """A7: 16 octets are a legal error response of any command."""
    if pdu.is_response(body.command_id):
        assert pdu.decode_flagged(frame_of(body.command_id, b"", status=8))[1:] == (body(), ())


def test_an_error_response_of_parameters_alone_keeps_them() -> None:
    """A7: some SMSCs leave out the empty message_id."""
    body = b"\0\x1d\0\5busy\0" + b"\4\x23\0\3\3\0\1"
    header, response, flags = pdu.decode_flagged(frame_of(commands.SUBMIT_SM_RESP, body, status=0x45))
    assert header.command_status == 0x45
    assert response == pdu.SubmitSmResp(tlvs=((0x001D, b"busy\0"), (0x0423, b"\3\0\1")))
    assert flags == ("tlv_only_body",)


def test_a_truncated_query_sm_resp_keeps_what_was_there() -> None:
    """A7: numbers missing from a response read as 0, flagged."""
    _, response, flags = pdu.decode_flagged(frame_of(commands.QUERY_SM_RESP, b"77\0\0\2"))
    assert response == pdu.QuerySmResp(b"77", b"", 2, 0)
    assert flags == ("truncated:error_code",)


def test_a_submit_multi_resp_that_promises_more_failures_than_it_has_is_flagged() -> None:
    """A7: the count of a response is not trusted."""
    body = b"9\0\xff" + b"\1\1" + b"336\0" + b"\0\0\0\x0b"
    _, response, flags = pdu.decode_flagged(frame_of(commands.SUBMIT_MULTI_RESP, body))
    assert response == pdu.SubmitMultiResp(b"9", (pdu.UnsuccessSme(1, 1, b"336", 11),))
    assert flags == ("truncated:unsuccess_smes",)


def test_octets_behind_a_command_without_fields_do_no_harm() -> None:
    """A6: an enquire_link is answered whatever trails it."""
    assert pdu.decode_flagged(frame_of(commands.ENQUIRE_LINK, b"\1\2\3"))[1:] == (
        pdu.EnquireLink(),
        ("overrun:tlvs",),
    )


def test_a_time_of_odd_length_is_let_in_with_a_flag() -> None:
    frame = frame_of(commands.DELIVER_SM, b"\0\1\1a\0\1\1b\0\4\0\0\00012345\0\0\0\0\0\0")
    _, body, flags = pdu.decode_flagged(frame)
    assert isinstance(body, pdu.DeliverSm)
    assert (body.validity_period, flags) == (b"12345", ("odd_time:validity_period",))


# --- A8, A9: unknown commands ----------------------------------------------------------------------------


def test_an_unknown_request_is_nacked_with_its_sequence_number() -> None:
    """A8: generic_nack ESME_RINVCMDID, the session stays."""
    error = refused(frame_of(0x00000999, b"whatever", sequence=0x1234))
    assert (error.status, error.recoverable) == (Status.ESME_RINVCMDID, True)
    assert pdu.answer_to(error) == bytes.fromhex("00000010 80000000 00000003 00001234")


def test_an_unknown_response_is_met_with_silence() -> None:
    """A9: recoverable, nothing to send."""
    error = refused(frame_of(0x80000999, b"whatever"))
    assert (error.recoverable, pdu.answer_to(error)) == (True, None)


@pytest.mark.parametrize("command_id", [commands.OUTBIND, commands.ALERT_NOTIFICATION])
def test_a_malformed_request_without_a_response_is_met_with_silence(command_id: int) -> None:
    """B24, B25: outbind and alert_notification are never answered."""
    assert pdu.answer_to(refused(frame_of(command_id, b"x" * 90))) is None


# --- A10, A11: optional parameters -----------------------------------------------------------------------


def test_a_receipt_with_a_vendor_parameter_keeps_it_and_still_matches() -> None:
    """A10: unknown tags are kept and disturb nothing."""
    tlvs = ((0x1400, b"ref-1"), (Tag.RECEIPTED_MESSAGE_ID, b"12aB\0"), (0x3FFF, b""))
    _, body, flags = pdu.decode_flagged(pdu.encode(pdu.DeliverSm(esm_class=4, tlvs=tlvs), 1))
    assert (body.tlvs, flags) == (tlvs, ())
    assert pdu.tlv_text(body.tlvs, Tag.RECEIPTED_MESSAGE_ID) == b"12aB"


def test_the_last_of_a_repeated_parameter_wins() -> None:
    """A10: duplicate tag."""
    frame = pdu.encode(pdu.DeliverSm(tlvs=((Tag.MESSAGE_STATE, b"\1"), (Tag.MESSAGE_STATE, b"\2"))), 1)
    assert pdu.tlv_int(pdu.decode(frame)[1].tlvs, Tag.MESSAGE_STATE) == 2


def test_a_parameter_of_impossible_length_is_ignored_and_flagged() -> None:
    """A10: wrong length."""
    tlvs = ((Tag.MESSAGE_STATE, b"\0\2"), (Tag.NETWORK_ERROR_CODE, b"\3"), (Tag.RECEIPTED_MESSAGE_ID, b"7"))
    _, body, flags = pdu.decode_flagged(pdu.encode(pdu.DeliverSm(tlvs=tlvs), 1))
    assert body.tlvs == ((Tag.RECEIPTED_MESSAGE_ID, b"7"),)
    assert flags == ("tlv_length:message_state", "tlv_length:network_error_code")


@pytest.mark.parametrize("tail", [b"\x04", b"\x04\x27\0", b"\x04\x27\0\1", b"\x14\0\xff\xff" + b"v" * 99])
def test_a_parameter_past_the_end_of_a_request_is_refused(tail: bytes) -> None:
    """A10: deliver_sm_resp ESME_RINVOPTPARSTREAM, the session stays."""
    error = refused(frame_of(commands.DELIVER_SM, bytes(17) + tail))
    assert (error.status, error.recoverable) == (Status.ESME_RINVOPTPARSTREAM, True)


@pytest.mark.parametrize("body", [pdu.SubmitSm, pdu.DeliverSm, pdu.SubmitMulti, pdu.ReplaceSm])
def test_text_in_both_places_is_flagged(body: type[pdu.SubmitSm]) -> None:
    """A11: readers take message_payload, which is left in place."""
    sent = body(short_message=b"short", tlvs=((Tag.MESSAGE_PAYLOAD, b"long"),))
    _, received, flags = pdu.decode_flagged(pdu.encode(sent, 1))
    assert (received, flags) == (sent, ("both:short_message,message_payload",))


def test_an_empty_short_message_beside_a_payload_is_normal() -> None:
    """A11: sm_length 0 is the legal form."""
    assert pdu.decode_flagged(pdu.encode(pdu.SubmitSm(tlvs=((Tag.MESSAGE_PAYLOAD, b"long"),)), 1))[2] == ()


def test_a_header_indicator_over_no_text_is_a_pdu() -> None:
    """A12: esm_class 0x40 with sm_length 0 is the text layer's question, not a crash."""
    frame = pdu.encode(pdu.DeliverSm(esm_class=0x40), 1)
    assert pdu.decode(frame)[1] == pdu.DeliverSm(esm_class=0x40)


# --- what we refuse to send ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (pdu.SubmitSm(source_addr=b"1" * 21), "source_addr"),
        (pdu.SubmitSm(destination_addr=b"1" * 30), "destination_addr"),
        (pdu.SubmitSm(destination_addr=b"1\x002"), "destination_addr"),
        (pdu.SubmitSm(source_addr=b"\0"), "source_addr"),
        (pdu.SubmitSm(service_type=b"TOOBIG"), "service_type"),
        (pdu.SubmitSm(service_type=b"A\0"), "service_type"),
        (pdu.DeliverSm(short_message=bytes(255)), "short_message"),
        (pdu.SubmitSm(validity_period=b"00000000050000R"), "validity_period"),
        (pdu.SubmitSm(schedule_delivery_time=b"0000000005000000R"), "schedule_delivery_time"),
        (pdu.SubmitSm(validity_period=b"\0" * 16), "validity_period"),
        (pdu.SubmitSm(schedule_delivery_time=b"\0" * 16), "schedule_delivery_time"),
        (pdu.SubmitSm(data_coding=256), "data_coding"),
        (pdu.SubmitSm(esm_class=-1), "esm_class"),
        (pdu.SubmitSm(tlvs=((0x0424, bytes(65536)),)), "optional parameter"),
        (pdu.SubmitSm(tlvs=((0x10000, b""),)), "optional parameter"),
        (pdu.SubmitSm(tlvs=((0x0424, bytes(60_000)), (0x1400, bytes(60_000)))), "submit_sm"),
        (pdu.BindTransceiver(system_id=b"s" * 16), "system_id"),
        (pdu.BindTransceiver(password=b"p" * 65), "password"),
        (pdu.SubmitMulti(dest_addresses=()), "dest_addresses"),
        (pdu.SubmitMulti(dest_addresses=(pdu.SmeAddress(),) * 255), "dest_addresses"),
        (pdu.SubmitMulti(dest_addresses=(pdu.DistributionList(b"l" * 21),)), "dl_name"),
        (pdu.SubmitMultiResp(unsuccess_smes=(pdu.UnsuccessSme(),) * 256), "unsuccess_smes"),
        (pdu.SubmitMultiResp(unsuccess_smes=(pdu.UnsuccessSme(0, 0, b"", 2**32),)), "error_status_code"),
        (pdu.SubmitSmResp(b"i" * 65), "message_id"),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_without_its_value(body: pdu.Pdu, field: str) -> None:
    with pytest.raises(NotEncodable, match=field) as caught:
        pdu.encode(body, 1)
    assert "111" not in str(caught.value)


@pytest.mark.parametrize(("sequence", "status"), [(-1, 0), (2**32, 0), (1, 2**32), (1, -1)])
def test_numbers_beyond_32_bits_are_refused(sequence: int, status: int) -> None:
    for body in (pdu.SubmitSm(), pdu.EnquireLinkResp()):
        with pytest.raises(NotEncodable):
            pdu.encode(body, sequence, status)
    with pytest.raises(NotEncodable):
        pdu.encode_submit_sm_resp(sequence, status, b"1")
    with pytest.raises(NotEncodable):
        pdu.encode_deliver_sm_resp(sequence, status)


def test_a_long_password_of_a_provider_is_carried_whole() -> None:
    long = pdu.BindTransceiver(b"id", b"p" * 64)
    assert pdu.decode(pdu.encode(long, 1))[1] == long


# --- 3.3 peers -------------------------------------------------------------------------------------------


def test_a_3_3_peer_gets_no_parameters() -> None:
    """B10: version 3.3 or none announced."""
    sent = pdu.without_tlvs(pdu.SubmitSm(short_message=b"x", tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\0\1"),)))
    assert (type(sent), sent) == (pdu.SubmitSm, pdu.SubmitSm(short_message=b"x"))


@pytest.mark.parametrize("tag", [Tag.MESSAGE_PAYLOAD, Tag.SAR_MSG_REF_NUM])
def test_text_is_never_lost_to_a_3_3_peer_in_silence(tag: int) -> None:
    """B10: a text that lives in parameters cannot be sent without them."""
    with pytest.raises(NotEncodable):
        pdu.without_tlvs(pdu.SubmitSm(tlvs=((tag, b"\0\1"),)))
