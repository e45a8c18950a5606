"""Cell broadcasts of SMPP 5.0: accepted, asked about, cancelled; no handset hears them.

It sends nothing; `requests` asks it for the three responses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.smpp.pdu import (
    BroadcastSm,
    BroadcastSmResp,
    CancelBroadcastSm,
    QueryBroadcastSm,
    QueryBroadcastSmResp,
    Status,
    Tag,
    tlv,
)
from smppsim.receipt_text import MESSAGE_STATES

if TYPE_CHECKING:
    from smppsim.accounts import Account

_REQUIRED: Final = (
    Tag.BROADCAST_AREA_IDENTIFIER,
    Tag.BROADCAST_CONTENT_TYPE,
    Tag.BROADCAST_REP_NUM,
    Tag.BROADCAST_FREQUENCY_INTERVAL,
)
"""5.0 section 4.4.1: broadcast_sm is nothing without them."""
_EVERYWHERE: Final = b"\x64"  # broadcast_area_success in per cent
_BOUND: Final = 1_000
_ACCEPTED, _DELETED = (bytes((MESSAGE_STATES[state][0],)) for state in ("enroute", "deleted"))


class Broadcasts:
    """The last thousand of them, by account and id."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], tuple[BroadcastSm, bytes]] = {}
        self._count = 0

    def accept(self, account: Account, asked: BroadcastSm) -> tuple[int, BroadcastSmResp]:
        """Status and body of broadcast_sm_resp; a message_id that it names is replaced (5.0 section 4.4.1)."""
        if any(tlv(asked.tlvs, tag) is None for tag in _REQUIRED):
            return Status.ESME_RMISSINGOPTPARAM, BroadcastSmResp()
        if asked.message_id and (account.system_id, asked.message_id) not in self._known:
            return Status.ESME_RINVMSGID, BroadcastSmResp()
        self._count += 1
        message_id = asked.message_id or b"B%d" % self._count
        self._known[account.system_id, message_id] = asked, _ACCEPTED
        if len(self._known) > _BOUND:
            del self._known[next(iter(self._known))]
        return Status.ESME_ROK, BroadcastSmResp(message_id)

    def query(self, account: Account, asked: QueryBroadcastSm) -> tuple[int, QueryBroadcastSmResp]:
        """Status and body of query_broadcast_sm_resp (5.0 section 4.6.2): state, areas and their success."""
        known = self._known.get((account.system_id, asked.message_id))
        if known is None or known[0].source_addr != asked.source_addr:
            return Status.ESME_RBCASTQUERYFAIL, QueryBroadcastSmResp()
        broadcast, state = known
        areas = [value for tag, value in broadcast.tlvs if tag == Tag.BROADCAST_AREA_IDENTIFIER]
        told = [(Tag.BROADCAST_AREA_IDENTIFIER, area) for area in areas]
        told += [(Tag.BROADCAST_AREA_SUCCESS, _EVERYWHERE) for _ in areas]
        return Status.ESME_ROK, QueryBroadcastSmResp(asked.message_id, ((Tag.MESSAGE_STATE, state), *told))

    def cancel(self, account: Account, asked: CancelBroadcastSm) -> int:
        """Status of cancel_broadcast_sm_resp: one by its id, or all of a source and service type."""
        doomed = [
            (key, broadcast)
            for key, (broadcast, state) in self._known.items()
            if key[0] == account.system_id
            and state == _ACCEPTED
            and broadcast.source_addr == asked.source_addr
            and (key[1] == asked.message_id if asked.message_id else broadcast.service_type == asked.service_type)
        ]
        for key, broadcast in doomed:
            self._known[key] = broadcast, _DELETED
        return Status.ESME_ROK if doomed else Status.ESME_RBCASTCANCELFAIL

    def clear(self) -> None:
        """Forget all; ids go on."""
        self._known.clear()
