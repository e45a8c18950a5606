"""The life of a session over time: bind, enquire_link, silence, unbind, drain, and its one end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.smpp.errors import NotAllowed
from engine.smpp.events import (
    Answered,
    BindRefused,
    Bound,
    Event,
    LossReason,
    Lost,
    PeerUnbinding,
    Suspect,
    Unanswered,
)
from engine.smpp.options import BindMode
from engine.smpp.pdu import (
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Status,
    Unbind,
    UnbindResp,
    encode,
)
from engine.smpp.states import BindState
from tests.session_kit import DELIVER, answer, bind_resp, bound, kinds, opened, read, said, submitted


def test_the_bind_response_never_comes() -> None:
    """B9: lost at 30 s."""
    session = opened()
    assert session.next_deadline() == 30.0
    assert session.tick(29.9) == []
    assert session.tick(30.0) == [Lost(LossReason.BIND_TIMEOUT, ())]
    assert session.next_deadline() == float("inf")


def test_nothing_is_said_before_bound_but_enquire_link_is_answered() -> None:
    """B5, B4: a bind_resp after 25 s; the peer's own probe gets its number back."""
    session = opened()
    assert session.receive(encode(EnquireLink(), 0x80000001), 10.0) == []
    assert said(session) == [(EnquireLinkResp, 0, 0x80000001)]
    for second in range(26):
        assert session.tick(float(second)) == []
    assert said(session) == []
    assert kinds(session.receive(bind_resp(), 25.0)) == ["Bound"]


@pytest.mark.parametrize("status", [0x0D, 0x0E, 0x0F, 0x53, 0x05, 0x08])
def test_a_refused_bind_ends_the_session_and_is_never_taken_for_bound(status: int) -> None:
    """B6, B7, B8: "already bound" included."""
    session = opened()
    events = session.receive(bind_resp(status=status), 1.0)
    assert events == [BindRefused(status), Lost(LossReason.REFUSED, ())]
    assert session.free_slots == 0


def test_a_nack_of_the_bind_is_a_refusal() -> None:
    """B7: a 3.3 peer does not know bind_transceiver."""
    for sequence in (0, 1):
        events = opened().receive(encode(GenericNack(), sequence, Status.ESME_RINVCMDID), 1.0)
        assert kinds(events) == ["BindRefused", "Lost"]


def test_another_binds_response_does_not_bind() -> None:
    """B17: transmitter's for a transceiver; and a second bind_resp changes nothing."""
    session = opened()
    assert kinds(session.receive(bind_resp(BindMode.TX), 0.0)) == ["unknown_response"]
    assert session.free_slots == 0
    assert kinds(session.receive(bind_resp(sequence=0), 0.0)) == ["bind_sequence", "Bound"]
    assert kinds(session.receive(bind_resp(status=0x0D), 0.0)) == ["unknown_response"]
    assert session.state is BindState.BOUND_TRX


@pytest.mark.parametrize(
    ("mode", "state", "slots"),
    [
        (BindMode.TX, BindState.BOUND_TX, 10),
        (BindMode.RX, BindState.BOUND_RX, 0),
        (BindMode.TRX, BindState.BOUND_TRX, 10),
    ],
)
def test_each_mode_binds_into_its_state(mode: BindMode, state: BindState, slots: int) -> None:
    session = bound(mode=mode)
    assert (session.state, session.free_slots) == (state, slots)


def test_a_black_hole_is_seen_within_a_minute_when_idle() -> None:
    """B1: enquire at 30, missed at 40, lost at 50, every deadline announced."""
    session, now, told = bound(), 0.0, list[str]()
    while session.state is not BindState.CLOSED:
        now = session.next_deadline()
        told += kinds(session.tick(now))
    assert (now, told) == (50.0, ["enquire_missed", "Lost"])
    assert said(session) == [(EnquireLink, 0, 2), (EnquireLink, 0, 3)]


def test_a_black_hole_is_seen_while_submitting() -> None:
    """B1, B12: an OTP a second; probed after 5 s of silence, lost 10 s later, each message in doubt once."""
    session, unanswered = bound(window=100), list[Any]()
    for second in range(100):
        submitted(session, [second], now=float(second), deadline_s=5.0)
        for event in session.tick(float(second)):
            if isinstance(event, Unanswered):
                unanswered.append(event.token)
            elif isinstance(event, Lost):
                assert (second, event.reason) == (15, LossReason.SILENT)
                assert [*unanswered, *event.unanswered] == list(range(16))
                return
    pytest.fail("never lost")


def test_a_peer_that_ignores_enquire_link_but_answers_submits_stays() -> None:
    """B2: warned, not dropped, for an hour."""
    session, warnings = bound(), 0
    for minute in range(60):
        now = minute * 60.0
        (sequence,) = submitted(session, [minute], now=now)
        events = session.receive(answer(sequence), now + 1.0)
        for second in range(2, 60):
            events += session.tick(now + second)
            if second in (35, 45, 55):  # other traffic; the enquire_link of 31 s is never answered
                events += session.receive(encode(EnquireLink(), 7), now + second)
        warnings += kinds(events).count("enquire_missed")
        assert "Lost" not in kinds(events)
    assert warnings == 60


def test_enquire_link_responses_echo_the_peers_number_ten_thousand_times() -> None:
    """B4: never our own counter."""
    session = bound()
    for sequence in range(5, 0xFFFFFFFF, 0xFFFFFFFF // 10_000):
        session.receive(encode(EnquireLink(), sequence), 0.0)
        assert session.data_to_send() == encode(EnquireLinkResp(), sequence)


def test_a_nacked_enquire_link_proves_life() -> None:
    """B2: a peer that does not know the command is not dead."""
    session = bound()
    session.tick(30.0)
    ((_, _, sequence),) = said(session)
    events = session.receive(encode(GenericNack(), sequence, Status.ESME_RINVCMDID), 31.0)
    assert kinds(events) == ["enquire_nacked"]
    assert session.tick(40.0) == []


def test_a_header_that_never_ends_is_lost_at_ten_seconds() -> None:
    """A3: 15 octets, then nothing; submits are handed back."""
    session = bound()
    submitted(session, ["t"])
    session.receive(encode(EnquireLink(), 5)[:15], 1.0)
    assert kinds(session.tick(10.9)) == []
    assert session.tick(11.0) == [Lost(LossReason.PDU_TIMEOUT, ("t",))]


def test_garbage_instead_of_a_bind_response_ends_at_once_or_by_the_bind_timer() -> None:
    """A13: HTTP, TLS and random octets."""
    for octets in (b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes.fromhex("15030300020228"), b"\0\0\0\x20garbage"):
        session = opened()
        events = session.receive(octets, 0.0) + session.tick(30.0)
        assert isinstance(events[-1], Lost)


def test_the_peers_unbind_is_answered_and_owed_responses_are_honoured() -> None:
    """B11: no new submits, unbind_resp, late answers taken, ended with the last of them."""
    session = bound()
    first, second = submitted(session, ["a", "b"])
    assert session.receive(encode(Unbind(), 42), 1.0) == [PeerUnbinding()]
    assert said(session) == [(UnbindResp, 0, 42)]
    assert session.free_slots == 0
    with pytest.raises(NotAllowed):
        submitted(session, ["c"])
    assert kinds(session.receive(answer(first), 2.0)) == ["Answered"]
    events = session.receive(answer(second), 3.0)
    assert kinds(events) == ["Answered", "Lost"]
    assert events[-1] == Lost(LossReason.PEER_UNBOUND, ())


def test_after_the_peers_unbind_the_wait_is_short() -> None:
    """B11: five seconds; the rest is in doubt."""
    session = bound()
    submitted(session, ["a"])
    session.receive(encode(Unbind(), 42), 1.0)
    assert session.next_deadline() == 6.0
    assert session.tick(6.0) == [Lost(LossReason.PEER_UNBOUND, ("a",))]


def test_after_the_peers_unbind_our_acknowledgements_still_go_out() -> None:
    """B11: a delivery that was committed is acknowledged before the end."""
    session = bound()
    session.receive(encode(DELIVER, 5) + encode(Unbind(), 6), 1.0)
    assert session.state is BindState.UNBOUND
    assert len(session.acknowledge(5, 0)) == 17
    assert session.next_deadline() <= 1.0
    assert session.tick(1.0) == [Lost(LossReason.PEER_UNBOUND, ())]


def test_a_clean_shutdown_waits_for_answers_and_acknowledgements_then_unbinds() -> None:
    """B26: nothing in doubt with a normal peer."""
    session = bound()
    (sequence,) = submitted(session, ["t"])
    session.receive(encode(DELIVER, 9), 0.0)
    assert session.drain(1.0, 20.0) == []
    assert (session.free_slots, said(session)) == (0, [])
    assert kinds(session.receive(answer(sequence), 2.0)) == ["Answered"]
    assert said(session) == []
    session.acknowledge(9, 0)
    session.tick(2.0)
    ((kind, _, number),) = said(session)
    assert kind is Unbind
    assert session.receive(encode(UnbindResp(), number), 3.0) == [Lost(LossReason.SHUTDOWN, ())]


def test_a_shutdown_gives_up_after_the_grace_and_five_seconds() -> None:
    """B26: the rest is in doubt; an answer between unbind and its response still counts."""
    session = bound(silent=float("inf"))
    first, _ = submitted(session, ["a", "b"])
    session.drain(0.0, 10.0)
    assert session.tick(10.0) == []
    assert [kind for kind, _, _ in said(session)] == [Unbind]
    assert kinds(session.receive(answer(first), 12.0)) == ["Answered"]
    assert session.tick(14.9) == []
    assert session.tick(15.0) == [Lost(LossReason.SHUTDOWN, ("b",))]


def test_unbind_at_once_says_so_at_once() -> None:
    session = bound()
    submitted(session, ["t"])
    assert session.unbind(0.0) == []
    assert [kind for kind, _, _ in said(session)] == [Unbind]
    session.unbind(0.0)
    assert said(session) == []


def test_a_session_that_is_not_bound_yet_just_closes() -> None:
    assert opened().drain(0.0, 10.0) == [Lost(LossReason.SHUTDOWN, ())]


def test_both_sides_unbinding_at_once_come_to_an_end() -> None:
    """B11, B26: each answers the other."""
    session = bound()
    session.unbind(0.0)
    session.data_to_send()
    assert kinds(session.receive(encode(Unbind(), 9), 0.0)) == ["PeerUnbinding"]
    assert [kind for kind, _, _ in said(session)] == [UnbindResp]
    assert kinds(session.receive(encode(UnbindResp(), 2), 0.0)) == ["Lost"]


def test_a_nack_without_a_number_makes_the_session_suspect() -> None:
    """B20: no new submits; drained, unbound, the rest in doubt."""
    session = bound()
    first, _ = submitted(session, ["a", "b"])
    nack = encode(GenericNack(), 0, Status.ESME_RINVCMDLEN)
    assert session.receive(nack + nack, 0.0) == [Suspect(Status.ESME_RINVCMDLEN)]
    assert session.free_slots == 0
    assert kinds(session.receive(answer(first), 1.0)) == ["Answered"]
    session.tick(5.0)
    ((kind, _, number),) = said(session)
    assert kind is Unbind
    assert session.receive(encode(UnbindResp(), number), 5.1) == [Lost(LossReason.SUSPECT, ("b",))]


def test_a_closed_link_hands_back_ten_of_ten_and_says_so_once() -> None:
    """B12: window of 10 outstanding, 10 in doubt, in order."""
    session = bound()
    submitted(session, list(range(10)))
    assert session.close(LossReason.PEER_CLOSED) == [Lost(LossReason.PEER_CLOSED, tuple(range(10)))]
    assert session.close(LossReason.READ_FAILED) == []
    assert session.tick(100.0) == session.receive(answer(2), 100.0) == session.drain(100.0, 1.0) == []
    with pytest.raises(NotAllowed):
        submitted(session, ["x"])


class SessionMachine(RuleBasedStateMachine):
    """Any order of traffic and time: each token has exactly one end, and nothing spins."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.session = bound(window=4)
        self.tokens = 0
        self.waiting: dict[int, int] = {}  # token → sequence number
        self.doubted: dict[int, int] = {}
        self.lost = 0

    def happened(self, events: list[Event]) -> None:
        for event in events:
            assert not self.lost, "Lost is the last event"
            if isinstance(event, Answered):
                assert event.token in (self.doubted if event.late else self.waiting)
                self.waiting.pop(event.token, None)
                self.doubted.pop(event.token, None)
            elif isinstance(event, Unanswered):
                self.doubted[event.token] = self.waiting.pop(event.token)
            elif isinstance(event, Lost):
                assert sorted(event.unanswered) == sorted(self.waiting)
                self.lost += 1
                self.waiting.clear()
            assert not isinstance(event, Bound)

    @precondition(lambda self: self.session.free_slots)
    @rule(deadline_s=st.sampled_from([3.0, 30.0]))
    def submit(self, deadline_s: float) -> None:
        self.tokens += 1
        (self.waiting[self.tokens],) = submitted(self.session, [self.tokens], self.now, deadline_s)

    @precondition(lambda self: self.waiting or self.doubted)
    @rule(data=st.data(), nack=st.booleans())
    def answered(self, data: st.DataObject, nack: bool) -> None:
        sequence = data.draw(st.sampled_from([*self.waiting.values(), *self.doubted.values()]))
        self.happened(self.session.receive(encode(GenericNack(), sequence) if nack else answer(sequence), self.now))

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 20.0]), polite=st.booleans())
    def wait(self, seconds: float, polite: bool) -> None:
        until = self.now + seconds
        while (at := self.session.next_deadline()) <= until:
            self.now = max(self.now, at)
            self.happened(self.session.tick(self.now))
            assert self.session.next_deadline() > self.now
            if polite:
                for header, pdu in read(self.session.data_to_send()):
                    if isinstance(pdu, EnquireLink):
                        response = encode(EnquireLinkResp(), header.sequence_number)
                        self.happened(self.session.receive(response, self.now))
        self.now = until

    @rule(frame=st.sampled_from([encode(EnquireLink(), 1), encode(DELIVER, 2), answer(999)]))
    def traffic(self, frame: bytes) -> None:
        self.happened(self.session.receive(frame, self.now))

    @precondition(lambda self: self.tokens > 5)
    @rule(frame=st.sampled_from([encode(Unbind(), 3), encode(GenericNack(), 0), b"\0\0\0\1"]))
    def ending(self, frame: bytes) -> None:
        self.happened(self.session.receive(frame, self.now))

    @precondition(lambda self: self.tokens > 5)
    @rule(grace_s=st.sampled_from([0.0, 2.0]))
    def drain(self, grace_s: float) -> None:
        self.happened(self.session.drain(self.now, grace_s))

    @invariant()
    def counts_agree(self) -> None:
        assert self.session.outstanding == len(self.waiting)
        assert (self.session.state is BindState.CLOSED) == bool(self.lost)


TestSessionOverTime = SessionMachine.TestCase
