"""What every PDU body is: an immutable tuple with a command id and the layout of its mandatory fields.

The named fields that several PDUs share are laid out here once; `link`, `messages` and `ancillary` define the
bodies themselves.
"""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple

from engine.smpp.pdu.fields import CString, Field, Masked, Octet, ShortMessage, Time
from engine.smpp.pdu.status import Status
from engine.smpp.pdu.tlvs import Tlv

Layout = tuple[Field, ...]


class Body(Masked):
    """A PDU without its header: SMPP field names, octet strings as bytes without NUL, `tlvs` last.

    Being tuples, bodies of two commands with equal fields compare equal; tell them apart by type.
    """

    __slots__ = ()
    command_id: ClassVar[int]
    layout: ClassVar[Layout] = ()


class Empty(NamedTuple):
    """No mandatory field."""

    tlvs: tuple[Tlv, ...] = ()


class Accepted(NamedTuple):
    """The SMSC's id alone."""

    message_id: bytes = b""
    tlvs: tuple[Tlv, ...] = ()


OCTET: Final = Octet()
SERVICE_TYPE: Final = CString(6, Status.ESME_RINVSERTYP)
MESSAGE_ID: Final = CString(65, Status.ESME_RINVMSGID)
LONG_SOURCE: Final = CString(65, Status.ESME_RINVSRCADR)
LONG_DESTINATION: Final = CString(65, Status.ESME_RINVDSTADR)
SHORT_MESSAGE: Final = ShortMessage()

SOURCE: Final[Layout] = (OCTET, OCTET, CString(21, Status.ESME_RINVSRCADR))
DESTINATION: Final[Layout] = (OCTET, OCTET, CString(21, Status.ESME_RINVDSTADR))
TIMES: Final[Layout] = (Time(Status.ESME_RINVSCHED), Time(Status.ESME_RINVEXPIRY))
TRAITS: Final[Layout] = (OCTET, OCTET, OCTET, *TIMES, OCTET, OCTET, OCTET, OCTET)
"""esm_class to sm_default_msg_id, as submit_sm, deliver_sm and submit_multi have them."""
