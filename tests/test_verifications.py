"""Verifications as rows: races, joining, attackers, bindings, resends, on both databases."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

from engine.clock import SystemClock, VirtualClock
from engine.store.doorway import Store
from tests.desk import PHONE, Desk


@pytest.mark.real
async def test_of_200_parallel_right_checks_one_approves_and_the_rest_hear_so(threaded_store: Store) -> None:
    """Complaint 6, S6: single use under concurrency."""
    desk = Desk.on(threaded_store, SystemClock())
    started = await desk.start()
    case_id = started.body["id"]
    code = await desk.code(case_id)
    answers: Counter[str] = Counter()

    async def check() -> None:
        answers[(await desk.check(case_id, code)).code] += 1

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(check)
    assert answers == {"approved": 1, "already_approved": 199}


@pytest.mark.real
async def test_of_200_parallel_wrong_checks_exactly_five_are_compared(threaded_store: Store) -> None:
    """Complaint 6, S5, S6: the attempt is spent before the comparison."""
    desk = Desk.on(threaded_store, SystemClock())
    case_id = (await desk.start()).body["id"]
    wrong = await desk.wrong(case_id)
    answers: Counter[str] = Counter()

    async def check() -> None:
        answers[(await desk.check(case_id, wrong)).code] += 1

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(check)
    assert answers == {"code_mismatch": 5, "max_attempts": 195}
    assert (await desk.check(case_id, await desk.code(case_id))).code == "max_attempts"


@pytest.mark.real
async def test_of_100_parallel_starts_for_one_number_one_message_leaves(threaded_store: Store) -> None:
    """S7: the cool-down is under the lock of the number's allowance."""
    desk = Desk.on(threaded_store, SystemClock())
    answers: Counter[str] = Counter()

    async def start() -> None:
        answers[(await desk.start(session="s1")).code] += 1

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(start)
    assert answers == {"created": 1, "joined": 99}


async def test_an_attackers_start_is_never_approved_by_the_victims_check(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    """The attacker gets an id and a code of his own, under the same counters; the victim's proof is not his."""
    desk = Desk.on(store, VirtualClock(), cooldown_s=(0,))
    attacker = await desk.start(session="attacker")
    victim = await desk.start(session="victim")
    assert (attacker.code, victim.code) == ("created", "created")
    assert attacker.body["id"] != victim.body["id"]
    assert (await desk.check(victim.body["id"], await desk.code(victim.body["id"]))).code == "approved"
    assert (await desk.check(attacker.body["id"], "000000")).code in {"code_mismatch", "approved"}
    read = await store.read(lambda tx: desk.verifications.read(tx, "app_one", attacker.body["id"]))
    assert read is not None
    assert read["state"] == "pending"


async def test_a_second_start_joins_only_with_the_same_session_and_binding(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    desk = Desk.on(store, VirtualClock(), cooldown_s=(30,))
    binding = {"amount": "12,50 EUR", "payee": "Le Petit Marché"}
    first = await desk.start(session="s1", binding=binding)
    assert first.code == "created"
    again = await desk.start(session="s1", binding=binding)
    assert (again.code, again.body["id"], again.body["resent"]) == ("joined", first.body["id"], False)
    for other in ({"session": "s2", "binding": binding}, {"session": "s1"}):
        assert (await desk.start(**other)).code == "cooldown"
    await trio.sleep(40)
    later = await desk.start(session="s1", binding=binding)
    assert (later.code, later.body["resent"]) == ("joined", True)


async def test_a_binding_must_be_repeated_and_costs_no_attempt(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    desk = Desk.on(store, VirtualClock())
    binding = {"amount": "12,50 EUR", "payee": "Le Petit Marché"}
    case_id = (await desk.start(binding=binding)).body["id"]
    code = await desk.code(case_id)
    assert (await desk.check(case_id, code)).code == "binding_missing"
    assert (await desk.check(case_id, code, {**binding, "amount": "1250,00 EUR"})).code == "binding_mismatch"
    right = await desk.check(case_id, code, dict(reversed(binding.items())))
    assert (right.code, right.body["state"]) == ("approved", "approved")


async def test_a_resend_never_resets_the_attempts(store: Store, autojump_clock: trio.testing.MockClock) -> None:
    """Complaint 5: four wrong, resend, one wrong: locked, and nothing unlocks it."""
    desk = Desk.on(store, VirtualClock(), cooldown_s=(0,))
    case_id = (await desk.start()).body["id"]
    wrong = await desk.wrong(case_id)
    for left in (4, 3, 2, 1):
        assert (await desk.check(case_id, wrong)).body["attempts_remaining"] == left
    assert (await desk.call("resend", case_id)).code == "resent"
    assert (await desk.check(case_id, wrong)).body["attempts_remaining"] == 0
    assert (await desk.call("resend", case_id)).code == "max_attempts"
    assert (await desk.start()).code == "locked"
    assert (await desk.start("+33612345679")).code == "created"


async def test_under_rotate_the_older_code_is_superseded_and_costs_nothing(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    """Complaints 3 and 4."""
    desk = Desk.on(store, VirtualClock(), cooldown_s=(0,), resend_policy="rotate")
    case_id = (await desk.start()).body["id"]
    old = await desk.code(case_id)
    assert (await desk.call("resend", case_id)).code == "resent"
    answer = await desk.check(case_id, old)
    assert (answer.code, answer.body["attempts_remaining"]) == ("superseded", 5)
    assert (await desk.check(case_id, await desk.code(case_id))).code == "approved"


async def test_a_wrong_format_gives_its_attempt_back(store: Store, autojump_clock: trio.testing.MockClock) -> None:
    desk = Desk.on(store, VirtualClock())
    case_id = (await desk.start()).body["id"]
    for entry in ("", "12345", "abcdef", "1234567"):
        answer = await desk.check(case_id, entry)
        assert (answer.code, answer.body["attempts_remaining"]) == ("bad_format", 5)
    code = await desk.code(case_id)
    arabic = code.translate({ord(str(digit)): 0x0660 + digit for digit in range(10)})
    assert (await desk.check(case_id, f"{arabic[:3]}-{arabic[3:]}")).code == "approved"


async def test_every_end_has_an_answer_of_its_own_a_day_later(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    """Complaint 7: approved, expired, exhausted, canceled and unknown are told apart."""
    desk = Desk.on(store, VirtualClock())
    phones = [f"+336123456{number}" for number in range(10, 14)]
    approved, expired, exhausted, canceled = [(await desk.start(phone)).body["id"] for phone in phones]
    assert (await desk.check(approved, await desk.code(approved))).code == "approved"
    for _ in range(5):
        await desk.check(exhausted, await desk.wrong(exhausted))
    assert (await desk.call("cancel", canceled)).code == "canceled"
    await trio.sleep(86_400)
    answers = [
        (await desk.check(one, "123456")).code for one in (approved, expired, exhausted, canceled, "ver_unknown")
    ]
    assert answers == ["already_approved", "expired", "max_attempts", "canceled", "not_found"]


async def test_a_foreign_application_sees_nothing(store: Store, autojump_clock: trio.testing.MockClock) -> None:
    """S33."""
    desk = Desk.on(store, VirtualClock())
    case_id = (await desk.start()).body["id"]
    code = await desk.code(case_id)
    assert (await desk.check(case_id, code, app="app_two")).code == "not_found"
    assert (await desk.call("cancel", case_id, app="app_two")).code == "not_found"
    assert await store.read(lambda tx: desk.verifications.read(tx, "app_two", case_id)) is None
    assert await store.read(lambda tx: desk.verifications.timeline(tx, "app_two", case_id)) is None
    assert (await desk.check(case_id, code)).code == "approved"


async def test_a_voice_code_is_had_twice_audited_and_counted_as_a_send(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    desk = Desk.on(store, VirtualClock())
    started = await desk.start(language="fr")
    case_id = started.body["id"]
    for left in (1, 0):
        voice = await desk.call("voice_code", case_id)
        assert (voice.code, voice.body["voice_codes_remaining"], voice.secret) == ("voice_code", left, {"spoken_code"})
        assert voice.body["spoken_code"]
    assert (await desk.call("voice_code", case_id)).code == "max_voice_codes"
    assert voice.body["sends_remaining"] == 2
    timeline = await store.read(lambda tx: desk.verifications.timeline(tx, "app_one", case_id))
    assert timeline is not None
    audits = [entry for entry in timeline if entry["what"] == "audit"]
    assert [entry["action"] for entry in audits] == ["verification.voice_code"] * 2
    assert PHONE not in str(timeline)
