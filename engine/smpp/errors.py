"""Every error the protocol code raises, told apart by who broke the rules and whether the link survives.

No message ever carries a field's value (numbers, texts, passwords), only names and sizes. Raised by `pdu`,
`states`, `text` and `session`; `engine.errors` builds on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.smpp.pdu.framing import Header

__all__ = ["CodecError", "FramingError", "MalformedTime", "NotAllowed", "NotEncodable", "ProtocolError"]


class ProtocolError(Exception):
    """Root of everything that goes wrong with SMPP itself."""


class CodecError(ProtocolError):
    """The peer sent octets that are not a legal PDU.

    `header` is what could be read of it (None if not even the header), `status` the command_status to answer
    with (`pdu.answer_to` builds that frame), `recoverable` whether the session goes on afterwards.
    """

    def __init__(self, message: str, *, header: Header | None, status: int, recoverable: bool = True) -> None:
        super().__init__(message)
        self.header = header
        self.status = status
        self.recoverable = recoverable


class FramingError(CodecError):
    """The octet stream cannot be followed any further: answer generic_nack, then drop the link.

    `frames` are the complete frames that came before the fault; they are good and must still be handled.
    """

    def __init__(
        self, message: str, *, status: int, header: Header | None = None, frames: Sequence[bytes] = ()
    ) -> None:
        super().__init__(message, header=header, status=status, recoverable=False)
        self.frames = tuple(frames)


class NotEncodable(ProtocolError):
    """Our bug or our caller's: a field or text does not fit the wire; nothing was sent."""


class NotAllowed(ProtocolError):
    """Our bug: this PDU may not be sent in this state."""


class MalformedTime(ProtocolError):
    """A time is neither NULL nor 16 characters `YYMMDDhhmmsstnnp` (SMPP 3.4 section 7.1.1)."""
