"""Hypothesis strategies for every PDU, written from the specification's size tables and not from our layouts.

Imported by the tests of the codec, the session, the simulator and the scenarios.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

from hypothesis import strategies as st

from engine.smpp import pdu

octet = st.integers(0, 0xFF)
sequence = st.integers(1, 0x7FFFFFFF)
any_sequence = st.integers(0, 0xFFFFFFFF)
"""What a peer may send: some start at 0, others use all 32 bits."""


def c_string(limit: int) -> st.SearchStrategy[bytes]:
    """Octets without NUL for a field of `limit` octets, which count the NUL."""
    return st.binary(max_size=limit - 1).map(lambda octets: octets.replace(b"\0", b"\1"))


def ascii_string(limit: int) -> st.SearchStrategy[bytes]:
    """As `c_string`, printable ASCII alone."""
    return st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=limit - 1).map(str.encode)


digits = st.from_regex(rb"\A[0-9]{3,20}\Z")
relative_time = st.integers(1, 99 * 86_400).map(pdu.relative_validity)
absolute_time = st.integers(946_684_800, 4_102_444_799).map(lambda s: pdu.absolute_time(s * 1_000_000))
smpp_time = st.one_of(st.just(b""), relative_time, absolute_time)
short_message = st.binary(max_size=254)
message_id = c_string(65)

vendor_tlv = st.tuples(st.integers(0x1400, 0x3FFF), st.binary(max_size=40))
known_tlv = st.one_of(
    *(
        st.tuples(st.just(tag), st.binary(min_size=least, max_size=most))
        for tag, least, most in (
            (pdu.Tag.RECEIPTED_MESSAGE_ID, 1, 65),
            (pdu.Tag.MESSAGE_STATE, 1, 1),
            (pdu.Tag.NETWORK_ERROR_CODE, 3, 3),
            (pdu.Tag.USER_MESSAGE_REFERENCE, 2, 2),
            (pdu.Tag.SAR_MSG_REF_NUM, 2, 2),
            (pdu.Tag.SAR_TOTAL_SEGMENTS, 1, 1),
            (pdu.Tag.SAR_SEGMENT_SEQNUM, 1, 1),
            (pdu.Tag.CALLBACK_NUM, 4, 19),
            (pdu.Tag.SC_INTERFACE_VERSION, 1, 1),
            (pdu.Tag.ADDITIONAL_STATUS_INFO_TEXT, 1, 256),
            (pdu.Tag.QOS_TIME_TO_LIVE, 4, 4),
            (pdu.Tag.ALERT_ON_MESSAGE_DELIVERY, 0, 0),
            (pdu.Tag.CONGESTION_STATE, 1, 1),
            (pdu.Tag.MESSAGE_PAYLOAD, 0, 400),
        )
    )
)
tlvs = st.lists(st.one_of(known_tlv, vendor_tlv), max_size=4).map(tuple)

_bind = {
    "system_id": c_string(16),
    "password": c_string(65),
    "system_type": c_string(13),
    "interface_version": st.sampled_from((0x33, 0x34, 0x50)),
    "addr_ton": octet,
    "addr_npi": octet,
    "address_range": c_string(41),
}
_source = {"source_addr_ton": octet, "source_addr_npi": octet, "source_addr": c_string(21)}
_dest = {"dest_addr_ton": octet, "dest_addr_npi": octet, "destination_addr": c_string(21)}
_traits = {
    "esm_class": octet,
    "protocol_id": octet,
    "priority_flag": octet,
    "schedule_delivery_time": smpp_time,
    "validity_period": smpp_time,
    "registered_delivery": octet,
    "replace_if_present_flag": octet,
    "data_coding": octet,
    "sm_default_msg_id": octet,
    "short_message": short_message,
}
_service_type = {"service_type": st.one_of(st.sampled_from((b"", b"CMT", b"USSD")), c_string(6))}
_sm = _service_type | _source | _dest | _traits
_message_id = {"message_id": message_id}
_destination = st.one_of(
    st.builds(pdu.SmeAddress, octet, octet, c_string(21)), st.builds(pdu.DistributionList, c_string(21))
)
_failure = st.builds(pdu.UnsuccessSme, octet, octet, c_string(21), any_sequence)

_FIELDS: dict[type[pdu.Pdu], dict[str, st.SearchStrategy[object]]] = {
    pdu.BindTransmitter: _bind,
    pdu.BindReceiver: _bind,
    pdu.BindTransceiver: _bind,
    pdu.BindTransmitterResp: {"system_id": c_string(16)},
    pdu.BindReceiverResp: {"system_id": c_string(16)},
    pdu.BindTransceiverResp: {"system_id": c_string(16)},
    pdu.Outbind: {"system_id": c_string(16), "password": c_string(65)},
    pdu.Unbind: {},
    pdu.UnbindResp: {},
    pdu.EnquireLink: {},
    pdu.EnquireLinkResp: {},
    pdu.GenericNack: {},
    pdu.SubmitSm: _sm,
    pdu.SubmitSmResp: _message_id,
    pdu.DeliverSm: _sm,
    pdu.DeliverSmResp: _message_id,
    pdu.DataSm: _service_type
    | {
        "source_addr_ton": octet,
        "source_addr_npi": octet,
        "source_addr": c_string(65),
        "dest_addr_ton": octet,
        "dest_addr_npi": octet,
        "destination_addr": c_string(65),
        "esm_class": octet,
        "registered_delivery": octet,
        "data_coding": octet,
    },
    pdu.DataSmResp: _message_id,
    pdu.SubmitMulti: _service_type
    | _source
    | {"dest_addresses": st.lists(_destination, min_size=1, max_size=5).map(tuple)}
    | _traits,
    pdu.SubmitMultiResp: _message_id | {"unsuccess_smes": st.lists(_failure, max_size=5).map(tuple)},
    pdu.QuerySm: _message_id | _source,
    pdu.QuerySmResp: _message_id | {"final_date": smpp_time, "message_state": octet, "error_code": octet},
    pdu.CancelSm: _service_type | _message_id | _source | _dest,
    pdu.CancelSmResp: {},
    pdu.ReplaceSm: _message_id
    | _source
    | {
        "schedule_delivery_time": smpp_time,
        "validity_period": smpp_time,
        "registered_delivery": octet,
        "sm_default_msg_id": octet,
        "short_message": short_message,
    },
    pdu.ReplaceSmResp: {},
    pdu.AlertNotification: {
        "source_addr_ton": octet,
        "source_addr_npi": octet,
        "source_addr": c_string(65),
        "esme_addr_ton": octet,
        "esme_addr_npi": octet,
        "esme_addr": c_string(65),
    },
    pdu.BroadcastSm: _service_type
    | _source
    | _message_id
    | {
        "priority_flag": octet,
        "schedule_delivery_time": smpp_time,
        "validity_period": smpp_time,
        "replace_if_present_flag": octet,
        "data_coding": octet,
        "sm_default_msg_id": octet,
    },
    pdu.BroadcastSmResp: _message_id,
    pdu.QueryBroadcastSm: _message_id | _source,
    pdu.QueryBroadcastSmResp: _message_id,
    pdu.CancelBroadcastSm: _service_type | _message_id | _source,
    pdu.CancelBroadcastSmResp: {},
}


def pdus_of(body: type[pdu.Pdu], **fields: st.SearchStrategy[object]) -> st.SearchStrategy[pdu.Pdu]:
    """Encodable PDUs of one type; `fields` replace the strategy of single fields."""
    build: Callable[..., pdu.Pdu] = body
    return st.builds(build, **(_FIELDS[body] | {"tlvs": tlvs} | fields))


def pdus() -> st.SearchStrategy[pdu.Pdu]:
    """Encodable PDUs of every type."""
    return st.one_of(*map(pdus_of, _FIELDS))


def frames() -> st.SearchStrategy[bytes]:
    """Valid frames of every type."""
    return st.builds(pdu.encode, pdus(), any_sequence)


@st.composite
def chunkings(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """`stream` cut anywhere, empty chunks included."""
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    return [stream[start:stop] for start, stop in itertools.pairwise(edges)]
