"""The generated parts of docs/operate.md besides the settings: message classes, reconnect waits, metrics."""

from dataclasses import fields
from typing import Final

from engine.metrics import Metrics
from engine.smpp.reconnect import SCHEDULES, Failure
from engine.transit.classes import CLASSES, MessageClass

_FAILURES: Final = {
    Failure.NETWORK: "unreachable, closed, silent, or a passing refusal",
    Failure.TLS: "certificate or handshake; never a reason to go on without",
    Failure.CREDENTIALS: "bind_resp 0x0E, 0x0F, 0x53",
    Failure.REFUSED: "bind_resp 0x0D and the rest",
    Failure.GHOST: "bind_resp 0x05: an earlier session is still bound over there",
}


def classes_block() -> str:
    """Return the message classes with their in-doubt policy."""
    rows = [
        f"| `{row.name}` | {row.lane.name.lower()} | {_span(row.life_s)} | {_policy(row)} |" for row in CLASSES.values()
    ]
    return "\n".join(["| class | lane | life without `ttl_s` | when no answer is seen |", "|---|---|---|---|", *rows])


def _policy(row: MessageClass) -> str:
    doubt = row.doubt
    if not doubt.resends:
        return "never sent again; stays in doubt until a receipt or the end of its life"
    after = f"after {_span(doubt.hold_s)} without a receipt" if doubt.hold_s else "at once"
    return f"sent once more {after}, if more than {_span(doubt.least_life_s)} of its life are left"


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def waits_block() -> str:
    """Return the waits before a bind is tried again."""
    lines = ["| class | cause | first wait | longest | alarm |", "|---|---|---|---|---|"]
    for failure, schedule in SCHEDULES.items():
        first = _between(schedule.first_s, schedule.floor)
        longest = _between(schedule.cap_s, schedule.floor)
        alarm = "at once" if schedule.alarm_after == 1 else f"from failure {schedule.alarm_after} in a row"
        lines.append(f"| `{failure.value}` | {_FAILURES[failure]} | {first} | {longest} | {alarm} |")
    return "\n".join(lines)


def _between(ceiling: float, floor: float) -> str:
    return f"{ceiling * floor:g}–{ceiling:g} s" if floor < 1 else f"{ceiling:g} s"


def metrics_block() -> str:
    """Return every metric with its labels."""
    lines = ["| metric | kind | labels | what it tells |", "|---|---|---|---|"]
    made = Metrics.create()
    for field in fields(Metrics):
        if field.name == "registry":
            continue
        collector = getattr(made, field.name)
        name = collector._name + ("_total" if collector._type == "counter" else "")
        labels = ", ".join(f"`{label}`" for label in collector._labelnames) or "–"
        lines.append(f"| `{name}` | {collector._type} | {labels} | {collector._documentation} |")
    return "\n".join(lines)
