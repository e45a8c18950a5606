"""The window of one session: numbers, slots, deadlines, late and repeated answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.smpp.window import MAX_SEQUENCE, Window


def opened(window: Window, token: object, now: float = 0.0, deadline_s: float = 30.0) -> int:
    sequence = window.draw()
    window.open([(sequence, token, 4)], now, deadline_s)
    return sequence


def test_numbers_wrap_to_one_and_pass_those_outstanding() -> None:
    """B18: after 0x7FFFFFFF comes 1, never 0, never a number that still waits."""
    window = Window(10, first_sequence=MAX_SEQUENCE - 1)
    assert [opened(window, n) for n in range(6)] == [MAX_SEQUENCE - 1, MAX_SEQUENCE, 1, 2, 3, 4]
    round_again = Window(10, first_sequence=1)
    assert opened(round_again, "old") == 1
    round_again._next = MAX_SEQUENCE
    assert [opened(round_again, n) for n in range(2)] == [MAX_SEQUENCE, 2]


def test_a_number_whose_late_answer_may_come_is_not_drawn_again() -> None:
    """B15, B18: an answer after an hour's wrap must not settle somebody else's request."""
    window = Window(10)
    opened(window, "old", deadline_s=5.0)
    assert window.expire(5.0) == ["old"]
    window._next = 1
    assert opened(window, "new") == 2


def test_a_deadline_frees_the_slot_and_keeps_the_request_for_an_hour() -> None:
    """B15: late, findable at 40 minutes, gone after the hour."""
    window = Window(1, late_s=3600.0)
    sequence = opened(window, "t", deadline_s=5.0)
    assert window.free == 0
    assert window.expire(4.9) == []
    assert window.expire(5.0) == ["t"]
    assert window.free == 1
    assert window.expire(2400.0) == []
    found = window.find(sequence)
    assert found is not None
    assert found[0].token == "t"
    assert found[1] is True
    window.expire(3605.0)
    assert window.find(sequence) is None


def test_the_late_table_is_bounded_and_forgets_the_oldest() -> None:
    """B15: a peer that never answers does not fill our memory."""
    window = Window(100, late_limit=3)
    sequences = [opened(window, n, deadline_s=1.0) for n in range(5)]
    window.expire(1.0)
    assert window.late == 3
    assert [window.find(sequence) is not None for sequence in sequences] == [False, False, True, True, True]


def test_deadlines_of_several_classes_fall_due_each_in_its_time() -> None:
    window = Window(10)
    opened(window, "bulk", now=0.0, deadline_s=30.0)
    opened(window, "otp", now=1.0, deadline_s=5.0)
    assert window.next_deadline() == 6.0
    assert window.expire(6.0) == ["otp"]
    assert window.next_deadline() == 30.0


def test_invented_deadlines_leave_no_lines_behind() -> None:
    window = Window(10)
    for n in range(1000):
        window.settle(opened(window, n, deadline_s=1.0 + n), b"")
    assert len(window._lines) < 20


def test_the_first_of_two_answers_is_remembered() -> None:
    """B16: the second is known as a second."""
    window = Window(10)
    sequence = opened(window, "t")
    window.settle(sequence, b"id-1")
    assert window.find(sequence) is None
    done = window.answered(sequence)
    assert done is not None
    assert (done.token, done.message_id) == ("t", b"id-1")
    assert window.answered(sequence + 1) is None


def test_surrender_hands_back_every_outstanding_token_in_order_and_no_late_one() -> None:
    """B12: none lost, none twice."""
    window = Window(10)
    opened(window, "late", deadline_s=1.0)
    window.expire(1.0)
    for token in "abc":
        opened(window, token, now=1.0)
    assert window.surrender() == ("a", "b", "c")
    assert window.surrender() == ()
    assert window.next_deadline() == float("inf")


class WindowMachine(RuleBasedStateMachine):
    """The window against the obvious model: a dictionary that is scanned."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.window = Window(5, late_s=100.0, first_sequence=MAX_SEQUENCE - 3)
        self.outstanding: dict[int, float] = {}  # sequence → due
        self.late: dict[int, float] = {}  # sequence → forgotten at

    @precondition(lambda self: len(self.outstanding) < 5)
    @rule(deadline_s=st.sampled_from([5.0, 30.0, 31.0]))
    def open(self, deadline_s: float) -> None:
        sequence = self.window.draw()
        assert 1 <= sequence <= MAX_SEQUENCE
        assert sequence not in self.outstanding
        assert sequence not in self.late
        self.window.open([(sequence, sequence, 4)], self.now, deadline_s)
        self.outstanding[sequence] = self.now + deadline_s

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        known = [*self.outstanding, *self.late]
        if known:
            sequence = data.draw(st.sampled_from(known))
            self.window.settle(sequence, b"")
            self.outstanding.pop(sequence, None)
            self.late.pop(sequence, None)
            assert self.window.answered(sequence) is not None

    @rule(seconds=st.sampled_from([0.0, 1.0, 4.0, 26.0, 90.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        due = sorted(sequence for sequence, at in self.outstanding.items() if at <= self.now)
        assert sorted(self.window.expire(self.now)) == due
        self.late = {sequence: at for sequence, at in self.late.items() if at > self.now}
        for sequence in due:
            del self.outstanding[sequence]
            self.late[sequence] = self.now + 100.0

    @invariant()
    def agrees(self) -> None:
        assert len(self.window) == len(self.outstanding)
        assert self.window.late == len(self.late)
        soonest = min([*self.outstanding.values(), *self.late.values()], default=float("inf"))
        assert self.window.next_deadline() == soonest


TestWindow = WindowMachine.TestCase


@given(st.integers(1, MAX_SEQUENCE))
def test_every_start_gives_legal_numbers(first: int) -> None:
    """B18: no 0, no sign bit, no repetition in a window."""
    window = Window(10, first_sequence=first)
    drawn = [opened(window, n) for n in range(10)]
    assert len(set(drawn)) == 10
    assert all(1 <= number <= MAX_SEQUENCE for number in drawn)
