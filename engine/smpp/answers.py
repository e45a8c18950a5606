"""Which request a response answers, and what that makes of the request.

It judges one PDU against the window and never sends; link PDUs do not come here. The session is its only
caller.
"""

from __future__ import annotations

from engine.smpp.events import Answered, DuplicateAnswer, Event, Flagged, Unanswered
from engine.smpp.pdu import Flags, Header, Pdu, command_name, commands
from engine.smpp.window import Window


def settle(window: Window, header: Header, pdu: Pdu, flags: Flags, now: float) -> list[Event]:
    """The events of one response; the window is changed accordingly.

    A generic_nack answers whatever request it names. Any other response must be the request's own: else the
    request is in doubt, never accepted (row B17). Unknown numbers change nothing (row B14), of two answers
    the first counts (row B16).
    """
    _, command_id, status, sequence = header
    found = window.find(sequence)
    if found is None:
        return _answers_nothing(window, header, pdu)
    (token, requested, sent_at, _), late = found
    if command_id != requested | commands.RESPONSE and command_id != commands.GENERIC_NACK:
        flagged = Flagged("mismatched", f"{command_name(command_id)} for {command_name(requested)}")
        if late:
            return [flagged]
        window.doubt(sequence, now)
        return [flagged, Unanswered(token)]
    message_id: bytes = getattr(pdu, "message_id", b"")
    window.settle(sequence, message_id)
    return [tuple.__new__(Answered, (token, status, message_id, pdu[-1], late, sent_at, now, flags, pdu))]


def _answers_nothing(window: Window, header: Header, pdu: Pdu) -> list[Event]:
    name = command_name(header.command_id)
    done = window.answered(header.sequence_number)
    if done is None:
        return [Flagged("unknown_response", name)]
    message_id: bytes = getattr(pdu, "message_id", b"")
    if message_id and message_id != done.message_id:
        # Receipts may come for either id.
        second = DuplicateAnswer(done.token, header.command_status, message_id)
        return [Flagged("duplicate_response", name), second]
    return [Flagged("duplicate_response", name)]
