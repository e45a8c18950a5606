"""What can be made to go wrong, as frozen data: one union of faults, told apart by `kind`.

It causes nothing: `injection` turns a fault loose, `mangling` damages frames by it. Tests, `POST /faults` and
schedules write these values.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field, StringConstraints

from engine.smpp.pdu import Status, commands
from smppsim.behaviour import Cut
from smppsim.data import CommandStatus, Data, Seconds, Share

_COMMANDS = {commands.command_name(number): number for number in range(0x200)}
_COMMANDS |= {f"{name}_resp": number | commands.RESPONSE for name, number in _COMMANDS.items()}
_COMMANDS["generic_nack"] = commands.GENERIC_NACK


def _read_command(value: object) -> object:
    """A command id as number, or by the specification's name."""
    if not isinstance(value, str):
        return value
    if value not in _COMMANDS:
        raise ValueError("not a command: write its id, or a name such as submit_sm_resp")
    return _COMMANDS[value]


Unsigned32 = Annotated[int, Field(ge=0, le=0xFFFF_FFFF)]
CommandId = Annotated[Unsigned32, BeforeValidator(_read_command)]
Times = Annotated[int, Field(ge=1, le=1_000_000)]
Hex = Annotated[str, StringConstraints(pattern=r"^([0-9a-fA-F]{2})+$", max_length=200_000)]
Address = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{0,20}$")]


class OnAccount(Data):
    """Hits one account, or all."""

    account: str | None = None


class OnLinks(OnAccount):
    """Hits the links there are: one account's, one session, or all."""

    session: int | None = None


class OnFrames(OnLinks):
    """Hits PDUs that we send, on links of today and tomorrow: `times` of them, or all `for_s`; else the next one."""

    command: CommandId | None = None
    """Only PDUs of this command, by name or id."""
    times: Times | None = None
    for_s: Seconds | None = None
    share: Share = 1.0
    """Of the PDUs, drawn by the seed."""


class Drop(OnLinks):
    """End links: close, reset, black_hole (nothing comes out, no RST) or stall (zero window, for ever)."""

    kind: Literal["drop"] = "drop"
    how: Cut = Cut.close


class Mute(OnLinks):
    """Neither read nor write for a while, then go on as if nothing had been."""

    kind: Literal["mute"] = "mute"
    for_s: Seconds


class StopReading(OnLinks):
    """Read nothing for a while, so that the peer's TCP window runs down to zero; go on writing."""

    kind: Literal["stop_reading"] = "stop_reading"
    for_s: Seconds


class Unbind(OnLinks):
    """Send unbind without being asked; the link closes after the answer."""

    kind: Literal["unbind"] = "unbind"


class Raw(OnLinks):
    """Write any octets, legal or not."""

    kind: Literal["raw"] = "raw"
    hex: Hex

    @classmethod
    def of(cls, octets: bytes) -> "Raw":
        """These octets on every link."""
        return cls(hex=octets.hex())


class Outbind(OnLinks):
    """Send outbind where the client has connected itself."""

    kind: Literal["outbind"] = "outbind"
    system_id: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{0,15}$")] = "SMPPSIM"
    password: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{0,8}$"), Field(repr=False)] = ""


class Alert(OnLinks):
    """Send alert_notification: a handset that was off can be reached again."""

    kind: Literal["alert"] = "alert"
    source_addr: Address
    esme_addr: Address = ""


class RefuseBinds(OnAccount):
    """Refuse binds with a status: so many `times`, or all `for_s`; else the next one."""

    kind: Literal["refuse_binds"] = "refuse_binds"
    status: CommandStatus = Status.ESME_RBINDFAIL
    times: Times | None = None
    for_s: Seconds | None = None


class RefuseConnections(Data):
    """Listen to nobody for a while: connections are refused by TCP."""

    kind: Literal["refuse_connections"] = "refuse_connections"
    for_s: Seconds


class Ghost(OnAccount):
    """Lose the sessions and take them for alive for a while: binds get 0x05."""

    kind: Literal["ghost"] = "ghost"
    for_s: Seconds


class Throttle(OnAccount):
    """Throttle submits, or a share of them, for a while."""

    kind: Literal["throttle"] = "throttle"
    for_s: Seconds
    share: Share = 1.0


class IgnoreEnquireLinks(OnAccount):
    """Leave enquire_link unanswered for a while; everything else goes on."""

    kind: Literal["ignore_enquire_links"] = "ignore_enquire_links"
    for_s: Seconds


class Dribble(OnFrames):
    """Write a few octets per tick."""

    kind: Literal["dribble"] = "dribble"
    octets: Annotated[int, Field(ge=1, le=65_535)] = 1
    every_s: Annotated[float, Field(gt=0, le=3600)] = 1.0


class StopMidPdu(OnFrames):
    """Write the first octets of a PDU, then fall silent: for ever, or go on after a pause."""

    kind: Literal["stop_mid_pdu"] = "stop_mid_pdu"
    after: Annotated[int, Field(ge=0, le=65_535)] = 10
    pause_s: Seconds | None = None


class ResetMidPdu(OnFrames):
    """Send RST after so many octets of a PDU that we write, or that we read and then never take."""

    kind: Literal["reset_mid_pdu"] = "reset_mid_pdu"
    after: Annotated[int, Field(ge=0, le=65_535)] = 10
    direction: Literal["out", "in"] = "out"
    """As seen from the simulator; `command` does not apply to `in`."""


class WrongLength(OnFrames):
    """Write another command_length than the PDU has: a number, or so much more or less."""

    kind: Literal["wrong_length"] = "wrong_length"
    length: Unsigned32 | None = None
    by: Annotated[int, Field(ge=-65_535, le=65_535)] = 1
    """Used without a `length`."""


class UnknownCommand(OnFrames):
    """Write another command_id."""

    kind: Literal["unknown_command"] = "unknown_command"
    command_id: Unsigned32 = 0x0000_0999


class WrongSequence(OnFrames):
    """Answer under another sequence_number than the request's."""

    kind: Literal["wrong_sequence"] = "wrong_sequence"
    by: Annotated[int, Field(ge=-0x7FFF_FFFF, le=0x7FFF_FFFF)] = 1_000_000


class Nack(OnFrames):
    """Answer with generic_nack instead of the response."""

    kind: Literal["nack"] = "nack"
    status: CommandStatus = Status.ESME_RINVCMDID
    sequence: Literal["request", "zero"] = "request"


class BrokenTlvs(OnFrames):
    """Append optional parameters that are none to a PDU, deliver_sm unless another `command` is named."""

    kind: Literal["broken_tlvs"] = "broken_tlvs"
    how: Literal["overrun", "half_head", "wrong_length", "repeated", "unknown"] = "overrun"
    """`overrun`: runs past the end; `half_head`: three octets; `wrong_length`: a three-octet message_state;
    `repeated`: a vendor's, twice; `unknown`: a vendor's."""


class Truncate(OnFrames):
    """Cut a body short under a command_length that is right."""

    kind: Literal["truncate"] = "truncate"
    octets: Annotated[int, Field(ge=1, le=65_535)] = 1


class Corrupt(OnFrames):
    """Overwrite some octets after command_length by chance."""

    kind: Literal["corrupt"] = "corrupt"
    octets: Annotated[int, Field(ge=1, le=64)] = 1


class ForeignOctets(OnFrames):
    """Speak another protocol in place of a PDU: an HTTP answer, a TLS alert, or noise."""

    kind: Literal["foreign_octets"] = "foreign_octets"
    protocol: Literal["http", "tls", "noise"] = "http"


FrameFault: TypeAlias = (
    Dribble
    | StopMidPdu
    | ResetMidPdu
    | WrongLength
    | UnknownCommand
    | WrongSequence
    | Nack
    | BrokenTlvs
    | Truncate
    | Corrupt
    | ForeignOctets
)
"""Faults of single PDUs, which `mangling` commits."""

AnyFault: TypeAlias = (
    Drop
    | Mute
    | StopReading
    | Unbind
    | Raw
    | Outbind
    | Alert
    | RefuseBinds
    | RefuseConnections
    | Ghost
    | Throttle
    | IgnoreEnquireLinks
    | FrameFault
)

Fault = Annotated[AnyFault, Field(discriminator="kind")]
"""Any fault, as pydantic reads it."""
