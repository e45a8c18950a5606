"""A logged PDU as people read it, and which ones somebody wants to see.

Pure, but for asking the simulator what time a frame's instant was and what data_coding 0 means on its account.
"""

from typing import Annotated, Literal

from pydantic import Field

from engine.smpp.pdu import DataSm, DeliverSm, Pdu, SubmitSm, command_name, status_name, tag_name
from engine.smpp.text import Alphabet, join, read_part
from smppsim.control.views import PduView
from smppsim.data import Data
from smppsim.pdulog import Connection, LoggedPdu
from smppsim.simulator import Simulator


class Wanted(Data):
    """A filter of the PDU log; what is not given excludes nothing."""

    session: Annotated[int | None, Field(description="A session's number.")] = None
    account: Annotated[str | None, Field(description="The system_id that bound.")] = None
    command: Annotated[
        tuple[str, ...], Field(description="Names of the specification, such as `submit_sm`; repeatable.")
    ] = ()
    direction: Annotated[Literal["in", "out"] | None, Field(description="As the simulator sees it.")] = None

    def includes(self, row: LoggedPdu, connections: dict[int, Connection]) -> bool:
        """Whether the row passes."""
        if self.session is not None and row.session != self.session:
            return False
        if self.direction is not None and row.direction != self.direction:
            return False
        if self.command and (row.command_id is None or command_name(row.command_id) not in self.command):
            return False
        return self.account is None or _account(row, connections) == self.account


def _account(row: LoggedPdu, connections: dict[int, Connection]) -> str | None:
    connection = connections.get(row.session)
    return None if connection is None else connection.account


def show(row: LoggedPdu, simulator: Simulator) -> PduView:
    """One row, decoded; octet strings in hex, save printable ones."""
    whole, pdu = row.command_id is not None, row.pdu
    account = _account(row, simulator.smsc.log.connections)
    text, part = _read(pdu, simulator.smsc.handsets.alphabets.get(account or "", Alphabet.GSM7))
    return PduView(
        serial=row.serial,
        at=simulator.instant(row.at),
        session=row.session,
        account=account,
        direction=row.direction,
        command=command_name(row.header.command_id) if whole else None,
        status=status_name(row.header.command_status) if whole else None,
        sequence=row.header.sequence_number if whole else None,
        fields=None if pdu is None else _fields(pdu),
        text=text,
        part=part,
        hex=row.frame.hex(),
    )


def _fields(pdu: Pdu) -> dict[str, object]:
    fields = {name: _shown(getattr(pdu, name)) for name in pdu._fields if name != "tlvs"}
    fields["tlvs"] = {tag_name(tag): value.hex() for tag, value in pdu.tlvs}
    return fields


def _shown(value: object) -> object:
    if isinstance(value, bytes):
        printable = value.isascii() and value.decode("ascii").isprintable()
        return value.decode("ascii") if printable else {"hex": value.hex()}
    if isinstance(value, tuple):
        return [_shown(item) for item in value]
    return value


def _read(pdu: Pdu | None, alphabet: str) -> tuple[str | None, int | None]:
    """The text of a message and which part of a long one it is."""
    if not isinstance(pdu, SubmitSm | DeliverSm | DataSm):
        return None, None
    part, concat = read_part(pdu)
    # By itself it is the whole there is: without this, `join` would mark the parts before it as missing.
    text = join([part._replace(sequence=1)], default=Alphabet(alphabet)).text
    return text, None if concat is None else concat.sequence
