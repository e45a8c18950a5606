"""Which PDU each side may send in which state of a session: one table (SMPP 3.4 section 2.2 and table 2-1).

It knows no timers and no sequence numbers. The session asks before it sends and when it receives; so does
the simulator.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from engine.smpp.pdu import commands as c


class BindState(StrEnum):
    """States of a session; both ends see the same one."""

    OPEN = "open"
    OUTBOUND = "outbound"  # the SMSC connected to us and sent outbind
    BOUND_TX = "bound_tx"
    BOUND_RX = "bound_rx"
    BOUND_TRX = "bound_trx"
    UNBOUND = "unbound"  # no new requests; answers to earlier ones may still come
    CLOSED = "closed"


class Side(StrEnum):
    """The two ends of a link."""

    ESME = "esme"
    SMSC = "smsc"


_E, _S = Side.ESME, Side.SMSC

# generic_nack and enquire_link_resp answer whatever comes, so they are legal wherever octets flow.
_ALWAYS: Final = frozenset({c.GENERIC_NACK, c.ENQUIRE_LINK_RESP})
_LINK: Final = _ALWAYS | {c.ENQUIRE_LINK, c.UNBIND, c.UNBIND_RESP}

_SUBMITS: Final = frozenset(
    {
        c.SUBMIT_SM,
        c.SUBMIT_MULTI,
        c.DATA_SM,
        c.QUERY_SM,
        c.CANCEL_SM,
        c.REPLACE_SM,
        c.BROADCAST_SM,
        c.QUERY_BROADCAST_SM,
        c.CANCEL_BROADCAST_SM,
    }
)
_DELIVERS: Final = frozenset({c.DELIVER_SM, c.DATA_SM})
_SUBMIT_ANSWERS: Final = frozenset(request | c.RESPONSE for request in _SUBMITS)
_DELIVER_ANSWERS: Final = frozenset(request | c.RESPONSE for request in _DELIVERS)
_ALERTS: Final = frozenset({c.ALERT_NOTIFICATION})
_BIND_ANSWERS: Final = frozenset(request | c.RESPONSE for request in c.BINDS)

MAY_SEND: Final[dict[tuple[Side, BindState], frozenset[int]]] = {
    # 5.0 lets an SMSC probe before the bind; we answer, but send nothing ourselves (row B5).
    (_E, BindState.OPEN): c.BINDS | _ALWAYS,
    (_S, BindState.OPEN): _BIND_ANSWERS | _ALWAYS | {c.OUTBIND, c.ENQUIRE_LINK},
    (_E, BindState.OUTBOUND): _ALWAYS | {c.BIND_RECEIVER, c.BIND_TRANSCEIVER},
    (_S, BindState.OUTBOUND): _ALWAYS | {c.BIND_RECEIVER_RESP, c.BIND_TRANSCEIVER_RESP, c.ENQUIRE_LINK},
    (_E, BindState.BOUND_TX): _LINK | _SUBMITS,
    (_S, BindState.BOUND_TX): _LINK | _SUBMIT_ANSWERS,
    (_E, BindState.BOUND_RX): _LINK | _DELIVER_ANSWERS,
    (_S, BindState.BOUND_RX): _LINK | _DELIVERS | _ALERTS,
    (_E, BindState.BOUND_TRX): _LINK | _SUBMITS | _DELIVER_ANSWERS,
    (_S, BindState.BOUND_TRX): _LINK | _SUBMIT_ANSWERS | _DELIVERS | _ALERTS,
    # After unbind the answers still owed are honoured (row B11).
    (_E, BindState.UNBOUND): _ALWAYS | _DELIVER_ANSWERS | {c.UNBIND_RESP},
    (_S, BindState.UNBOUND): _ALWAYS | _SUBMIT_ANSWERS | {c.UNBIND_RESP},
    (_E, BindState.CLOSED): frozenset(),
    (_S, BindState.CLOSED): frozenset(),
}
"""What `side` may send while the session is in `state`; what is not listed is an error."""

BOUND_BY: Final[dict[int, BindState]] = {
    c.BIND_TRANSMITTER_RESP: BindState.BOUND_TX,
    c.BIND_RECEIVER_RESP: BindState.BOUND_RX,
    c.BIND_TRANSCEIVER_RESP: BindState.BOUND_TRX,
}
"""The state that a bind response with ESME_ROK leads to."""


def allowed(side_sending: Side, state: BindState, command_id: int) -> bool:
    """Whether `side_sending` may send `command_id` while the session is in `state`."""
    return command_id in MAY_SEND[side_sending, state]
