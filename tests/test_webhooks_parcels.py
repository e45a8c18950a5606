"""What is posted in one piece: the octets, and which events go together."""

from __future__ import annotations

import json
import random
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from engine.clock import SECOND
from engine.webhooks.claims import Due
from engine.webhooks.parcels import batch, body_of, gather, known_batches, most_octets, single

AT = 1_795_417_200 * SECOND


def due(position: int, subject: str, earlier: int = 0, *, batch_id: str | None = None, pad: str = "") -> Due:
    data = json.dumps({"to": "+336••••••78", "pad": pad}, ensure_ascii=False)
    return Due(
        position,
        subject,
        0,
        AT,
        batch_id,
        earlier,
        f"evt_{position}",
        "message.delivered",
        position,
        data,
        AT + position,
    )


def test_one_event_is_posted_under_its_own_id() -> None:
    parcel = single(due(7, "msg_1"))
    assert parcel.webhook_id == "evt_7"
    assert json.loads(parcel.body) == {
        "type": "message.delivered",
        "timestamp": "2026-11-23T07:00:00.000Z",
        "id": "evt_7",
        "subject_id": "msg_1",
        "sequence": 7,
        "data": {"to": "+336••••••78", "pad": ""},
    }


def test_a_batch_is_one_message_and_the_same_octets_in_whatever_order_its_rows_are_read() -> None:
    rows = [due(1, "a"), due(2, "b"), due(3, "a", 1)]
    parcel = batch("whb_1", rows)
    message = json.loads(parcel.body)
    assert (parcel.webhook_id, message["type"], list(message)) == ("whb_1", "batch", ["type", "timestamp", "data"])
    assert message["data"]["events"] == [json.loads(body_of(row)) for row in rows]
    assert batch("whb_1", reversed(rows)) == parcel


def test_known_batches_are_put_together_again() -> None:
    rows = [due(1, "a", batch_id="x"), due(2, "b", batch_id="y"), due(3, "c", batch_id="x"), due(4, "d")]
    assert [(one.batch_id, [row.position for row in one.rows]) for one in known_batches(rows)] == [
        ("x", [1, 3]),
        ("y", [2]),
    ]


def positions(groups: list[list[Due]]) -> list[list[int]]:
    return [[row.position for row in group] for group in groups]


def test_a_subject_under_way_or_cut_off_by_a_full_group_waits() -> None:
    rows = [due(1, "a"), due(2, "b"), due(3, "a", 1), due(4, "c"), due(5, "b", 1), due(6, "d")]
    assert positions(gather(rows, {"d"}, events=3, octets=10**6)) == [[1, 2, 3], [4]]
    assert positions(gather(rows, set(), events=1, octets=10**6)) == [[1], [2], [4], [6]]


def test_an_event_whose_predecessor_is_missing_waits_and_so_does_all_that_follows_it() -> None:
    rows = [due(2, "a", 1), due(3, "a", 2), due(4, "b"), due(5, "c"), due(7, "c", 2), due(8, "c", 1)]
    assert positions(gather(rows, set(), events=100, octets=10**6)) == [[4, 5]]


@given(st.integers(0, 10**15), st.text(max_size=50))
def test_the_bound_on_an_event_s_octets_holds_and_is_close(sequence: int, pad: str) -> None:
    row = due(sequence, "msg_1", pad=pad)
    assert 0 < most_octets(row) - len(body_of(row)) <= 40


def test_a_batch_stays_within_its_octets_but_one_event_always_fits() -> None:
    rows = [due(number, f"s{number}", pad="€" * 1000) for number in range(9)]
    groups = gather(rows, set(), events=100, octets=10_000)
    assert [len(group) for group in groups] == [3, 3, 3]
    assert all(len(batch("x", group).body) <= 10_000 for group in groups)
    assert positions(gather(rows, set(), events=100, octets=1)) == [[number] for number in range(9)]


@given(
    st.lists(st.sampled_from("abcde"), max_size=60),
    st.sets(st.sampled_from("abcde")),
    st.integers(1, 7),
    st.integers(200, 3000),
    st.randoms(),
)
def test_groups_keep_the_order_of_every_subject(
    subjects: str, busy: set[str], events: int, octets: int, dice: random.Random
) -> None:
    counts: dict[str, int] = defaultdict(int)
    rows = []
    for position, subject in enumerate(subjects):
        rows.append(due(position, subject, counts[subject]))
        counts[subject] += 1
    dice.shuffle(rows)
    groups = gather(rows, busy, events=events, octets=octets)
    seen: set[str] = set()
    for group in groups:
        assert 1 <= len(group) <= events
        assert len(group) == 1 or len(batch("x", group).body) <= octets
        mine = {row.subject_id for row in group}
        assert not mine & (seen | busy)
        seen |= mine
        for subject in mine:
            told = [row.earlier for row in group if row.subject_id == subject]
            assert told == list(range(len(told)))
    assert seen == counts.keys() - busy or events < len(rows) or octets < 10_000
