"""The signature workflow as a machine: no order of events leads to a signature that must not be."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from workflows.base import SECOND, Canceled, Notify, Outcome, Refused, Send, Settled, Step, TimerFired, Verdict
from workflows.signature import Request, Spent, spend, start, step
from workflows.signature_case import (
    ATTEMPTS,
    RESETS,
    SENDS,
    Consent,
    Document,
    Facts,
    Mode,
    Role,
    SignatureCase,
    Signer,
    Signing,
    State,
    dump_signing,
    load_signing,
)
from workflows.signature_events import (
    CodeReplied,
    DeclineAsked,
    DocumentChanged,
    Event,
    ResetAsked,
    Said,
    SendAsked,
    SignAsked,
    SignerChanged,
    TextReplied,
)

START = 1_800_000_000 * SECOND
SHA = hashlib.sha256(b"contract").hexdigest()
CONSENT = Consent("1", "I sign.", hashlib.sha256(b"I sign.").hexdigest())


def new_case(order: bool) -> SignatureCase:
    signers = (
        Signer("sgr_1", "+33••71", "fr", Mode.REPLY, Role.SIGNER, CONSENT),
        Signer("sgr_2", "+33••72", "en", Mode.CODE, Role.SIGNER, CONSENT),
        Signer("sgr_3", "+33••73", "de", Mode.REPLY, Role.APPROVER, CONSENT),
        Signer("sgr_4", "+33••74", "it", Mode.CODE, Role.COPY, CONSENT),
    )
    documents = (Document("doc_1", "Bail", "application/pdf", SHA), Document("doc_2", "Annexe", "application/pdf", SHA))
    return SignatureCase(
        "sig_1", "Sceau", START, START + 86_400 * SECOND, documents, signers, sequential=order, reminders_s=(600, 7_200)
    )


SIGNINGS = st.integers(0, 5)


class Signatures(RuleBasedStateMachine):
    """Plays a platform and its signers; `signed_with` notes by which code each signature came to be."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.case = new_case(order=False)
        self.signed_with: dict[str, tuple[str, int, str]] = {}
        self.finishes = 0
        decided = start(Request(self.case, [f"sgn_{number}" for number in range(6)]), self.now)
        assert isinstance(decided, Step)
        self.take(decided)

    def take(self, decided: Step[SignatureCase] | Refused) -> None:
        if isinstance(decided, Refused):
            return
        before = {one.id: one for one in self.case.signings}
        for one in decided.case.signings:
            was = before.get(one.id)
            if one.state is State.SIGNED and was is not None and was.state is not State.SIGNED:
                signer = self.case.signer(one.signer)
                assert signer is not None
                assert self.case.is_open
                assert self.now < self.case.expires_at
                assert was.state is State.OTP_SENT
                assert self.now < was.code_until
                assert self.case.may_act(signer)
                document = self.case.document(one.document)
                assert document is not None
                self.signed_with[one.id] = (one.id, one.generation, document.sha256)
        self.finishes += sum(type(effect).__name__ == "Finish" for effect in decided.effects)
        # A restart between any two steps: what was stored is what goes on.
        signings = tuple(load_signing(dump_signing(one)) for one in decided.case.signings)
        stored: dict[str, Any] = decided.case.dump()
        self.case = SignatureCase.load(stored, signings)
        assert self.case == decided.case

    def tell(self, event: Event, facts: Facts | None = None) -> None:
        self.take(step(self.case, event, facts or Facts(), self.now))

    def signing(self, number: int) -> Signing:
        return self.case.signings[number]

    @rule(seconds=st.sampled_from([1, 16, 130, 601, 7_000]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(number=SIGNINGS)
    def a_code_is_asked_for(self, number: int) -> None:
        self.tell(SendAsked(self.signing(number).id))

    @rule(number=SIGNINGS, verdict=st.sampled_from(Verdict), sha=st.sampled_from([SHA, "0" * 64]), by_sms=st.booleans())
    def a_code_is_entered(self, number: int, verdict: Verdict, sha: str, by_sms: bool) -> None:
        signing = self.signing(number)
        signer = self.case.signer(signing.signer)
        assert signer is not None
        if by_sms and signer.mode is not Mode.REPLY:
            return  # such a reply never comes to a check
        document = self.case.document(signing.document)
        assert document is not None
        given = None if by_sms else sha
        spent = spend(self.case, signing, self.now, document_sha256=given, consent_at=None if by_sms else self.now)
        if isinstance(spent, Spent):
            assert by_sms or sha == document.sha256
            assert spent.signing.attempts <= ATTEMPTS
            event: Event = (
                CodeReplied(signing.id, "rpl_1", verdict) if by_sms else SignAsked(signing.id, verdict, self.now)
            )
            self.take(step(spent.case, event, Facts(), self.now))
        elif isinstance(spent, Step):
            self.take(spent)

    @rule(number=SIGNINGS, said=st.sampled_from([one for one in Said if one is not Said.REFUSAL]))
    def a_text_comes(self, number: int, said: Said) -> None:
        signing = self.signing(number)
        self.tell(TextReplied(signing.signer, "rpl_2", said, signing.id))

    @rule(number=SIGNINGS, outcome=st.sampled_from(Outcome))
    def a_message_settles(self, number: int, outcome: Outcome) -> None:
        for role in self.signing(number).messages:
            self.tell(Settled(role, outcome))

    @rule(kind=st.sampled_from(["expiry", "reminder"]))
    def a_timer_fires(self, kind: str) -> None:
        self.tell(TimerFired(kind))

    @rule(number=SIGNINGS)
    def a_reset_is_asked_for(self, number: int) -> None:
        self.tell(ResetAsked(self.signing(number).id))

    @rule(number=st.integers(1, 3))
    def a_number_changes(self, number: int) -> None:
        self.tell(SignerChanged(f"sgr_{number}", "+33••99"))

    @rule(number=st.integers(1, 2), sha=st.sampled_from([SHA, "0" * 64]))
    def a_document_changes(self, number: int, sha: str) -> None:
        self.tell(DocumentChanged(f"doc_{number}", sha))

    @precondition(lambda self: self.now > START + 20_000 * SECOND)
    @rule(number=SIGNINGS, declines=st.booleans())
    def it_is_given_up(self, number: int, declines: bool) -> None:
        self.tell(DeclineAsked(self.signing(number).id) if declines else Canceled())

    @invariant()
    def limits_hold(self) -> None:
        for one in self.case.signings:
            assert one.attempts <= ATTEMPTS
            assert one.sends <= SENDS
            assert one.resets <= RESETS

    @invariant()
    def what_was_signed_stays_signed_as_it_was(self) -> None:
        for signing_id, (_, generation, sha) in self.signed_with.items():
            one = self.case.signing(signing_id)
            assert one is not None
            document = self.case.document(one.document)
            assert document is not None
            assert (one.state, one.generation, document.sha256) == (State.SIGNED, generation, sha)

    @invariant()
    def a_request_ends_once_and_leaves_nothing_open(self) -> None:
        assert self.finishes == (not self.case.is_open)
        if not self.case.is_open:
            assert not any(one.is_open for one in self.case.signings)


class Sequential(Signatures):
    """The same with signers one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.case = new_case(order=True)
        self.signed_with, self.finishes = {}, 0
        decided = start(Request(self.case, [f"sgn_{number}" for number in range(6)]), self.now)
        assert isinstance(decided, Step)
        self.take(decided)


Signatures.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
Sequential.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSignatures = Signatures.TestCase
TestSequential = Sequential.TestCase


def asked(mode: Mode = Mode.REPLY) -> SignatureCase:
    signers = (Signer("sgr_1", "+33••71", "fr", mode, Role.SIGNER, CONSENT),)
    documents = (Document("doc_1", "Bail", "application/pdf", SHA),)
    case = SignatureCase("sig_1", "Sceau", START, START + 86_400 * SECOND, documents, signers)
    started = start(Request(case, ["sgn_1"]), START)
    assert isinstance(started, Step)
    return started.case


def test_an_answer_after_the_end_whose_timer_has_not_fired_ends_the_request_and_is_answered() -> None:
    case = asked()
    late = case.expires_at + 60 * SECOND
    for said in (Said.REFUSAL, Said.START, Said.TOO_LATE, Said.SEVERAL_CODES):
        told = step(case, TextReplied("sgr_1", "rpl_1", said, "sgn_1"), Facts(pending_of_pair=1), late)
        assert isinstance(told, Step)
        assert [one.state for one in told.case.signings] == [State.EXPIRED]
        assert "too_late" in [effect.step for effect in told.effects if isinstance(effect, Send)]


def test_what_becomes_of_an_earlier_code_is_told_with_its_own_generation() -> None:
    case = asked()
    for at in (START, START + 700 * SECOND):
        sent = step(case, SendAsked("sgn_1"), Facts(), at)
        assert isinstance(sent, Step)
        case = sent.case
    first, second = case.signings[0].messages
    for role, generation, place in ((first, 1, 1), (second, 2, 2)):
        told = step(case, Settled(role, Outcome.ACCEPTED, "msg_1", ""), Facts(), START + 701 * SECOND)
        assert isinstance(told, Step)
        [notice] = [effect for effect in told.effects if isinstance(effect, Notify)]
        assert (notice.data["generation"], notice.data["send"]) == (generation, place)
