"""What must be true of the rows after any run: promises 1 to 4 of the failure catalogue, checked row by row.

`check_rows` returns every breach as a sentence; the rig calls it at the end of each scenario, so that a scenario about
one thing notices a breach of another.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from engine.clock import HOUR, MINUTE
from engine.store.moves import MESSAGE

Row = Mapping[str, Any]

ENDS = MESSAGE.final
PART_ENDS = {"delivered", "undelivered", "expired", "rejected"}
WAITING = {"queued", "waiting"}
UNANSWERED = {"on_wire", "in_doubt"}
# After its life: an hour for receipts of what was sent, and the duty's own second.
GRACE_US = HOUR + MINUTE


def check_rows(
    messages: Sequence[Row],
    parts: Sequence[Row],
    events: Sequence[Row],
    deliveries: Mapping[tuple[str, str], int],
    *,
    now: int,
    stopped: bool = True,
    honest: bool = True,
) -> list[str]:
    """Every breach. `deliveries` counts what reached each (number, text); `honest` operators deliver what they say."""
    by_message: dict[str, list[Row]] = defaultdict(list)
    for part in parts:
        by_message[part["message_id"]].append(part)
    breaches: list[str] = []
    for message in messages:
        breaches += [f"{message['id']} ({message['state']}): {what}" for what in _ends(message, now, stopped=stopped)]
        breaches += [
            f"{message['id']} ({message['state']}): {what}" for what in _counters(message, by_message[message["id"]])
        ]
    breaches += [f"part of unknown message {one}" for one in by_message.keys() - {row["id"] for row in messages}]
    breaches += _events(messages, events)
    breaches += _duplicates(messages, deliveries)
    if honest:
        breaches += _losses(messages, deliveries)
    return breaches


def _ends(message: Row, now: int, *, stopped: bool) -> list[str]:
    """Promise 2: one end, or visibly in doubt or waiting within its life."""
    found = []
    state, final_at = message["state"], message["final_at"]
    if state not in MESSAGE.table:
        found.append("no such state")
    if (state in ENDS or state == "unknown") != (final_at is not None):
        found.append(f"final_at is {final_at}")
    if state in WAITING and message["expires_at"] + MINUTE < now:
        found.append("waits beyond its life")
    if state not in ENDS and state != "unknown" and message["expires_at"] + GRACE_US < now:
        found.append("is open beyond its life and grace")
    if state == "waiting" and message["due_at"] is None:
        found.append("waits for nothing")
    if state == "on_wire" and stopped:
        found.append("is on the wire after a clean stop")
    if state == "in_doubt" and not message["doubts"]:
        found.append("is in doubt, and no doubt is counted")
    return found


def _counters(message: Row, parts: Sequence[Row]) -> list[str]:
    """The counters of a message say what its parts say."""
    found = []
    attempts = [part["attempt"] for part in parts]
    # A throttled part keeps the number of the attempt that it did not cost.
    if attempts and max(attempts) > message["attempts"] + 1:
        found.append(f"{message['attempts']} attempts, a part of attempt {max(attempts)}")
    if any(part["number"] > message["parts"] for part in parts):
        found.append("a part beyond the last")
    ended = {part["number"] for part in parts if part["state"] in PART_ENDS}
    present = [part for part in parts if part["attempt"] == message["attempts"]]
    unanswered = sum(part["state"] in UNANSWERED for part in present)
    state = message["state"]
    if state in {"accepted", "in_doubt", "on_wire"}:
        if message["open_parts"] != message["parts"] - len(ended):
            found.append(f"{message['open_parts']} open parts of {message['parts']}, {len(ended)} have ended")
        if message["unanswered"] != unanswered:
            found.append(f"{message['unanswered']} unanswered parts counted, {unanswered} found")
    if state == "accepted" and any(part["state"] == "on_wire" for part in present):
        found.append("accepted with a part on the wire")
    if state == "delivered" and {part["number"] for part in parts if part["state"] == "delivered"} != set(
        range(1, message["parts"] + 1)
    ):
        found.append("delivered, but not every part of it")
    if state == "delivered" and message["open_parts"]:
        found.append(f"delivered with {message['open_parts']} open parts")
    if message["doubts"] and not any(part["state"] != "unsent" for part in parts):
        found.append("doubts about what was never sent")
    return found


def _events(messages: Sequence[Row], events: Sequence[Row]) -> list[str]:
    """The feed is dense; a message's events are numbered, end once, and accepted comes before delivered."""
    found = []
    positions: dict[str, int] = {}
    subjects: dict[str, list[Row]] = defaultdict(list)
    for event in events:
        application = event["application_id"]
        if event["position"] != positions.get(application, 0) + 1:
            found.append(f"feed of {application}: {event['position']} after {positions.get(application, 0)}")
        positions[application] = event["position"]
        subjects[event["subject_id"]].append(event)
    for subject, told in subjects.items():
        if [event["sequence"] for event in told] != list(range(1, len(told) + 1)):
            found.append(f"{subject}: events numbered {[event['sequence'] for event in told]}")
    for message in messages:
        told = subjects.get(message["id"], [])
        names = [event["type"].removeprefix("message.") for event in told]
        ends = [name for name in names if name in ENDS]
        if len(names) != message["sequence"]:
            found.append(f"{message['id']}: {len(names)} events, sequence {message['sequence']}")
        if ends != ([message["state"]] if message["state"] in ENDS else []):
            found.append(f"{message['id']} ({message['state']}): ends told are {ends}")
        if ends and names[-1] != ends[0]:
            found.append(f"{message['id']}: {names[-1]} told after {ends[0]}")
        if message["state"] in {"accepted", "in_doubt", "unknown"} and names[-1:] != [message["state"]]:
            found.append(f"{message['id']} ({message['state']}): the last event is {names[-1:]}")
        if names.count("accepted") > message["attempts"] + message["doubts"]:
            found.append(f"{message['id']}: accepted told {names.count('accepted')} times")
    return found


def _duplicates(messages: Sequence[Row], deliveries: Mapping[tuple[str, str], int]) -> list[str]:
    """Promise 3: each delivery is a message's own, or covered by a doubt that was counted on one of its copies."""
    arrived: Counter[str] = Counter()
    by_text: Counter[tuple[str, str]] = Counter()
    for (number, text), count in deliveries.items():
        arrived[number] += count
        by_text[number, text] += count
    allowed: Counter[str] = Counter()
    allowed_text: Counter[tuple[str, str]] = Counter()
    hidden = set()  # numbers with texts that are not in the rows
    for message in messages:
        most = (1 + message["doubts"]) if message["account"] is not None else 0
        allowed[message["recipient"]] += most
        if message["body"] is None:
            hidden.add(message["recipient"])
        else:
            allowed_text[message["recipient"], message["body"].strip()] += most
    found = [
        f"{count} messages reached {number[:4]}…{number[-2:]}, {allowed[number]} are accounted for"
        for number, count in arrived.items()
        if count > allowed[number]
    ]
    found += [
        f"a text reached {number[:4]}…{number[-2:]} {count} times, {allowed_text[number, text.strip()]} accounted for"
        for (number, text), count in by_text.items()
        if number not in hidden and count > allowed_text[number, text.strip()]
    ]
    return found


def _losses(messages: Sequence[Row], deliveries: Mapping[tuple[str, str], int]) -> list[str]:
    """What is called delivered was delivered."""
    arrived: Counter[str] = Counter()
    for (number, _text), count in deliveries.items():
        arrived[number] += count
    said = Counter(message["recipient"] for message in messages if message["state"] == "delivered")
    return [
        f"{count} messages to {number[:4]}…{number[-2:]} are called delivered, {arrived[number]} arrived"
        for number, count in said.items()
        if arrived[number] < count
    ]
