"""Optional parameters: tags, legal lengths, reading and writing them (SMPP 3.4 section 5.3, 5.0 section 4.8).

Values stay octets; unknown and vendor tags are kept as they came. The codec calls `read_tlvs` and
`write_tlvs`; everybody else looks a value up with `tlv`.
"""

from __future__ import annotations

import struct
from typing import Final

from smpplib import consts

from engine.smpp.errors import NotEncodable

Tlv = tuple[int, bytes]
"""Tag and value."""

_TAGS: Final[dict[str, int]] = consts.OPTIONAL_PARAMS
_HEAD = struct.Struct(">HH")


class Tag:
    """Tags as plain integers; 0x1400 to 0x3FFF belong to vendors."""

    DEST_ADDR_SUBUNIT: Final[int] = _TAGS["dest_addr_subunit"]
    DEST_NETWORK_TYPE: Final[int] = _TAGS["dest_network_type"]
    DEST_BEARER_TYPE: Final[int] = _TAGS["dest_bearer_type"]
    DEST_TELEMATICS_ID: Final[int] = _TAGS["dest_telematics_id"]
    SOURCE_ADDR_SUBUNIT: Final[int] = _TAGS["source_addr_subunit"]
    SOURCE_NETWORK_TYPE: Final[int] = _TAGS["source_network_type"]
    SOURCE_BEARER_TYPE: Final[int] = _TAGS["source_bearer_type"]
    SOURCE_TELEMATICS_ID: Final[int] = _TAGS["source_telematics_id"]
    QOS_TIME_TO_LIVE: Final[int] = _TAGS["qos_time_to_live"]
    PAYLOAD_TYPE: Final[int] = _TAGS["payload_type"]
    ADDITIONAL_STATUS_INFO_TEXT: Final[int] = _TAGS["additional_status_info_text"]
    RECEIPTED_MESSAGE_ID: Final[int] = _TAGS["receipted_message_id"]
    MS_MSG_WAIT_FACILITIES: Final[int] = _TAGS["ms_msg_wait_facilities"]
    PRIVACY_INDICATOR: Final[int] = _TAGS["privacy_indicator"]
    SOURCE_SUBADDRESS: Final[int] = _TAGS["source_subaddress"]
    DEST_SUBADDRESS: Final[int] = _TAGS["dest_subaddress"]
    USER_MESSAGE_REFERENCE: Final[int] = _TAGS["user_message_reference"]
    USER_RESPONSE_CODE: Final[int] = _TAGS["user_response_code"]
    SOURCE_PORT: Final[int] = _TAGS["source_port"]
    DESTINATION_PORT: Final[int] = _TAGS["destination_port"]
    SAR_MSG_REF_NUM: Final[int] = _TAGS["sar_msg_ref_num"]
    LANGUAGE_INDICATOR: Final[int] = _TAGS["language_indicator"]
    SAR_TOTAL_SEGMENTS: Final[int] = _TAGS["sar_total_segments"]
    SAR_SEGMENT_SEQNUM: Final[int] = _TAGS["sar_segment_seqnum"]
    SC_INTERFACE_VERSION: Final[int] = _TAGS["sc_interface_version"]
    CALLBACK_NUM_PRES_IND: Final[int] = _TAGS["callback_num_pres_ind"]
    CALLBACK_NUM_ATAG: Final[int] = _TAGS["callback_num_atag"]
    NUMBER_OF_MESSAGES: Final[int] = _TAGS["number_of_messages"]
    CALLBACK_NUM: Final[int] = _TAGS["callback_num"]
    DPF_RESULT: Final[int] = _TAGS["dpf_result"]
    SET_DPF: Final[int] = _TAGS["set_dpf"]
    MS_AVAILABILITY_STATUS: Final[int] = _TAGS["ms_availability_status"]
    NETWORK_ERROR_CODE: Final[int] = _TAGS["network_error_code"]
    MESSAGE_PAYLOAD: Final[int] = _TAGS["message_payload"]
    DELIVERY_FAILURE_REASON: Final[int] = _TAGS["delivery_failure_reason"]
    MORE_MESSAGES_TO_SEND: Final[int] = _TAGS["more_messages_to_send"]
    MESSAGE_STATE: Final[int] = _TAGS["message_state"]
    USSD_SERVICE_OP: Final[int] = _TAGS["ussd_service_op"]
    DISPLAY_TIME: Final[int] = _TAGS["display_time"]
    SMS_SIGNAL: Final[int] = _TAGS["sms_signal"]
    MS_VALIDITY: Final[int] = _TAGS["ms_validity"]
    ALERT_ON_MESSAGE_DELIVERY: Final[int] = _TAGS["alert_on_message_delivery"]
    ITS_REPLY_TYPE: Final[int] = _TAGS["its_reply_type"]
    ITS_SESSION_INFO: Final[int] = _TAGS["its_session_info"]
    # The additions of SMPP 5.0, which smpplib does not know.
    CONGESTION_STATE: Final[int] = 0x0428
    BROADCAST_CHANNEL_INDICATOR: Final[int] = 0x0600
    BROADCAST_CONTENT_TYPE: Final[int] = 0x0601
    BROADCAST_CONTENT_TYPE_INFO: Final[int] = 0x0602
    BROADCAST_MESSAGE_CLASS: Final[int] = 0x0603
    BROADCAST_REP_NUM: Final[int] = 0x0604
    BROADCAST_FREQUENCY_INTERVAL: Final[int] = 0x0605
    BROADCAST_AREA_IDENTIFIER: Final[int] = 0x0606
    BROADCAST_ERROR_STATUS: Final[int] = 0x0607
    BROADCAST_AREA_SUCCESS: Final[int] = 0x0608
    BROADCAST_END_TIME: Final[int] = 0x0609
    BROADCAST_SERVICE_GROUP: Final[int] = 0x060A
    BILLING_IDENTIFICATION: Final[int] = 0x060B
    SOURCE_NETWORK_ID: Final[int] = 0x060D
    DEST_NETWORK_ID: Final[int] = 0x060E
    SOURCE_NODE_ID: Final[int] = 0x060F
    DEST_NODE_ID: Final[int] = 0x0610
    DEST_ADDR_NP_RESOLUTION: Final[int] = 0x0611
    DEST_ADDR_NP_INFORMATION: Final[int] = 0x0612
    DEST_ADDR_NP_COUNTRY: Final[int] = 0x0613


_NAMES: Final[dict[int, str]] = {tag: name.lower() for name, tag in vars(Tag).items() if name.isupper()}

_ONE_OCTET: Final = (
    Tag.DEST_ADDR_SUBUNIT,
    Tag.DEST_NETWORK_TYPE,
    Tag.DEST_BEARER_TYPE,
    Tag.SOURCE_ADDR_SUBUNIT,
    Tag.SOURCE_NETWORK_TYPE,
    Tag.SOURCE_BEARER_TYPE,
    Tag.PAYLOAD_TYPE,
    Tag.MS_MSG_WAIT_FACILITIES,
    Tag.PRIVACY_INDICATOR,
    Tag.USER_RESPONSE_CODE,
    Tag.LANGUAGE_INDICATOR,
    Tag.SAR_TOTAL_SEGMENTS,
    Tag.SAR_SEGMENT_SEQNUM,
    Tag.SC_INTERFACE_VERSION,
    Tag.CALLBACK_NUM_PRES_IND,
    Tag.NUMBER_OF_MESSAGES,
    Tag.DPF_RESULT,
    Tag.SET_DPF,
    Tag.MS_AVAILABILITY_STATUS,
    Tag.DELIVERY_FAILURE_REASON,
    Tag.MORE_MESSAGES_TO_SEND,
    Tag.MESSAGE_STATE,
    Tag.CONGESTION_STATE,
    Tag.USSD_SERVICE_OP,
    Tag.DISPLAY_TIME,
    Tag.ITS_REPLY_TYPE,
)

LENGTHS: Final[dict[int, tuple[int, int]]] = dict.fromkeys(_ONE_OCTET, (1, 1)) | {
    Tag.DEST_TELEMATICS_ID: (2, 2),
    Tag.SOURCE_TELEMATICS_ID: (1, 2),  # 1 in the specification, 2 in some stacks
    Tag.QOS_TIME_TO_LIVE: (4, 4),
    Tag.ADDITIONAL_STATUS_INFO_TEXT: (1, 256),
    Tag.RECEIPTED_MESSAGE_ID: (1, 65),
    Tag.SOURCE_SUBADDRESS: (2, 23),
    Tag.DEST_SUBADDRESS: (2, 23),
    Tag.USER_MESSAGE_REFERENCE: (2, 2),
    Tag.SOURCE_PORT: (2, 2),
    Tag.DESTINATION_PORT: (2, 2),
    Tag.SAR_MSG_REF_NUM: (2, 2),
    Tag.CALLBACK_NUM_ATAG: (0, 65),
    Tag.CALLBACK_NUM: (4, 19),
    Tag.NETWORK_ERROR_CODE: (3, 3),
    Tag.SMS_SIGNAL: (2, 2),
    Tag.MS_VALIDITY: (1, 4),  # 1 in 3.4, up to 4 in 5.0
    Tag.ALERT_ON_MESSAGE_DELIVERY: (0, 1),  # 0 in 3.4, up to 1 in 5.0
    Tag.ITS_SESSION_INFO: (2, 2),
}
"""Least and most octets of a value; a tag that is not here may have any length."""


def tag_name(tag: int) -> str:
    """`message_payload`, or the tag in hex for one we do not know."""
    return _NAMES.get(tag) or f"0x{tag:04X}"


def tlv(tlvs: tuple[Tlv, ...], tag: int) -> bytes | None:
    """The value of `tag`, None if absent. Where a peer repeats a tag the last one wins (row A10)."""
    for found, value in reversed(tlvs):
        if found == tag:
            return value
    return None


def tlv_text(tlvs: tuple[Tlv, ...], tag: int) -> bytes | None:
    """As `tlv` for a C-string value: what stands before the NUL, which many peers leave out."""
    value = tlv(tlvs, tag)
    return None if value is None else value.partition(b"\0")[0]


def tlv_int(tlvs: tuple[Tlv, ...], tag: int) -> int | None:
    """As `tlv` for an unsigned big-endian integer value; None for an empty value too."""
    value = tlv(tlvs, tag)
    return int.from_bytes(value, "big") if value else None


def write_tlvs(tlvs: tuple[Tlv, ...]) -> bytes:
    """Tags, lengths and values in the order given. NotEncodable for a tag or value beyond 16 bits."""
    try:
        return b"".join([_HEAD.pack(tag, len(value)) + value for tag, value in tlvs])
    except struct.error:
        raise NotEncodable("an optional parameter's tag or length does not fit 16 bits") from None


def read_tlvs(frame: bytes, at: int) -> tuple[tuple[Tlv, ...], tuple[str, ...], bool]:
    """Parameters from `at` to the end of the frame, what was odd about them, and whether all octets fitted.

    A known tag whose value has an impossible length is left out and flagged (row A10), so that readers may
    index values; False means that the last parameter runs past the end and was left out.
    """
    found: list[Tlv] = []
    odd: dict[str, None] = {}
    end = len(frame)
    unpack, limits_of = _HEAD.unpack_from, LENGTHS.get
    while at < end:
        start = at + 4
        if start > end:
            return tuple(found), tuple(odd), False
        tag, length = unpack(frame, at)
        at = start + length
        if at > end:
            return tuple(found), tuple(odd), False
        limits = limits_of(tag)
        if limits is None or limits[0] <= length <= limits[1]:
            found.append((tag, frame[start:at]))
        else:
            odd[f"tlv_length:{tag_name(tag)}"] = None
    return tuple(found), tuple(odd), True
