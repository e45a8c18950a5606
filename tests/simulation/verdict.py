"""What must be true after any seed: section 1 of the failure catalogue and the limits of contracts, put as sentences.

Rows, wire, callers, handsets, receiver and log are compared with one another; each breach is one line of text.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio

from engine.clock import SECOND
from engine.core import Core
from engine.smpp.pdu import SubmitSm
from engine.smpp.receipts import read_receipt
from engine.smpp.text import user_data
from engine.store import moves
from tests.invariants import check_rows
from tests.simulation.plan import Errand, is_for_codes
from tests.webhook_rig import in_order

if TYPE_CHECKING:
    from tests.simulation.wire import Submitted
    from tests.simulation.world import World

Row = dict[str, Any]
Key = tuple[str, str]  # recipient in digits, digest of the part's octets

_MOVES: Final = {
    "message": ("id", moves.MESSAGE),
    "part": ("message_id", moves.PART),
    "cases": ("id", moves.CASE),
    "timer": ("id", moves.TIMER),
    "webhook_delivery": ("subject_id", moves.DELIVERY),
    "parked": ("id", moves.PARKED),
}
NOTE_MOVES: Final = (
    "CREATE TABLE simulated_move (kind TEXT, id TEXT, was TEXT, became TEXT)",
    *(
        f"CREATE TRIGGER simulated_{kind} AFTER UPDATE OF state ON {kind} WHEN OLD.state <> NEW.state "
        f"BEGIN INSERT INTO simulated_move VALUES ('{kind}', NEW.{key}, OLD.state, NEW.state); END"
        for kind, (key, _) in _MOVES.items()
    ),
)
_TRIAL: Final = ("+12025550101", "+12025550102", "+12025550103")
_PASSED_THROUGH: Final = {"accepted", "in_doubt"}
_SLACK_S: Final = 0.05
_EXPECTED_ERRORS: Final = ("StoreUnavailable", "CommitUnknown")


def judge(world: World, *, honest: bool) -> list[str]:
    """Every breach, in words."""
    judged = _Judged.of(world)
    world.result.figures = judged.figures()
    return [
        *_moves(world),
        *_durable(world, judged),
        *_ended(judged),
        *check_rows(
            judged.messages,
            judged.parts,
            judged.events,
            world.sim.deliveries(),
            now=world.clock.now(),
            honest=honest,
        ),
        *_duplicates(world, judged),
        *_codes(world, judged),
        *_approvals(world, judged),
        *_webhooks(world, judged),
        *_acknowledged(world),
        *_replies(world),
        *_log(world),
    ]


class _Judged(NamedTuple):
    """The rows, and what the wire and the operator know of each part."""

    messages: list[Row]
    parts: list[Row]
    events: list[Row]
    cases: list[Row]
    submits: dict[Key, list[Submitted]]
    taken: Counter[Key]
    groups: dict[Key, list[Row]]  # parts

    @classmethod
    def of(cls, world: World) -> _Judged:
        messages = world.rows("SELECT * FROM message ORDER BY id")
        parts = world.rows("SELECT * FROM part ORDER BY message_id, number, attempt")
        recipient = {row["id"]: row["recipient"].lstrip("+") for row in messages}
        submits: dict[Key, list[Submitted]] = defaultdict(list)
        for submit in world.wire.submits:
            submits[_key(world, submit.pdu)].append(submit)
        groups: dict[Key, list[Row]] = defaultdict(list)
        for part in parts:
            groups[recipient.get(part["message_id"], "?"), part["text_digest"]].append(part)
        return cls(
            messages,
            parts,
            world.rows("SELECT * FROM event ORDER BY application_id, position"),
            world.rows("SELECT * FROM cases ORDER BY id"),
            submits,
            Counter(_key(world, one.pdu) for one in world.sim.smsc.messages),
            groups,
        )

    def figures(self) -> dict[str, int]:
        """What the seed went through."""
        return {
            "messages": len(self.messages),
            "submits": sum(map(len, self.submits.values())),
            "doubts": sum(row["doubts"] for row in self.messages),
            "events": len(self.events),
            "cases": len(self.cases),
        }


def _key(world: World, pdu: SubmitSm) -> Key:
    return pdu.destination_addr.decode("latin-1"), world.keyring.digest(user_data(pdu)[0])


def _moves(world: World) -> Iterator[str]:
    """Every move that any row made is in the tables; one transaction may take an answer and what follows from it."""
    for row in world.rows("SELECT DISTINCT kind, was, became FROM simulated_move ORDER BY kind, was, became"):
        table = _MOVES[row["kind"]][1].table
        reached = set(table.get(row["was"], ()))
        for between in _PASSED_THROUGH & reached:
            reached |= table[between]
        if row["became"] not in reached:
            yield f"a {row['kind']} moved from {row['was']} to {row['became']}"


def _durable(world: World, judged: _Judged) -> Iterator[str]:
    """Promise 1: whatever was accepted is there."""
    known = {row["id"] for row in judged.messages} | {row["id"] for row in judged.cases}
    for accepted, kind in world.callers.accepted.items():
        if accepted not in known:
            yield f"the {kind} {accepted} was accepted and is gone"


def _ended(judged: _Judged) -> Iterator[str]:
    """Promise 2: after life and grace nothing is open."""
    for row in judged.messages:
        if row["final_at"] is None:
            yield f"{row['id']} ({row['state']}) is open after its life and grace"
    for row in judged.cases:
        if row["final_at"] is None:
            yield f"{row['id']} ({row['state']}) is open after its life"


def _duplicates(world: World, judged: _Judged) -> Iterator[str]:
    """Promise 3: each submit is told of by a part's row, each copy that was taken beyond the first by a doubt."""
    by_id = {row["id"]: row for row in judged.messages}
    told = Counter(row["subject_id"] for row in judged.events if row["type"] == "message.in_doubt")
    for row in judged.messages:
        if told[row["id"]] != row["doubts"]:
            yield f"{row['id']}: {row['doubts']} doubts, {told[row['id']]} told"
    for key, submits in judged.submits.items():
        rows = judged.groups.get(key, [])
        most = sum(1 + row["throttles"] for row in rows)
        if not rows and all(world.wire.answers.get((one.session, one.sequence), 0) for one in submits):
            continue  # refused, and told of by the row of the part as it left in the end
        if len(submits) > most:
            yield f"{len(submits)} submits to …{key[0][-2:]} of which the rows tell {most} ({_of(rows)})"
    for key, taken in judged.taken.items():
        rows = judged.groups.get(key, [])
        owners = {row["message_id"] for row in rows}
        # Without a header in their octets two parts of a message may be alike.
        most = sum(1 + by_id[owner]["doubts"] for owner, _ in {(row["message_id"], row["number"]) for row in rows})
        if taken > most:
            yield f"{taken} copies to …{key[0][-2:]} were taken, {most} are explained ({_of(rows)})"
        if len(owners) == 1:
            [owner] = (by_id[one] for one in owners)
            never = owner["state"] == "failed" or owner["reason"] == "expired_before_send"
            if never and not owner["doubts"]:
                yield f"{owner['id']} is {owner['state']} ({owner['reason']}), and the operator has it"


def _of(rows: Iterable[Row]) -> str:
    return ", ".join(f"{row['message_id']}/{row['number']}/{row['attempt']} {row['state']}" for row in rows)


def _codes(world: World, judged: _Judged) -> Iterator[str]:
    """A code is submitted twice at most, with the same words, and never after its life."""
    by_id = {row["id"]: row for row in judged.messages}
    for key, submits in judged.submits.items():
        if not is_for_codes(key[0].encode()):
            continue
        parts = {(row["message_id"], row["number"]) for row in judged.groups.get(key, [])}
        owners = {message for message, _ in parts}
        unrefused = [one for one in submits if not world.wire.answers.get((one.session, one.sequence), 0)]
        if len(unrefused) > 2 * len(parts):
            yield f"{len(unrefused)} submits of {len(parts)} parts of codes to …{key[0][-2:]}"
        latest = max((by_id[owner]["expires_at"] for owner in owners), default=0)
        for one in submits if owners else ():
            late = (one.wall - latest) / SECOND
            if late > _SLACK_S and not any(abs(one.at - step) < 1 for step in world.steps):
                yield f"a code left {late:.3f} s after its life, at {one.at:.3f} ({sorted(owners)})"
    words: dict[tuple[str, int], set[str]] = defaultdict(set)
    for part in judged.parts:
        message = by_id[part["message_id"]]
        if message["lane"] == 0 and message["parts"] == 1:
            words[part["message_id"], part["number"]].add(part["text_digest"])
    yield from (f"the code {message} left in different words" for (message, _), all_ in words.items() if len(all_) > 1)


def _approvals(world: World, judged: _Judged) -> Iterator[str]:
    """A case is approved once at most, and stays what a caller was told."""
    told = Counter(row["subject_id"] for row in judged.events if row["type"] == "verification.approved")
    states = {row["id"]: row["state"] for row in judged.cases}
    for case, count in (told + world.callers.approvals).items():
        if told[case] > 1 or world.callers.approvals[case] > 1:
            yield f"{case} was approved more than once ({count})"
        if states.get(case) != "approved":
            yield f"{case} was approved and is {states.get(case)}"


def _webhooks(world: World, judged: _Judged) -> Iterator[str]:
    """Each event reaches the endpoints that listen, those of a subject in their order."""
    if not in_order(world.receiver.got):
        yield "a subject's events came out of order, or with a gap"
    listening = {app for app, _ in world.plan.endpoints}
    for event in judged.events:
        if event["application_id"] in listening and event["id"] not in world.heard:
            yield f"the event {event['type']} of {event['subject_id']} reached nobody"
    owed = world.rows("SELECT state, count(*) AS n FROM webhook_delivery WHERE state <> 'delivered' GROUP BY state")
    yield from (f"{row['n']} webhooks are {row['state']} though their endpoints are well" for row in owed)


def _acknowledged(world: World) -> Iterator[str]:
    """What was acknowledged to the operator is stored."""
    receipts = Counter(
        (row["account"], row["smsc_id"], row["stat"])
        for row in world.rows("SELECT account, smsc_id, stat FROM receipt")
    )
    replies = {(row["account"], row["digest"]) for row in world.rows("SELECT account, digest FROM reply_part")}
    acknowledged: Counter[tuple[str, str, str]] = Counter()
    for one in world.wire.acknowledged:
        receipt = read_receipt(one.pdu)
        if receipt is not None:
            acknowledged[one.account, receipt.smsc_id, receipt.stat] += 1
        elif (one.account, world.keyring.fingerprint("pdu", one.frame[16:].hex())) not in replies:
            yield "a reply was acknowledged and is not stored"
    for (account, smsc_id, stat), count in acknowledged.items():
        stored = receipts[account, smsc_id, stat]
        if stored < count:
            yield f"{count} receipts {stat} of {smsc_id} were acknowledged, {stored} are stored"


def _replies(world: World) -> Iterator[str]:
    """What a handset said is there, whole, and not oftener than it was said."""
    heard: Counter[tuple[str, str]] = Counter()
    for row in world.rows("SELECT id, source, sealed FROM reply"):
        heard[row["source"], world.keyring.unseal(row["sealed"], row["id"]).decode()] += 1
    # An operator that did not read our answer in time says it once more, and on a link that stands that is a new
    # reply; a part of a long one that is said once more alone stays incomplete.
    unread = world.sim.stats.deliveries_unanswered
    for said in world.callers.said:
        count = heard.pop((said.number, said.text), 0)
        if not 1 <= count <= said.most + unread:
            yield f"a reply of {len(said.pdus)} parts on {said.account} is there {count} times of at most {said.most}"
    if sum(heard.values()) > unread:
        yield f"{sum(heard.values())} replies that nobody wrote"
    stats = world.sim.stats
    for name in ("deliveries_parked", "deliveries_dropped", "deliveries_refused"):
        if getattr(stats, name):
            yield f"{name}: {getattr(stats, name)}"


def _log(world: World) -> Iterator[str]:
    """The log holds no number and no code, and tells of no fault but the database's."""
    text = world.log.getvalue()
    numbers = {row["recipient"].lstrip("+") for row in world.rows("SELECT DISTINCT recipient FROM message")}
    numbers |= {said.number.lstrip("+") for said in world.callers.said}
    if any(number in text for number in numbers):
        yield "a number stands in the log"
    if any(re.search(rf"(?<![0-9a-f.]){code}(?![0-9a-f])", text) for code in world.callers.secrets):
        yield "a code stands in the log"
    for line in text.splitlines():
        said = json.loads(line)
        if said["level"] == "error" and not any(name in str(said.get("error", said)) for name in _EXPECTED_ERRORS):
            yield f"logged: {line[:400]}"
        if said.get("kind") in {"parked", "answer_lost"}:
            yield f"alarm: {line[:400]}"


async def try_lanes(world: World, core: Core) -> None:
    """Promise 4: beside a campaign a code waits for one slot and one token at most."""
    account = world.plan.accounts[0]
    await world.callers.send(Errand(0, "campaign", "app_one", "+33612345601", "one batch", 20))
    await trio.sleep(0.5)
    for number in _TRIAL:
        [accepted] = await world.callers.send(Errand(0, "code", "app_one", number, "short"))
        began = trio.current_time()
        await trio.sleep(5)
        sent = next(
            (
                one.at
                for one in world.wire.submits
                if one.at >= began and f"+{one.pdu.destination_addr.decode()}" == number
            ),
            None,
        )
        token_s = 0.0 if account.rate is None else 2 / account.rate
        most = token_s + account.behaviour["response_delay"]["high"] + 5 * world.plan.commit_s + 0.05
        if sent is None or sent - began > most:
            waited = "more than 5" if sent is None else f"{sent - began:.3f}"
            world.wire.breach(f"{accepted} waited {waited} s beside a campaign, {most:.3f} s at most")
