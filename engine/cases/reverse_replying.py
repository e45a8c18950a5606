"""Finds the reverse codes in what handsets wrote, whatever stands around them, and counts those that nobody waits for.

Store functions in the transaction that stores the replies, one statement each for all replies of a batch; what a found
code does to its case is the workflow's. Each reply is decided as if those before it had long been settled.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from engine.cases import caseload, reverse_rows
from engine.cases.casebook import Budget
from engine.cases.outcomes import Claimed
from engine.cases.reverse import Reverses
from engine.cases.reverse_stepping import ReverseSteps
from engine.codes import normalise
from engine.events import NewEvent
from engine.phones import mask
from engine.store.transaction import Tx
from engine.transit.replying import JoinedReply
from workflows.reverse_codes import ATTEMPT, Unknown, may_guess, pieces
from workflows.reverse_otp import CODE_LENGTH, WORKFLOW, Heard

_EVERYBODY: Final = "*"


class Sent(NamedTuple):
    """A reply, and the fingerprint of whoever sent it."""

    reply: JoinedReply
    source_fp: str


class Taken(NamedTuple):
    """Whose a reply is, None if no code in it is anybody's; and the events to record."""

    claimed: Claimed | None
    events: Sequence[NewEvent] = ()


NOBODYS: Final = Taken(None)


class _Read(NamedTuple):
    """A reply with what may be codes in it and what each weighs, and where guesses by its sender and at its number are
    counted.
    """

    sent: Sent
    codes: Mapping[str, int]
    sender: Budget
    number: Budget


@dataclass(frozen=True, slots=True)
class ReverseReplies:
    """Takes replies for reverse verifications; `trusted` names the accounts whose operator checks senders."""

    reverses: Reverses
    trusted: Collection[str] = ()

    def heard(self, tx: Tx, replies: Sequence[Sent], now: int, *, counting: bool) -> list[Taken]:
        """Take, in order, the replies that hold the code of exactly one case. The others change nothing, but that codes
        which nobody waits for are counted if `counting`: if nobody else is to be asked about the replies (S14).
        """
        read = self._read(replies)
        keyring = self.reverses.keyring
        index_of = {code: keyring.index("reverse", code) for one in read for code in one.codes}
        if not index_of:
            return [NOBODYS] * len(replies)
        rows = {row.code_index: row for row in reverse_rows.with_codes(tx, index_of.values())}
        found = [[rows[index_of[code]] for code in one.codes if index_of[code] in rows] for one in read]
        steps = ReverseSteps(self.reverses, tx, now)
        steps.load({some[0].case_id for some in found if len(some) == 1})
        guesses = _Guesses(tx, now, {budget for one in read if one.codes for budget in (one.sender, one.number)})
        taken: list[Taken] = []
        for one, some in zip(read, found, strict=True):
            if len(some) == 1 and steps.is_sent_to(some[0].case_id, one.sent.reply.our_number):
                taken.append(self._right(steps, guesses, one, some[0]))
                continue
            if counting:
                guesses.count(one)
            taken.append(NOBODYS)
        steps.write()
        guesses.write()
        return taken

    def unknown(self, tx: Tx, sent: Sent, now: int) -> None:
        """Count what a reply that nobody claimed tried: codes which nobody waits for (S14)."""
        [read] = self._read([sent])
        if read.codes:
            guesses = _Guesses(tx, now, {read.sender, read.number})
            guesses.count(read)
            guesses.write()

    def _right(self, steps: ReverseSteps, guesses: "_Guesses", one: _Read, row: reverse_rows.Row) -> Taken:
        reply, source_fp = one.sent
        claimed_fp = steps.claimed_fp(row.case_id)
        if not may_guess(guesses.of(one.sender), guesses.of(one.number), claimed=claimed_fp == source_fp):
            return Taken(Claimed(row.application_id, row.case_id, "too_many_unknown_codes"))
        same = claimed_fp in ("", source_fp)
        came = Heard(reply.id, mask(reply.source), same, reply.account in self.trusted)
        events = steps.heard(row.case_id, came, reply.source, source_fp)
        return Taken(Claimed(row.application_id, row.case_id, "reverse_code_equal"), events)

    def _read(self, replies: Sequence[Sent]) -> list[_Read]:
        keyring = self.reverses.keyring
        numbers = {
            ours: Budget(_EVERYBODY, WORKFLOW, keyring.fingerprint("phone", ours), "*unknown_to")
            for ours in {sent.reply.our_number for sent in replies}
        }
        return [
            _Read(
                sent,
                _codes(sent.reply.text),
                Budget(_EVERYBODY, WORKFLOW, sent.source_fp, "*unknown_from"),
                numbers[sent.reply.our_number],
            )
            for sent in replies
        ]


@dataclass(slots=True)
class _Guesses:
    """Codes that nobody waits for: the counts as a batch found them, and as each of its replies left them."""

    tx: Tx
    now: int
    budgets: Iterable[Budget]
    _counts: dict[Budget, Unknown] = field(init=False)
    _counted: set[Budget] = field(default_factory=set)

    def __post_init__(self) -> None:
        stored = caseload.allowances(self.tx, self.budgets)
        self._counts = {budget: Unknown(**counters).at(self.now) for budget, counters in stored.items() if counters}

    def of(self, budget: Budget) -> Unknown:
        """Return what counts by now."""
        return self._counts.get(budget) or Unknown(self.now)

    def count(self, one: _Read) -> None:
        """Count what a reply tried: whatever is not counted could be guessed without end."""
        if one.codes:
            for budget, more in ((one.sender, sum(one.codes.values())), (one.number, len(one.codes))):
                self._counts[budget] = self.of(budget).more(more)
                self._counted.add(budget)

    def write(self) -> None:
        """Write the counts that changed."""
        counts = {budget: self._counts[budget] for budget in self._counted}
        caseload.store_allowances(
            self.tx, {key: {"since": one.since, "count": one.count} for key, one in counts.items()}, self.now
        )


def _codes(text: str) -> dict[str, int]:
    weights: dict[str, int] = {}
    for piece in pieces(text):
        if (code := normalise(piece.text, "crockford", CODE_LENGTH)) is not None:
            weights.setdefault(code, ATTEMPT if piece.attempt else 1)  # attempts come first
    return weights
