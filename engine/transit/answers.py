"""Store functions for submit_sm_resp, and for the submits that got none: parts, messages, the keys that receipts will
need.

Called by intake with a batch of one operator account; decisions are `settling`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from engine.smpp.pdu import Disposition, Status, disposition
from engine.smpp.receipts import IdStyle, submit_keys
from engine.store.moves import PART
from engine.store.statements import Kind, Move, move
from engine.store.tables import Part
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.claiming import InFlight
from engine.transit.classes import CLASSES, Classes
from engine.transit.receipting import KeyRow, put_keys
from engine.transit.settling import Retry, answered, unanswered, unsent
from engine.transit.tally import Tally

# The account does not know the sender: nothing more is sent as that sender through it (C6).
SENDER_REFUSED: Final = frozenset({Status.ESME_RINVSRCADR, Status.ESME_RINVSRCTON, Status.ESME_RINVSRCNPI})


# What the account did not like was our way of asking, which it is not asked again: see `Quirks` (C7, G3).
FORM_REFUSED: Final = frozenset({Status.ESME_RINVEXPIRY, Status.ESME_RINVOPTPARSTREAM, Status.ESME_ROPTPARNOTALLWD})
_MAYBE_TAKEN: Final = frozenset({"in_doubt", "superseded"})  # states of parts
_NEVER_TAKEN: Final = frozenset({"refused", "unsent", "on_wire"})
_UNREADABLE: Final = frozenset({Status.ESME_RINVCMDLEN, Status.ESME_RINVCMDID})


class Answer(NamedTuple):
    """One submit_sm_resp (or generic_nack) of a submit of ours."""

    token: InFlight
    status: int
    smsc_id: str  # empty unless the status is 0
    late: bool
    nacked: bool = False


def meaning_of(status: int, statuses: Mapping[int, Disposition], *, nacked: bool) -> Disposition:
    """Return what an answer asks of us: `statuses` are the account's own meanings; a generic_nack is a definite refusal
    (B19), and what it could not read it will not read a second time.
    """
    if nacked:
        return Disposition.CFG if status in _UNREADABLE else Disposition.TMP_ONCE
    if status in FORM_REFUSED and status not in statuses:
        return Disposition.TMP_ONCE
    return disposition(status, statuses)


@dataclass(frozen=True, slots=True)
class AccountRules:
    """How an account's answers are read: the style of its ids, its own meanings of command_status, and other ways
    out.
    """

    name: str
    id_style: IdStyle
    statuses: Mapping[int, Disposition]
    elsewhere: Callable[[str], str | None]  # a plan, with this account as its last resort
    without: Callable[[str], str | None]  # a plan, never through this account
    only_here: Callable[[str], str]

    @property
    def retry(self) -> Retry:
        """Return the ways out as `settling` asks for them."""
        return Retry(
            lambda tally: self.elsewhere(tally.route),
            lambda tally: self.without(tally.route),
            lambda tally: self.only_here(tally.route),
        )


def apply_answers(
    tx: Tx, tallies: Mapping[str, Tally], answers: Sequence[Answer], rules: AccountRules, now: int
) -> list[str]:
    """Apply answers to loaded tallies and write their parts; return the keys that are now known."""
    moves: list[tuple[str, int, int, str, int | None, str]] = []
    keys: list[KeyRow] = []
    heard: list[tuple[Answer, Disposition]] = []
    for answer in answers:
        token = answer.token
        tally = tallies.get(token.message_id)
        if tally is None:
            continue
        meaning = meaning_of(answer.status, rules.statuses, nacked=answer.nacked)
        to = "accepted" if meaning is Disposition.OK else "refused"
        heard.append((answer, meaning))
        moves.append((token.message_id, token.number, token.attempt, to, answer.status, answer.smsc_id))
        if to == "accepted":
            part = (token.message_id, token.number, token.attempt, tally.application_id)
            keys += [(key, *part) for key in submit_keys(answer.smsc_id, rules.id_style)]
    # A part that a receipt has settled already, or that this batch settled before an unknown commit, stays as it is.
    moved = queue.move_parts(tx, moves, now)
    taken_before = _taken_before(tx, tallies, heard)
    retry = rules.retry
    for answer, meaning in heard:
        token = answer.token
        if (token.message_id, token.number, token.attempt) in moved:
            part_of_it = token.number, token.attempt
            # Of a part that an earlier submit has brought there, the refusal of the second one is no news.
            is_there = (token.message_id, token.number) in taken_before
            means = Disposition.OK if is_there else meaning
            answered(tallies[token.message_id], part_of_it, means, answer.status, now, retry)
    put_keys(tx, rules.name, keys, now)
    return [row[0] for row in keys]


def _taken_before(
    tx: Tx, tallies: Mapping[str, Tally], heard: Sequence[tuple[Answer, Disposition]]
) -> set[tuple[str, int]]:
    """Return the parts, of messages that were in doubt, of which an earlier submit was taken; note on the tallies of
    which one may have been (failure catalogue, section 2: sent without a status is a maybe).
    """
    refused = {answer.token.message_id for answer, meaning in heard if meaning is not Disposition.OK}
    refused |= {answer.token.message_id for answer, _ in heard if tallies[answer.token.message_id].reason == "partial"}
    asked = [message_id for message_id in refused if tallies[message_id].doubts]
    taken: set[tuple[str, int]] = set()
    for message_id, number, attempt, state in queue.parts_of(tx, asked) if asked else ():
        tally = tallies[message_id]
        if attempt >= tally.attempts:
            continue
        if state in _MAYBE_TAKEN:
            tally.doubtful = True
        elif state not in _NEVER_TAKEN:
            taken.add((message_id, number))
    return taken


def apply_unsent(
    tx: Tx, tallies: Mapping[str, Tally], tokens: Sequence[InFlight], rules: AccountRules, now: int
) -> None:
    """Take back the parts that were marked *on wire* and never written, since a sibling was refused for good (E17)."""
    moved = tx.move(_UNSEND_PARTS, [(token.message_id, token.number, token.attempt) for token in tokens])
    retry = rules.retry
    for token in tokens:
        tally = tallies.get(token.message_id)
        if tally is not None and (token.message_id, token.number, token.attempt) in moved:
            unsent(tally, (token.number, token.attempt), now, retry)


def apply_silence(
    tx: Tx, tallies: Mapping[str, Tally], tokens: Sequence[InFlight], now: int, classes: Classes = CLASSES
) -> int:
    """Put the submits that got no answer in doubt; return how many messages are so for the first time."""
    doubted = tx.move(_DOUBT_PARTS, [(token.message_id, token.number, token.attempt) for token in tokens])
    before = sum(tally.doubts for tally in tallies.values())
    for token in tokens:
        tally = tallies.get(token.message_id)
        if (
            tally is not None
            and (token.message_id, token.number, token.attempt) in doubted
            and token.attempt == tally.attempts
        ):
            unanswered(tally, now, classes)
    return sum(tally.doubts for tally in tallies.values()) - before


def put_second_ids(tx: Tx, seconds: Sequence[tuple[InFlight, str]], rules: AccountRules, now: int) -> list[str]:
    """Store the further ids of submits that were answered twice (B16); return the keys that are now known."""
    if not seconds:
        return []
    tallies = queue.load(tx, [token.message_id for token, _ in seconds])
    keys = [
        (key, token.message_id, token.number, token.attempt, tallies[token.message_id].application_id)
        for token, smsc_id in seconds
        if token.message_id in tallies
        for key in submit_keys(smsc_id, rules.id_style)
    ]
    put_keys(tx, rules.name, keys, now)
    return [row[0] for row in keys]


def refused_senders(tallies: Mapping[str, Tally], answers: Sequence[Answer]) -> frozenset[str]:
    """Return the senders that the account refused in these answers (C6)."""
    return frozenset(
        tallies[answer.token.message_id].sender
        for answer in answers
        if answer.status in SENDER_REFUSED and answer.token.message_id in tallies
    )


def _parts_to(state: str) -> Move:
    key: dict[str, Kind] = {"message_id": str, "number": int, "attempt": int}
    return move(PART, Part, expected=("on_wire",), to=state, given=key, matched_on=tuple(key))


_DOUBT_PARTS: Final = _parts_to("in_doubt")
_UNSEND_PARTS: Final = _parts_to("unsent")
