"""The figures promised, and what measures each: a row has a floor, a task measures one or several rows.

`python -m bench` runs every task in a process of its own; `measure` is what that process does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Measured = dict[str, tuple[float, str]]
"""Row → value, and what else was seen, in words."""


class Row(NamedTuple):
    """One figure: what, at least (or `most`) how much, and its unit."""

    title: str
    floor: float
    unit: str
    most: bool = False

    def holds(self, value: float) -> bool:
        """Tell whether a value keeps the promise."""
        return value <= self.floor if self.most else value >= self.floor

    def shown(self, value: float) -> str:
        """Return a value with its unit."""
        digits = 0 if value >= 100 else 1
        if self.unit == "×":
            digits = 2 if self.most else 1
        return f"{value:,.{digits}f} {self.unit}"

    @property
    def promise(self) -> str:
        """Return the floor with its direction."""
        return f"{'≤' if self.most else '≥'} {self.floor:,g} {self.unit}"


class Task(NamedTuple):
    """Something to run: the rows it fills, how, and within how many seconds (in full, quick)."""

    rows: tuple[str, ...]
    measure: Callable[[bool], Measured]
    bound_s: tuple[float, float]


ROWS = {
    "durable_sqlite": Row("durable path, SQLite: queued → submit_sm → response → receipt stored", 10_000, "msg/s"),
    "durable_postgresql": Row("durable path, PostgreSQL", 5_000, "msg/s"),
    "durable_20ms": Row("durable path, SQLite, SMSC 20 ms away", 3_500, "msg/s"),
    "api_batch": Row("POST /v1/messages/batch → delivered → webhooks in batch mode", 5_000, "msg/s"),
    "webhooks": Row("webhooks, one event a POST, one endpoint", 3_000, "/s"),
    "single_post": Row("single POST /v1/messages, 16 connections", 1_200, "req/s"),
    "otp_idle": Row("OTP, accept → wire, idle: p99", 12, "ms", most=True),
    "otp_saturated": Row("OTP while 100,000 bulk saturate an uncapped bind: p99", 30, "ms", most=True),
    "bulk_kept": Row("… and of its rate bulk keeps", 90, "%"),
    "otp_capped": Row("OTP on a full bind of 50 PDU/s: p99", 50, "ms", most=True),
    "otp_exports": Row("OTP while 60 bundles of evidence a minute are downloaded: p99", 12, "ms", most=True),
    "signing_lossy": Row("1,000 requests × 2 signers through `lossy`: all signed, none wrong", 100, "%"),
    "signing_flapping": Row("1,000 requests × 2 signers through `flapping`: all signed, none wrong", 100, "%"),
    "evidence_one": Row("evidence of one signed request verified", 50, "ms", most=True),
    "evidence_long": Row("evidence of 10,000 entries verified", 2, "s", most=True),
    "reverse_taken": Row("SMS with reverse codes, half of them right, 20,000 pending: taken and decided", 5_000, "/s"),
    "reverse_right": Row("… and of the right ones each approved once", 100, "%"),
    "reverse_otp": Row("… and OTP beside that storm: p99", 30, "ms", most=True),
    # The bounds are 5, 20 and 300; three standard deviations of what is tried here are allowed above them.
    "guess_six": Row("handover codes of 6 digits guessed at, five tries each: opened", 12, "in a million", most=True),
    "guess_day": Row("… and days of couriers with twenty wrong codes: lucky", 47, "in a million", most=True),
    "guess_four": Row("handover codes of 4 digits guessed at, three tries: opened", 417, "in a million", most=True),
    "codec_encode": Row("codec against smpplib: encode submit_sm", 30, "×"),
    "codec_decode": Row("codec against smpplib: decode deliver_sm", 15, "×"),
    "simulator": Row("smppsim: submit_sm with one receipt each, PDU log on, one core", 10_000, "/s"),
    "memory": Row("memory with 1,000,000 queued", 200, "MB RSS", most=True),
    "growth": Row("cost of a message at 1,000,000 stored against 10,000", 1.3, "×", most=True),
}


def _durable(quick: bool) -> Measured:
    from bench import durable

    return {"durable_sqlite": (durable.measure(8_000 if quick else 60_000), "")}


def _durable_20ms(quick: bool) -> Measured:
    from bench import durable

    return {"durable_20ms": (durable.measure(5_000 if quick else 40_000, 0.020), "window 100: ceiling 5,000")}


def _durable_postgresql(quick: bool) -> Measured:
    from bench import durable
    from tests.databases import PostgresServer

    server = PostgresServer(durable=True)
    try:
        return {"durable_postgresql": (durable.measure(5_000 if quick else 40_000, url=server.fresh()), "")}
    finally:
        server.stop()


def _api_batch(quick: bool) -> Measured:
    from bench import api_batch

    found = api_batch.measure(10_000 if quick else 50_000)
    return {"api_batch": (found["per_s"], f"the API took them at {found['accepted_per_s']:,.0f} msg/s")}


def _webhooks(quick: bool) -> Measured:
    from bench import webhooks

    if quick:
        webhooks.SINGLE_EVENTS, webhooks.BATCH_EVENTS = 4_000, 10_000
    found = webhooks.measure()
    return {"webhooks": (found["webhook_single_per_s"], f"in batches {found['webhook_batch_per_s']:,.0f} events/s")}


def _single_post(quick: bool) -> Measured:
    from bench import single_post

    found = single_post.measure(3_000 if quick else 20_000)
    return {"single_post": (found["per_s"], f"p50 {found['p50_ms']:.1f}, p99 {found['p99_ms']:.1f} ms")}


def _otp_quiet(quick: bool) -> Measured:
    from bench import otp_latency

    idle, capped = otp_latency.quiet(*((50, 5.0) if quick else (500, 2.0)))
    return {"otp_idle": (idle.p99, idle.rest()), "otp_capped": (capped.p99, capped.rest())}


def _otp_saturated(quick: bool) -> Measured:
    from bench import otp_latency

    found = otp_latency.saturated(50, 8.0, 12_000, 2) if quick else otp_latency.saturated()
    kept = f"{found.bulk_per_s:,.0f} msg/s beside codes"
    return {"otp_saturated": (found.p99, found.rest()), "bulk_kept": (found.bulk_kept * 100, kept)}


def _otp_exports(quick: bool) -> Measured:
    from bench import exporting

    found = exporting.measure(*((50, 5.0) if quick else (500, 2.0)))
    alone = f"p50 {found.beside.p50:.1f}; without them p50 {found.alone.p50:.1f}, p99 {found.alone.p99:.1f} ms; "
    bundles = f"{found.per_minute:.0f} bundles a minute came, half of them within {found.median_s:.1f} s"
    return {"otp_exports": (found.beside.p99, alone + bundles)}


def _signing(quick: bool) -> Measured:
    from bench import proofs, signing

    measured: Measured = {}
    for profile in ("lossy", "flapping"):
        found = signing.measure(profile, 40 if quick else signing.REQUESTS)
        told = f"{found.requests:,} in {found.seconds:.0f} s, {found.requests / found.seconds:.1f} requests/s; "
        wrong = f"; first: {found.wrong[0]}" if found.wrong else ""
        again = f"codes asked for again {found.again:,} times"
        measured[f"signing_{profile}"] = (found.right * 100, told + again + wrong)
    entries = sum(len(one.gathered.entries) for one in found.proofs) / len(found.proofs)
    measured["evidence_one"] = (
        proofs.median_ms(found.proofs),
        f"median of {len(found.proofs):,} bundles of {entries:.0f} entries in the mean",
    )
    long = 1_000 if quick else proofs.ENTRIES
    longest = max(found.proofs, key=lambda one: len(one.gathered.entries))
    measured["evidence_long"] = (proofs.long_ms(longest, long) / 1e3, f"{long:,} entries")
    return measured


def _reverse(quick: bool) -> Measured:
    from bench import reverse

    found = reverse.measure(*((1_000, 5_000, 20) if quick else ()))
    cpu = f"{found.cpu_us:.0f} µs of processor each"
    told = f"{found.texts:,} texts in {found.seconds:.1f} s, {cpu}; {reverse.A_SECOND:,}/s were sent"
    right = 0.0 if found.twice else found.approved / found.texts * 200
    alone = f"p50 {found.beside.p50:.1f}; without it p50 {found.alone.p50:.1f}, p99 {found.alone.p99:.1f} ms"
    return {
        "reverse_taken": (found.texts / found.seconds, told),
        "reverse_right": (right, f"{found.twice} twice"),
        "reverse_otp": (found.beside.p99, alone),
    }


def _guessing(quick: bool) -> Measured:
    from bench import guessing

    six = guessing.measure(6, 5_000 if quick else 1_000_000)
    four = guessing.measure(4, 5_000 if quick else 200_000)
    told = "{0.deliveries:,} deliveries, {0.compared:,} codes compared, {0.opened} opened"
    days = f"{six.days:,} days, {six.days_opened} lucky; with 4 digits {four.per_day * 1e6:,.0f} in a million"
    return {
        "guess_six": (six.per_delivery * 1e6, told.format(six)),
        "guess_day": (six.per_day * 1e6, days),
        "guess_four": (four.per_delivery * 1e6, told.format(four)),
    }


def _codec(quick: bool) -> Measured:
    del quick
    from bench import codec

    found = codec.measure()
    encode = f"{found['encode_submit_sm'] / 1e3:.2f} against {found['smpplib_encode_submit_sm'] / 1e3:.1f} µs"
    decode = f"{found['decode_deliver_sm'] / 1e3:.2f} against {found['smpplib_decode_deliver_sm'] / 1e3:.1f} µs"
    return {"codec_encode": (found["encode_ratio"], encode), "codec_decode": (found["decode_ratio"], decode)}


def _simulator(quick: bool) -> Measured:
    from bench import simulator

    found = simulator.measure(20_000 if quick else 300_000)
    later = simulator.measure(20_000 if quick else 300_000, receipt_delay=1.0)
    told = f"{1e6 / found['submits_per_cpu_s']:.0f} µs of processor each; {found['rss_mb']:.0f} MB; "
    return {"simulator": (found["submits_per_s"], told + f"receipts a second later: {later['submits_per_s']:,.0f}/s")}


def _memory(quick: bool) -> Measured:
    from bench import memory

    found = memory.measure(30_000, 3.0) if quick else memory.measure()
    told = f"without a message {found['empty_mb']:.0f} MB; for an instant {found['peak_mb']:.0f} MB"
    return {"memory": (found["rss_mb"], told)}


def _growth(quick: bool) -> Measured:
    from bench import growth

    found = growth.measure(2_000, 40_000, 2_000) if quick else growth.measure()
    told = f"{found['small_us']:.0f} → {found['large_us']:.0f} µs; CPU alone {found['cpu_ratio']:.2f} ×"
    return {"growth": (found["ratio"], told)}


TASKS = {
    "durable": Task(("durable_sqlite",), _durable, (90, 30)),
    "postgresql": Task(("durable_postgresql",), _durable_postgresql, (90, 45)),
    "durable-20ms": Task(("durable_20ms",), _durable_20ms, (90, 30)),
    "api-batch": Task(("api_batch",), _api_batch, (120, 45)),
    "webhooks": Task(("webhooks",), _webhooks, (90, 30)),
    "single-post": Task(("single_post",), _single_post, (90, 30)),
    "otp-quiet": Task(("otp_idle", "otp_capped"), _otp_quiet, (360, 60)),
    "otp-saturated": Task(("otp_saturated", "bulk_kept"), _otp_saturated, (420, 75)),
    "otp-exports": Task(("otp_exports",), _otp_exports, (700, 120)),
    "signing": Task(("signing_lossy", "signing_flapping", "evidence_one", "evidence_long"), _signing, (900, 180)),
    "reverse": Task(("reverse_taken", "reverse_right", "reverse_otp"), _reverse, (600, 90)),
    "guessing": Task(("guess_six", "guess_day", "guess_four"), _guessing, (1_200, 60)),
    "codec": Task(("codec_encode", "codec_decode"), _codec, (60, 45)),
    "simulator": Task(("simulator",), _simulator, (90, 30)),
    "memory": Task(("memory",), _memory, (180, 45)),
    "growth": Task(("growth",), _growth, (180, 60)),
}
