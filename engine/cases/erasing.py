"""The erasure of one person from an application: evidence, requests, verifications, messages, replies, consent's words.

Refused while a conversation with the person is under way or a legal hold keeps it (S37). It goes on in slices, so that
no queue waits for it; asked again, it goes on where it stopped. What stays is pseudonyms: fingerprints of the number.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, literal_column, select

from engine.cases import casebook
from engine.cases.effects import kept
from engine.cases.people import Person, open_people, seal_people
from engine.clock import Clock
from engine.evidence.custody import Custody, Kept
from engine.keyring import KeyRing
from engine.store import together
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables import Message, Reply
from engine.store.tables_cases import Case, ReverseCode
from engine.store.tables_signing import ConsentEntry, SigningRow
from engine.store.transaction import Tx
from workflows.handover import WORKFLOW as HANDOVER
from workflows.signature import WORKFLOW as SIGNATURE

_MOST: Final = 200
_PEOPLE: Final = {SIGNATURE: "signers", HANDOVER: "people"}
_NOBODY: Final = {"signers": {"to": "", "link": "", "reference": ""}, "people": {"to": ""}}  # of those erased


class Erased(NamedTuple):
    """How much was erased."""

    evidence: int
    cases: int
    messages: int
    replies: int


class NotErased(NamedTuple):
    """Why nothing was erased: `subject_active` or `on_hold`, with the ids that are in the way and the hold's words."""

    code: str
    ids: tuple[str, ...]
    reason: str = ""
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Erasing:
    """Erases people for one installation."""

    store: Store
    clock: Clock
    keyring: KeyRing
    custody: Custody

    async def erase(self, application_id: str, phone: str, actor: str) -> Erased | NotErased:
        """Erase the person of a number (E.164) from an application, or say why not."""
        phone_fp = self.keyring.fingerprint("phone", phone)
        now = self.clock.now()
        active = await self.store.read(lambda tx: _ids(tx, _OPEN_MESSAGES, application_id, phone))
        if active:
            return NotErased("subject_active", tuple(active))
        first = await self.store.write(lambda tx: self._cases(tx, application_id, phone, phone_fp, actor, now))
        if isinstance(first, NotErased):
            return first
        messages = await self._drop(application_id, phone, _MESSAGES, together.MESSAGES)
        replies = await self._drop(application_id, phone, _REPLIES, together.REPLIES)
        await self.store.forget_log()
        return first._replace(messages=messages, replies=replies)

    def _cases(
        self, tx: Tx, application_id: str, phone: str, phone_fp: str, actor: str, now: int
    ) -> Erased | NotErased:
        chains = self.custody.chains_with(tx, application_id, phone_fp, now)
        verifications = tx.all(_CASES, application=application_id, phone=phone_fp)
        refused = _refused(chains, [case_id for case_id, final_at in verifications if final_at is None])
        if refused is not None:
            return refused
        self.custody.erase(tx, application_id, phone_fp, chains, actor, now)
        for chain in chains:
            self._leave_request(tx, application_id, chain.case_id, phone)
        for statement in together.CASES:
            tx.batch(statement, [(case_id,) for case_id, _ in verifications])
        tx.run(_FORGET_SIGNINGS, application=application_id, phone=phone_fp)
        tx.run(_FORGET_WORDS, application=application_id, phone=phone_fp)
        detail = {"evidence": len(chains), "cases": len(verifications)}
        casebook.put_audit(tx, self.clock.new_id("aud"), application_id, actor, "subject.erased", phone_fp, detail, now)
        return Erased(len(chains), len(verifications), 0, 0)

    def _leave_request(self, tx: Tx, application_id: str, case_id: str, phone: str) -> None:
        """Take a person out of the request or delivery itself; the others stay in it."""
        row = casebook.case_by_id(tx, case_id)
        if row is None or row.workflow not in _PEOPLE:
            return
        facts = json.loads(row.data)
        people = open_people(self.keyring, row.id, facts["people"])
        gone = {name for name, person in people.items() if person.phone == phone}
        left = {name: Person("", sender=one.sender) if name in gone else one for name, one in people.items()}
        facts["people"] = seal_people(self.keyring, row.id, left)
        named = _PEOPLE[row.workflow]
        facts["case"][named] = [one | _NOBODY[named] if one["id"] in gone else one for one in facts["case"][named]]
        if "there" in facts:
            facts["there"] = ""
        casebook.store_case(tx, row._replace(data=kept(facts)), was=row.state)

    async def _drop(self, application_id: str, phone: str, find: Statement, drop: Sequence[Statement]) -> int:
        dropped = 0
        while found := await self.store.read(lambda tx: _ids(tx, find, application_id, phone)):

            def job(tx: Tx, ids: Sequence[str] = tuple(found)) -> None:
                for statement in drop:
                    tx.batch(statement, [(one,) for one in ids])

            await self.store.write(job)
            dropped += len(found)
        return dropped


def _refused(chains: Sequence[Kept], active: Sequence[str]) -> NotErased | None:
    under_way = [*active, *(one.case_id for one in chains if not one.closed)]
    if under_way:
        return NotErased("subject_active", tuple(under_way))
    held = [(one.case_id, one.hold) for one in chains if one.hold is not None]
    if held:
        _, hold = held[0]
        return NotErased("on_hold", tuple(case_id for case_id, _ in held), hold.reason, hold.until)
    return None


def _ids(tx: Tx, find: Statement, application_id: str, phone: str) -> list[str]:
    return [row[0] for row in tx.all(find, application=application_id, phone=phone, most=_MOST)]


# Statements.

_message: Any = Message.__table__  # type: ignore[attr-defined]
_reply: Any = Reply.__table__  # type: ignore[attr-defined]
_case: Any = Case.__table__  # type: ignore[attr-defined]
_reverse: Any = ReverseCode.__table__  # type: ignore[attr-defined]
_signing: Any = SigningRow.__table__  # type: ignore[attr-defined]
_consent: Any = ConsentEntry.__table__  # type: ignore[attr-defined]


def _of_person(table: Any, column: str, *more: Any) -> Statement:
    return Statement(
        lambda _: (
            select(table.c.id)
            .where(table.c.application_id == bindparam("application"), table.c[column] == bindparam("phone"), *more)
            .limit(bindparam("most"))
        )
    )


_OPEN_MESSAGES: Final = _of_person(_message, "recipient", _message.c.final_at.is_(None))
_MESSAGES: Final = _of_person(_message, "recipient")
_REPLIES: Final = _of_person(_reply, "source")
_CASES: Final = Statement(
    lambda _: (
        select(_case.c.id, _case.c.final_at)
        .where(_case.c.application_id == bindparam("application"), _case.c.phone_fp == bindparam("phone"))
        .union(
            # Whoever sent a reverse code may not have been claimed.
            select(_case.c.id, _case.c.final_at)
            .join(_reverse, _reverse.c.case_id == _case.c.id)
            .where(_reverse.c.application_id == bindparam("application"), _reverse.c.sender_fp == bindparam("phone"))
        )
    )
)
_FORGET_SIGNINGS: Final = Statement(
    lambda _: (
        _signing.update()
        .where(
            _signing.c.application_id == bindparam("application"),
            _signing.c.phone_fp == bindparam("phone"),
            _signing.c.listening == literal_column("1"),
        )
        .values(listening=literal_column("0"))
    )
)
_FORGET_WORDS: Final = Statement(
    lambda _: (
        _consent.update()
        .where(_consent.c.application_id == bindparam("application"), _consent.c.phone_fp == bindparam("phone"))
        .values(sealed=literal_column("''"))
    )
)
