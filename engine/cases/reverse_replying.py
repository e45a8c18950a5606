"""Finds the reverse code in what handsets wrote, whatever stands around it, and counts the codes that nobody waits for.

A store function in the transaction that stores the reply. What a found code does to its case is the workflow's.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from engine.cases import casebook, reverse_rows
from engine.cases.casebook import Budget
from engine.cases.outcomes import Claimed, Wakes
from engine.cases.reverse import Reverses
from engine.codes import DIGITS, normalise
from engine.phones import mask
from engine.store.transaction import Tx
from engine.transit.replying import JoinedReply
from workflows.reverse_codes import Unknown, may_guess, pieces
from workflows.reverse_otp import CODE_LENGTH, WORKFLOW, Heard

_EVERYBODY: Final = "*"


@dataclass(frozen=True, slots=True)
class ReverseReplies:
    """Takes replies for reverse verifications; `trusted` names the accounts whose operator checks senders."""

    reverses: Reverses
    trusted: Collection[str] = ()

    def heard(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> Claimed | None:
        """Take a reply that holds the code of exactly one case; else None, and nothing was changed."""
        keyring = self.reverses.keyring
        indices = {keyring.index("reverse", code) for code in _codes(reply.text)}
        found = reverse_rows.with_codes(tx, indices) if indices else []
        if len(found) != 1:
            return None
        [row] = found
        case = casebook.case_by_id(tx, row.case_id)
        if case is None or case.our_number.lstrip("+") != reply.our_number.lstrip("+"):
            return None
        source_fp = keyring.fingerprint("phone", reply.source)
        sender, number = (_load(casebook.peek_allowance(tx, one), now) for one in self._budgets(reply))
        if not may_guess(sender, number, claimed=case.phone_fp == source_fp):
            return Claimed(row.application_id, row.case_id, "too_many_unknown_codes")
        same = case.phone_fp in ("", source_fp)
        came = Heard(reply.id, mask(reply.source), same, reply.account in self.trusted)
        self.reverses.heard(tx, row.application_id, row.case_id, came, reply.source, now, wakes)
        return Claimed(row.application_id, row.case_id, "reverse_code_equal")

    def unknown(self, tx: Tx, reply: JoinedReply, now: int) -> None:
        """Count a reply that nobody claims and that reads like a code which nobody waits for (S14)."""
        if not any(_reads_like_a_code(code) for code in _codes(reply.text)):
            return
        for budget in self._budgets(reply):
            counted = _load(casebook.allowance(tx, budget, now), now).more()
            casebook.store_allowance(tx, budget, {"since": counted.since, "count": counted.count}, now)

    def _budgets(self, reply: JoinedReply) -> tuple[Budget, Budget]:
        keyring = self.reverses.keyring
        return (
            Budget(_EVERYBODY, WORKFLOW, keyring.fingerprint("phone", reply.source), "*unknown_from"),
            Budget(_EVERYBODY, WORKFLOW, keyring.fingerprint("phone", reply.our_number), "*unknown_to"),
        )


def _codes(text: str) -> set[str]:
    found = (normalise(piece, "crockford", CODE_LENGTH) for piece in pieces(text))
    return {code for code in found if code is not None}


def _reads_like_a_code(code: str) -> bool:
    digits = sum(symbol in DIGITS for symbol in code)
    return 0 < digits < CODE_LENGTH


def _load(counters: object, now: int) -> Unknown:
    assert isinstance(counters, dict)
    return Unknown(**counters).at(now) if counters else Unknown(now)
