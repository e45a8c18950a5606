"""Rules about how the client bears refusals, silence and lost links: whether it slows down, waits, and comes back.

Each is a pure function of the trace; `rules` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from engine.smpp.pdu import DataSm, Status, SubmitSm, commands, status_name
from engine.smpp.states import Side
from engine.smpp.text import read_part
from smppsim.check.findings import Finding, advice, right, wrong
from smppsim.check.trace import Bind, LinkSeen, Seen, Trace

_AT_ONCE_S: Final = 0.1
_REACTION_S: Final = 1.0
"""What was on its way when the first refusal was read does not count against anybody."""
_LULL_S: Final = 5.0
_SLOWED: Final = 0.8
_CREDENTIALS: Final = frozenset({Status.ESME_RINVPASWD, Status.ESME_RINVSYSID})
_LOCKING_S: Final = 10.0
_PATIENT_S: Final = 300.0
_BACK_S: Final = 60.0
_ALIVE_S: Final = 60.0
_ALONE_S: Final = 2.0
_TIGHT_S: Final = 1.0
_EASY_S: Final = 5.0

_Key = tuple[bytes, bytes, bytes]


class _Refusals(NamedTuple):
    """Refusals that follow each other without a lull."""

    refused: list[Seen]
    """The responses."""

    @property
    def began(self) -> float:
        return self.refused[0].at

    @property
    def ended(self) -> float:
        return self.refused[-1].at


def _key(pdu: SubmitSm | DataSm) -> _Key:
    """What makes a submit the same message again: addresses and text, whatever its reference."""
    return pdu.source_addr, pdu.destination_addr, read_part(pdu)[0].body


def _refusals(trace: Trace, status: int) -> list[_Refusals]:
    runs: list[_Refusals] = []
    for seen in trace.of_operator():
        if not seen.response or seen.header.command_status != status or seen.answers is None:
            continue
        if not isinstance(seen.answers.pdu, SubmitSm | DataSm):
            continue
        if not runs or seen.at - runs[-1].ended > _LULL_S:
            runs.append(_Refusals([]))
        runs[-1].refused.append(seen)
    return runs


def _sent(trace: Trace) -> dict[_Key, list[Seen]]:
    """Every submit of every message, without those whose text was accepted twice: that client always says the same."""
    sent: dict[_Key, list[Seen]] = {}
    for seen, pdu in trace.submits():
        sent.setdefault(_key(pdu), []).append(seen)
    return {key: seen for key, seen in sent.items() if sum(map(_accepted, seen)) < 2}


def _accepted(seen: Seen) -> bool:
    return seen.answered is not None and not seen.answered.header.command_status


def _again_at_once(trace: Trace, runs: list[_Refusals]) -> Iterator[Finding]:
    """A refused message that is sent again within a tenth of a second."""
    sent = _sent(trace)
    for run in runs:
        for refusal in run.refused:
            assert refusal.answers is not None
            assert isinstance(refusal.answers.pdu, SubmitSm | DataSm)
            same = sent.get(_key(refusal.answers.pdu), [])
            again = next((seen for seen in same if seen.at >= refusal.at and seen is not refusal.answers), None)
            if again is not None and again.at - refusal.at < _AT_ONCE_S:
                yield wrong(f"sent again {1000 * (again.at - refusal.at):.0f} ms after it was refused", again)
            elif again is not None:
                yield right(f"sent again after {again.at - refusal.at:.1f} s", again)
            elif same and trace.now - refusal.at > _AT_ONCE_S:
                yield right("not sent again at once", refusal)


def throttled(trace: Trace) -> Iterator[Finding]:
    """ESME_RTHROTTLED slows the client down (section 5.1.3; C1, C3)."""
    runs = _refusals(trace, Status.ESME_RTHROTTLED)
    arrivals = [seen.at for seen, _ in trace.submits()]
    for run in runs:
        lasted = run.ended - run.began - _REACTION_S
        if lasted < _REACTION_S:
            continue
        before = sum(run.began - _LULL_S <= at < run.began for at in arrivals) / _LULL_S
        during = sum(run.began + _REACTION_S <= at <= run.ended for at in arrivals) / lasted
        if during > 1 and during > _SLOWED * before:
            yield wrong(f"went on at {during:.1f} submits a second, having sent {before:.1f} before", run.refused[-1])
        else:
            yield right(f"slowed down from {before:.1f} to {during:.1f} submits a second", run.refused[-1])
    yield from _again_at_once(trace, runs)


def queue_full(trace: Trace) -> Iterator[Finding]:
    """ESME_RMSGQFUL is not answered with the same message at once (section 5.1.3; C2)."""
    return _again_at_once(trace, _refusals(trace, Status.ESME_RMSGQFUL))


def system_error(trace: Trace) -> Iterator[Finding]:
    """ESME_RSYSERR is not answered with the same message at once (section 5.1.3; C5)."""
    return _again_at_once(trace, _refusals(trace, Status.ESME_RSYSERR))


def no_response(trace: Trace) -> Iterator[Finding]:
    """A response that never comes neither stops the client nor makes it send the message twice (section 7.2; B15)."""
    last_sign = max((seen.at for seen in trace.of_client()), default=0.0)
    for sent in _sent(trace).values():
        for one, following in zip(sent, [*sent[1:], None], strict=True):
            if one.answered is not None or one.link.over_by(one.at + _ALONE_S):
                continue
            if following is not None and following.at - one.at < _ALONE_S:
                yield wrong(f"sent again {following.at - one.at:.1f} s after a submit without answer", following)
            elif last_sign - one.at > _LULL_S:
                yield right("goes on", one)
            elif trace.now - one.at > _ALIVE_S:
                yield wrong(f"not a word for {_ALIVE_S:.0f} s after a submit without answer", one)


def dead_link(trace: Trace) -> Iterator[Finding]:
    """A link that carries nothing any more is given up within a minute (section 7.2; B1)."""
    for link in trace.links.values():
        if link.dead_at is None or not link.was_bound:
            continue
        last = link.frames[-1] if link.frames else None
        if link.closed_by is Side.ESME and link.closed_at is not None:
            took = link.closed_at - link.dead_at
            yield (
                right(f"given up after {took:.0f} s", last)
                if took <= _ALIVE_S
                else wrong(f"given up only after {took:.0f} s", last)
            )
        elif trace.now - link.dead_at > _ALIVE_S:
            yield wrong(f"still open after {trace.now - link.dead_at:.0f} s", last)


def comes_back(trace: Trace) -> Iterator[Finding]:
    """A lost link is bound again within a minute once the operator lets it (B11, B12)."""
    for link in trace.links.values():
        if not link.was_bound or link.closed_at is None or _left(link):
            continue
        tried = next((bind for bind in _binds(trace) if bind.at >= link.closed_at and bind.link is not link), None)
        if tried is not None and tried.at - link.closed_at <= _BACK_S:
            yield right(f"binds again after {tried.at - link.closed_at:.1f} s", tried)
        elif tried is not None:
            yield advice(f"binds again only after {tried.at - link.closed_at:.0f} s", tried)
        elif trace.now - link.closed_at > _BACK_S:
            yield wrong(f"no bind within {_BACK_S:.0f} s")


def _left(link: LinkSeen) -> bool:
    return any(seen.by_client and seen.header.command_id == commands.UNBIND for seen in link.frames)


def _binds(trace: Trace) -> list[Seen]:
    return [seen for seen in trace.of_client() if isinstance(seen.pdu, Bind)]


def reconnects(trace: Trace) -> Iterator[Finding]:
    """Binds that fail are repeated with growing pauses, never in a tight loop (B7, B21)."""
    named = _CREDENTIALS | {Status.ESME_RALYBND}
    yield from _spaced(trace, lambda status: status not in named, _TIGHT_S, _EASY_S)


def ghosts(trace: Trace) -> Iterator[Finding]:
    """ESME_RALYBND is waited out slowly, and taken for no bind (B8)."""
    for link in trace.links.values():
        refused = next((seen for seen in link.frames if _is_ghost(seen)), None)
        used = [seen for seen in link.frames if seen.by_client and not seen.response and not isinstance(seen.pdu, Bind)]
        if refused is not None and not link.was_bound and used and used[-1].at > refused.at:
            yield wrong("goes on as if it were bound", used[-1])
    yield from _spaced(trace, lambda status: status == Status.ESME_RALYBND, _TIGHT_S, _EASY_S)


def _is_ghost(seen: Seen) -> bool:
    return not seen.by_client and seen.response and seen.header.command_status == Status.ESME_RALYBND


def credentials(trace: Trace) -> Iterator[Finding]:
    """A refused password is not tried again and again: accounts get locked (B6)."""
    yield from _spaced(trace, _CREDENTIALS.__contains__, _LOCKING_S, _PATIENT_S)


def _spaced(trace: Trace, wanted: Callable[[int], bool], tight_s: float, easy_s: float) -> Iterator[Finding]:
    """How long after each refusal of a wanted status the next bind comes.

    Several binds may be tried side by side: a pause is measured over as many attempts as were ever bound at once.
    """
    binds = _binds(trace)
    side_by_side = max(1, trace.most_bound)
    pauses: list[float] = []
    for number, bind in enumerate(binds):
        answer = bind.answered
        if answer is None or not answer.header.command_status or not wanted(answer.header.command_status):
            continue
        later = number + side_by_side
        if later < len(binds):
            pause = binds[later].at - answer.at
            pauses.append(pause)
            if pause < tight_s:
                yield wrong(
                    f"{pause:.2f} s after {status_name(answer.header.command_status)} it binds again", binds[later]
                )
        elif trace.now - answer.at >= tight_s:
            yield right(f"no bind in the {trace.now - answer.at:.0f} s after the refusal", answer)
    if pauses and min(pauses) >= tight_s:
        steady = max(pauses) < easy_s and len(pauses) > 2
        said = f"{len(pauses)} attempts, {min(pauses):.1f} to {max(pauses):.1f} s after a refusal"
        yield advice(f"{said}: let the pauses grow") if steady else right(said)
