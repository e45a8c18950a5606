"""PDUs that carry messages: submit_sm, deliver_sm, data_sm, submit_multi and their responses.

They are values; `hot` and `table` turn them into octets and back. Used by the sender,
intake and the simulator.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from engine.smpp.pdu import commands
from engine.smpp.pdu.bodies import (
    DESTINATION,
    LONG_DESTINATION,
    LONG_SOURCE,
    MESSAGE_ID,
    OCTET,
    SERVICE_TYPE,
    SHORT_MESSAGE,
    SOURCE,
    TRAITS,
    Accepted,
    Body,
    Layout,
)
from engine.smpp.pdu.fields import Destinations, DistributionList, SmeAddress, Unsuccessful, UnsuccessSme
from engine.smpp.pdu.tlvs import Tlv


class _Sm(NamedTuple):
    service_type: bytes = b""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: bytes = b""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: bytes = b""
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: bytes = b""
    validity_period: bytes = b""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


_SM: Final[Layout] = (SERVICE_TYPE, *SOURCE, *DESTINATION, *TRAITS, SHORT_MESSAGE)


class SubmitSm(Body, _Sm):
    """submit_sm (3.4 section 4.4.1); sm_length is the length of `short_message`."""

    __slots__ = ()
    command_id = commands.SUBMIT_SM
    layout = _SM


class DeliverSm(Body, _Sm):
    """deliver_sm (3.4 section 4.6.1): a message from a handset or a receipt."""

    __slots__ = ()
    command_id = commands.DELIVER_SM
    layout = _SM


class SubmitSmResp(Body, Accepted):
    """submit_sm_resp (3.4 section 4.4.2)."""

    __slots__ = ()
    command_id = commands.SUBMIT_SM_RESP
    layout = (MESSAGE_ID,)


class DeliverSmResp(Body, Accepted):
    """deliver_sm_resp (3.4 section 4.6.2); message_id is unused and NULL."""

    __slots__ = ()
    command_id = commands.DELIVER_SM_RESP
    layout = (MESSAGE_ID,)


class _DataSm(NamedTuple):
    service_type: bytes = b""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: bytes = b""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: bytes = b""
    esm_class: int = 0
    registered_delivery: int = 0
    data_coding: int = 0
    tlvs: tuple[Tlv, ...] = ()


class DataSm(Body, _DataSm):
    """data_sm (3.4 section 4.7.1); its text is the message_payload parameter."""

    __slots__ = ()
    command_id = commands.DATA_SM
    layout = (
        SERVICE_TYPE,
        *(OCTET, OCTET, LONG_SOURCE),
        *(OCTET, OCTET, LONG_DESTINATION),
        *(OCTET, OCTET, OCTET),
    )


class DataSmResp(Body, Accepted):
    """data_sm_resp (3.4 section 4.7.2)."""

    __slots__ = ()
    command_id = commands.DATA_SM_RESP
    layout = (MESSAGE_ID,)


class _SubmitMulti(NamedTuple):
    service_type: bytes = b""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: bytes = b""
    dest_addresses: tuple[SmeAddress | DistributionList, ...] = (SmeAddress(),)
    esm_class: int = 0
    protocol_id: int = 0
    priority_flag: int = 0
    schedule_delivery_time: bytes = b""
    validity_period: bytes = b""
    registered_delivery: int = 0
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


class SubmitMulti(Body, _SubmitMulti):
    """submit_multi (3.4 section 4.5.1); number_of_dests is the length of `dest_addresses`."""

    __slots__ = ()
    command_id = commands.SUBMIT_MULTI
    layout = (SERVICE_TYPE, *SOURCE, Destinations(), *TRAITS, SHORT_MESSAGE)


class _SubmitMultiResp(NamedTuple):
    message_id: bytes = b""
    unsuccess_smes: tuple[UnsuccessSme, ...] = ()
    tlvs: tuple[Tlv, ...] = ()


class SubmitMultiResp(Body, _SubmitMultiResp):
    """submit_multi_resp (3.4 section 4.5.2); no_unsuccess is the length of `unsuccess_smes`."""

    __slots__ = ()
    command_id = commands.SUBMIT_MULTI_RESP
    layout = (MESSAGE_ID, Unsuccessful())
