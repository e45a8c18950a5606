"""Replies heard in batches: however a storm is cut into them, its rows are those of hearing one reply at a time."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlmodel import SQLModel

from engine.cases import caseload, handover_rows
from engine.cases.casebook import Budget
from engine.cases.hearing import Hearing, Reader
from engine.cases.outcomes import Claimed, Wakes
from engine.cases.reverse import StartReverse
from engine.cases.reverse_replying import ReverseReplies
from engine.keyring import KeyRing
from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.transaction import Tx
from engine.transit.replying import Delivery, JoinedReply, receive_all
from tests.intake_kit import APP, OURS, IntakeKit, intake_kit, mo
from workflows.reverse_codes import PIECES_MOST, UNKNOWN_BY_NUMBER, UNKNOWN_BY_SENDER

ANNA, BORIS, CLAIRE = SENDERS = ("+33612345671", "+33612345672", "+33612345673")
OTHER = "38124"
NUMBERS = {
    "code": {"address": OURS, "application": APP, "accounts": ["sim"]},
    "other": {"address": OTHER, "application": APP, "accounts": ["sim"]},
}
CASES = (
    StartReverse(life_s=1_800),
    StartReverse(life_s=1_800, claimed=ANNA),
    StartReverse(life_s=1_800, claimed=BORIS),
    StartReverse(life_s=1_800, confirm=True),
    StartReverse(life_s=1_800, number=OTHER),
    StartReverse(life_s=60),
)
TABLES = (
    "reply", "reply_part", "cases", "reverse_code", "allowance", "timer", "audit", "event", "feed", "consent_entry",
    "opt_out", "message",
)  # fmt: skip
_every = {name: SQLModel.metadata.tables[name] for name in TABLES}
EVERY = {name: Statement(lambda _, table=table: table.select()) for name, table in _every.items()}  # type: ignore[misc]
_ID = re.compile(r"\b(rpl|mo|aud|evt|msg|con|cns)_[0-9a-f]{32}")
_SEALED = re.compile(r"\bk[0-9a-f]{8}\.[\w-]{16}\.[\w-]+")


def _letters(number: int) -> str:
    return "".join("ABCDEFGHJK"[int(digit)] for digit in f"{number:04}")


class _UndoneError(Exception):
    """Rolls a transaction back, with what was seen in it."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen


@dataclass
class Storm:
    """Codes pending in every way, and what handsets may write about them."""

    kit: IntakeKit
    codes: Sequence[str]

    def text(self, kind: str, number: int) -> str:
        code = self.codes[number % len(self.codes)]
        return {
            "right": f"mon code: {code} merci",
            "wrong": f"AAAA-{number:04}",
            "two": f"{code} {self.codes[0]}",
            "other": f"{code} 482913",
            "letters": f"AAAA-{_letters(number)}",
            "many": " ".join(f"A{number:02}B{other:04}" for other in range(25)),
            "prose": f"{_letters(number)}ABCD bonsoir a vous",
        }.get(kind, kind)

    def ends_in(self, texts: Sequence[tuple[str, int, str, str]], cuts: Sequence[int]) -> list[str]:
        """Take texts in, so many at a time; return all rows, told apart by nothing that was drawn, and undo it."""
        deliveries: list[Delivery] = []
        for kind, number, sender, to in texts:
            arrival = self.kit.read(mo(self.text(kind, number), sender, to))
            assert arrival.part is not None
            assert arrival.pdu is not None
            deliveries.append((arrival.part, arrival.pdu))

        def take(tx: Tx) -> None:
            now, start = self.kit.clock.now(), 0
            for size in cycle(cuts):
                receive_all(tx, "sim", deliveries[start : start + size], self.kit.desk.joining, now)
                start += size
                if start >= len(deliveries):
                    break
            raise _UndoneError([f"{name} {row}" for name in TABLES for row in tx.all(EVERY[name])])

        with pytest.raises(_UndoneError) as undone:
            self.kit.store.write_inline(take)
        return _undrawn(undone.value.seen)


def _undrawn(rows: list[str]) -> list[str]:
    drawn: dict[str, list[str]] = defaultdict(list)  # ids rise with time: their order is what is compared
    for found in {match[0] for row in rows for match in _ID.finditer(row)}:
        drawn[found[:3]].append(found)
    names = {one: f"{kind}:{place}" for kind, ids in drawn.items() for place, one in enumerate(sorted(ids))}
    return sorted(_SEALED.sub("sealed", _ID.sub(lambda match: names[match[0]], row)) for row in rows)


async def _pending(store: Store) -> Storm:
    kit = await intake_kit(store, numbers=NUMBERS)
    core, now = kit.core, kit.clock.now()

    def prepare(tx: Tx) -> list[str]:
        codes = [str(core.reverses.start(tx, APP, "key_1", asked, now).body["code"]) for asked in CASES]
        fingerprint = core.keyring.fingerprint
        at_our_number = Budget("*", "reverse", fingerprint("phone", OURS), "*unknown_to")
        of_boris = Budget("*", "reverse", fingerprint("phone", BORIS), "*unknown_from")
        counts = {at_our_number: UNKNOWN_BY_NUMBER - 2, of_boris: UNKNOWN_BY_SENDER - 1}
        counted = {budget: {"since": now, "count": count} for budget, count in counts.items()}
        caseload.store_allowances(tx, counted, now)
        somebody = handover_rows.Row("pty_1", APP, "dlv_1", fingerprint("phone", CLAIRE), "main", None, "", 1)
        handover_rows.insert_parties(tx, [somebody])
        return codes

    codes = await store.write(prepare)
    kit.clock.step(61)
    return Storm(kit, codes)


@pytest.fixture
def storm(database: Database) -> Iterator[Storm]:
    """Whatever a test has taken in is undone after it."""
    store = Store(database, inline=True)
    store.open()
    yield trio.run(_pending, store)
    trio.run(store.close)


TEXTS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "right",
                "right",
                "right",
                "wrong",
                "wrong",
                "letters",
                "many",
                "prose",
                "two",
                "other",
                "bonjour",
                "STOP",
                "start",
                "stop sending",
                "",
            ]
        ),
        st.integers(0, 11),
        st.sampled_from(SENDERS),
        st.sampled_from([OURS, OURS, OURS, OTHER]),
    ),
    max_size=24,
)


GUESSING = [("wrong", number, sender, OURS) for number, sender in enumerate([ANNA, BORIS, ANNA])]
RIGHT = [("right", number, sender, OURS) for number in (0, 1, 2) for sender in SENDERS]


GUESSES = [
    (kind, number, sender, OURS) for number, kind in enumerate(["many", "letters", "prose"]) for sender in SENDERS
]


@given(texts=TEXTS, cuts=st.lists(st.integers(1, 24), min_size=1, max_size=4))
@example(texts=[*GUESSING, *RIGHT], cuts=[24])
@example(texts=[*GUESSES, *RIGHT], cuts=[24])
@example(texts=[*RIGHT, *GUESSING, ("STOP", 0, ANNA, OURS), ("right", 3, ANNA, OURS)], cuts=[24])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_batch_decides_as_one_by_one_does(
    storm: Storm, texts: list[tuple[str, int, str, str]], cuts: list[int]
) -> None:
    """S14: any mix, any order, any cuts: who is approved, refused, counted, told, and in which order."""
    assert storm.ends_in(texts, cuts) == storm.ends_in(texts, [1])


def _choices(rows: Sequence[str]) -> list[str]:
    kinds = "reverse_code_equal|too_many_unknown_codes|no_open_case|opt_out_word"
    return re.findall(kinds, " ".join(row for row in rows if row.startswith("reply (")))


def test_in_one_batch_a_code_counts_once_and_a_guesser_is_out_at_his_sixth(storm: Storm) -> None:
    texts = [("wrong", number, ANNA, OTHER) for number in range(5)]
    texts += [("right", 0, ANNA, OURS), ("right", 0, BORIS, OURS), ("right", 0, CLAIRE, OURS), ("STOP", 0, ANNA, OURS)]
    rows = storm.ends_in(texts, [len(texts)])
    assert _choices(rows) == [
        *["no_open_case"] * 5, "too_many_unknown_codes", "reverse_code_equal", "reverse_code_equal", "opt_out_word",
    ]  # fmt: skip
    assert sum("'reverse.approved'" in row for row in rows) == 1
    assert sum("'reverse.code_repeated'" in row for row in rows) == 1


@pytest.mark.parametrize(("kind", "texts", "heard"), [
    ("letters", 4, True), ("letters", 5, False), ("many", 1, False), ("prose", 30, True), ("prose", 50, False),
])  # fmt: skip
def test_whatever_was_tried_counts_and_prose_counts_little(storm: Storm, kind: str, texts: int, heard: bool) -> None:
    """S14: letters alone are guesses, each code in one SMS is one; who writes sentences goes on being heard."""
    written = [(kind, number, ANNA, OTHER) for number in range(texts)]
    rows = storm.ends_in([*written, ("right", 0, ANNA, OURS)], [texts + 1])
    assert set(_choices(rows)) == {"no_open_case", "reverse_code_equal" if heard else "too_many_unknown_codes"}


@pytest.mark.parametrize(("kind", "tried"), [("many", PIECES_MOST), ("letters", 1), ("prose", 2)])
def test_all_that_an_sms_tried_counts_at_the_number(storm: Storm, kind: str, tried: int) -> None:
    rows = storm.ends_in([(kind, 0, ANNA, OTHER)], [1])
    counts = [
        int(found[1]) for row in rows if row.startswith("allowance") and (found := re.search(r'"count": ?(\d+)', row))
    ]
    assert tried in counts


def test_an_equal_pdu_in_the_same_batch_is_one_delivery(storm: Storm) -> None:
    """E3: the SMSC had no answer to the first yet."""
    rows = storm.ends_in([("right", 0, ANNA, OURS), ("bonjour", 0, BORIS, OURS), ("right", 0, ANNA, OURS)], [3])
    assert len(_choices(rows)) == 2


def test_wrong_codes_in_any_number_cost_as_many_statements_as_one(
    storm: Storm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def statements(count: int) -> int:
        seen: list[object] = []

        def noted(run: Callable[..., Any]) -> Callable[..., Any]:
            return lambda tx, statement, *given, **values: (
                seen.append(statement) or run(tx, statement, *given, **values)
            )

        with monkeypatch.context() as patched:
            for name in ("run", "one", "all", "batch", "joined"):
                patched.setattr(Tx, name, noted(getattr(Tx, name)))
            storm.ends_in([("wrong", number, f"+33612346{number:03}", OURS) for number in range(count)], [count])
        return len(seen) - len(TABLES)

    assert statements(100) == statements(1) < 16


@pytest.mark.parametrize(
    ("takes", "state", "asked", "matched"),
    [
        ("stopping", "whole", ["stopping"], "matched"),
        ("second", "whole", ["stopping", "first", "second"], "matched"),
        ("nobody", "whole", ["stopping", "first", "second", "third"], "unmatched"),
        ("second", "incomplete", [], "incomplete"),
    ],
)
async def test_readers_are_asked_in_turn_until_one_takes_a_reply_that_is_whole(
    store: Store, takes: str, state: str, asked: list[str], matched: str
) -> None:
    kit = await intake_kit(store, numbers=NUMBERS)
    heard: list[str] = []

    def reader(name: str) -> Reader:
        def read(_tx: Tx, _reply: JoinedReply, _now: int, _wakes: Wakes) -> Claimed | None:
            heard.append(name)
            return Claimed(APP, "ver_1", "because") if name == takes else None

        return read

    hearing = Hearing(
        kit.clock.new_ids,
        KeyRing.generate(kit.clock.entropy),
        lambda _address, _text: None,
        reader("stopping"),
        ReverseReplies(kit.core.reverses),
        [reader(name) for name in ("first", "second", "third")],
    )
    # Only what may be about consent, or comes from a number that a conversation listens to, is for readers at all.
    reply = JoinedReply("rep_1", "sim", ANNA, ANNA, OURS, "STOP", state, "", kit.clock.now())
    await store.write(lambda tx: hearing.replied(tx, [reply], kit.clock.now()))
    [row] = await store.read(lambda tx: tx.all(EVERY["reply"]))
    assert (heard, matched in row) == (asked, True)
