"""Issues codes that differ from every other that is pending for the same number, over all workflows and applications.

A reply tells by its code alone which conversation it means, so codes are issued under a lock on the number and redrawn
until they do (DESIGN). The conductors of the workflows whose codes can be texted call it while they write a step.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.cases import casebook, handover_rows, signing_rows
from engine.cases.casebook import Budget
from engine.cases.entering import code_of
from engine.clock import Clock
from engine.codes import CodeSeed, draw
from engine.keyring import KeyRing
from engine.store.transaction import Tx


@dataclass(frozen=True, slots=True)
class Issuing:
    """Draws the nonces of codes for one installation."""

    clock: Clock
    keyring: KeyRing

    def issue(
        self, tx: Tx, seed: CodeSeed, phone_fp: str, owner: str, beside: Iterable[str | None], now: int
    ) -> CodeSeed:
        """Return the seed with a nonce whose code is free for the number; `owner` is the row that it is for, `beside`
        are seeds of the same transaction that no row has yet.
        """
        casebook.allowance(tx, Budget("*", "*", phone_fp, "*codes"), now)  # the lock
        signings = [
            one.seed for one in signing_rows.listening_to(tx, phone_fp) if one.id != owner and one.final_at is None
        ]
        parties = [one.seed for one in handover_rows.listening_to(tx, phone_fp) if one.id != owner]
        taken = {code_of(self.keyring, one) for one in (*signings, *parties, *beside) if one is not None}
        drawn, _ = draw(seed._replace(nonce=self.nonce()), self.keyring.code_key(seed.kid), self.nonce, taken=taken)
        return drawn

    def nonce(self) -> str:
        """Return a fresh nonce."""
        return self.clock.entropy(16).hex()
