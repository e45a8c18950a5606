"""The sans-IO session: requests, answers, deliveries, and every octet a peer may send."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.smpp.errors import NotAllowed, NotEncodable
from engine.smpp.events import (
    Alerted,
    Answered,
    Bound,
    Delivered,
    DuplicateAnswer,
    Event,
    Flagged,
    LossReason,
    Lost,
    Unanswered,
)
from engine.smpp.options import BindMode, SessionOptions
from engine.smpp.pdu import (
    AlertNotification,
    BindTransceiver,
    CancelSm,
    CancelSmResp,
    DataSm,
    DataSmResp,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    QuerySm,
    QuerySmResp,
    Status,
    SubmitSm,
    SubmitSmResp,
    Tag,
    Unbind,
    commands,
    encode,
    without_tlvs,
)
from engine.smpp.session import Session
from engine.smpp.states import BindState
from tests.session_kit import DELIVER, SUBMIT, answer, bind_resp, bound, kinds, opened, read, said, submitted
from tests.strategies import chunkings, pdus


def test_the_bind_pdu_says_what_the_options_say() -> None:
    session = Session(SessionOptions(system_id="sceau", password="pw", system_type="x", addr_ton=1), now=0.0)
    ((header, pdu),) = read(session.start(0.0))
    assert header.sequence_number == 1
    assert pdu == BindTransceiver(b"sceau", b"pw", b"x", 0x34, 1)
    with pytest.raises(NotAllowed):
        session.start(0.0)


def test_the_password_is_in_no_repr() -> None:
    assert "secret" not in repr(SessionOptions(system_id="sceau", password="secret"))


def test_a_bind_field_beyond_latin_1_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(NotEncodable):
        SessionOptions(system_id="sceau€").bind_pdu()


@pytest.mark.parametrize(
    ("tlvs", "ours", "allowed"),
    [
        (((Tag.SC_INTERFACE_VERSION, b"\x34"),), 0x34, True),
        (((Tag.SC_INTERFACE_VERSION, b"\x50"),), 0x34, True),
        (((Tag.SC_INTERFACE_VERSION, b"\x33"),), 0x34, False),
        (((Tag.SC_INTERFACE_VERSION, b""),), 0x34, False),
        ((), 0x34, False),
        (((Tag.SC_INTERFACE_VERSION, b"\x34"),), 0x33, False),
    ],
)
def test_a_peer_of_version_3_3_gets_no_optional_parameters(tlvs: Any, ours: int, allowed: bool) -> None:
    """B10: another system_id is fine; no version said, or 0x33, means no TLV in any later submit."""
    session = opened(interface_version=ours)
    (event,) = session.receive(bind_resp(system_id=b"SOMEONE", tlvs=tlvs), 0.0)
    assert isinstance(event, Bound)
    assert event.system_id == b"SOMEONE"
    assert (event.tlvs_allowed, session.tlvs_allowed) == (allowed, allowed)
    with_tlv = SUBMIT._replace(tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\0\1"),))
    ((_, sent),) = read(session.submit([("t", with_tlv)], 0.0))
    assert sent == (with_tlv if allowed else without_tlvs(with_tlv))


def test_a_text_that_lives_in_a_parameter_is_not_sent_to_a_3_3_peer() -> None:
    """B10: refused whole, nothing outstanding."""
    session = opened()
    session.receive(bind_resp(tlvs=()), 0.0)
    long = SubmitSm(destination_addr=b"33612345601", tlvs=((Tag.MESSAGE_PAYLOAD, b"long"),))
    with pytest.raises(NotEncodable):
        session.submit([("a", SUBMIT), ("b", long)], 0.0)
    assert session.outstanding == 0
    assert session.free_slots == 10


def test_the_version_of_a_silent_peer_can_be_settled_by_contract() -> None:
    """B10: many 3.4 peers never say their version."""
    session = opened(assumed_version=0x34)
    session.receive(bind_resp(tlvs=()), 0.0)
    assert session.tlvs_allowed


def test_an_answer_carries_what_the_sender_needs() -> None:
    """C11: congestion_state is exposed with the other parameters."""
    session = bound()
    (sequence,) = submitted(session, ["t"], now=1.0)
    tlvs = ((Tag.CONGESTION_STATE, b"\x5a"),)
    (event,) = session.receive(encode(SubmitSmResp(b"abc", tlvs), sequence), 2.5)
    assert event == Answered("t", 0, b"abc", tlvs, False, 1.0, 2.5, (), SubmitSmResp(b"abc", tlvs))
    assert session.outstanding == 0


def test_an_error_without_a_body_is_an_answer() -> None:
    session = bound()
    (sequence,) = submitted(session, ["t"])
    (event,) = session.receive(answer(sequence, status=Status.ESME_RTHROTTLED), 1.0)
    assert isinstance(event, Answered)
    assert (event.status, event.message_id) == (Status.ESME_RTHROTTLED, b"")


def test_requests_of_every_kind_take_a_slot_and_get_their_own_answer() -> None:
    session = bound()
    session.submit([("q", QuerySm(b"id")), ("c", CancelSm()), ("d", DataSm())], 0.0)
    events = session.receive(
        encode(DataSmResp(b"d-id"), 4) + encode(QuerySmResp(b"id", b"", 2, 0), 2) + encode(CancelSmResp(), 3), 0.0
    )
    assert [(event.token, event.message_id) for event in events if isinstance(event, Answered)] == [
        ("d", b"d-id"),
        ("q", b"id"),
        ("c", b""),
    ]
    assert isinstance(events[1], Answered)
    assert events[1].response == QuerySmResp(b"id", b"", 2, 0)


def test_a_window_overrun_or_a_wrong_pdu_is_our_bug_and_leaves_nothing_behind() -> None:
    session = bound(window=2)
    with pytest.raises(NotAllowed):
        submitted(session, [1, 2, 3])
    for wrong in (DELIVER, EnquireLink(), Unbind(), SubmitSmResp()):
        with pytest.raises(NotAllowed):
            session.submit([(1, SUBMIT), (2, wrong)], 0.0)
    assert (session.outstanding, session.free_slots) == (0, 2)
    assert submitted(session, [1, 2]) != []
    assert session.free_slots == 0


def test_nothing_is_submitted_before_bound_or_on_a_receiver() -> None:
    """B23: a receiver has no slots; asking it all the same is our bug, and no octet leaves."""
    for session in (opened(), bound(mode=BindMode.RX)):
        assert session.free_slots == 0
        with pytest.raises(NotAllowed):
            submitted(session, ["t"])


def test_a_submit_answered_with_a_wrong_bind_status_is_the_senders_to_judge() -> None:
    """B23: 0x04 comes back as the answer it is."""
    session = bound()
    (sequence,) = submitted(session, ["t"])
    (event,) = session.receive(answer(sequence, status=Status.ESME_RINVBNDSTS), 0.0)
    assert isinstance(event, Answered)
    assert event.status == Status.ESME_RINVBNDSTS


def test_an_unsolicited_response_changes_nothing() -> None:
    """B14: flagged, ignored, nothing written."""
    session = bound()
    submitted(session, ["t"])
    assert kinds(session.receive(answer(999), 0.0)) == ["unknown_response"]
    assert session.outstanding == 1
    assert said(session) == []


def test_a_response_after_forty_minutes_completes_the_request() -> None:
    """B15: unanswered at its deadline, its slot free, honoured late."""
    session = bound(enquire_idle=float("inf"), silent=float("inf"), inactivity=float("inf"), window=1)
    (sequence,) = submitted(session, ["t"], deadline_s=5.0)
    assert session.next_deadline() == 5.0
    assert session.tick(5.0) == [Unanswered("t")]
    assert session.free_slots == 1
    (event,) = session.receive(answer(sequence, b"late-id"), 2400.0)
    assert isinstance(event, Answered)
    assert (event.token, event.message_id, event.late, event.sent_at) == ("t", b"late-id", True, 0.0)
    assert kinds(session.receive(answer(sequence, b"late-id"), 2401.0)) == ["duplicate_response"]


def test_of_two_responses_the_first_counts_and_a_second_id_is_told() -> None:
    """B16: one Answered; another id comes as DuplicateAnswer, the same id as a flag alone."""
    session = bound()
    first, second = submitted(session, ["a", "b"])
    events = session.receive(answer(first, b"one") + answer(first, b"two") + answer(second, b"x") * 2, 0.0)
    assert kinds(events) == ["Answered", "duplicate_response", "DuplicateAnswer", "Answered", "duplicate_response"]
    assert events[2] == DuplicateAnswer("a", 0, b"two")


def test_a_response_of_another_command_leaves_the_submit_in_doubt() -> None:
    """B17: deliver_sm_resp for a submit is not success; the right answer still counts, late."""
    session = bound()
    (sequence,) = submitted(session, ["t"])
    events = session.receive(encode(DeliverSmResp(b"id"), sequence), 0.0)
    assert events == [Flagged("mismatched", "deliver_sm_resp for submit_sm"), Unanswered("t")]
    assert kinds(session.receive(encode(DataSmResp(), sequence), 0.0)) == ["mismatched"]
    (event,) = session.receive(answer(sequence), 1.0)
    assert isinstance(event, Answered)
    assert event.late


def test_an_enquire_link_resp_with_a_submits_number_does_not_touch_the_submit() -> None:
    """B17: peers that count their own responses exist; the submit keeps waiting."""
    session = bound()
    (sequence,) = submitted(session, ["t"])
    assert kinds(session.receive(encode(EnquireLinkResp(), sequence), 0.0)) == ["unknown_response"]
    session.tick(5.0)
    assert said(session) == [(EnquireLink, 0, sequence + 1)]
    assert kinds(session.receive(encode(EnquireLinkResp(), sequence), 6.0)) == ["enquire_sequence"]
    assert session.outstanding == 1


def test_sequence_numbers_wrap_and_stay_unique() -> None:
    """B18: from 0x7FFFFFFE with a window of 10."""
    session = bound(first_sequence=0x7FFFFFFD)
    assert submitted(session, list(range(10))) == [0x7FFFFFFE, 0x7FFFFFFF, *range(1, 9)]


def test_a_nack_with_our_number_is_a_definite_refusal() -> None:
    """B19: the status is the nack's; one that says "no error" is still no success."""
    session = bound()
    first, second = submitted(session, ["a", "b"])
    events = session.receive(
        encode(GenericNack(), first, Status.ESME_RINVCMDID) + encode(GenericNack(), second, 0), 0.0
    )
    assert [(event.token, event.status, event.flags) for event in events if isinstance(event, Answered)] == [
        ("a", Status.ESME_RINVCMDID, ("nacked",)),
        ("b", Status.ESME_RUNKNOWNERR, ("nacked",)),
    ]


def test_a_nack_of_nothing_we_sent_is_ignored() -> None:
    """B14, B19: another number than any of ours."""
    session = bound()
    assert kinds(session.receive(encode(GenericNack(), 77, Status.ESME_RINVCMDID), 0.0)) == ["unknown_response"]


def test_deliveries_wait_for_their_acknowledgement_and_echo_the_number() -> None:
    session = bound()
    data = DataSm(source_addr=b"33612345601", tlvs=((Tag.MESSAGE_PAYLOAD, b"x"),))
    frame = encode(DELIVER, 0xFFFFFFF0)
    events = session.receive(frame + encode(data, 0), 0.0)
    assert events == [
        Delivered(0xFFFFFFF0, commands.DELIVER_SM, DELIVER, frame),
        Delivered(0, commands.DATA_SM, data, encode(data, 0)),
    ]
    assert (session.unacknowledged, said(session)) == (2, [])
    assert session.acknowledge(0xFFFFFFF0, 0) == encode(DeliverSmResp(), 0xFFFFFFF0)
    assert session.acknowledge(0, 0x64, commands.DATA_SM) == encode(DataSmResp(), 0, 0x64)
    assert session.unacknowledged == 0


def test_a_full_inbound_side_answers_temporary_and_goes_on() -> None:
    session = bound(inbound_window=2)
    events = session.receive(b"".join(encode(DELIVER, n) for n in range(10, 13)), 0.0)
    assert kinds(events) == ["Delivered", "Delivered", "inbound_full"]
    assert said(session) == [(DeliverSmResp, Status.ESME_RX_T_APPN, 12)]
    session.acknowledge(10, 0)
    assert kinds(session.receive(encode(DELIVER, 13), 0.0)) == ["Delivered"]


def test_what_a_bind_does_not_carry_is_answered_with_wrong_state() -> None:
    """B23: deliver_sm to a transmitter, submit_sm to an ESME, a bind to us: each its own response, 0x04."""
    session = bound(mode=BindMode.TX)
    octets = encode(DELIVER, 5) + encode(SUBMIT, 6) + encode(BindTransceiver(), 7)
    assert kinds(session.receive(octets, 0.0)) == ["not_allowed"] * 3
    assert [(status, sequence) for _, status, sequence in said(session)] == [(4, 5), (4, 6), (4, 7)]
    with pytest.raises(NotAllowed):
        session.acknowledge(5, 0)


def test_outbind_is_ignored_and_never_nacked() -> None:
    """B24: off by default; the session goes on, before bound and after."""
    for session in (opened(), bound()):
        assert kinds(session.receive(encode(Outbind(b"x", b"y"), 3), 0.0)) == ["outbind"]
        assert said(session) == []
        assert session.state is not BindState.CLOSED


def test_an_alert_is_told_and_never_answered() -> None:
    """B25: there is no response PDU for it."""
    session = bound()
    alert = AlertNotification(source_addr=b"33612345601")
    assert session.receive(encode(alert, 9), 0.0) == [Alerted(alert)]
    assert said(session) == []


def test_a_malformed_request_is_answered_and_the_session_goes_on() -> None:
    """A7, A8, A9: own response with the field's error, nack for an unknown command, silence for a response."""
    session = bound()
    long_source = encode(DELIVER, 5).replace(b"33612345601", b"3" * 22)
    long_source = len(long_source).to_bytes(4, "big") + long_source[4:]
    unknown = bytes.fromhex("00000010 00000999 00000000 00000006")
    unknown_response = bytes.fromhex("00000010 80000999 00000000 00000007")
    events = session.receive(long_source + unknown + unknown_response + encode(EnquireLink(), 8), 0.0)
    assert kinds(events) == ["malformed"] * 3
    assert said(session) == [
        (DeliverSmResp, Status.ESME_RINVSRCADR, 5),
        (GenericNack, Status.ESME_RINVCMDID, 6),
        (EnquireLinkResp, 0, 8),
    ]


@pytest.mark.parametrize("length", [0, 1, 4, 15, 70_001, 0x80000000, 0xFFFFFFFF])
def test_a_lying_length_ends_the_session_before_anything_is_awaited(length: int) -> None:
    """A4, A5: nack with RINVCMDLEN and sequence 0, closed in the same call; frames before it count."""
    session = bound()
    (sequence,) = submitted(session, ["a"])
    submitted(session, ["b"])
    events = session.receive(answer(sequence) + length.to_bytes(4, "big"), 0.0)
    assert kinds(events) == ["Answered", "framing", "Lost"]
    assert events[-1] == Lost(LossReason.FRAMING, ("b",))
    assert said(session) == [(GenericNack, Status.ESME_RINVCMDLEN, 0)]
    assert session.receive(encode(EnquireLink(), 1), 0.0) == []


def test_a_thousand_pdus_in_one_read_are_answered_in_order() -> None:
    """A2: enquire_links, each with the peer's number (B4)."""
    session = bound()
    session.receive(b"".join(encode(EnquireLink(), n) for n in range(1000)), 0.0)
    assert said(session) == [(EnquireLinkResp, 0, n) for n in range(1000)]


def _run(chunks: list[bytes]) -> tuple[list[Event], bytes, BindState]:
    session = bound(now=0.0, inbound_window=3)
    submitted(session, list(range(8)))
    events = [event for chunk in chunks for event in session.receive(chunk, 0.0)]
    return events, session.data_to_send(), session.state


_answers = st.builds(encode, st.just(SubmitSmResp(b"id")), st.integers(1, 12), st.sampled_from([0, 0x58]))
_link = st.builds(
    encode, st.sampled_from([EnquireLink(), EnquireLinkResp(), GenericNack(), DELIVER]), st.integers(0, 12)
)
_ends = st.sampled_from([encode(Unbind(), 3), b"\0\0\0\4", b"HTTP/1.1 400 Bad Request\r\n", b"\0\0\0"])
_frames = st.one_of(_answers, _answers, _link, st.builds(encode, pdus(), st.integers(0, 12)), _ends)


@settings(max_examples=200)
@given(st.lists(_frames, max_size=12).map(b"".join).flatmap(lambda s: st.tuples(st.just(s), chunkings(s))))
def test_any_chunking_of_the_same_octets_gives_the_same_events(case: tuple[bytes, list[bytes]]) -> None:
    """A1, A2: at once, cut anywhere, or octet by octet: same events, same answers, same state."""
    stream, chunks = case
    whole = _run([stream])
    assert _run(chunks) == whole
    assert _run([stream[at : at + 1] for at in range(len(stream))]) == whole


@settings(max_examples=50)
@given(pdus())
def test_every_pdu_at_one_octet_a_second_is_read_as_if_written_at_once(pdu: Any) -> None:
    """A1: time passes inside the PDU; no timer cuts it, none of its octets is lost."""
    frame = encode(pdu, 5)[:290]  # longer ones meet the total limit of a dripping PDU
    frame = len(frame).to_bytes(4, "big") + frame[4:]
    at_once = bound(enquire_idle=float("inf"))
    expected, answered = at_once.receive(frame, 0.0), at_once.data_to_send()
    session = bound(enquire_idle=float("inf"))
    events: list[Event] = []
    for second, octet in enumerate(frame):
        events += session.receive(bytes([octet]), float(second))
        assert session.tick(second + 0.999) == []
    assert events == expected
    assert session.data_to_send() == answered


@given(st.binary(max_size=400), st.booleans())
def test_no_octets_make_the_session_raise(octets: bytes, early: bool) -> None:
    """A6, A13: whatever a peer sends gives events, never another exception."""
    session = opened() if early else bound()
    session.receive(octets, 0.0)
    session.tick(40.0)
