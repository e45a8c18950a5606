"""What answers, silence and receipts make of a message: pure decisions, every path of the catalogue's rows."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.smpp.pdu import Disposition, Status
from engine.smpp.receipts import MessageState
from engine.store.moves import MESSAGE
from engine.transit.settling import SECOND, PartFacts, Retry, answered, overdue, received, resolve_doubt, unanswered
from engine.transit.tally import Tally

NOW = 1_000_000 * SECOND
NO_WAY_OUT = Retry(lambda _tally: None, lambda _tally: None, lambda tally: f"{tally.route}=orange")
ANOTHER = Retry(
    lambda tally: f"{tally.route}~orange", lambda tally: f"{tally.route}^orange", lambda tally: f"{tally.route}=orange"
)


def message(**changed: Any) -> Tally:
    row: dict[str, Any] = {
        "id": "msg_1", "application_id": "app", "case_id": None, "category": "transactional",
        "message_class": "transactional", "lane": 1, "route": "fr/Sceau", "state": "on_wire",
        "recipient": "+33612345678",
        "sender": "Sceau", "reference": None, "parts": 1, "open_parts": 1, "unanswered": 1, "attempts": 1, "doubts": 0,
        "throttles": 0, "resend": None, "worst": None, "account": "orange", "status": None, "reason": None,
        "number_unverified": 0, "simulated": 0, "sequence": 0, "created_at": NOW, "due_at": None,
        "expires_at": NOW + 3_600 * SECOND, "accepted_at": None, "final_at": None,
    }  # fmt: skip
    return Tally(**{**row, **changed})


def answer(tally: Tally, status: int, meaning: Disposition, retry: Retry = NO_WAY_OUT, number: int = 1) -> str:
    return answered(tally, (number, tally.attempts), meaning, status, NOW, retry)


def receipt(tally: Tally, state: MessageState, part_state: str = "accepted", number: int = 1) -> str:
    return received(tally, PartFacts(number, tally.attempts, part_state, sibling_final=False), state, NOW, "")[0]


def events(tally: Tally) -> list[str]:
    return [raised.type.removeprefix("message.") for raised in tally.raised]


def test_an_accepted_message_waits_for_its_receipt_and_is_delivered_by_it() -> None:
    tally = message()
    assert answer(tally, 0, Disposition.OK) == "accepted"
    assert (tally.state, tally.accepted_at) == ("accepted", NOW)
    assert receipt(tally, MessageState.DELIVERED) == "applied"
    assert (tally.state, tally.final_at, events(tally)) == ("delivered", NOW, ["accepted", "delivered"])


def test_throttling_requeues_and_costs_no_attempt_however_often() -> None:
    """C3: 500 throttles, then OK: delivered with one attempt."""
    tally = message()
    for _ in range(500):
        answer(tally, Status.ESME_RTHROTTLED, Disposition.THR)
        assert (tally.state, tally.attempts) == ("queued", 0)
        tally.state, tally.attempts, tally.unanswered = "on_wire", 1, 1
    answer(tally, 0, Disposition.OK)
    assert (tally.state, tally.attempts, tally.throttles) == ("accepted", 1, 500)


def test_a_throttled_message_whose_life_has_ended_expires_unsent() -> None:
    """C4: never submitted after its life."""
    tally = message(expires_at=NOW)
    answer(tally, Status.ESME_RTHROTTLED, Disposition.THR)
    assert (tally.state, tally.reason, events(tally)) == ("expired", "expired_before_send", ["expired"])


def test_a_full_queue_holds_back_its_own_message_alone() -> None:
    """C2: it waits with a doubling pause; what is queued behind it does not."""
    tally = message()
    answer(tally, Status.ESME_RMSGQFUL, Disposition.THR)
    assert (tally.state, tally.due_at, tally.attempts) == ("waiting", NOW + 2 * SECOND, 0)


def test_a_temporary_refusal_waits_twice_as_long_each_time_and_then_is_final() -> None:
    """C5: bounded, exponential."""
    tally = message()
    pauses = []
    while tally.state == "on_wire":
        answer(tally, Status.ESME_RSYSERR, Disposition.TMP)
        if tally.state == "waiting":
            assert tally.due_at is not None
            pauses.append((tally.due_at - NOW) // SECOND)
            tally.state, tally.unanswered = "on_wire", 1
            tally.attempts += 1
    assert pauses == [1, 2, 4, 8]
    assert (tally.state, tally.reason, tally.status) == ("rejected", "refused", Status.ESME_RSYSERR)


def test_an_unknown_status_is_tried_once_more_and_its_code_stays_visible() -> None:
    """C7: vendor codes."""
    tally = message()
    answer(tally, 0x4AB, Disposition.TMP_ONCE)
    assert tally.state == "waiting"
    tally.state, tally.unanswered, tally.attempts = "on_wire", 1, 2
    answer(tally, 0x4AB, Disposition.TMP_ONCE)
    assert (tally.state, tally.status) == ("rejected", 0x4AB)


def test_a_refusal_of_the_route_moves_the_message_to_another_account_and_a_permanent_one_ends_it() -> None:
    """C6: CFG."""
    tally = message()
    answer(tally, Status.ESME_RINVSRCADR, Disposition.CFG, ANOTHER)
    assert (tally.state, tally.route) == ("queued", "fr/Sceau^orange")
    tally = message()
    answer(tally, Status.ESME_RINVDSTADR, Disposition.PERM, ANOTHER)
    assert tally.state == "rejected"


def test_a_session_fault_returns_the_message_untouched() -> None:
    """B23: submit on an RX bind."""
    tally = message()
    answer(tally, Status.ESME_RINVBNDSTS, Disposition.SES)
    assert (tally.state, tally.attempts, tally.throttles) == ("queued", 0, 0)


def test_a_submit_without_an_answer_is_in_doubt_and_said_so_once() -> None:
    """B12: nothing is lost silently."""
    tally = message(message_class="otp", lane=0)
    unanswered(tally, NOW)
    unanswered(tally, NOW)
    assert (tally.state, tally.doubts, tally.due_at, events(tally)) == ("in_doubt", 1, NOW, ["in_doubt"])


def test_a_late_answer_settles_the_doubt() -> None:
    """B15: at 40 minutes as well."""
    tally = message()
    unanswered(tally, NOW)
    answer(tally, 0, Disposition.OK)
    assert (tally.state, tally.due_at) == ("accepted", None)


def test_a_late_answer_stops_the_second_submit_that_was_only_queued() -> None:
    """B15: sent and ROK forbids a resend."""
    tally = message(state="queued", doubts=1)
    answer(tally, 0, Disposition.OK)
    assert tally.state == "accepted"


def test_the_late_answer_of_an_earlier_attempt_changes_its_part_alone() -> None:
    tally = message(attempts=2)
    assert answered(tally, (1, 1), Disposition.OK, 0, NOW, NO_WAY_OUT) == "accepted"
    assert (tally.state, tally.unanswered, events(tally)) == ("on_wire", 1, [])


@pytest.mark.parametrize(
    ("message_class", "left_s", "attempts", "again"),
    [
        ("otp", 300, 1, True),
        ("otp", 59, 1, False),
        ("otp", 300, 2, False),
        ("signature_code", 300, 1, True),
        ("handover_code", 300, 1, True),
        ("transactional", 300, 1, True),
        ("marketing", 300, 1, False),
        ("auto_reply", 300, 1, False),
    ],
)
def test_the_class_alone_decides_whether_a_doubt_is_sent_again(
    message_class: str, left_s: int, attempts: int, again: bool
) -> None:
    """B27: the table of section 2; at most two submits."""
    tally = message(message_class=message_class, state="in_doubt", attempts=attempts, expires_at=NOW + left_s * SECOND)
    resolve_doubt(tally, NOW, "fr/Sceau~orange", "fr/Sceau=orange", [1])
    assert (tally.state, tally.route) == (("queued", "fr/Sceau~orange") if again else ("in_doubt", "fr/Sceau"))
    assert tally.due_at is None


def test_of_a_long_message_only_the_doubtful_parts_go_again_through_the_same_account() -> None:
    tally = message(state="in_doubt", parts=3, open_parts=3, unanswered=1)
    resolve_doubt(tally, NOW, "fr/Sceau~orange", "fr/Sceau=orange", [2])
    assert (tally.state, tally.resend, tally.route) == ("queued", "2", "fr/Sceau=orange")


def test_one_throttled_part_of_several_goes_again_alone_when_the_others_are_answered() -> None:
    tally = message(parts=3, open_parts=3, unanswered=3)
    answer(tally, 0, Disposition.OK, number=1)
    answer(tally, Status.ESME_RTHROTTLED, Disposition.THR, number=2)
    assert tally.state == "on_wire"
    answer(tally, 0, Disposition.OK, number=3)
    assert (tally.state, tally.resend, tally.attempts) == ("queued", "2", 0)


@pytest.mark.parametrize("meaning", [Disposition.PERM, Disposition.DST, Disposition.CFG])
@pytest.mark.parametrize("refused", [1, 2, 3])
def test_one_refused_part_fails_the_whole_message_as_partial(meaning: Disposition, refused: int) -> None:
    """E17: whatever the others were answered, and even if another account would take it: two parts have arrived."""
    tally = message(parts=3, open_parts=3, unanswered=3)
    for number in (1, 2, 3):
        if number == refused:
            answer(tally, Status.ESME_RINVDSTADR, meaning, ANOTHER, number)
        else:
            answer(tally, 0, Disposition.OK, ANOTHER, number)
    assert (tally.state, tally.reason, tally.resend) == ("rejected", "partial", None)


def test_a_number_that_is_not_the_accounts_subscriber_is_tried_through_another_one() -> None:
    """F7: 0x0B here says nothing of the next account; without one it is the end."""
    tally = message()
    answer(tally, Status.ESME_RINVDSTADR, Disposition.DST, ANOTHER)
    assert (tally.state, tally.route) == ("queued", "fr/Sceau^orange")
    last = message()
    answer(last, Status.ESME_RINVDSTADR, Disposition.DST)
    assert (last.state, last.reason) == ("rejected", "refused")


@pytest.mark.parametrize("meaning", [Disposition.DST, Disposition.CFG])
def test_a_long_message_of_which_every_part_is_refused_goes_elsewhere_as_a_whole(meaning: Disposition) -> None:
    """F7, E17: no part has arrived: all of them again, through the other account, with a reference of its own."""
    tally = message(parts=3, open_parts=3, unanswered=3)
    for number in (1, 2, 3):
        answer(tally, Status.ESME_RINVDSTADR, meaning, ANOTHER, number)
    assert (tally.state, tally.route, tally.resend, tally.reason) == ("queued", "fr/Sceau^orange", None, None)
    tally = message(parts=3, open_parts=3, unanswered=3)
    for number in (1, 2, 3):
        answer(tally, Status.ESME_RINVDSTADR, meaning, number=number)
    assert (tally.state, tally.reason) == ("rejected", "partial")


def test_a_long_message_refused_and_throttled_is_not_shared_between_accounts() -> None:
    """E17: one part waits for this account, the others will not have it: the end, and no part twice."""
    for statuses in permutations((Disposition.DST, Disposition.THR, Disposition.DST)):
        tally = message(parts=3, open_parts=3, unanswered=3)
        for number, meaning in enumerate(statuses, 1):
            answer(tally, Status.ESME_RINVDSTADR, meaning, ANOTHER, number)
        assert (tally.state, tally.reason, tally.resend) == ("rejected", "partial", None)


def test_parts_refused_beside_a_doubtful_one_go_again_with_it_here() -> None:
    """E17, B12: the doubtful part may have arrived: same account, same reference; a second refusal is the end."""
    tally = message(parts=2, open_parts=2, unanswered=2, message_class="otp")
    answer(tally, Status.ESME_RINVDSTADR, Disposition.DST, ANOTHER, 1)
    unanswered(tally, NOW)
    resolve_doubt(tally, NOW, "fr/Sceau~orange", "fr/Sceau=orange", [2])
    assert (tally.state, tally.resend, tally.route, tally.reason) == ("queued", "1,2", "fr/Sceau=orange", None)
    tally.state, tally.attempts, tally.unanswered = "on_wire", 2, 2
    for number in (1, 2):
        answer(tally, Status.ESME_RINVDSTADR, Disposition.DST, ANOTHER, number)
    assert (tally.state, tally.reason) == ("rejected", "partial")


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_receipts_of_parts_in_any_order_deliver_the_message_when_all_are_there(order: tuple[int, ...]) -> None:
    """D14."""
    tally = message(state="accepted", parts=3, open_parts=3, unanswered=0)
    for place, number in enumerate(order):
        assert tally.state == "accepted", place
        receipt(tally, MessageState.DELIVERED, number=number + 1)
    assert (tally.state, events(tally)) == ("delivered", ["delivered"])


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_one_undelivered_part_makes_the_message_undelivered(failing: int) -> None:
    """D14."""
    tally = message(state="accepted", parts=3, open_parts=3, unanswered=0)
    for number in (1, 2, 3):
        receipt(tally, MessageState.UNDELIVERABLE if number == failing else MessageState.DELIVERED, number=number)
    assert (tally.state, len(tally.raised)) == ("undelivered", 1)


@pytest.mark.parametrize("state", [MessageState.ACCEPTED, MessageState.ENROUTE, MessageState.SCHEDULED])
def test_what_is_not_final_is_noted_and_changes_nothing(state: MessageState) -> None:
    """D9, D11: ACCEPTD is not delivered."""
    tally = message(state="accepted", unanswered=0)
    assert receipt(tally, state) == "noted"
    assert tally.state == "accepted"


def test_a_second_final_is_a_duplicate_or_contradicts_and_the_first_stays() -> None:
    """D10, D12."""
    tally = message(state="delivered", open_parts=0, unanswered=0)
    assert receipt(tally, MessageState.DELIVERED, "delivered") == "duplicate"
    assert receipt(tally, MessageState.EXPIRED, "delivered") == "contradicts"
    assert (tally.state, events(tally)) == ("delivered", [])


def test_unknown_may_be_overtaken_by_a_real_answer() -> None:
    tally = message(state="accepted", unanswered=0)
    assert receipt(tally, MessageState.UNKNOWN) == "applied"
    assert tally.state == "unknown"
    assert receipt(tally, MessageState.DELIVERED, "unknown") == "applied"
    assert events(tally) == ["unknown", "delivered"]


def test_a_receipt_in_doubt_proves_the_submit_and_settles_the_message() -> None:
    tally = message(state="in_doubt", doubts=1, due_at=NOW)
    assert receipt(tally, MessageState.DELIVERED, "in_doubt") == "applied"
    assert (tally.state, tally.due_at) == ("delivered", None)


def test_a_life_that_ends_expires_what_was_not_sent_and_makes_the_rest_unknown() -> None:
    """D13, G5: never `failed` for want of a receipt."""
    for state, end in [("queued", "expired"), ("waiting", "expired"), ("accepted", "unknown"), ("in_doubt", "unknown")]:
        tally = message(state=state)
        overdue(tally, NOW)
        assert (tally.state, tally.final_at) == (end, NOW)
    tally = message(state="on_wire")
    overdue(tally, NOW)
    assert tally.state == "on_wire"


STEPS = st.one_of(
    st.tuples(st.just("answer"), st.sampled_from(list(Disposition)), st.integers(1, 3)),
    st.tuples(st.just("silence"), st.none(), st.none()),
    st.tuples(st.just("receipt"), st.sampled_from(list(MessageState)), st.integers(1, 3)),
    st.tuples(st.just("overdue"), st.none(), st.none()),
)


@given(
    parts=st.integers(1, 3),
    steps=st.lists(STEPS, max_size=12),
    start=st.sampled_from(["on_wire", "in_doubt", "accepted"]),
)
def test_no_order_of_happenings_leaves_the_table_of_moves_or_reopens_an_end(
    parts: int, steps: list[tuple[str, Any, Any]], start: str
) -> None:
    """D9: monotonic; every move is one of the table (a move outside it raises)."""
    tally = message(parts=parts, open_parts=parts, unanswered=parts, state=start, doubts=int(start == "in_doubt"))
    states = dict.fromkeys(range(1, parts + 1), "accepted")
    for what, detail, number in steps:
        before = tally.state
        if what == "answer":
            answer(tally, 0 if detail is Disposition.OK else 0x45, detail, number=min(number, parts))
        elif what == "silence":
            unanswered(tally, NOW)
        elif what == "overdue":
            overdue(tally, NOW)
        else:
            part = PartFacts(min(number, parts), tally.attempts, states[min(number, parts)], sibling_final=False)
            to = received(tally, part, detail, NOW, "")[1]
            states[part.number] = to or part.state
        if before in MESSAGE.final:
            assert tally.state == before
    assert 0 <= tally.open_parts <= parts
    assert tally.unanswered >= 0
    assert [raised.sequence for raised in tally.raised] == list(range(1, len(tally.raised) + 1))
