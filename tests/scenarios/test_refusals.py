"""What the operator refuses, and what becomes of it: throttled, full, broken, unknown, misconfigured."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio

from engine.smpp.pdu import Status, SubmitSmResp, Tag, encode
from engine.store.connections import Database
from engine.store.moves import MESSAGE
from smppsim.faults import Raw, Throttle
from tests.rig import MESSAGES, PARTS, Rig, accounts, bind_settings, rig, simulator
from tests.scenarios.wire import Autojump, busiest, submits, texts

LONG = "Une phrase assez longue, répétée. " * 9  # three parts


def account(window: int = 10, **figures: object) -> dict[str, object]:
    """One account with one bind."""
    return {"binds": {"main": bind_settings(window=window)}, **figures}


def alarms(pair: Rig, kind: str, name: str = "sim") -> int:
    """How often an alarm of this kind was raised by an account's bind."""
    return int(pair.core.metrics.alarms.labels(name, "main", kind)._value.get())


async def all_end(pair: Rig, *states: str, within_s: float = 3_600) -> None:
    """Wait until every message is in one of the states."""
    with trio.fail_after(within_s):
        while not {row["state"] for row in await pair.rows(MESSAGES)} <= set(states):
            await trio.sleep(0.5)


async def test_ten_throttled_submits_are_one_cut_and_go_again_in_their_order_codes_first(
    database: Database, autojump_clock: Autojump
) -> None:
    """C1: one cut for the burst; the order of the queue is kept; no attempt is spent."""
    async with rig(database, account=account(window=12, rate=1_000)) as pair:
        pair.sim.behave(response="hold")
        await pair.send_many([f"n{number:02}" for number in range(10)])
        await pair.sim.until(lambda: len(pair.sim.held) == 10)
        line = pair.core.pool.status()[0]
        assert line.rate == 1_000
        pair.sim.release(*pair.sim.held, status=Status.ESME_RTHROTTLED)
        await pair.send("code", category="otp", ttl_s=300)
        pair.sim.behave(response="given")
        await all_end(pair, "delivered")
        assert pair.core.metrics.protocol_errors.labels("sim", "main", "throttled")._value.get() == 1
        again = texts(pair.sim)[10:]
        assert again[0] == "code"
        assert again[1:] == sorted(again[1:])
        assert len(again) == 11
        assert {row["attempts"] for row in await pair.rows(MESSAGES)} == {1}


async def test_a_destination_whose_queue_is_full_waits_alone(database: Database, autojump_clock: Autojump) -> None:
    """C2: the other destinations continue at full speed."""
    async with rig(database, account=account(rate=200)) as pair:
        pair.sim.behave(destination="33612345600", answers=[{"status": "RMSGQFUL"}])
        full = await pair.send_many([f"plein {number}" for number in range(2)], to="+33612345600")
        await pair.send_many(
            [f"libre {number}" for number in range(100)],
            to=[f"+336123456{number:02}" for number in range(1, 101 - 1)] + ["+33612345601"],
        )
        await pair.settled(5)
        rows = await pair.rows(MESSAGES)
        assert [row["state"] for row in rows if row["id"] not in full] == ["delivered"] * 100
        assert {row["state"] for row in rows if row["id"] in full} <= {"waiting", "queued", "on_wire"}
        assert pair.core.pool.status()[0].rate == 200
        await pair.settled(120)
        # Doubling pauses: a handful of tries in two minutes.
        assert len([one for one in submits(pair.sim) if one.pdu.destination_addr == b"33612345600"]) <= 2 * 8
        pair.sim.behave(destination="33612345600", answers=[{"status": "ROK"}])
        await all_end(pair, "delivered", within_s=70)


async def test_full_queues_of_several_destinations_within_a_round_trip_slow_the_account(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """C2: then it is the account that is full."""
    async with rig(sqlite_database, account=account(rate=1_000)) as pair:
        pair.sim.behave(answers=[{"status": "RMSGQFUL"}])
        await pair.send_many(["plein"] * 6, to=[f"+3361234560{number}" for number in range(6)])
        await pair.settled(0.2)
        assert pair.core.pool.status()[0].rate == 500
        pair.sim.behave(answers=[{"status": "ROK"}])
        await all_end(pair, "delivered")


async def test_five_hundred_throttles_cost_no_attempt(sqlite_database: Database, autojump_clock: Autojump) -> None:
    """C3: throttled 500 times, then OK: delivered with attempts = 1."""
    async with rig(sqlite_database, account=account(rate=1_000)) as pair:
        pair.sim.cause(Throttle(for_s=1e6))
        one = await pair.send(ttl_s=86_400)
        await pair.sim.until(lambda: pair.sim.stats.throttled >= 500)
        pair.sim.cause(Throttle(for_s=0))
        await pair.until(one, "delivered")
        row = await pair.message(one)
        assert row["attempts"] == 1
        assert row["throttles"] >= 500
        assert len(await pair.rows(PARTS)) == 1


async def test_a_code_that_is_throttled_moves_to_another_account_before_its_life_ends(
    database: Database, autojump_clock: Autojump
) -> None:
    """C4: fails over early; without another account it expires and is never sent after its life."""
    operator = simulator(others=("spare",))
    async with rig(database, sim=operator, bound=2, **accounts("sceau", "spare", sceau={"rate": 100})) as pair:
        operator.cause(Throttle(for_s=600, account="sceau"))
        began = trio.current_time()
        one = await pair.send(category="otp", ttl_s=60)
        await pair.until(one, "delivered", within_s=10)
        assert trio.current_time() - began <= 3
        assert (await pair.message(one))["account"] == "spare"


async def test_a_throttled_code_without_another_account_expires_unsent(
    database: Database, autojump_clock: Autojump
) -> None:
    """C4: never submitted after expiry."""
    async with rig(database, account=account(rate=100)) as pair:
        pair.sim.cause(Throttle(for_s=600))
        one = await pair.send(category="otp", ttl_s=30)
        await pair.until(one, "expired", within_s=33)
        assert (await pair.message(one))["reason"] == "expired_before_send"
        last = submits(pair.sim)[-1].at
        assert last <= 30.5
        await pair.settled(60)
        assert submits(pair.sim)[-1].at == last


@pytest.mark.parametrize(("status", "tries"), [("RSYSERR", 5), ("RX_T_APPN", 5), ("RSUBMITFAIL", 2)])
async def test_temporary_refusals_are_tried_again_with_growing_pauses_and_an_end(
    sqlite_database: Database, autojump_clock: Autojump, status: str, tries: int
) -> None:
    """C5: bounded exponential retry."""
    async with rig(sqlite_database) as pair:
        pair.sim.behave(answers=[{"status": status}])
        one = await pair.send()
        await pair.until(one, "rejected")
        at = [seen.at for seen in submits(pair.sim)]
        assert len(at) == tries
        waits = [later - earlier for earlier, later in pairwise(at)]
        assert all(wait >= 2**number for number, wait in enumerate(waits))
        assert (await pair.message(one))["attempts"] == tries


async def test_a_burst_of_failures_opens_the_breaker_and_one_message_probes_it(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """C5: open after five in a row; then a single probe at a time until one succeeds."""
    async with rig(sqlite_database, account=account(window=5)) as pair:
        pair.sim.behave(answers=[{"status": "RSYSERR"}])
        await pair.send_many([f"Bonjour {number}" for number in range(100)], ttl_s=86_400)
        await pair.settled(0.5)
        opened_after = len(submits(pair.sim))
        assert 5 <= opened_after <= 10
        await pair.settled(9)
        assert len(submits(pair.sim)) == opened_after
        await pair.settled(7)
        assert len(submits(pair.sim)) == opened_after + 1
        assert alarms(pair, "breaker_open") >= 2
        await pair.settled(150)
        assert len(submits(pair.sim)) <= opened_after + 5
        pair.sim.behave(answers=[{"status": "ROK"}])
        await all_end(pair, "delivered", "rejected", within_s=600)
        # The probe that was refused five times is the only one that the outage cost.
        assert [row["state"] for row in await pair.rows(MESSAGES)].count("rejected") <= 1


async def test_an_open_breaker_sends_everything_through_the_other_account(
    database: Database, autojump_clock: Autojump
) -> None:
    """C5: failover: the refused ones too, and nothing is rejected."""
    operator = simulator(others=("spare",))
    async with rig(database, sim=operator, bound=2, **accounts("sceau", "spare")) as pair:
        operator.behave("sceau", answers=[{"status": "RSYSERR"}])
        ids = await pair.send_many([f"Bonjour {number}" for number in range(100)])
        for one in ids:
            await pair.until(one, "delivered", within_s=10)
        rows = await pair.rows(MESSAGES)
        assert {row["account"] for row in rows} == {"spare"}
        assert operator.account("sceau").submits <= 20


@pytest.mark.parametrize("status", ["RINVSRCADR", "RINVSRCTON", "RINVSRCNPI"])
async def test_a_refused_sender_is_one_alarm_and_the_rest_is_not_tried(
    sqlite_database: Database, autojump_clock: Autojump, status: str
) -> None:
    """C6: 10,000 messages, one alarm, one window of submits."""
    async with rig(sqlite_database) as pair:
        pair.sim.behave(answers=[{"status": status}], response_delay=0.05)
        await pair.send_many(["Bonjour"] * 10_000, category="marketing", ttl_s=86_400)
        await pair.settled(60)
        assert len(submits(pair.sim)) <= 20
        assert alarms(pair, "sender_refused") == 1


async def test_a_sender_that_one_account_refuses_goes_through_the_other(
    database: Database, autojump_clock: Autojump
) -> None:
    """C6: those that were refused as well."""
    operator = simulator(others=("spare",))
    async with rig(database, sim=operator, bound=2, **accounts("sceau", "spare")) as pair:
        operator.behave("sceau", answers=[{"status": "RINVSRCADR"}], response_delay=0.05)
        ids = await pair.send_many([f"Bonjour {number}" for number in range(50)])
        for one in ids:
            await pair.until(one, "delivered", within_s=10)
        assert operator.account("sceau").submits <= 20


async def test_a_refusal_that_all_accounts_share_ends_after_each_was_tried(
    database: Database, autojump_clock: Autojump
) -> None:
    """C6: no wandering between accounts that refuse for the same reason."""
    operator = simulator(others=("spare",))
    async with rig(database, sim=operator, bound=2, **accounts("sceau", "spare")) as pair:
        operator.behave(answers=[{"status": "RINVESMCLASS"}])
        one = await pair.send()
        await pair.until(one, "rejected", within_s=10)
        assert len(submits(operator)) == 2
        assert (await pair.message(one))["status"] == Status.ESME_RINVESMCLASS


@pytest.mark.parametrize("text", ["Bonjour", LONG.strip()])
async def test_a_number_that_was_ported_goes_through_the_account_that_knows_it(
    database: Database, autojump_clock: Autojump, text: str
) -> None:
    """F7: 0x0B from the first account, which stays the first for everybody else; a long message moves as a whole."""
    operator = simulator(others=("spare",))
    async with rig(database, sim=operator, bound=2, **accounts("sceau", "spare")) as pair:
        operator.behave("sceau", destination="33612345600", answers=[{"status": "RINVDSTADR"}])
        ported = await pair.send(text, to="+33612345600")
        other = await pair.send(text, to="+33612345601")
        for one in (ported, other):
            await pair.until(one, "delivered", within_s=5)
        assert [(await pair.message(one))["account"] for one in (ported, other)] == ["spare", "sceau"]
        [inbox] = operator.handset("+33612345600").messages
        assert (inbox.text, inbox.account) == (text, "spare")
        assert alarms(pair, "sender_refused", "sceau") == 0
        # One number that is not its subscriber says nothing of the account: its breaker stays closed.
        await pair.until(await pair.send("Encore", to="+33612345601"), "delivered")
        assert operator.handset("+33612345601").messages[-1].account == "sceau"


@pytest.mark.parametrize("spare", [True, False])
async def test_a_number_that_no_account_knows_is_rejected_once_each_was_asked(
    sqlite_database: Database, autojump_clock: Autojump, spare: bool
) -> None:
    """F7: every account of the route once, then the end; an account may call 0x0B permanent, and nothing is tried."""
    operator = simulator(others=("spare",))
    told = {} if spare else {"status_overrides": {"0x0B": "permanent"}}
    async with rig(sqlite_database, sim=operator, bound=2, **accounts("sceau", "spare", sceau=told)) as pair:
        operator.behave(answers=[{"status": "RINVDSTADR"}])
        one = await pair.send()
        await pair.until(one, "rejected", within_s=5)
        assert len(submits(operator)) == (2 if spare else 1)
        assert (await pair.message(one))["status"] == Status.ESME_RINVDSTADR


async def test_an_unknown_status_is_tried_once_more_and_shown_raw(database: Database, autojump_clock: Autojump) -> None:
    """C7: 0x0450 of a vendor."""
    async with rig(database) as pair:
        pair.sim.behave(answers=[{"status": 0x450}])
        one = await pair.send()
        await pair.until(one, "rejected")
        row = await pair.message(one)
        assert (row["status"], row["attempts"]) == (0x450, 2)
        assert [part["status"] for part in await pair.rows(PARTS)] == [0x450, 0x450]


async def test_a_vendors_status_means_what_the_account_says(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """C7: the table of the route wins."""
    async with rig(sqlite_database, account=account(status_overrides={"0x450": "permanent"})) as pair:
        pair.sim.behave(answers=[{"status": 0x450}])
        one = await pair.send()
        await pair.until(one, "rejected")
        assert len(submits(pair.sim)) == 1


@pytest.mark.parametrize("text", ["Bonjour", LONG])
async def test_an_account_that_refuses_validity_periods_gets_none_from_then_on(
    sqlite_database: Database, autojump_clock: Autojump, text: str
) -> None:
    """G3, C7: 0x62: one retry without, and the account remembers."""
    async with rig(sqlite_database) as pair:
        pair.sim.behave(answers=[{"status": "RINVEXPIRY"}])
        one = await pair.send(text)
        await pair.sim.until(lambda: pair.sim.stats.refused)
        await pair.settled(0.5)
        pair.sim.behave(answers=[{"status": "ROK"}])
        await pair.until(one, "delivered", within_s=10)
        first = len(submits(pair.sim)) // 2
        assert all(seen.pdu.validity_period for seen in submits(pair.sim)[:first])
        assert not any(seen.pdu.validity_period for seen in submits(pair.sim)[first:])
        assert alarms(pair, "validity_refused") == 1
        again = await pair.send("Encore")
        await pair.until(again, "delivered")
        assert submits(pair.sim)[-1].pdu.validity_period == b""
        assert (await pair.message(one))["attempts"] == 2


@pytest.mark.parametrize("status", ["RINVOPTPARSTREAM", "ROPTPARNOTALLWD"])
@pytest.mark.parametrize("concatenation", ["sar", "payload"])
async def test_an_account_that_refuses_optional_parameters_gets_headers_instead(
    sqlite_database: Database, autojump_clock: Autojump, status: str, concatenation: str
) -> None:
    """C7: 0xC0, 0xC1: one retry without; what they said is said by the user data header."""
    async with rig(sqlite_database, account=account(concatenation=concatenation)) as pair:
        pair.sim.behave(answers=[{"status": status}])
        one = await pair.send(LONG.strip())
        await pair.sim.until(lambda: pair.sim.stats.refused)
        await pair.settled(0.5)
        pair.sim.behave(answers=[{"status": "ROK"}])
        await pair.until(one, "delivered", within_s=10)
        assert submits(pair.sim)[0].pdu.tlvs
        assert not any(seen.pdu.tlvs for seen in submits(pair.sim)[-3:])
        [inbox] = await pair.sim.handset("+33612345678").wait()
        assert inbox.text == LONG.strip()


async def test_errors_count_against_the_rate_as_successes_do(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """C8: a storm of errors never goes above the contract."""
    async with rig(sqlite_database, account=account(window=50, rate=100)) as pair:
        pair.sim.behave(answers=[{"status": "RINVDSTADR", "weight": 3}, {"status": "ROK"}])
        await pair.send_many([f"Bonjour {number}" for number in range(600)])
        await all_end(pair, "delivered", "rejected")
        assert pair.sim.account("sceau").busiest_second <= 100
        assert busiest([seen.at for seen in submits(pair.sim)], 0.1) <= 12


async def test_a_congested_peer_is_relieved_before_it_throttles(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """C11: congestion_state 90 and more in a response: the rate falls."""
    async with rig(sqlite_database, account=account(rate=400)) as pair:
        pair.sim.behave(response="ignored", receipts="never")
        for number, state in enumerate((50, 95)):
            await pair.send(category="marketing", ttl_s=120)
            await pair.sim.until(lambda: pair.sim.stats.submits > number)  # noqa: B023
            resp = SubmitSmResp(message_id=b"%d" % number, tlvs=((Tag.CONGESTION_STATE, bytes((state,))),))
            pair.sim.cause(Raw.of(encode(resp, submits(pair.sim)[-1].sequence)))
            await pair.settled(0.1)
            assert pair.core.pool.status()[0].rate == (400 if state == 50 else 200)


async def test_a_part_that_is_refused_for_a_while_goes_again_alone_after_a_pause(
    database: Database, autojump_clock: Autojump
) -> None:
    """C5, E17: no storm for one part of three; the message arrives whole, nothing of it twice."""
    async with rig(database) as pair:
        pair.sim.behave(response="hold")
        one = await pair.send(LONG.strip())
        await pair.sim.until(lambda: len(pair.sim.held) == 3)
        first, second, third = pair.sim.held
        pair.sim.release(second, status=Status.ESME_RSYSERR)
        pair.sim.release(third, first)
        await pair.settled(0.5)
        assert (await pair.message(one))["state"] == "waiting"
        await pair.sim.until(lambda: pair.sim.held)
        pair.sim.release(*pair.sim.held, status=Status.ESME_RTHROTTLED)
        await pair.sim.until(lambda: pair.sim.held)
        pair.sim.behave(response="given")
        pair.sim.release()
        await pair.until(one, "delivered")
        assert len(submits(pair.sim)) == 5
        [inbox] = await pair.sim.handset("+33612345678").wait()
        assert (inbox.text, inbox.duplicates) == (LONG.strip(), 0)


async def test_a_part_that_stays_refused_ends_the_message_as_partial(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """E17, C5: bounded, with pauses."""
    async with rig(sqlite_database) as pair:
        pair.sim.behave(response="hold", receipts="never")
        one = await pair.send(LONG.strip())
        await pair.sim.until(lambda: len(pair.sim.held) == 3)
        second = pair.sim.held[1]
        pair.sim.release(pair.sim.held[0], pair.sim.held[2])
        pair.sim.release(second, status=Status.ESME_RSYSERR)
        pair.sim.behave(response="given", answers=[{"status": "RSYSERR"}])
        await pair.until(one, "rejected")
        row = await pair.message(one)
        assert row["reason"] == "partial"
        assert len(submits(pair.sim)) <= 3 + 5


@pytest.mark.parametrize(("status", "others"), [("RINVMSGLEN", False), ("RINVDSTADR", True)])
async def test_the_parts_that_had_no_room_yet_stay_here_once_one_is_refused_for_good(
    database: Database, autojump_clock: Autojump, status: str, others: bool
) -> None:
    """E17: the rest of a text of which a part is missing is of no use to its reader; elsewhere it goes as a whole."""
    operator = simulator(others=("spare",) if others else ())
    names = ("sceau", "spare") if others else ("sceau",)
    one_slot = {"binds": {"main": bind_settings(window=1)}}
    async with rig(database, sim=operator, bound=len(names), **accounts(*names, sceau=one_slot)) as pair:
        operator.behave("sceau", answers=[{"status": status}])
        one = await pair.send(LONG.strip())
        another = await pair.send("Bonjour", "+33612345699", category="otp")
        await pair.until(one, "delivered" if others else "rejected", within_s=60)
        assert len([seen for seen in submits(operator) if seen.pdu.esm_class & 0x40]) == (1 + 3 if others else 1)
        row = await pair.message(one)
        assert (row["unanswered"], row["reason"], row["resend"]) == (0, None if others else "partial", None)
        parts = [row for row in await pair.rows(PARTS) if (row["message_id"], row["attempt"]) == (one, 1)]
        assert [row["state"] for row in parts] == ["refused", "unsent", "unsent"]
        await pair.until(another, *MESSAGE.final)
        assert not pair.core.pool.status()[0].outstanding
