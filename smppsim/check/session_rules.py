"""Rules about the session: what opens it, what may be said when, sequence numbers, answers, its end.

Each is a pure function of the trace; `rules` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from engine.smpp.pdu import (
    BODIES,
    EnquireLink,
    GenericNack,
    SubmitSm,
    Unbind,
    command_name,
    commands,
    status_name,
)
from engine.smpp.states import BindState, Side, allowed
from smppsim.check.findings import Finding, advice, right, wrong
from smppsim.check.trace import BOUND, Bind, Seen, Trace

_LAST_SEQUENCE: Final = 0x7FFFFFFF
_VERSIONS: Final = {0x33, 0x34, 0x50}
_PROMPT_S: Final = 10.0
_SLOW_S: Final = 1.0
_IDLE_S: Final = 60.0
_OFTEN_S: Final = 5.0
_WIDE: Final = 1_000
_FORGOTTEN_S: Final = 30.0
"""What has had no answer for so long is nobody's slot any more."""


def bind_first(trace: Trace) -> Iterator[Finding]:
    """The first request of a connection is a bind (section 2.2; B5, H3)."""
    for seen in trace.of_client():
        if seen.state is not BindState.OPEN or seen.response:
            continue
        if seen.header.command_id in commands.BINDS:
            yield right("binds before anything else", seen)
        elif seen.header.command_id == commands.ENQUIRE_LINK:
            yield advice("enquire_link before the bind: only 5.0 knows it, a 3.4 peer may not answer", seen)
        else:
            yield wrong(f"{command_name(seen.header.command_id)} before the bind", seen)


def bind_fields(trace: Trace) -> Iterator[Finding]:
    """A bind names the client and a version that exists (section 4.1)."""
    for seen in trace.of_client():
        if not isinstance(seen.pdu, Bind):
            continue
        if seen.pdu.interface_version not in _VERSIONS:
            yield advice(f"interface_version 0x{seen.pdu.interface_version:02X} is none of 0x33, 0x34, 0x50", seen)
        elif not seen.pdu.system_id:
            yield wrong("an empty system_id", seen)
        else:
            yield right(f"{command_name(seen.header.command_id)}, version 0x{seen.pdu.interface_version:02X}", seen)


def legal_state(trace: Trace) -> Iterator[Finding]:
    """Only what the bind allows: no submit on a receiver, no request after unbind (section 2.3; B23)."""
    for seen in trace.of_client():
        command_id = seen.header.command_id
        if seen.state is BindState.OPEN or command_id not in BODIES:
            continue
        if allowed(Side.ESME, seen.state, command_id):
            yield right("nothing but what the bind allows", seen)
        else:
            yield wrong(f"{command_name(command_id)} while {seen.state.value}", seen)


def well_formed(trace: Trace) -> Iterator[Finding]:
    """Every PDU can be read: its length, terminated strings, whole parameters (section 3.2; A4 to A7, A10)."""
    for seen in trace.frames:
        if not seen.by_client:
            if isinstance(seen.pdu, GenericNack) and seen.header.sequence_number == 0 and seen.header.command_status:
                yield wrong(f"octets that are no PDU, answered {status_name(seen.header.command_status)}", seen)
        elif seen.fault is not None:
            yield wrong(f"{command_name(seen.header.command_id)}: {seen.fault}", seen)
        elif seen.flags and not (seen.response and seen.flags == ("truncated:body",)):
            yield advice(f"{command_name(seen.header.command_id)}: {', '.join(seen.flags)}", seen)
        else:
            yield right("every PDU can be read", seen)


def request_status(trace: Trace) -> Iterator[Finding]:
    """command_status of requests is zero (section 5.1.3)."""
    for seen in trace.of_client():
        if not seen.response:
            if seen.header.command_status:
                yield wrong(f"a request with command_status 0x{seen.header.command_status:08X}", seen)
            else:
                yield right("zero in every request", seen)


def sequence_range(trace: Trace) -> Iterator[Finding]:
    """Numbers of requests are 1 to 0x7FFFFFFF (section 5.1.4; B18)."""
    for seen in trace.of_client():
        if not seen.response:
            if 1 <= seen.header.sequence_number <= _LAST_SEQUENCE:
                yield right("1 to 0x7FFFFFFF", seen)
            else:
                yield wrong(f"sequence_number 0x{seen.header.sequence_number:08X}", seen)


def sequence_unique(trace: Trace) -> Iterator[Finding]:
    """A number is not used again while its request is open, and numbers go up (section 5.1.4; B18)."""
    for link in trace.links.values():
        opened: dict[int, Seen] = {}
        last = 0
        for seen in link.frames:
            if not seen.by_client or seen.response:
                continue
            number = seen.header.sequence_number
            before = opened.get(number)
            if before is not None and (before.answered is None or before.answered.at > seen.at):
                yield wrong(f"sequence_number {number} again, its first request being open", seen)
            elif before is not None:
                yield advice(f"sequence_number {number} again on one session", seen)
            elif number < last and last != _LAST_SEQUENCE:
                yield advice(f"sequence_number {number} after {last}", seen)
            else:
                yield right("each once, rising", seen)
            opened[number] = seen
            last = number


def response_sequence(trace: Trace) -> Iterator[Finding]:
    """A response carries the number of the request that it answers (section 5.1.4; B4)."""
    for seen in trace.of_client():
        if not seen.response or (isinstance(seen.pdu, GenericNack) and seen.header.sequence_number == 0):
            continue
        if seen.answers is None:
            yield wrong(f"{command_name(seen.header.command_id)} to a number that was never asked", seen)
        else:
            yield right("the number of the request", seen)


def response_command(trace: Trace) -> Iterator[Finding]:
    """A response is of the kind of its request, or generic_nack (section 2.3; B17)."""
    for seen in trace.of_client():
        if not seen.response or seen.answers is None or isinstance(seen.pdu, GenericNack):
            continue
        asked = seen.answers.header.command_id
        if seen.header.command_id == asked | commands.RESPONSE:
            yield right("of the kind of the request", seen)
        else:
            yield wrong(f"{command_name(seen.header.command_id)} to {command_name(asked)}", seen)


def response_once(trace: Trace) -> Iterator[Finding]:
    """A request is answered once (section 2.3; B16)."""
    for seen in trace.of_client():
        if seen.response and seen.answers is not None:
            if seen.answers.answered is seen:
                yield right("once", seen)
            else:
                yield wrong(f"{command_name(seen.header.command_id)} a second time", seen)


def generic_nacks(trace: Trace) -> Iterator[Finding]:
    """generic_nack answers what cannot be read, nothing else (section 4.3; A8)."""
    for seen in trace.of_client():
        if isinstance(seen.pdu, GenericNack) and seen.answers is not None:
            asked = seen.answers
            if asked.fault is not None:
                yield right("to what cannot be read", seen)
            elif asked.header.command_id in commands.UNANSWERED:
                yield wrong(f"to {command_name(asked.header.command_id)}, which has no answer", seen)
            else:
                yield advice(f"to a sound {command_name(asked.header.command_id)}", seen)


def enquire_answered(trace: Trace) -> Iterator[Finding]:
    """The operator's enquire_link is answered at once, whatever else there is to do (section 4.11; B3)."""
    for seen in trace.of_operator():
        if not isinstance(seen.pdu, EnquireLink) or seen.state not in BOUND:
            continue
        if seen.answered is not None and seen.answered.at - seen.at <= _PROMPT_S:
            took = seen.answered.at - seen.at
            yield (
                right(f"within {took:.2f} s", seen.answered)
                if took <= _SLOW_S
                else advice(f"only after {took:.1f} s", seen.answered)
            )
        elif trace.now - seen.at > _PROMPT_S and not seen.link.over_by(seen.at + _PROMPT_S):
            yield wrong(f"not within {_PROMPT_S:.0f} s", seen)


def enquire_sent(trace: Trace) -> Iterator[Finding]:
    """An idle link is probed (section 4.11; B1), and not all the time."""
    for link in trace.links.values():
        if not link.was_bound:
            continue
        end = min(at for at in (link.dead_at, link.closed_at, trace.now) if at is not None)
        probes = [seen for seen in link.frames if seen.by_client and isinstance(seen.pdu, EnquireLink)]
        instants = [link.opened_at, *(seen.at for seen in link.frames), end]
        silence = max(after - before for before, after in pairwise(instants))
        pauses = [after.at - before.at for before, after in pairwise(probes)]
        if silence > _IDLE_S:
            yield wrong(f"{silence:.0f} s without a word, and no enquire_link")
        elif len(pauses) >= 3 and sum(pauses) / len(pauses) < _OFTEN_S:
            yield advice(f"every {sum(pauses) / len(pauses):.1f} s: some operators count that as traffic", probes[0])
        elif probes:
            yield right("probes the link", probes[0])


def unbinds(trace: Trace) -> Iterator[Finding]:
    """A client that leaves says unbind first (section 4.2; B26)."""
    for link in trace.links.values():
        leaves = next((seen for seen in link.frames if seen.by_client and isinstance(seen.pdu, Unbind)), None)
        if leaves is not None:
            yield right("unbind before the end", leaves)
        elif link.was_bound and link.closed_by is Side.ESME and link.dead_at is None and link.state in BOUND:
            yield advice("closed a bound link without unbind: the operator may keep a ghost of it")


def operator_unbind(trace: Trace) -> Iterator[Finding]:
    """The operator's unbind is answered, and the link ended (section 4.2; B11)."""
    for seen in trace.of_operator():
        if not isinstance(seen.pdu, Unbind):
            continue
        if seen.answered is not None:
            yield right(f"unbind_resp after {seen.answered.at - seen.at:.2f} s", seen.answered)
        elif seen.link.closed_at is not None or trace.now - seen.at > _PROMPT_S:
            yield wrong("no unbind_resp", seen)


def window(limit: int | None, trace: Trace) -> Iterator[Finding]:
    """Unanswered submits of one session stay within what was agreed, or within reason (B22)."""
    widest, shown = 0, None
    for link in trace.links.values():
        unanswered: dict[int, float] = {}
        for seen in link.frames:
            number = seen.header.sequence_number
            if seen.by_client and isinstance(seen.pdu, SubmitSm):
                unanswered.pop(number, None)
                unanswered[number] = seen.at
                while unanswered and seen.at - next(iter(unanswered.values())) > _FORGOTTEN_S:
                    del unanswered[next(iter(unanswered))]
                if len(unanswered) > widest:
                    widest, shown = len(unanswered), seen
            elif not seen.by_client and seen.response:
                unanswered.pop(number, None)
    if not widest:
        return
    if limit is not None and widest > limit:
        yield wrong(f"{widest} unanswered submits in a window of {limit}", shown)
    elif widest > _WIDE:
        yield advice(f"{widest} unanswered submits: no window to be seen", shown)
    else:
        yield right(f"at most {widest} unanswered", shown)


def rate(limit: int | None, trace: Trace) -> Iterator[Finding]:
    """Submits of any second stay within the contract, every part counting (C8, C10)."""
    if limit is None:
        return
    arrivals = [seen for seen, _ in trace.submits()]
    first = 0
    busiest, shown = 0, None
    for last, seen in enumerate(arrivals):
        while arrivals[first].at <= seen.at - 1.0:
            first += 1
        if last - first + 1 > busiest:
            busiest, shown = last - first + 1, seen
    if busiest > limit:
        yield wrong(f"{busiest} in one second of {limit}", shown)
    elif busiest:
        yield right(f"at most {busiest} in a second", shown)
