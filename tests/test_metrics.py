"""The metrics: every collector is shown and used, labels hold nothing of a person, bind states exclude each other."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import engine
from engine.clock import SystemClock
from engine.core import clear_binds
from engine.metrics import BIND_STATES, Metrics, label_names
from engine.settings import Settings
from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.answers import Answer
from engine.transit.books import Books
from engine.transit.claiming import InFlight
from engine.transit.classes import Lane
from engine.transit.queue import NewMessage
from engine.transit.settling import overdue
from engine.transit.tally import Raised
from engine.watching import group_ended, moved, sent, taken, watch
from tests.desk import Desk
from tests.intake_kit import intake_kit, receipt

NOW = 1_700_000_000_000_000
HARMLESS = {"lane", "account", "authority", "bind", "route", "state", "status", "cause", "kind", "result", "method"}


def lines(metrics: Metrics) -> list[str]:
    return metrics.render().decode().splitlines()


def test_no_label_can_hold_a_number_a_text_or_a_name_of_a_person() -> None:
    """S30: no personal data in labels."""
    assert label_names(Metrics.create()) <= HARMLESS


def test_every_collector_is_documented_in_what_is_shown() -> None:
    metrics = Metrics.create()
    shown = metrics.render().decode()
    for field in fields(metrics):
        if field.name != "registry":
            assert f"# HELP {getattr(metrics, field.name)._name}" in shown


def test_two_sets_do_not_know_each_other() -> None:
    one, other = Metrics.create(), Metrics.create()
    one.queued.labels("otp").set(7)
    assert 'sceau_messages_queued{lane="otp"} 7.0' in lines(one)
    assert 'sceau_messages_queued{lane="otp"} 7.0' not in lines(other)


def test_a_bind_is_in_one_state_at_a_time() -> None:
    metrics = Metrics.create()
    for state in ("connecting", "bound"):
        metrics.show_bind_state("orange", "main", state)
    shown = [line for line in lines(metrics) if line.startswith("sceau_bind_state{")]
    assert len(shown) == len(BIND_STATES)
    assert [line for line in shown if line.endswith(" 1.0")] == [
        'sceau_bind_state{account="orange",bind="main",state="bound"} 1.0'
    ]


def test_a_bind_state_nobody_listed_is_refused() -> None:
    with pytest.raises(ValueError, match="no such bind state"):
        Metrics.create().show_bind_state("orange", "main", "asleep")


def test_accept_to_wire_is_a_histogram_of_lane_account_and_route() -> None:
    metrics = Metrics.create()
    metrics.accept_to_wire.labels("otp", "orange", "france").observe(0.004)
    counted = 'sceau_accept_to_wire_seconds_bucket{account="orange",lane="otp",le="0.005",route="france"} 1.0'
    assert counted in lines(metrics)


def test_every_metric_is_counted_or_set_somewhere() -> None:
    root = Path(engine.__file__).parent
    source = "\n".join(path.read_text() for path in root.rglob("*.py") if path.name != "metrics.py")
    declared = {field.name for field in fields(Metrics)} - {"registry"}
    # One is set by a method of its own, which keeps the states apart.
    signs = {name: rf"metrics\.{name}\b" for name in declared} | {"bind_state": r"metrics\.show_bind_state\("}
    assert [name for name, sign in sorted(signs.items()) if not re.search(sign, source)] == []


def value(metrics: Metrics, line: str) -> float:
    """The figure of a line as it is shown, 0 if there is no such line yet."""
    return next((float(one.rpartition(" ")[2]) for one in lines(metrics) if one.rpartition(" ")[0] == line), 0.0)


def a_message(store: Store, lane: Lane = Lane.OTP) -> str:
    message_id = SystemClock().new_id("msg")
    row = NewMessage(
        id=message_id,
        application_id="app",
        case_id=None,
        category="otp",
        message_class="otp",
        lane=int(lane),
        route="orange/orange",
        recipient="+33612345678",
        country="FR",
        sender="38012",
        created_at=NOW,
        expires_at=NOW + 1,
    )
    store.write_inline(lambda tx: queue.enqueue(tx, [row]))
    return message_id


async def test_messages_that_end_are_counted_after_the_commit_and_never_after_a_rollback(store: Store) -> None:
    metrics = Metrics.create()
    books = Books(SystemClock().new_ids, lambda _tx, _tallies, _now: [], counted=moved(metrics))
    message_id = a_message(store)

    def end(tx: Tx) -> None:
        [tally] = queue.load(tx, [message_id]).values()
        overdue(tally, NOW + 2)
        books.write(tx, [tally], NOW + 2)

    def end_and_fail(tx: Tx) -> None:
        end(tx)
        raise ValueError

    def end_apart_and_fail(tx: Tx) -> None:
        with pytest.raises(ValueError, match=r"^$"):
            tx.apart(lambda: end_and_fail(tx))

    shown = 'sceau_messages_final_total{account="",lane="otp",state="expired"}'
    with pytest.raises(ValueError, match=r"^$"):
        store.write_inline(end_and_fail)
    store.write_inline(end_apart_and_fail)
    assert value(metrics, shown) == 0
    store.write_inline(end)
    assert value(metrics, shown) == 1
    assert value(metrics, 'sceau_expired_before_send_total{lane="otp"}') == 1


def test_a_doubt_is_counted_in_its_own_lane() -> None:
    metrics = Metrics.create()
    doubtful = SimpleNamespace(
        lane=2, account="orange", reason=None, raised=[Raised("message.in_doubt", 2, "in_doubt")]
    )
    moved(metrics)([doubtful, doubtful])  # type: ignore[list-item]
    assert value(metrics, 'sceau_in_doubt_total{account="orange",lane="bulk"}') == 2


def test_submits_and_their_way_to_the_wire_are_counted_by_the_route_of_their_plan() -> None:
    """A plan's sender and the accounts that it avoids are no labels: a route has one figure for each account."""
    metrics = Metrics.create()
    count = sent(metrics)
    first, second = (InFlight("msg_1", number, 1, int(Lane.OTP), NOW) for number in (1, 2))
    count("orange", "france/main!reply", [first, second], NOW + 4_000)
    count("orange", "france/main~sfr", [first], NOW + 4_000)
    count("orange", "all/main", [first], NOW + 4_000)
    labels = 'account="orange",lane="otp"'
    assert value(metrics, f'sceau_submits_total{{{labels},route="france"}}') == 3
    assert value(metrics, f'sceau_accept_to_wire_seconds_count{{{labels},route="france"}}') == 2
    assert value(metrics, f'sceau_submits_total{{{labels},route="all"}}') == 1


async def test_receipts_are_counted_once_each_when_they_come_by_the_state_that_they_tell(store: Store) -> None:
    metrics = Metrics.create()
    count = taken(metrics)
    kit = await intake_kit(store)
    plain, other, early = [(await kit.sent())[0] for _ in range(3)]
    with_its_answer = [kit.read(receipt("71")), kit.read(receipt("73", "EXPIRED"))]
    count("sim", await kit.take(answers=[Answer(plain, 0, "71", late=False)], arrivals=with_its_answer))
    count("sim", await kit.answer(other, "72"))
    for stat in ("ENROUTE", "UNDELIV", "UNDELIV"):
        count("sim", await kit.receipt("72", stat))
    count("sim", await kit.answer(early, "73"))
    states = ("delivered", "enroute", "undeliverable", "expired")
    shown = [value(metrics, f'sceau_receipts_total{{account="sim",state="{state}"}}') for state in states]
    assert shown == [1, 1, 2, 1]
    assert sum(line.startswith("sceau_receipts_total{") for line in lines(metrics)) == len(states)


@pytest.mark.parametrize("kind", ["throttled", "congestion", "queues_full"])
def test_every_kind_of_cut_is_counted_as_one(kind: str) -> None:
    metrics = Metrics.create()
    told = watch(metrics, SystemClock())
    told.flagged("orange/main", kind)
    told.flagged("orange/main", "duplicate_answer")
    assert value(metrics, 'sceau_throttled_total{account="orange"}') == 1


async def test_a_late_answer_and_a_parked_delivery_are_counted() -> None:
    metrics = Metrics.create()
    told = watch(metrics, SystemClock())
    told.flagged("orange/main", "late_answer")
    told.alarm("orange/main", "parked", "ValueError")
    assert value(metrics, 'sceau_late_responses_total{account="orange",bind="main"}') == 1
    assert value(metrics, 'sceau_parked_total{kind="pdu"}') == 1


async def test_the_writer_tells_of_each_group(sqlite_database: Database) -> None:
    metrics = Metrics.create()
    store = Store(sqlite_database, ended=group_ended(metrics))
    store.open()
    try:
        await store.write(lambda _tx: None)
        await store.write(lambda _tx: None)
    finally:
        await store.close()
    assert value(metrics, 'sceau_commits_total{result="committed"}') == 2
    assert value(metrics, "sceau_commit_seconds_count") == 2
    assert value(metrics, "sceau_commit_jobs_sum") == 2


async def test_checks_and_the_end_of_a_verification_are_counted_by_result(store: Store) -> None:
    ends: list[str] = []
    checks: list[str] = []
    desk = Desk.on(store, SystemClock())
    conductor = replace(desk.verifications.conductor, ended=ends.append)
    desk = replace(desk, verifications=replace(desk.verifications, conductor=conductor, checked=checks.append))
    case_id = (await desk.start()).body["id"]
    await desk.check(case_id, await desk.wrong(case_id))
    assert (checks, ends) == (["code_mismatch"], [])
    await desk.check(case_id, await desk.code(case_id))
    assert (checks, ends) == (["code_mismatch", "approved"], ["approved"])


def test_binds_with_a_password_in_clear_are_counted() -> None:
    given = {"host": "192.0.2.1", "system_id": "sceau", "password": "k3epThis!", "insecure": True}
    account = {"name": "orange", "binds": {"far": given, "near": {**given, "host": "127.0.0.1"}}}
    assert clear_binds(Settings(accounts=(account,))) == 1  # type: ignore[arg-type]
