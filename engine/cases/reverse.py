"""Reverse verifications as store functions: start, read, confirm, cancel; one transaction each, an `Outcome` back.

Loads rows, asks `workflows.reverse_otp`, writes its steps. The code is derived and found by a keyed index; the sender's
number is sealed, and leaves by `read` alone, to whoever has the secret that `start` returned once.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, NamedTuple

from engine import base64url
from engine.cases import casebook, reverse_rows, timeline
from engine.cases.casebook import CaseRow
from engine.cases.effects import Effects, kept
from engine.cases.entering import code_of
from engine.cases.outcomes import ENGINE, NOT_FOUND, Outcome, Wakes, public
from engine.cases.profiles import DEFAULT, Profiles
from engine.clock import SECOND, Clock
from engine.codes import CodeSeed, draw, equal
from engine.events import NewEvent, record
from engine.keyring import KeyRing
from engine.phones import mask
from engine.store.transaction import Tx
from workflows import reverse_otp
from workflows.base import Refused
from workflows.reverse_codes import SmsLinks, grouped
from workflows.reverse_otp import CODE_LENGTH, LIFE_LEAST_S, LIFE_MOST_S, WORKFLOW, Moved, ReverseCase, is_over
from workflows.wording import language_of, template_path

__all__ = ["LIFE_LEAST_S", "LIFE_MOST_S", "Held", "OurNumber", "Page", "Reverses", "StartReverse"]

_STARTED: Final = "reverse.started"
_SECRET_OCTETS: Final = 24
_TOKEN_OCTETS: Final = 18
_SECRET_MEMBERS: Final = frozenset({"code", "text", "sms", "secret", "page"})


class OurNumber(NamedTuple):
    """A number of ours that codes may be sent to: whose it is, and how a text to it begins if it is shared."""

    address: str
    application_id: str
    keyword: str


@dataclass(frozen=True, slots=True)
class StartReverse:
    """What a caller asks for; `claimed` is E.164, None if any number may send; `number` one of the caller's own."""

    claimed: str | None = None
    number: str | None = None
    language: str | None = None
    life_s: int = 600
    confirm: bool = False
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page shows of a verification: its state, and while it waits, what is to be sent."""

    state: str
    language: str
    brand: str
    number: str
    code: str = ""
    text: str = ""
    link: str = ""


class Held(NamedTuple):
    """A verification as it is loaded: its row, and what its row's data says."""

    row: CaseRow
    case: ReverseCase
    sealed: str  # the sender's number
    brand: str
    keyword: str


@dataclass(frozen=True, slots=True)
class Reverses:
    """The store functions; `ring` hears after the commit of cases that changed, for those who wait for them."""

    clock: Clock
    keyring: KeyRing
    effects: Effects
    profiles: Profiles
    numbers: Sequence[OurNumber]
    ring: Callable[[Sequence[str]], None] = lambda _case_ids: None
    ended: Callable[[str, int], None] = lambda _state, _count: None

    # Calls.

    def start(self, tx: Tx, application_id: str, actor: str, request: StartReverse, now: int) -> Outcome:
        """Start one; the answer has the code, what to send, and the secret: this once."""
        own = [one for one in self.numbers if one.application_id == application_id]
        wanted = None if request.number is None else request.number.lstrip("+")
        number = next((one for one in own if wanted in (None, one.address.lstrip("+"))), None)
        if number is None:
            return Outcome("no_number")
        profile = self.profiles.of(tx, application_id, DEFAULT)
        assert profile is not None
        language = language_of(request.language, profile.languages)
        if language is None:
            return Outcome("language_not_offered", {"languages": list(profile.languages)})
        case = ReverseCase(
            id=self.clock.new_id("rev"),
            number=number.address,
            language=language,
            created_at=now,
            expires_at=now + request.life_s * SECOND,
            claimed="" if request.claimed is None else mask(request.claimed),
            confirm=request.confirm,
            reference=request.reference,
        )
        seed, index = self._drawn(tx, case)
        token, secret = self._random(_TOKEN_OCTETS), self._random(_SECRET_OCTETS)
        row = self._new(application_id, case, request.claimed, seed)
        held = Held(row, case, "", profile.brand, number.keyword)
        casebook.insert_case(tx, self.row_of(held))
        hashes = (self.keyring.fingerprint("reverse_token", token), self.keyring.fingerprint("reverse_secret", secret))
        reverse_rows.put(tx, reverse_rows.Row(index, application_id, case.id, *hashes))
        wakes = Wakes()
        held = self.apply(tx, held, reverse_otp.start(case), now, wakes, actor)
        body = {
            **self._view(held, now),
            **self._to_send(held),
            "secret": secret,
            "page": f"/r/{token}",
        }
        return wakes.outcome("created", body, _SECRET_MEMBERS)

    def confirm(
        self, tx: Tx, application_id: str, case_id: str, secret: str, actor: str, now: int, *, agreed: bool
    ) -> Outcome:
        """Take the application's own confirmation: its user said that it was them, or that it was not."""
        held = self._load(tx, application_id, case_id)
        if held is None:
            return NOT_FOUND
        if not self._knows(tx, case_id, secret):
            return Outcome("wrong_secret")
        return self._told(tx, held, reverse_otp.answer_confirm(held.case, now, agreed=agreed), now, actor)

    def cancel(self, tx: Tx, application_id: str, case_id: str, actor: str, now: int) -> Outcome:
        """Give one up; its code approves nothing any more."""
        held = self._load(tx, application_id, case_id)
        if held is None:
            return NOT_FOUND
        outcome = self._told(tx, held, reverse_otp.cancel(held.case, now), now, actor)
        if outcome.code != "canceled":
            return outcome
        held = self._load(tx, application_id, case_id)
        assert held is not None
        return replace(outcome, body=public(reverse_otp.view_canceled(held.case, now)))

    def read(self, tx: Tx, application_id: str, case_id: str, secret: str, now: int) -> Outcome:
        """Return the result, with the sender's number, to whoever has the secret."""
        held = self._load(tx, application_id, case_id, lock=False)
        if held is None:
            return NOT_FOUND
        if not self._knows(tx, case_id, secret):
            return Outcome("wrong_secret")
        sender = self.keyring.unseal(held.sealed, case_id).decode() if held.sealed else None
        return Outcome("read", self._view(held, now) | {"from": sender})

    def list_page(self, tx: Tx, application_id: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Return an application's, newest first, older than `before`, without their results."""
        now = self.clock.now()
        rows = casebook.page(tx, application_id, WORKFLOW, before, limit)
        return [public(reverse_otp.view_without_secret(self.hold(row).case, now)) for row in rows]

    def timeline(self, tx: Tx, application_id: str, case_id: str, secret: str) -> list[dict[str, Any]] | None:
        """Return all that happened, in order of time, or without the right secret what cannot tell the result: that it
        was started. None for a foreign or unknown id.
        """
        row = casebook.case_of(tx, application_id, case_id, workflow=WORKFLOW, lock=False)
        if row is None:
            return None
        happened = timeline.of_case(tx, row)
        return happened if self._knows(tx, case_id, secret) else [one for one in happened if _tells_no_result(one)]

    def page(self, tx: Tx, token: str, now: int) -> Page | None:
        """Return what a page with this token shows; None for an unknown one."""
        found = reverse_rows.with_token(tx, self.keyring.fingerprint("reverse_token", token))
        held = None if found is None else self._load(tx, found.application_id, found.case_id, lock=False)
        if held is None:
            return None
        state = str(reverse_otp.view(held.case, now)["state"])
        shown = Page(state, held.case.language, held.brand, held.case.number)
        if state != "pending":
            return shown
        told = self._to_send(held)
        return replace(shown, code=told["code"], text=told["text"], link=told["sms"]["any"])

    # What happens without a call.

    def fired(self, tx: Tx, row: CaseRow, now: int, wakes: Wakes) -> None:
        """Step by a timer."""
        held = self.hold(row)
        self.apply(tx, held, reverse_otp.tick(held.case, now), now, wakes, ENGINE)

    # Rows.

    def apply(self, tx: Tx, held: Held, step: Moved, now: int, wakes: Wakes, actor: str) -> Held:
        """Write one step."""
        was, over = held.row.state, is_over(held.case)
        held = held._replace(case=step.case)
        events: list[NewEvent] = []
        for effect in step.effects:
            held = held._replace(row=self.effects.note(tx, held.row, effect, now, events, actor))
        held = held._replace(row=self.row_of(held))
        casebook.store_case(tx, held.row, was=was)
        wakes.bells += record(tx, events, self.clock.new_ids, now)
        tx.tell(partial(self.ring, (held.row.id,)))
        if is_over(step.case) and not over:
            tx.tell(partial(self.ended, step.case.state, 1))
        return held

    def _load(self, tx: Tx, application_id: str, case_id: str, *, lock: bool = True) -> Held | None:
        row = casebook.case_of(tx, application_id, case_id, workflow=WORKFLOW, lock=lock)
        return None if row is None else self.hold(row)

    def hold(self, row: CaseRow) -> Held:
        """Return what a row holds."""
        facts = json.loads(row.data)
        return Held(row, ReverseCase.load(facts["case"]), facts["sender"], facts["brand"], facts["keyword"])

    def row_of(self, held: Held) -> CaseRow:
        """Return the row that holds it."""
        case = held.case
        facts = {"case": case.dump(), "sender": held.sealed, "brand": held.brand, "keyword": held.keyword}
        return held.row._replace(state=case.state, data=kept(facts), final_at=case.final_at or None)

    def _new(self, application_id: str, case: ReverseCase, claimed: str | None, seed: CodeSeed) -> CaseRow:
        return CaseRow(
            id=case.id,
            application_id=application_id,
            workflow=WORKFLOW,
            profile="",
            purpose="",
            state=case.state,
            phone=claimed or "",
            phone_fp="" if claimed is None else self.keyring.fingerprint("phone", claimed),
            our_number=case.number,
            language=case.language,
            seed=seed.to_json(),
            old_seeds="[]",
            data="",
            sequence=0,
            created_at=case.created_at,
            expires_at=case.expires_at,
            final_at=None,
        )

    def _drawn(self, tx: Tx, case: ReverseCase) -> tuple[CodeSeed, str]:
        """Return a seed whose code is nobody else's, over all applications and as long as rows are kept."""
        kid = self.keyring.current_kid
        seed = CodeSeed(kid, WORKFLOW, case.id, 1, self._nonce(), "", CODE_LENGTH, "crockford")
        while True:
            seed, code = draw(seed, self.keyring.code_key(kid), self._nonce)
            index = self.keyring.index("reverse", code)
            if not reverse_rows.with_codes(tx, [index]):
                return seed, index
            seed = seed._replace(nonce=self._nonce())

    def _nonce(self) -> str:
        return self.clock.entropy(16).hex()

    def _random(self, octets: int) -> str:
        return base64url.encode(self.clock.entropy(octets))

    def _knows(self, tx: Tx, case_id: str, secret: str) -> bool:
        row = reverse_rows.of_case(tx, case_id)
        return row is not None and equal(row.secret_hash, self.keyring.fingerprint("reverse_secret", secret))

    # Telling.

    def _to_send(self, held: Held) -> dict[str, Any]:
        assert held.row.seed is not None
        code = grouped(code_of(self.keyring, held.row.seed))
        params = {"keyword": held.keyword, "grouped_code": code, "brand": held.brand}
        text = self.effects.templates.render(template_path(WORKFLOW, "body", held.case.language), params)
        links = SmsLinks.to(held.case.number, text)
        return {
            "code": code,
            "text": text,
            "sms": {"android": links.android, "ios": links.ios, "any": links.any},
        }

    def _view(self, held: Held, now: int) -> dict[str, Any]:
        return public(reverse_otp.view(held.case, now))

    def _told(self, tx: Tx, held: Held, decided: Moved | Refused, now: int, actor: str) -> Outcome:
        if isinstance(decided, Refused):
            return Outcome(decided.code, {"reverse_id": held.row.id, **public(decided.facts)})
        wakes = Wakes()
        held = self.apply(tx, held, decided, now, wakes, actor)
        assert decided.answer is not None
        refused = decided.answer.is_refusal
        return wakes.outcome(decided.answer.code, {"reverse_id": held.row.id} if refused else self._view(held, now))


def _tells_no_result(entry: Mapping[str, Any]) -> bool:
    return entry["what"] in ("case.created", _STARTED) or entry.get("event") == _STARTED
