"""Verifications as store functions: start, check, resend, cancel, voice code, read; one transaction each, an
`Outcome` back.

Loads rows, asks `workflows.verify`, lets `conducting` write. Spending an attempt, comparing and settling happen under
the lock of the number's allowance, the attempt first. Routes of the API and the demo are the callers.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from engine.cases import casebook, timeline
from engine.cases.casebook import Budget, CaseRow
from engine.cases.conducting import Conductor, Held, day_budget, load_day, load_window
from engine.cases.effects import Destination
from engine.cases.entering import code_of, verdict_on
from engine.cases.outcomes import NOT_FOUND, Outcome, Wakes, public
from engine.cases.profiles import Profiles
from engine.codes import equal, spell
from engine.phones import mask
from engine.store.transaction import Tx
from engine.transit.classes import Lane
from engine.transit.routing import NoRoute
from workflows import verify
from workflows.base import Binding, Canceled, Checked, Event, Refused, Resent, Step, Verdict, Voiced
from workflows.profiles import VerificationProfile
from workflows.verify import WORKFLOW, Facts, Request, Spent, VerificationCase

Moved = Step[VerificationCase] | Refused


@dataclass(frozen=True, slots=True)
class StartVerification:
    """What a caller asks for; `to` is E.164, `binding` what is approved (amount and payee are shown in the text)."""

    to: str
    country: str
    network: str | None = None
    number_unverified: bool = False
    profile: str = "default"
    purpose: str = "login"
    language: str | None = None
    session: str | None = None
    binding: Mapping[str, str] | None = None
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Verifications:
    """The store functions of verifications; `checked` hears the code of each check after its commit."""

    conductor: Conductor
    profiles: Profiles
    checked: Callable[[str], None] = lambda _code: None

    def start(self, tx: Tx, application_id: str, actor: str, request: StartVerification, now: int) -> Outcome:
        """Start a verification, or join, replace or point to the pending one."""
        profile = self.profiles.of(tx, application_id, request.profile)
        if profile is None:
            return Outcome("profile_unknown", {"profile": request.profile})
        conductor = self.conductor
        router = conductor.effects.router
        sender = router.sender_for(application_id, Lane.OTP, request.sender or profile.sender)
        if sender is None:
            return Outcome("no_sender")
        plan = router.plan(sender, request.to, request.country, request.network, Lane.OTP)
        if isinstance(plan, NoRoute):
            return Outcome(plan.code)
        phone_fp = conductor.keyring.fingerprint("phone", request.to)
        budget = Budget(application_id, profile.name, phone_fp, request.purpose)
        facts, pending = self._facts_for_start(tx, budget, profile, now)
        case_id = conductor.clock.new_id("ver")
        binding = dict(request.binding or {})
        asked = Request(
            case_id=case_id,
            to=mask(request.to),
            purpose=request.purpose,
            language=request.language,
            session=self._fingerprint("session", request.session),
            binding=self._binding_digest(binding),
            amount=binding.get("amount", ""),
            payee=binding.get("payee", ""),
        )
        decided = verify.start(asked, facts, now, conductor.clock.random)
        if isinstance(decided, Refused):
            return Outcome(decided.code, public(decided.facts))
        wakes = Wakes()
        if decided.case.id == case_id:
            destination = Destination(request.country, request.network, request.number_unverified, sender)
            held = conductor.open(tx, self._new(budget, decided.case, request.to, destination, profile))
        else:
            held = pending[decided.case.id]
        held = conductor.apply(tx, held, decided, now, wakes, actor)
        return self._told(held, decided, facts, now, wakes)

    def check(
        self,
        tx: Tx,
        application_id: str,
        case_id: str,
        entry: str,
        binding: Mapping[str, str] | None,
        actor: str,
        now: int,
    ) -> Outcome:
        """Check a code: spend an attempt, compare in constant time, settle."""
        loaded = self._load(tx, application_id, case_id, now)
        if loaded is None:
            return NOT_FOUND
        held, facts, budget = loaded
        wakes = Wakes()
        spent = verify.spend(held.case, facts, self._compare_binding(held.case, binding), now)
        if isinstance(spent, Refused):
            return self._checked(tx, held, spent, facts, now, wakes)
        if isinstance(spent, Spent):
            casebook.store_allowance(tx, budget, spent.window.dump(), now)
            facts = Facts(facts.profile, spent.window, facts.day)
            decided = verify.step(
                spent.case, Checked(self._verdict(held, entry)), facts, now, self.conductor.clock.random
            )
        else:
            decided = spent
        if isinstance(decided, Step):
            held = self.conductor.apply(tx, held, decided, now, wakes, actor)
        return self._checked(tx, held, decided, facts, now, wakes, spent=isinstance(spent, Spent))

    def resend(self, tx: Tx, application_id: str, case_id: str, actor: str, now: int) -> Outcome:
        """Send the message once more."""
        return self._step(tx, application_id, case_id, Resent(), actor, now)

    def cancel(self, tx: Tx, application_id: str, case_id: str, actor: str, now: int) -> Outcome:
        """Give a verification up."""
        return self._step(tx, application_id, case_id, Canceled(), actor, now)

    def voice_code(self, tx: Tx, application_id: str, case_id: str, actor: str, now: int) -> Outcome:
        """Return the code spelled for speech, for the caller's own voice provider; audited, counted as a send."""
        return self._step(tx, application_id, case_id, Voiced(actor), actor, now)

    def read(self, tx: Tx, application_id: str, case_id: str) -> dict[str, Any] | None:
        """Return what a GET shows; None for a foreign id as for an unknown one."""
        row = casebook.case_of(tx, application_id, case_id, workflow=WORKFLOW, lock=False)
        return None if row is None else self._view(tx, row, self.conductor.clock.now())

    def page(self, tx: Tx, application_id: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Return an application's verifications, newest first, older than `before`."""
        now = self.conductor.clock.now()
        return [self._view(tx, row, now) for row in casebook.page(tx, application_id, WORKFLOW, before, limit)]

    def timeline(self, tx: Tx, application_id: str, case_id: str) -> list[dict[str, Any]] | None:
        """Return all that happened in a verification, in order of time; None for a foreign or unknown id."""
        row = casebook.case_of(tx, application_id, case_id, workflow=WORKFLOW, lock=False)
        return None if row is None else timeline.of_case(tx, row)

    # Loading.

    def _facts_for_start(
        self, tx: Tx, budget: Budget, profile: VerificationProfile, now: int
    ) -> tuple[Facts, dict[str, Held]]:
        # The allowance first: its lock makes starts for one number take turns.
        window = load_window(casebook.allowance(tx, budget, now))
        day = load_day(casebook.allowance(tx, day_budget(budget), now))
        rows = casebook.open_cases(tx, budget.application_id, budget.phone_fp, WORKFLOW)
        pending = {
            row.id: self.conductor.hold(row)
            for row in rows
            if row.profile == budget.profile and row.purpose == budget.purpose
        }
        return Facts(profile, window, day, tuple(held.case for held in pending.values())), pending

    def _load(self, tx: Tx, application_id: str, case_id: str, now: int) -> tuple[Held, Facts, Budget] | None:
        row = casebook.case_of(tx, application_id, case_id, workflow=WORKFLOW, lock=False)
        if row is None:
            return None
        budget = Budget(application_id, row.profile, row.phone_fp, row.purpose)
        window = load_window(casebook.allowance(tx, budget, now))
        day = load_day(casebook.allowance(tx, day_budget(budget), now))
        row = casebook.case_of(tx, application_id, case_id, workflow=WORKFLOW)
        assert row is not None
        profile = self.profiles.of_case(tx, application_id, row.profile)
        return self.conductor.hold(row), Facts(profile, window, day), budget

    def _new(
        self, budget: Budget, case: VerificationCase, phone: str, destination: Destination, profile: VerificationProfile
    ) -> Held:
        row = CaseRow(
            id=case.id,
            application_id=budget.application_id,
            workflow=WORKFLOW,
            profile=case.profile,
            purpose=case.purpose,
            state=case.state,
            phone=phone,
            phone_fp=budget.phone_fp,
            our_number="",
            language=case.language,
            seed=None,
            old_seeds="[]",
            data="",
            sequence=0,
            created_at=case.created_at,
            expires_at=case.expires_at,
            final_at=case.final_at or None,
        )
        digest = self._fingerprint("recipient", f"{phone} {case.binding}")
        return Held(row, case, destination, {}, profile.code_length, profile.alphabet, digest)

    # Deciding.

    def _step(self, tx: Tx, application_id: str, case_id: str, event: Event, actor: str, now: int) -> Outcome:
        loaded = self._load(tx, application_id, case_id, now)
        if loaded is None:
            return NOT_FOUND
        held, facts, _budget = loaded
        decided = verify.step(held.case, event, facts, now, self.conductor.clock.random)
        if isinstance(decided, Refused):
            return Outcome(decided.code, public(decided.facts))
        wakes = Wakes()
        held = self.conductor.apply(tx, held, decided, now, wakes, actor)
        return self._told(held, decided, facts, now, wakes)

    def _verdict(self, held: Held, entry: str) -> Verdict:
        return verdict_on(
            entry,
            self.conductor.keyring,
            held.row.seed,
            held.row.old_seeds,
            alphabet=held.code_alphabet,
            length=held.code_length,
        )

    def _compare_binding(self, case: VerificationCase, repeated: Mapping[str, str] | None) -> Binding:
        if not case.binding:
            return Binding.SAME if not repeated else Binding.MISMATCH
        if not repeated:
            return Binding.MISSING
        return Binding.SAME if equal(self._binding_digest(repeated), case.binding) else Binding.MISMATCH

    def _binding_digest(self, binding: Mapping[str, str]) -> str:
        if not binding:
            return ""
        return self._fingerprint("binding", json.dumps(dict(sorted(binding.items())), ensure_ascii=False))

    def _fingerprint(self, kind: str, value: str | None) -> str:
        return "" if not value else self.conductor.keyring.fingerprint(kind, value)

    # Telling.

    def _told(self, held: Held, decided: Step[VerificationCase], facts: Facts, now: int, wakes: Wakes) -> Outcome:
        answer = decided.answer
        assert answer is not None
        if answer.is_refusal:
            told = {"verification_id": held.row.id, **public(answer.facts)}
            return wakes.outcome(answer.code, told)
        after = Facts(facts.profile, decided.window or facts.window, decided.day or facts.day)
        body = {**public(verify.view(held.case, after, now)), **public(answer.facts)}
        body.pop("verification_id", None)
        secret: frozenset[str] = frozenset()
        if answer.code == "voice_code":
            assert held.row.seed is not None
            body["spoken_code"] = spell(code_of(self.conductor.keyring, held.row.seed), held.case.language)
            secret = frozenset({"spoken_code"})
        return wakes.outcome(answer.code, body, secret)

    def _checked(
        self, tx: Tx, held: Held, decided: Moved, facts: Facts, now: int, wakes: Wakes, *, spent: bool = False
    ) -> Outcome:
        answer = decided.answer if isinstance(decided, Step) else decided
        assert answer is not None
        casebook.put_check(tx, self.conductor.clock.new_id("chk"), held.row, answer.code, spent=spent, now=now)
        tx.tell(partial(self.checked, answer.code))
        told: dict[str, Any] = {"verification_id": held.row.id, **public(answer.facts)}
        if answer.code == "approved" and isinstance(decided, Step):
            after = Facts(facts.profile, decided.window or facts.window, facts.day)
            told = public(verify.view(held.case, after, now))
        return wakes.outcome(answer.code, told)

    def _view(self, tx: Tx, row: CaseRow, now: int) -> dict[str, Any]:
        budget = Budget(row.application_id, row.profile, row.phone_fp, row.purpose)
        profile = self.profiles.of_case(tx, row.application_id, row.profile)
        window = load_window(casebook.peek_allowance(tx, budget))
        day = load_day(casebook.peek_allowance(tx, day_budget(budget)))
        return public(verify.view(self.conductor.hold(row).case, Facts(profile, window, day), now))
