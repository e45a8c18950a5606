"""What couriers do, as store functions: arrive, be somewhere, enter a code, fail; answers tell no more than they need.

An attempt is spent before anything is compared, under the lock of the delivery; a courier who enters too many wrong
codes in a day, over all deliveries, is suspended until the next.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from engine.cases import casebook
from engine.cases.casebook import Budget
from engine.cases.conducting import load_day
from engine.cases.deliveries import Deliveries
from engine.cases.entering import verdict_on
from engine.cases.handover_conducting import Held
from engine.cases.handover_tokens import is_token, verdict_on_token
from engine.cases.outcomes import NOT_FOUND, Outcome, Wakes, public
from engine.store.transaction import Tx
from workflows import handover
from workflows.base import Effect, Refused, Step, Verdict
from workflows.handover import Facts, Spent
from workflows.handover_case import WRONG_OF_COURIER, DeliveryCase, Door
from workflows.handover_confirming import is_guess
from workflows.handover_eta import Position, eta
from workflows.handover_events import ArrivalTold, CodeEntered, Entry, Event, FailTold, PositionTold, Stated
from workflows.handover_telling import about_courier
from workflows.window import Day


@dataclass(frozen=True, slots=True)
class Said:
    """What a courier states: who they are as their platform names them, and where (`latitude,longitude`)."""

    courier: str
    position: str = ""
    photo_sha256: str = ""

    def stated(self) -> Stated:
        """Return it as the workflow's value."""
        return Stated(self.courier, self.position, self.photo_sha256)


@dataclass(frozen=True, slots=True)
class Couriers:
    """The store functions of couriers."""

    deliveries: Deliveries

    def arriving(self, tx: Tx, application_id: str, delivery_id: str, courier: str, actor: str, now: int) -> Outcome:
        """Note that the courier is about to arrive: the code is sent."""
        return self._step(tx, application_id, delivery_id, ArrivalTold(courier), actor, now)

    def position(
        self, tx: Tx, application_id: str, delivery_id: str, said: Said, eta_at: int, actor: str, now: int
    ) -> Outcome:
        """Note where the courier is, or when they will arrive; the arrival is guessed from one, if need be."""
        held = self.deliveries.load(tx, application_id, delivery_id)
        if held is None:
            return NOT_FOUND
        if not eta_at and held.there and said.position:
            eta_at = eta(_place(said.position), _place(held.there), now)
        return self._decide(tx, held, PositionTold(said.courier, eta_at), actor, now)

    def fail(
        self, tx: Tx, application_id: str, delivery_id: str, said: Said, reason: str, actor: str, now: int
    ) -> Outcome:
        """Note that this attempt at delivering failed."""
        return self._step(tx, application_id, delivery_id, FailTold(reason, said.stated()), actor, now)

    def confirm(
        self, tx: Tx, application_id: str, delivery_id: str, entered: str, said: Said, actor: str, now: int
    ) -> Outcome:
        """Enter a typed code or a scanned token: spend an attempt, compare in constant time, settle."""
        held = self.deliveries.load(tx, application_id, delivery_id)
        if held is None:
            return NOT_FOUND
        door = Door.QR if is_token(entered) else Door.CODE
        suspended = self.is_suspended(tx, application_id, said.courier, now)
        entry = Entry(door, now, said.stated(), suspended=suspended)
        wakes = Wakes()
        spent = handover.spend(held.case, entry, now)
        if isinstance(spent, Refused):
            self._put_check(tx, held, spent.code, now, spent=False)
            return Outcome(spent.code, public(spent.facts))
        decided: Step[DeliveryCase] | Refused
        if isinstance(spent, Spent):
            verdict = self.verdict(held, door, entered)
            decided = handover.step(spent.case, CodeEntered(verdict, entry), Facts(), now)
        else:
            decided = spent  # its time is over: it ends here
        assert isinstance(decided, Step)
        decided = self.counted(tx, held, decided, said.courier, now)
        held = self.deliveries.conductor.apply(tx, held, decided, now, wakes, actor)
        assert decided.answer is not None
        self._put_check(tx, held, decided.answer.code, now, spent=isinstance(spent, Spent))
        return self._told(held, decided, wakes)

    # Shared with the logs of devices.

    def verdict(self, held: Held, door: Door, entered: str) -> Verdict:
        """Compare what was entered with the codes of a delivery."""
        keyring, row = self.deliveries.conductor.keyring, held.row
        if door in {Door.QR, Door.OFFLINE_QR}:
            return verdict_on_token(keyring, row.id, entered, row.seed, json.loads(row.old_seeds))
        return verdict_on(entered, keyring, row.seed, row.old_seeds, alphabet="digits", length=held.case.code_length)

    def is_suspended(self, tx: Tx, application_id: str, courier: str, now: int) -> bool:
        """Tell whether a courier has entered too many wrong codes today; locks their count until commit."""
        return self._wrong(tx, application_id, courier, now).sends >= WRONG_OF_COURIER

    def counted(self, tx: Tx, held: Held, step: Step[DeliveryCase], courier: str, now: int) -> Step[DeliveryCase]:
        """Count a wrong code against its courier; the last one allowed tells that they are suspended."""
        if not courier or not is_guess(held.case, step.case):
            return step
        if step.case.is_over and step.case.state is not held.case.state:
            return step  # the right one: no guess
        today = self._wrong(tx, held.row.application_id, courier, now).sent()
        casebook.store_allowance(tx, self._budget(held.row.application_id, courier), today.dump(), now)
        if today.sends != WRONG_OF_COURIER:
            return step
        told: Effect = about_courier(step.case, "courier_suspended", courier, until_at=today.ends_at)
        return replace(step, effects=(*step.effects, told))

    def _wrong(self, tx: Tx, application_id: str, courier: str, now: int) -> Day:
        return load_day(casebook.allowance(tx, self._budget(application_id, courier), now)).at(now)

    def _budget(self, application_id: str, courier: str) -> Budget:
        keyring = self.deliveries.conductor.keyring
        return Budget(application_id, "*courier", keyring.fingerprint("courier", courier), "*wrong")

    # Deciding and telling.

    def _step(self, tx: Tx, application_id: str, delivery_id: str, event: Event, actor: str, now: int) -> Outcome:
        held = self.deliveries.load(tx, application_id, delivery_id)
        return NOT_FOUND if held is None else self._decide(tx, held, event, actor, now)

    def _decide(self, tx: Tx, held: Held, event: Event, actor: str, now: int) -> Outcome:
        wakes = Wakes()
        decided = self.deliveries.take(tx, held, event, now, wakes, actor)
        if isinstance(decided, Refused):
            return Outcome(decided.code, public(decided.facts))
        after, step = decided
        return self._told(after, step, wakes)

    def _told(self, held: Held, decided: Step[DeliveryCase], wakes: Wakes) -> Outcome:
        answer = decided.answer
        assert answer is not None
        told: dict[str, Any] = public(answer.facts if answer.is_refusal else handover.courier_view(held.case))
        return wakes.outcome(answer.code, told)

    def _put_check(self, tx: Tx, held: Held, answer: str, now: int, *, spent: bool) -> None:
        check_id = self.deliveries.conductor.clock.new_id("chk")
        casebook.put_check(tx, check_id, held.row, answer, spent=spent, now=now)


def _place(position: str) -> Position:
    latitude, _, longitude = position.partition(",")
    return Position(float(latitude), float(longitude))
