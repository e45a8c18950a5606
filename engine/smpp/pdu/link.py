"""PDUs that make, keep and end a session: binds, outbind, unbind, enquire_link, generic_nack.

They are values; `codec` turns them into octets and back. Used by the session and the simulator.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from engine.smpp.pdu import commands
from engine.smpp.pdu.bodies import OCTET, Body, Empty, Layout
from engine.smpp.pdu.fields import CString
from engine.smpp.pdu.status import Status
from engine.smpp.pdu.tlvs import Tlv

PASSWORD_LIMIT: Final = 9
"""Octets of a password in the specification, NUL included; providers take more, so the codec does too."""

_SYSTEM_ID: Final = CString(16, Status.ESME_RINVSYSID)
_PASSWORD: Final = CString(65, Status.ESME_RINVPASWD)
_SYSTEM_TYPE: Final = CString(13, Status.ESME_RINVSYSTYP)
_ADDRESS_RANGE: Final = CString(41, Status.ESME_RBINDFAIL)


class _Bind(NamedTuple):
    system_id: bytes = b""
    password: bytes = b""
    system_type: bytes = b""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


_BIND: Final[Layout] = (_SYSTEM_ID, _PASSWORD, _SYSTEM_TYPE, OCTET, OCTET, OCTET, _ADDRESS_RANGE)


class BindTransmitter(Body, _Bind):
    """bind_transmitter (3.4 section 4.1.1)."""

    __slots__ = ()
    command_id = commands.BIND_TRANSMITTER
    layout = _BIND


class BindReceiver(Body, _Bind):
    """bind_receiver (3.4 section 4.1.3)."""

    __slots__ = ()
    command_id = commands.BIND_RECEIVER
    layout = _BIND


class BindTransceiver(Body, _Bind):
    """bind_transceiver (3.4 section 4.1.5)."""

    __slots__ = ()
    command_id = commands.BIND_TRANSCEIVER
    layout = _BIND


class _BindResp(NamedTuple):
    system_id: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


class BindTransmitterResp(Body, _BindResp):
    """bind_transmitter_resp (3.4 section 4.1.2)."""

    __slots__ = ()
    command_id = commands.BIND_TRANSMITTER_RESP
    layout = (_SYSTEM_ID,)


class BindReceiverResp(Body, _BindResp):
    """bind_receiver_resp (3.4 section 4.1.4)."""

    __slots__ = ()
    command_id = commands.BIND_RECEIVER_RESP
    layout = (_SYSTEM_ID,)


class BindTransceiverResp(Body, _BindResp):
    """bind_transceiver_resp (3.4 section 4.1.6)."""

    __slots__ = ()
    command_id = commands.BIND_TRANSCEIVER_RESP
    layout = (_SYSTEM_ID,)


class _Outbind(NamedTuple):
    system_id: bytes = b""
    password: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


class Outbind(Body, _Outbind):
    """outbind (3.4 section 4.1.7); it has no response."""

    __slots__ = ()
    command_id = commands.OUTBIND
    layout = (_SYSTEM_ID, _PASSWORD)


class Unbind(Body, Empty):
    """unbind (3.4 section 4.2.1)."""

    __slots__ = ()
    command_id = commands.UNBIND


class UnbindResp(Body, Empty):
    """unbind_resp (3.4 section 4.2.2)."""

    __slots__ = ()
    command_id = commands.UNBIND_RESP


class EnquireLink(Body, Empty):
    """enquire_link (3.4 section 4.11.1)."""

    __slots__ = ()
    command_id = commands.ENQUIRE_LINK


class EnquireLinkResp(Body, Empty):
    """enquire_link_resp (3.4 section 4.11.2)."""

    __slots__ = ()
    command_id = commands.ENQUIRE_LINK_RESP


class GenericNack(Body, Empty):
    """generic_nack (3.4 section 4.3); the reason is the header's command_status."""

    __slots__ = ()
    command_id = commands.GENERIC_NACK
