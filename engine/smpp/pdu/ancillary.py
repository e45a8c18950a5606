"""PDUs about earlier messages, and cell broadcast: query, cancel, replace, alert_notification, 5.0's trio.

They are values; `table` turns them into octets and back. Used by the sender's cancels and by the simulator.
"""

from __future__ import annotations

from typing import NamedTuple

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
    TIMES,
    Accepted,
    Body,
    Empty,
)
from engine.smpp.pdu.fields import Time
from engine.smpp.pdu.status import Status
from engine.smpp.pdu.tlvs import Tlv


class _QuerySm(NamedTuple):
    message_id: bytes = b""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


class QuerySm(Body, _QuerySm):
    """query_sm (3.4 section 4.8.1)."""

    __slots__ = ()
    command_id = commands.QUERY_SM
    layout = (MESSAGE_ID, *SOURCE)


class _QuerySmResp(NamedTuple):
    message_id: bytes = b""
    final_date: bytes = b""
    message_state: int = 0
    error_code: int = 0
    tlvs: tuple[Tlv, ...] = ()


class QuerySmResp(Body, _QuerySmResp):
    """query_sm_resp (3.4 section 4.8.2)."""

    __slots__ = ()
    command_id = commands.QUERY_SM_RESP
    layout = (MESSAGE_ID, Time(Status.ESME_RQUERYFAIL), OCTET, OCTET)


class _CancelSm(NamedTuple):
    service_type: bytes = b""
    message_id: bytes = b""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: bytes = b""
    dest_addr_ton: int = 0
    dest_addr_npi: int = 0
    destination_addr: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


class CancelSm(Body, _CancelSm):
    """cancel_sm (3.4 section 4.9.1)."""

    __slots__ = ()
    command_id = commands.CANCEL_SM
    layout = (SERVICE_TYPE, MESSAGE_ID, *SOURCE, *DESTINATION)


class CancelSmResp(Body, Empty):
    """cancel_sm_resp (3.4 section 4.9.2)."""

    __slots__ = ()
    command_id = commands.CANCEL_SM_RESP


class _ReplaceSm(NamedTuple):
    message_id: bytes = b""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: bytes = b""
    schedule_delivery_time: bytes = b""
    validity_period: bytes = b""
    registered_delivery: int = 0
    sm_default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


class ReplaceSm(Body, _ReplaceSm):
    """replace_sm (3.4 section 4.10.1)."""

    __slots__ = ()
    command_id = commands.REPLACE_SM
    layout = (MESSAGE_ID, *SOURCE, *TIMES, OCTET, OCTET, SHORT_MESSAGE)


class ReplaceSmResp(Body, Empty):
    """replace_sm_resp (3.4 section 4.10.2)."""

    __slots__ = ()
    command_id = commands.REPLACE_SM_RESP


class _AlertNotification(NamedTuple):
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: bytes = b""
    esme_addr_ton: int = 0
    esme_addr_npi: int = 0
    esme_addr: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


class AlertNotification(Body, _AlertNotification):
    """alert_notification (3.4 section 4.12.1); it has no response."""

    __slots__ = ()
    command_id = commands.ALERT_NOTIFICATION
    layout = (OCTET, OCTET, LONG_SOURCE, OCTET, OCTET, LONG_DESTINATION)


class _BroadcastSm(NamedTuple):
    service_type: bytes = b""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: bytes = b""
    message_id: bytes = b""
    priority_flag: int = 0
    schedule_delivery_time: bytes = b""
    validity_period: bytes = b""
    replace_if_present_flag: int = 0
    data_coding: int = 0
    sm_default_msg_id: int = 0
    tlvs: tuple[Tlv, ...] = ()


class BroadcastSm(Body, _BroadcastSm):
    """broadcast_sm (5.0 section 4.4.1); area, content type and text are optional parameters."""

    __slots__ = ()
    command_id = commands.BROADCAST_SM
    layout = (SERVICE_TYPE, *SOURCE, MESSAGE_ID, OCTET, *TIMES, OCTET, OCTET, OCTET)


class BroadcastSmResp(Body, Accepted):
    """broadcast_sm_resp (5.0 section 4.4.2)."""

    __slots__ = ()
    command_id = commands.BROADCAST_SM_RESP
    layout = (MESSAGE_ID,)


class QueryBroadcastSm(Body, _QuerySm):
    """query_broadcast_sm (5.0 section 4.6.1)."""

    __slots__ = ()
    command_id = commands.QUERY_BROADCAST_SM
    layout = (MESSAGE_ID, *SOURCE)


class QueryBroadcastSmResp(Body, Accepted):
    """query_broadcast_sm_resp (5.0 section 4.6.2); the state is an optional parameter."""

    __slots__ = ()
    command_id = commands.QUERY_BROADCAST_SM_RESP
    layout = (MESSAGE_ID,)


class _CancelBroadcastSm(NamedTuple):
    service_type: bytes = b""
    message_id: bytes = b""
    source_addr_ton: int = 0
    source_addr_npi: int = 0
    source_addr: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


class CancelBroadcastSm(Body, _CancelBroadcastSm):
    """cancel_broadcast_sm (5.0 section 4.6.3)."""

    __slots__ = ()
    command_id = commands.CANCEL_BROADCAST_SM
    layout = (SERVICE_TYPE, MESSAGE_ID, *SOURCE)


class CancelBroadcastSmResp(Body, Empty):
    """cancel_broadcast_sm_resp (5.0 section 4.6.4)."""

    __slots__ = ()
    command_id = commands.CANCEL_BROADCAST_SM_RESP
