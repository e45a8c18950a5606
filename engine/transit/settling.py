"""What an answer, a missing answer or a receipt makes of a message: pure decisions on a `Tally` loaded from its row.

Intake loads tallies, applies what came in, and writes what changed with guarded moves. Nothing here waits, reads or
writes.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from engine.smpp.pdu import Disposition, Status
from engine.smpp.receipts import MessageState
from engine.store.moves import MESSAGE
from engine.transit.classes import CLASSES, MOST_SUBMITS, Classes, Lane
from engine.transit.tally import Tally

SECOND: Final = 1_000_000

# Which failure names a message of several parts: the later in this order.
_WORSE: Final = {"delivered": 0, "expired": 1, "undelivered": 2, "rejected": 3}

OUTCOME_OF: Final = {
    MessageState.DELIVERED: "delivered",
    MessageState.EXPIRED: "expired",
    MessageState.DELETED: "undelivered",
    MessageState.UNDELIVERABLE: "undelivered",
    MessageState.REJECTED: "rejected",
    MessageState.SKIPPED: "undelivered",
    MessageState.UNKNOWN: "unknown",
}

_LONGEST_FULL: Final = 6  # doublings of a second
LONGEST_WAIT: Final = SECOND << _LONGEST_FULL  # of a message in `waiting`, in microseconds
_THROTTLES_TO_MOVE: Final = 3  # a code that is throttled more often tries another account
_RETRY: Final = {Disposition.TMP: "temporary", Disposition.TMP_ONCE: "temporary_once"}  # reasons of a part's retry
_TEMPORARY_TRIES: Final = {Disposition.TMP: 5, Disposition.TMP_ONCE: 2}
_ELSEWHERE: Final = "elsewhere"  # reason while parts are refused as by an account that may not carry the message


class Retry(NamedTuple):
    """What a route still offers: whether another account may carry the message, and after how many microseconds."""

    elsewhere: Callable[[Tally], str | None]  # the plan that prefers accounts not tried, if there are any
    without: Callable[[Tally], str | None]  # the plan without the present account, if that leaves one
    only_here: Callable[[Tally], str]  # the plan of the present account alone


def answered(tally: Tally, part: tuple[int, int], disposition: Disposition, status: int, now: int, retry: Retry) -> str:
    """Apply one submit_sm_resp for `part` (number, attempt) to a message; return the part's new state.

    A throttled part goes back to the queue and costs no attempt; a temporary refusal waits with doubling pauses; a
    refusal that another account might not share moves there; the rest is final, unless an earlier submit may have
    arrived (`Tally.doubtful`). The late answer of an earlier attempt changes its part alone.
    """
    number, attempt = part
    if attempt == tally.attempts:
        tally.unanswered = max(0, tally.unanswered - 1)
        tally.status = status
        if disposition is Disposition.OK:
            tally.resend = _without(tally.resend, number)
            _settle_answers(tally, now, retry)
        elif tally.parts > 1:
            _one_part_refused(tally, number, disposition, now, retry)
        else:
            _refused(tally, disposition, now, retry)
    return "accepted" if disposition is Disposition.OK else "refused"


def _give_up(tally: Tally, state: str, now: int, reason: str) -> None:
    """End a message that is not sent again; one of which an earlier submit may have arrived stays in doubt, until it is
    told of or its life ends.
    """
    if tally.doubtful and tally.state == "on_wire":
        tally.due_at = None
        tally.reason = None
        tally.move("in_doubt")
    else:
        tally.finish(state, now, reason)


def _awaits_answer(tally: Tally) -> bool:
    # A message queued for its second submit still learns from the late answer to the first.
    return tally.state in {"on_wire", "in_doubt"} or (tally.state in {"queued", "waiting"} and tally.doubts > 0)


def _settle_answers(tally: Tally, now: int, retry: Retry) -> None:
    if tally.unanswered or not _awaits_answer(tally):
        return
    if tally.resend:
        _part_again(tally, now, retry)
    elif tally.reason == "partial":
        _give_up(tally, "rejected", now, "partial")
    else:
        tally.accepted_at = tally.accepted_at or now
        tally.due_at = None
        tally.resend = None
        tally.move("accepted", "accepted")
        if tally.open_parts == 0 and tally.worst is not None:
            tally.finish(tally.worst, now)


def _part_again(tally: Tally, now: int, retry: Retry) -> None:
    if tally.state not in {"on_wire", "in_doubt"}:
        return  # it is on its way back already
    tally.due_at = None
    if tally.reason == _ELSEWHERE:
        _whole_elsewhere(tally, now, retry)
        return
    tries = next((tries for kind, tries in _TEMPORARY_TRIES.items() if _RETRY[kind] == tally.reason), None)
    if tries is None:
        tally.attempts -= 1
        _back(tally, now)
    elif tally.attempts < tries:
        tally.reason = None
        _wait(tally, now, SECOND << (tally.attempts - 1))
    else:
        _give_up(tally, "rejected", now, "partial")


def _whole_elsewhere(tally: Tally, now: int, retry: Retry) -> None:
    # Through another account only as a whole, with a reference of its own: never when a part has arrived here (E17).
    all_refused = tally.resend is not None and tally.resend.count(",") + 1 == tally.parts
    other = retry.without(tally) if all_refused else None
    tally.resend = None
    if other is None:
        _give_up(tally, "rejected", now, "partial")
    else:
        tally.reason = None
        tally.route = other
        _requeue(tally, now)


def _with(resend: str | None, *numbers: int) -> str:
    """Return the list of the parts that are sent again with more parts."""
    waiting = [] if resend is None else [int(part) for part in resend.split(",")]
    return ",".join(str(part) for part in sorted({*waiting, *numbers}))


def _without(resend: str | None, number: int) -> str | None:
    """Return the list of the parts that are sent again without one of them."""
    if resend is None:
        return None
    return ",".join(part for part in resend.split(",") if int(part) != number) or None


def _requeue(tally: Tally, now: int) -> None:
    if tally.expires_at <= now:
        _give_up(tally, "expired", now, "expired_before_send")
    else:
        tally.move("queued")


def _back(tally: Tally, now: int) -> None:
    if tally.status == Status.ESME_RMSGQFUL:
        # Full for this destination: the message waits, and the others go on (C2).
        _wait(tally, now, SECOND << min(tally.throttles, _LONGEST_FULL))
    else:
        _requeue(tally, now)


def _wait(tally: Tally, now: int, pause: int) -> None:
    tally.due_at = now + pause
    if tally.due_at >= tally.expires_at:
        tally.due_at = None
        _give_up(tally, "expired", now, "expired_before_send")
    else:
        tally.move("waiting")


def _refused(tally: Tally, disposition: Disposition, now: int, retry: Retry) -> None:
    if not _awaits_answer(tally):
        return
    if tally.state in {"queued", "waiting"}:
        if disposition is Disposition.PERM:
            tally.finish("rejected", now, "refused")
        return
    if disposition in {Disposition.THR, Disposition.SES}:
        tally.attempts -= 1
        tally.throttles += disposition is Disposition.THR
        if tally.lane == Lane.OTP and tally.throttles >= _THROTTLES_TO_MOVE:
            tally.route = retry.elsewhere(tally) or tally.route  # before its life ends here (C4)
        _back(tally, now)
        return
    if disposition in _TEMPORARY_TRIES and tally.attempts < _TEMPORARY_TRIES[disposition]:
        tally.route = retry.elsewhere(tally) or tally.route
        _wait(tally, now, SECOND << (tally.attempts - 1))
        return
    other = None if disposition is Disposition.PERM else retry.without(tally)
    if other is not None:
        tally.route = other
        _requeue(tally, now)
        return
    _give_up(tally, "rejected", now, "refused")


def _one_part_refused(tally: Tally, number: int, disposition: Disposition, now: int, retry: Retry) -> None:
    again = disposition in {Disposition.THR, Disposition.SES} or disposition in _TEMPORARY_TRIES
    moves = disposition in {Disposition.CFG, Disposition.DST} and retry.without(tally) is not None
    if again and tally.reason not in {"partial", _ELSEWHERE}:
        # The refused part never reached a handset: it alone goes out again, same reference, same account.
        tally.resend = _with(tally.resend, number)
        tally.throttles += disposition is Disposition.THR
        tally.reason = _RETRY.get(disposition, tally.reason)
        tally.route = retry.only_here(tally)
    elif moves and (tally.resend is None or tally.reason == _ELSEWHERE) and tally.reason != "partial":
        tally.resend = _with(tally.resend, number)
        tally.reason = _ELSEWHERE
    else:
        tally.reason = "partial"
        tally.resend = None
    _settle_answers(tally, now, retry)


def unsent(tally: Tally, part: tuple[int, int], now: int, retry: Retry) -> None:
    """Take a part back that was never written, since a sibling of it was refused for good: it has arrived nowhere."""
    number, attempt = part
    if attempt == tally.attempts:
        tally.unanswered = max(0, tally.unanswered - 1)
        if tally.reason != "partial":
            tally.resend = _with(tally.resend, number)  # it goes with whatever is sent again, here or elsewhere
        _settle_answers(tally, now, retry)


def unanswered(tally: Tally, now: int, classes: Classes = CLASSES) -> None:
    """Apply a submit_sm that got no answer: the message is in doubt, and its class says until when."""
    if tally.state == "on_wire":
        tally.doubts += 1
        tally.due_at = now + int(classes[tally.message_class].doubt.hold_s * SECOND)
        tally.move("in_doubt", "in_doubt")
        _end_of_parts(tally, now)  # the receipts of an earlier attempt may have told everything already


def resolve_doubt(
    tally: Tally, now: int, elsewhere: str | None, only_here: str, doubtful: list[int], classes: Classes = CLASSES
) -> None:
    """Decide a message in doubt whose hold is over: send once more, or leave it visible until its life ends.

    A message of one part prefers another account (`elsewhere`); of several, only the `doubtful` parts go again,
    through the same account and with the same reference.
    """
    policy = classes[tally.message_class].doubt
    left = tally.expires_at - now
    if not policy.resends or tally.attempts >= MOST_SUBMITS or left <= policy.least_life_s * SECOND:
        tally.due_at = None
        return
    tally.due_at = None
    if tally.parts > 1:
        tally.resend = _with(tally.resend, *doubtful)
        tally.route = only_here
        if tally.reason == _ELSEWHERE:
            tally.reason = None
    elif elsewhere is not None:
        tally.route = elsewhere
    tally.move("queued")


class PartFacts(NamedTuple):
    """What a receipt needs to know of the part that it names."""

    number: int
    attempt: int
    state: str
    sibling_final: bool  # another attempt at the same part is final already


def received(tally: Tally, part: PartFacts, state: MessageState, now: int, error: str) -> tuple[str, str | None]:
    """Apply a receipt to a message; return its effect and the part's new state, if it has one.

    Effects: `applied`, `noted` (not final, or no longer news), `duplicate`, `contradicts` (a second, different final:
    the first stays).
    """
    outcome = OUTCOME_OF.get(state)
    if part.state in _WORSE:
        if outcome is None or outcome == "unknown":
            return "noted", None
        return ("duplicate" if part.state == outcome else "contradicts"), None
    if outcome == "unknown" and part.state == "unknown":
        return "duplicate", None
    if part.state == "in_doubt":
        # Whatever it says, it proves that the submit arrived: nothing is sent again for it.
        _proven(tally, part, now)
    if outcome is None:
        return "noted", "accepted" if part.state == "in_doubt" else None
    if outcome == "unknown":
        if tally.open_parts <= 1 and tally.state in {"accepted", "in_doubt"}:
            tally.due_at = None
            tally.final_at = now
            tally.move("unknown", "unknown")
        return "applied", "unknown"
    if part.sibling_final:
        return "duplicate", outcome
    tally.open_parts = max(0, tally.open_parts - 1)
    if tally.state not in MESSAGE.final:
        tally.reason = tally.reason if outcome == "delivered" else (error or outcome)
    if tally.worst is None or _WORSE[outcome] > _WORSE[tally.worst]:
        tally.worst = outcome
    _end_of_parts(tally, now)
    return "applied", outcome


def _proven(tally: Tally, part: PartFacts, now: int) -> None:
    if part.attempt != tally.attempts or tally.state == "on_wire" or not _awaits_answer(tally):
        return
    tally.unanswered = max(0, tally.unanswered - 1)
    tally.resend = _without(tally.resend, part.number)
    if not tally.unanswered and tally.open_parts:
        tally.accepted_at = tally.accepted_at or now
        tally.due_at = None
        tally.move("accepted", "accepted")


def _end_of_parts(tally: Tally, now: int) -> None:
    settled = {"accepted", "in_doubt", "unknown", "queued", "waiting"}
    if tally.open_parts == 0 and tally.worst is not None and tally.state in settled:
        tally.due_at = None
        tally.finish(tally.worst, now)


def overdue(tally: Tally, now: int) -> None:
    """Apply the end of a message's life: what was never sent expires, what was sent and told of by nobody is
    unknown; a part that is known to have failed decides for those of which nothing was heard.
    """
    if tally.state in {"queued", "waiting"} and not tally.doubts:
        tally.finish("expired", now, "expired_before_send" if tally.resend is None else "partial")
    elif tally.state in {"queued", "waiting", "accepted", "in_doubt"}:
        tally.due_at = None
        if tally.worst is not None and tally.worst != "delivered":
            tally.finish(tally.worst, now)
            return
        tally.final_at = now
        tally.move("unknown", "unknown")
