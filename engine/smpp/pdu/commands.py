"""Command ids and their names (SMPP 3.4 section 5.1.2.1 and the broadcast block of 5.0).

It holds numbers only; bodies are in `bodies`, legality in `engine.smpp.states`. Used everywhere a command id
is named.
"""

from __future__ import annotations

from typing import Final

from smpplib import command_codes

RESPONSE: Final = 0x80000000
"""The bit that makes a command id a response."""

_CODES: Final[dict[str, int]] = command_codes.commands

BIND_RECEIVER: Final[int] = _CODES["bind_receiver"]
BIND_TRANSMITTER: Final[int] = _CODES["bind_transmitter"]
QUERY_SM: Final[int] = _CODES["query_sm"]
SUBMIT_SM: Final[int] = _CODES["submit_sm"]
DELIVER_SM: Final[int] = _CODES["deliver_sm"]
UNBIND: Final[int] = _CODES["unbind"]
REPLACE_SM: Final[int] = _CODES["replace_sm"]
CANCEL_SM: Final[int] = _CODES["cancel_sm"]
BIND_TRANSCEIVER: Final[int] = _CODES["bind_transceiver"]
OUTBIND: Final[int] = _CODES["outbind"]
ENQUIRE_LINK: Final[int] = _CODES["enquire_link"]
SUBMIT_MULTI: Final[int] = _CODES["submit_multi"]
ALERT_NOTIFICATION: Final[int] = _CODES["alert_notification"]
DATA_SM: Final[int] = _CODES["data_sm"]
BROADCAST_SM: Final[int] = 0x00000111
QUERY_BROADCAST_SM: Final[int] = 0x00000112
CANCEL_BROADCAST_SM: Final[int] = 0x00000113

GENERIC_NACK: Final[int] = _CODES["generic_nack"]
BIND_RECEIVER_RESP: Final[int] = _CODES["bind_receiver_resp"]
BIND_TRANSMITTER_RESP: Final[int] = _CODES["bind_transmitter_resp"]
QUERY_SM_RESP: Final[int] = _CODES["query_sm_resp"]
SUBMIT_SM_RESP: Final[int] = _CODES["submit_sm_resp"]
DELIVER_SM_RESP: Final[int] = _CODES["deliver_sm_resp"]
UNBIND_RESP: Final[int] = _CODES["unbind_resp"]
REPLACE_SM_RESP: Final[int] = _CODES["replace_sm_resp"]
CANCEL_SM_RESP: Final[int] = _CODES["cancel_sm_resp"]
BIND_TRANSCEIVER_RESP: Final[int] = _CODES["bind_transceiver_resp"]
ENQUIRE_LINK_RESP: Final[int] = _CODES["enquire_link_resp"]
SUBMIT_MULTI_RESP: Final[int] = _CODES["submit_multi_resp"]
DATA_SM_RESP: Final[int] = _CODES["data_sm_resp"]
BROADCAST_SM_RESP: Final[int] = BROADCAST_SM | RESPONSE
QUERY_BROADCAST_SM_RESP: Final[int] = QUERY_BROADCAST_SM | RESPONSE
CANCEL_BROADCAST_SM_RESP: Final[int] = CANCEL_BROADCAST_SM | RESPONSE

BINDS: Final = frozenset({BIND_RECEIVER, BIND_TRANSMITTER, BIND_TRANSCEIVER})
UNANSWERED: Final = frozenset({OUTBIND, ALERT_NOTIFICATION})
"""Requests that have no response PDU."""

_NAMES: Final[dict[int, str]] = {code: name for name, code in _CODES.items()} | {
    BROADCAST_SM: "broadcast_sm",
    BROADCAST_SM_RESP: "broadcast_sm_resp",
    QUERY_BROADCAST_SM: "query_broadcast_sm",
    QUERY_BROADCAST_SM_RESP: "query_broadcast_sm_resp",
    CANCEL_BROADCAST_SM: "cancel_broadcast_sm",
    CANCEL_BROADCAST_SM_RESP: "cancel_broadcast_sm_resp",
}


def command_name(command_id: int) -> str:
    """The specification's name, or the id in hex for one we do not know."""
    return _NAMES.get(command_id) or f"0x{command_id:08X}"


def is_response(command_id: int) -> bool:
    """True for `*_resp` and generic_nack, known or not."""
    return command_id & RESPONSE != 0
