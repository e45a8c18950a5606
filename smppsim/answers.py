"""The answers to submits on their way: due later, out of order, twice, or held until they are released.

It decides no status and ends no message: `submission` says what is answered and when, and hears when an answer
has gone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.smpp.pdu import (
    DataSmResp,
    SubmitMultiResp,
    SubmitSmResp,
    Tag,
    Tlv,
    UnsuccessSme,
    commands,
    encode,
    encode_submit_sm_resp,
)
from smppsim.agenda import Agenda
from smppsim.behaviour import Behaviour, Cut
from smppsim.messages import Message
from smppsim.overtaking import Overtaking
from smppsim.session import Session

_TLVS_FROM: Final = 0x34
_MOST_UNSUCCESSFUL: Final = 255


class Response:
    """An answer that is not given yet."""

    __slots__ = (
        "behaviour",
        "command_id",
        "copies",
        "cut",
        "final_wait",
        "message",
        "others",
        "sequence",
        "session",
        "status",
        "steps_aside",
        "twin",
        "unsuccess",
    )

    def __init__(
        self,
        session: Session,
        sequence: int,
        command_id: int,
        status: int,
        message: Message | None,
        behaviour: Behaviour,
    ) -> None:
        self.session = session
        self.sequence = sequence
        self.command_id = command_id
        self.status = status
        self.message = message
        self.behaviour = behaviour
        self.others: tuple[Message, ...] = ()
        """The further messages of a submit_multi."""
        self.unsuccess: tuple[UnsuccessSme, ...] = ()
        self.twin: Message | None = None
        """The message accepted before that this submit repeats."""
        self.copies = 1
        self.steps_aside = False
        """Whether it lets the next one of its session pass."""
        self.final_wait: float | None = None
        """Seconds from the answer to the message's end; None if its end does not wait for the answer."""
        self.cut: Cut | None = None
        """How the link ends right after the answer."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was accepted."""
        return () if self.message is None else (self.message, *self.others)


class Answers:
    """Every answer that is owed."""

    def __init__(self, agenda: Agenda, on_given: Callable[[Response, float], None]) -> None:
        self._agenda = agenda
        self._on_given = on_given
        self._overtaking = Overtaking(agenda, self._give_owed)
        self.held: list[Response] = []
        """Responses of `response = "hold"`, oldest first."""

    def give(self, response: Response, due: float, now: float) -> None:
        """Answer at `due`."""
        if due <= now and not response.steps_aside:
            self._give(response, now)
        else:
            self._owe(response)
            self._agenda.at(due, self._come_due, response)

    def hold(self, response: Response) -> None:
        """Answer when released."""
        self._owe(response)
        self.held.append(response)

    def release(self, response: Response, now: float) -> None:
        """Give a held answer; ValueError if it is not held."""
        self.held.remove(response)
        self._give_owed(response, now)

    def clear(self) -> None:
        """Forget what is owed."""
        self.held.clear()
        self._overtaking.clear()

    def _owe(self, response: Response) -> None:
        session = response.session
        session.unanswered += 1
        if session.unanswered > session.widest:
            session.widest = session.unanswered
            account = session.account
            if account is not None and session.widest > account.widest_window:
                account.widest_window = session.widest

    def _come_due(self, response: Response, now: float) -> None:
        if response.steps_aside:
            self._overtaking.step_aside(response.session.number, response, now)
        else:
            self._give_owed(response, now)

    def _give_owed(self, response: Response, now: float) -> None:
        response.session.unanswered -= 1
        self._give(response, now)

    def _give(self, response: Response, now: float) -> None:
        session = response.session
        frame = _encoded(response)
        for _ in range(response.copies):
            session.write(frame, now)
        self._on_given(response, now)
        self._overtaking.passed(session.number, now)


def _encoded(response: Response) -> bytes:
    status, known, congestion = response.status, response.message or response.twin, response.behaviour.congestion_state
    message_id = b"" if known is None or status else known.message_id
    if response.command_id == commands.SUBMIT_SM and congestion is None:
        return encode_submit_sm_resp(response.sequence, status, message_id)
    tlvs: tuple[Tlv, ...] = ()
    if congestion is not None and response.session.version >= _TLVS_FROM:
        tlvs = ((Tag.CONGESTION_STATE, bytes((congestion,))),)
    if response.command_id == commands.SUBMIT_MULTI:
        # An error has no body; no_unsuccess is one octet.
        unsuccess = () if status else response.unsuccess[:_MOST_UNSUCCESSFUL]
        return encode(SubmitMultiResp(message_id, unsuccess, tlvs), response.sequence, status)
    body = DataSmResp if response.command_id == commands.DATA_SM else SubmitSmResp
    return encode(body(message_id, tlvs), response.sequence, status)
