"""What the contract with the operator says about one session, as values.

Nothing here acts; the composition root fills it from the settings, `session` and `link` obey it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from engine.smpp.errors import NotEncodable
from engine.smpp.pdu import BindReceiver, BindTransceiver, BindTransmitter
from engine.smpp.timers import Timings

NO_TLVS: Final = 0x33
"""Peers up to SMPP 3.3 know no optional parameters (row B10)."""


class BindMode(StrEnum):
    """Which way messages may travel on the session."""

    TX = "transmitter"
    RX = "receiver"
    TRX = "transceiver"


BindBody = BindTransmitter | BindReceiver | BindTransceiver

_BIND_BODIES: Final[dict[BindMode, type[BindBody]]] = {
    BindMode.TX: BindTransmitter,
    BindMode.RX: BindReceiver,
    BindMode.TRX: BindTransceiver,
}


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What the contract with the operator says about one session.

    `assumed_version` is the peer's where its bind_resp does not say: by default one without optional
    parameters (row B10). `inbound_window` bounds the deliveries not yet acknowledged.
    """

    mode: BindMode = BindMode.TRX
    system_id: str = ""
    password: str = field(default="", repr=False)
    system_type: str = ""
    interface_version: int = 0x34
    assumed_version: int = NO_TLVS
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: str = ""
    window: int = 10
    inbound_window: int = 1000
    timings: Timings = field(default_factory=Timings)

    def bind_pdu(self) -> BindBody:
        """The request that opens the session; NotEncodable for a character beyond Latin-1."""
        bind = _BIND_BODIES[self.mode]
        try:
            return bind(
                system_id=self.system_id.encode("latin-1"),
                password=self.password.encode("latin-1"),
                system_type=self.system_type.encode("latin-1"),
                interface_version=self.interface_version,
                addr_ton=self.addr_ton,
                addr_npi=self.addr_npi,
                address_range=self.address_range.encode("latin-1"),
            )
        except UnicodeEncodeError:
            raise NotEncodable("a bind field has a character that SMPP cannot carry") from None
