"""Applies a verification's step to rows: the case, its counters, messages, events, timers and audits, in one
transaction.

It wakes nobody: what to wake after the commit is gathered in `Wakes`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from engine.cases import casebook
from engine.cases.casebook import Budget, CaseRow
from engine.cases.effects import Destination, Effects, kept
from engine.cases.entering import generation_of, with_superseded
from engine.cases.outcomes import Wakes
from engine.clock import Clock
from engine.codes import CodeSeed, draw
from engine.events import NewEvent, record
from engine.keyring import KeyRing
from engine.store.moves import CASE
from engine.store.transaction import Tx
from workflows.base import CancelSends, Effect, Seal, Send, Step
from workflows.verify import WORKFLOW, VerificationCase
from workflows.window import Day, Window

_OF_A_DAY: Final = "*day"  # the purpose of a day's budget, over those that callers name


class Held(NamedTuple):
    """A case loaded from its row: the workflow's value, and what only the engine keeps."""

    row: CaseRow
    case: VerificationCase
    destination: Destination
    roles: dict[str, str]  # message id → role
    code_length: int
    code_alphabet: str
    binding_digest: str


@dataclass(frozen=True, slots=True)
class Conductor:
    """Writes steps of verifications; `ended` hears the final state of a case after its commit."""

    clock: Clock
    keyring: KeyRing
    effects: Effects
    ended: Callable[[str], None] = lambda _state: None

    def hold(self, row: CaseRow) -> Held:
        """Open a row."""
        facts = json.loads(row.data)
        return Held(
            row,
            VerificationCase.load(facts["case"]),
            Destination(**facts["destination"]),
            facts["roles"],
            facts["code_length"],
            facts["code_alphabet"],
            facts["binding_digest"],
        )

    def apply(self, tx: Tx, held: Held, step: Step[VerificationCase], now: int, wakes: Wakes, actor: str) -> Held:
        """Write one step of one case; the steps of other cases that it causes are applied first."""
        for other in step.also:
            row = casebook.case_by_id(tx, other.case.id)
            assert row is not None
            self.apply(tx, self.hold(row), other, now, wakes, actor)
        budget = Budget(held.row.application_id, held.case.profile, held.row.phone_fp, held.case.purpose)
        if step.window is not None:
            casebook.store_allowance(tx, budget, step.window.dump(), now)
        if step.day is not None:
            casebook.store_allowance(tx, day_budget(budget), step.day.dump(), now)
        was = held.row.state
        held = self._with_seed(held._replace(case=step.case), step.case.generation)
        events: list[NewEvent] = []
        for effect in step.effects:
            held = self._effect(tx, held, effect, now, wakes, events, actor)
        self._store(tx, held, was)
        wakes.bells += record(tx, events, self.clock.new_ids, now)
        return held

    def open(self, tx: Tx, held: Held) -> Held:
        """Insert the row of a new case, with the seed of its first code."""
        held = self._with_seed(held, held.case.generation)
        casebook.insert_case(tx, self._row(held))
        if held.case.final_at:
            tx.tell(partial(self.ended, held.case.state))
        return held

    def _row(self, held: Held) -> CaseRow:
        case = held.case
        facts = {
            "case": case.dump(),
            "destination": held.destination._asdict(),
            "roles": held.roles,
            "code_length": held.code_length,
            "code_alphabet": held.code_alphabet,
            "binding_digest": held.binding_digest,
        }
        return held.row._replace(
            state=case.state,
            language=case.language,
            data=kept(facts),
            expires_at=case.expires_at,
            final_at=case.final_at or None,
        )

    def _store(self, tx: Tx, held: Held, was: str) -> None:
        if held.case.state != was:
            CASE.check(was, held.case.state)
            if held.case.final_at:
                tx.tell(partial(self.ended, held.case.state))
        casebook.store_case(tx, self._row(held), was=was)

    def _with_seed(self, held: Held, generation: int) -> Held:
        """Give a generation its seed; an earlier one is kept, to know a superseded code when it is typed."""
        row = held.row
        if generation_of(row.seed) == generation:
            return held
        kid = self.keyring.current_kid
        seed = CodeSeed(
            kid=kid,
            purpose=f"{WORKFLOW}:{held.case.purpose}",
            case_id=row.id,
            generation=generation,
            nonce=self._nonce(),
            digest=held.binding_digest,
            length=held.code_length,
            alphabet=held.code_alphabet,
        )
        seed, _code = draw(seed, self.keyring.code_key(kid), self._nonce, needs_digit=True)
        old = with_superseded(row.old_seeds, row.seed)
        return held._replace(row=row._replace(seed=seed.to_json(), old_seeds=old))

    def _nonce(self) -> str:
        return self.clock.entropy(16).hex()

    # Effects.

    def _effect(
        self, tx: Tx, held: Held, effect: Effect, now: int, wakes: Wakes, events: list[NewEvent], actor: str
    ) -> Held:
        match effect:
            case Send():
                queued = self.effects.queue(
                    tx, held.row, effect, held.row.phone, held.destination, now, wakes, seed=held.row.seed
                )
                return held._replace(roles={**held.roles, queued.message_id: effect.role})
            case CancelSends():
                self._cancel_sends(tx, held, effect, now, wakes)
            case Seal():
                raise AssertionError("a verification keeps no evidence")
            case _:
                return held._replace(row=self.effects.note(tx, held.row, effect, now, events, actor))
        return held

    def _cancel_sends(self, tx: Tx, held: Held, cancel: CancelSends, now: int, wakes: Wakes) -> None:
        generations = {message.role: message.generation for message in held.case.messages}
        roles = {
            message_id: role
            for message_id, role in held.roles.items()
            if cancel.before_generation is None or generations.get(role, 0) < cancel.before_generation
        }
        self.effects.stop(tx, roles, cancel, now, wakes)


def day_budget(budget: Budget) -> Budget:
    """Return the budget of a day: over all profiles and purposes of one application."""
    return budget._replace(profile="*", purpose=_OF_A_DAY)


def codes_of_day(application_id: str, phone_fp: str, workflow: str) -> Budget:
    """Return the budget of a day's codes of a workflow to one number, within the application."""
    return Budget(application_id, f"*{workflow}", phone_fp, _OF_A_DAY)


def load_window(counters: Mapping[str, Any]) -> Window:
    """Return a window from its stored counters; empty ones are a window never used."""
    return Window.load(counters) if counters else Window()


def load_day(counters: Mapping[str, Any]) -> Day:
    """Return a day's count from its stored counters."""
    return Day.load(counters) if counters else Day()
