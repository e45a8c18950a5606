"""Steps the reverse verifications whose codes came in one batch of replies: loaded together, stepped in order, written
together.

A case may be hit several times in a batch, and each hit finds it as the one before left it. `reverse_replying` is the
caller; `reverse` steps single cases for calls and timers.
"""

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

from engine.cases import caseload, reverse_rows
from engine.cases.caseload import AuditRow, Changed
from engine.cases.outcomes import ENGINE
from engine.cases.reverse import Held, Reverses
from engine.events import NewEvent
from engine.store.transaction import Tx
from workflows import reverse_otp
from workflows.base import Audit, Finish
from workflows.reverse_otp import Heard, is_over


@dataclass(slots=True)
class ReverseSteps:
    """The cases of one batch and what stepping them will write; `write` ends it."""

    reverses: Reverses
    tx: Tx
    now: int
    _held: dict[str, Held] = field(default_factory=dict)
    _was: dict[str, str] = field(default_factory=dict)  # the states in which those that were stepped were loaded
    _senders: list[tuple[str, str]] = field(default_factory=list)
    _audits: list[AuditRow] = field(default_factory=list)
    _over: list[str] = field(default_factory=list)
    _ended: Counter[str] = field(default_factory=Counter)

    def load(self, case_ids: Collection[str]) -> None:
        """Load cases, locked until commit."""
        rows = caseload.cases_by_id(self.tx, case_ids)
        self._held.update((case_id, self.reverses.hold(row)) for case_id, row in rows.items())

    def is_sent_to(self, case_id: str, our_number: str) -> bool:
        """Tell whether a code of this case is to be sent to a number of ours; False too if there is no such case."""
        held = self._held.get(case_id)
        return held is not None and held.row.our_number.lstrip("+") == our_number.lstrip("+")

    def claimed_fp(self, case_id: str) -> str:
        """Return the fingerprint of the number that must send a case's code, empty if any may."""
        return self._held[case_id].row.phone_fp

    def heard(self, case_id: str, came: Heard, source: str, source_fp: str) -> list[NewEvent]:
        """Step by the right code, which came from `source` (E.164); return the events to record."""
        held = self._held[case_id]
        self._was.setdefault(case_id, held.row.state)
        decided = reverse_otp.heard(held.case, came, self.now)
        if decided.case.received_at and not held.case.received_at:
            held = held._replace(sealed=self.reverses.keyring.seal(source.encode(), case_id))
            self._senders.append((case_id, source_fp))
        row = held.row
        events: list[NewEvent] = []
        for effect in decided.effects:
            match effect:
                case Audit(action, detail):
                    audit_id = self.reverses.clock.new_id("aud")
                    self._audits.append(
                        AuditRow(
                            audit_id, row.application_id, ENGINE, action, case_id, json.dumps(dict(detail)), self.now
                        )
                    )
                case Finish():
                    self._over.append(case_id)
                case _:
                    row = self.reverses.effects.note(self.tx, row, effect, self.now, events, ENGINE)
        if is_over(decided.case) and not is_over(held.case):
            self._ended[decided.case.state] += 1
        self._held[case_id] = Held(row, decided.case, held.sealed, held.brand, held.keyword)
        return events

    def write(self) -> None:
        """Write what was stepped, and have those who wait for it told after the commit."""
        if not self._was:
            return
        stepped: list[Changed] = []
        for case_id, was in self._was.items():
            row = self.reverses.row_of(self._held[case_id])
            stepped.append(Changed(case_id, was, row.state, row.data, row.sequence, row.final_at))
        caseload.store_cases(self.tx, stepped)
        caseload.end_timers(self.tx, self._over)
        caseload.put_audits(self.tx, self._audits)
        reverse_rows.came_from(self.tx, self._senders)
        self.tx.tell(partial(self.reverses.ring, tuple(self._was)))
        for state, count in self._ended.items():
            self.tx.tell(partial(self.reverses.ended, state, count))
