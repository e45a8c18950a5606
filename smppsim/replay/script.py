"""One side of a captured conversation: what it asked when, and what it answered to whom.

Pure. It pairs requests with responses as they were paired in the capture; `player` plays the result.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from engine.smpp.errors import CodecError
from engine.smpp.pdu import HEADER_LENGTH, Header, commands, decode, peek
from smppsim.capture.conversations import Conversation, Said

_SECOND: Final = 1_000_000


class Side(StrEnum):
    """Whose part is played."""

    esme = "esme"
    smsc = "smsc"


class Ask(NamedTuple):
    """A request of ours, or octets that are no PDU; `due` in seconds from the beginning."""

    due: float
    frame: bytes
    header: Header | None
    answered: int | None = None
    """The status of the answer that it got in the capture; None if it got none."""
    message_id: bytes = b""
    """The id that it was given then."""


class Answer(NamedTuple):
    """Our response to one of their requests, and how long it took."""

    delay: float
    frame: bytes


@dataclass
class Script:
    """What one side has to say."""

    asks: list[Ask] = field(default_factory=list)
    answers: dict[tuple[int, int], Answer | None] = field(default_factory=dict)
    """By command and how many of that command came before; None if there was no answer."""
    window: int = 1
    """Most requests of ours that had no answer at a time."""


def header_of(frame: bytes) -> Header | None:
    """None if there are not even 16 octets."""
    return peek(frame) if len(frame) >= HEADER_LENGTH else None


def is_response(header: Header) -> bool:
    """A response or generic_nack."""
    return bool(header.command_id & commands.RESPONSE)


def message_id_of(frame: bytes) -> bytes:
    """The id of a message in a PDU, empty if there is none."""
    try:
        _, pdu = decode(frame)
    except CodecError:
        return b""
    given: bytes = getattr(pdu, "message_id", b"")
    return given


def script_of(conversation: Conversation, side: Side) -> Script:
    """What `side` said in it."""
    script = Script()
    if not conversation.said:
        return script
    begun = conversation.said[0].at
    asked: dict[int, int] = {}
    theirs: dict[int, tuple[tuple[int, int], int]] = {}
    count: Counter[int] = Counter()
    for said in conversation.said:
        ours = said.by_client == (side is Side.esme)
        header = header_of(said.frame)
        if ours and (header is None or not is_response(header)):
            if header is not None:
                asked[header.sequence_number] = len(script.asks)
            script.asks.append(Ask((said.at - begun) / _SECOND, said.frame, header))
            script.window = max(script.window, len(asked))
        elif header is None:
            continue
        elif not is_response(header):
            key = header.command_id, count[header.command_id]
            count[header.command_id] += 1
            theirs[header.sequence_number] = key, said.at
            script.answers[key] = None
        elif ours:
            _answer(script, theirs, header, said)
        elif header.sequence_number in asked:
            number = asked.pop(header.sequence_number)
            script.asks[number] = script.asks[number]._replace(
                answered=header.command_status, message_id=message_id_of(said.frame)
            )
    return script


def _answer(script: Script, theirs: dict[int, tuple[tuple[int, int], int]], header: Header, said: Said) -> None:
    """Our response belongs to their request of the same number, if that is still open."""
    if header.sequence_number in theirs:
        key, at = theirs.pop(header.sequence_number)
        script.answers[key] = Answer((said.at - at) / _SECOND, said.frame)
