"""What a handset's SMS means to signature requests: which signing its code belongs to, or whom its words answer.

Store functions in the order of DESIGN's "One reply, in"; opt-out words were looked at before. A reply is compared with
every signing that listens to the number, over all applications, and is evidence in each request that it changes.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from engine.cases import carriage, casebook, signing_rows
from engine.cases.conducting import codes_of_day, load_day
from engine.cases.entering import code_of
from engine.cases.outcomes import ENGINE, Claimed, Wakes
from engine.cases.signature_conducting import Held, may_be_entered
from engine.cases.signatures import Signatures
from engine.codes import equal
from engine.evidence.sealing import NewEntry
from engine.store.transaction import Tx
from engine.transit.replying import JoinedReply
from workflows import signature
from workflows.base import Refused, Step, Verdict
from workflows.matching import candidates, numbers_of
from workflows.reply_words import Meaning, denies, meaning_of
from workflows.signature import Spent
from workflows.signature_case import CODE_LENGTH, Facts, Mode, SignatureCase, State
from workflows.signature_events import CodeReplied, Event, Said, TextReplied


class _Listener(NamedTuple):
    """A signing that listens, and the codes it has had: the present one first."""

    row: signing_rows.Row
    codes: Sequence[str]


@dataclass(frozen=True, slots=True)
class SignatureReplies:
    """Hears replies for signature requests."""

    signatures: Signatures

    def heard(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> Claimed | None:
        """Take a reply if it answers a signing; else None, and nothing was changed."""
        listeners = self._listeners(tx, reply)
        if not listeners:
            return None
        found = candidates(reply.text, {CODE_LENGTH})
        if not found:
            return self._words(tx, reply, listeners, now, wakes)
        latest = max(listeners, key=lambda one: (one.row.final_at is None, one.row.id)).row
        if len(found) > 1:
            return self._text(tx, reply, latest, Said.SEVERAL_CODES, listeners, now, wakes)
        if denies(reply.text):
            return self._text(tx, reply, latest, Said.CODE_AND_REFUSAL, listeners, now, wakes)
        return self._code(tx, reply, listeners, found[0], now, wakes)

    def late(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> Claimed | None:
        """Take the words of somebody whose signings are over, when nobody else has asked them anything."""
        listeners = self._listeners(tx, reply)
        if not listeners or meaning_of(reply.text) is Meaning.OTHER:
            return None
        row = max((one.row for one in listeners), key=lambda one: one.id)
        return self._text(tx, reply, row, Said.TOO_LATE, listeners, now, wakes)

    def stopped(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> list[Claimed]:
        """Tell every open request of this number that its owner said STOP; return them, the latest first."""
        rows = _one_a_request([one for one in self._listening(tx, reply) if one.final_at is None])
        for row in rows:
            event = TextReplied(row.signer_id, reply.id, Said.STOP)
            self._tell(tx, reply, row.request_id, [event], [], Facts(), now, wakes, "opt_out_word")
        return [Claimed(row.application_id, row.request_id, "opt_out_word") for row in reversed(rows)]

    def resumed(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> None:
        """Tell every open request of this number, whose owner had said STOP, that they said START."""
        for row in _one_a_request([one for one in self._listening(tx, reply) if one.final_at is None]):
            request = casebook.case_by_id(tx, row.request_id)
            assert request is not None
            signer = self.signatures.conductor.hold(tx, request).case.signer(row.signer_id)
            if signer is not None and signer.opted_out:
                event = TextReplied(row.signer_id, reply.id, Said.RESUME)
                self._tell(tx, reply, row.request_id, [event], [], Facts(), now, wakes, "opt_in_word")

    def open_to(self, tx: Tx, reply: JoinedReply) -> list[str]:
        """Return the applications that have an open signing of this number."""
        return [one.application_id for one in self._listening(tx, reply) if one.final_at is None]

    # Who listens.

    def _listening(self, tx: Tx, reply: JoinedReply) -> list[signing_rows.Row]:
        conductor = self.signatures.conductor
        phone_fp = conductor.keyring.fingerprint("phone", reply.source)
        senders = conductor.effects.router.senders_at(reply.account, reply.our_number)
        return [row for row in signing_rows.listening_to(tx, phone_fp) if row.sender in senders]

    def _listeners(self, tx: Tx, reply: JoinedReply) -> list[_Listener]:
        keyring = self.signatures.conductor.keyring
        listeners: list[_Listener] = []
        for row in self._listening(tx, reply):
            seeds = [*([row.seed] if row.seed is not None else []), *json.loads(row.old_seeds)]
            listeners.append(_Listener(row, [code_of(keyring, seed) for seed in seeds]))
        return listeners

    # What it says.

    def _code(
        self, tx: Tx, reply: JoinedReply, listeners: Sequence[_Listener], code: str, now: int, wakes: Wakes
    ) -> Claimed | None:
        # An open one first: of those that are closed, a code may have been drawn again.
        open_first = sorted(listeners, key=lambda one: one.row.final_at is not None)
        holder = next((one for one in open_first if one.codes and equal(one.codes[0], code)), None)
        earlier = next((one for one in listeners if any(equal(old, code) for old in one.codes[1:])), None)
        if holder is not None:
            return self._right(tx, reply, holder.row, listeners, now, wakes)
        if earlier is not None:
            said = Said.START if earlier.row.final_at is None else Said.TOO_LATE
            return self._text(tx, reply, earlier.row, said, listeners, now, wakes)
        pending = [one.row for one in listeners if may_be_entered(one.row, now)]
        by_request: dict[str, list[signing_rows.Row]] = defaultdict(list)
        for row in pending:
            by_request[row.request_id].append(row)
        claimed: Claimed | None = None
        for request_id, rows in sorted(by_request.items()):
            first = None if claimed is not None else rows[0]
            events: list[Event] = [
                CodeReplied(row.id, reply.id, Verdict.WRONG, answered=row is not first) for row in rows
            ]
            self._tell(tx, reply, request_id, events, listeners, Facts(), now, wakes, "code_equal_to_none")
            claimed = Claimed(rows[0].application_id, request_id, "code_equal_to_none")
        return claimed

    def _right(
        self,
        tx: Tx,
        reply: JoinedReply,
        row: signing_rows.Row,
        listeners: Sequence[_Listener],
        now: int,
        wakes: Wakes,
    ) -> Claimed:
        if row.final_at is not None:
            return self._text(tx, reply, row, Said.TOO_LATE, listeners, now, wakes)
        if row.state == State.OTP_SENT and not may_be_entered(row, now):
            return self._text(tx, reply, row, Said.EXPIRED_CODE, listeners, now, wakes)
        event = CodeReplied(row.id, reply.id, Verdict.RIGHT)
        self._tell(tx, reply, row.request_id, [event], listeners, Facts(), now, wakes, "code_equal")
        return Claimed(row.application_id, row.request_id, "code_equal")

    def _words(
        self, tx: Tx, reply: JoinedReply, listeners: Sequence[_Listener], now: int, wakes: Wakes
    ) -> Claimed | None:
        meaning = meaning_of(reply.text)
        if meaning is Meaning.OTHER:
            return None
        waiting = [one.row for one in listeners if one.row.final_at is None]
        if not waiting:
            return None  # `late`, if nobody else asked
        row = self._asked(tx, reply.source, waiting)
        said = Said.REFUSAL if meaning is Meaning.REFUSAL else Said.START
        return self._text(tx, reply, row, said, listeners, now, wakes)

    def _asked(self, tx: Tx, source: str, waiting: Sequence[signing_rows.Row]) -> signing_rows.Row:
        """Return the signing of whoever asked last, of those whose signer may answer by SMS now."""
        conductor = self.signatures.conductor
        answerable: list[tuple[int, str, signing_rows.Row]] = []
        for row in waiting:
            request = casebook.case_by_id(tx, row.request_id)
            assert request is not None
            case = conductor.hold(tx, request).case
            signer = case.signer(row.signer_id)
            if signer is not None and signer.mode is Mode.REPLY and case.may_act(signer):
                answerable.append((carriage.wrote_last(tx, request.id, source), row.id, row))
        return max(answerable)[2] if answerable else max(waiting, key=lambda one: one.id)

    def _text(
        self,
        tx: Tx,
        reply: JoinedReply,
        row: signing_rows.Row,
        said: Said,
        listeners: Sequence[_Listener],
        now: int,
        wakes: Wakes,
    ) -> Claimed:
        budget = codes_of_day(row.application_id, row.phone_fp, signature.WORKFLOW)
        pending = sum(one.row.final_at is None for one in listeners)
        facts = Facts(load_day(casebook.allowance(tx, budget, now)), pending)
        event = TextReplied(row.signer_id, reply.id, said, row.id)
        day = self._tell(tx, reply, row.request_id, [event], listeners, facts, now, wakes, str(said))
        if day is not None:
            casebook.store_allowance(tx, budget, day.dump(), now)
        return Claimed(row.application_id, row.request_id, str(said))

    # Telling a request.

    def _tell(
        self,
        tx: Tx,
        reply: JoinedReply,
        request_id: str,
        events: Iterable[Event],
        listeners: Sequence[_Listener],
        facts: Facts,
        now: int,
        wakes: Wakes,
        choice: str,
    ) -> Any:
        """Step a request with what a reply means to it, the reply itself being its first evidence; return the day."""
        conductor = self.signatures.conductor
        row = casebook.case_by_id(tx, request_id)
        assert row is not None
        held = conductor.hold(tx, row)
        before: list[NewEntry] = [self._evidence(tx, held, reply, listeners, choice)]
        day = None
        for event in events:
            decided = self._decided(held, event, facts, now)
            if decided is None:
                continue
            held = conductor.apply(tx, held, decided, now, wakes, ENGINE, before=before)
            before = []
            day = decided.day or day
        if before:
            conductor.sealer.seal(tx, row.application_id, row.id, before, now)
        return day

    def _decided(self, held: Held, event: Event, facts: Facts, now: int) -> Step[SignatureCase] | None:
        case = held.case
        if isinstance(event, CodeReplied):
            signing = case.signing(event.signing_id)
            assert signing is not None
            signer = case.signer_of(signing)
            if signer.mode is not Mode.REPLY and event.answered:
                return None  # one answer, whatever waits on the page
            if signer.mode is not Mode.REPLY:
                event = TextReplied(signer.id, event.reply_id, Said.NOT_BY_SMS, signing.id)
            else:
                spent = signature.spend(case, signing, now)
                if isinstance(spent, Refused):
                    event = TextReplied(signer.id, event.reply_id, _SAID_OF.get(spent.code, Said.TOO_LATE), signing.id)
                elif isinstance(spent, Spent):
                    case = spent.case
                else:
                    event = TextReplied(signer.id, event.reply_id, Said.TOO_LATE, signing.id)
        decided = signature.step(case, event, facts, now)
        return None if isinstance(decided, Refused) else decided

    def _evidence(
        self, tx: Tx, held: Held, reply: JoinedReply, listeners: Sequence[_Listener], choice: str
    ) -> NewEntry:
        """Return the entry of a reply; what it says opens once every signing is closed whose code is in it."""
        keyring = self.signatures.conductor.keyring
        found = candidates(reply.text, {CODE_LENGTH})
        guard = [one.row.id for one in listeners if set(one.codes) & set(found)]
        known = {code for one in listeners for code in one.codes}
        if numbers_of(reply.text, CODE_LENGTH) - known:
            guard.append(held.row.id)  # perhaps another signer's code: it waits for the whole request
        return carriage.replied(tx, keyring, reply, choice, guard)


_SAID_OF: Final = {"code_expired": Said.EXPIRED_CODE, "no_code_sent": Said.START, "signing_blocked": Said.BLOCKED}


def _one_a_request(rows: Sequence[signing_rows.Row]) -> list[signing_rows.Row]:
    return list({(row.request_id, row.signer_id): row for row in rows}.values())
