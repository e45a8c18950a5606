"""docs/users-ask.md: thirty things that users of SMS gateways complained about, each with the tests that prove ours.

A test names its numbers at the start of its docstring's first line: `users-ask 14: …`, also behind rows of the failure
catalogue: `D1, users-ask 1: …`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from docs.proofs import Proof, cell, proofs_by

_LABEL: Final = re.compile(r"\b[Uu]sers-ask (\d+(?:, \d+)*)")


class Asked(NamedTuple):
    """What went wrong elsewhere, and what is asked of Sceau; `at_length`: in `make soak` with the whole amount."""

    complaint: str
    asked: str
    at_length: bool = False


ASKED: Final[Mapping[str, Asked]] = {
    "1": Asked(
        "a receipt that comes before its id is stored is lost",
        "10,000 receipts before, with and after their responses: none unmatched, accepted always told before delivered",
        at_length=True,
    ),
    "2": Asked("a receipt on another bind of the account finds nothing", "always on the sibling: all match"),
    "3": Asked(
        "ids differ in zeros, case, base or type between response and receipt",
        "every style matches under its account's rule; equal ids of two operators never cross",
    ),
    "4": Asked(
        "parts of a long message are answered in any order, or receipted in part",
        "three parts, every order, any subset: one result",
    ),
    "5": Asked(
        "a vendor's receipt text raises",
        "a corpus of real formats is read, and nothing near it raises",
        at_length=True,
    ),
    "6": Asked(
        "a receipt is taken for a reply, an intermediate report for the end",
        "esm_class × parameters × text decide as written down; a reply that imitates a receipt stays a reply",
    ),
    "7": Asked(
        "a throttled first try loses the wish for a receipt", "throttled twice, then taken: exactly one final event"
    ),
    "8": Asked(
        "stop-and-wait submitting: a few messages a second",
        "round trip 100 ms, window 50, 300/s: ≥ 285/s for 60 s, never above 300 in any second",
        at_length=True,
    ),
    "9": Asked(
        "windows are overrun", "no refusal by an operator that enforces its window, over reconnects and bursts of codes"
    ),
    "10": Asked(
        "limits count messages, not PDUs", "100 messages of three parts at 30/s: 30 PDUs/s, parts of one together"
    ),
    "11": Asked(
        "throttling loses order, or comes back as a storm",
        "20 % throttled for 30 s: the rate falls and recovers within 10 s, order per recipient kept, nothing lost",
        at_length=True,
    ),
    "12": Asked(
        "a few slow answers stop the whole window",
        "80/15/5 % of answers after 10/100/1,000 ms, window 100: ≥ 800/s",
        at_length=True,
    ),
    "13": Asked(
        "the response was there, the client had timed out, the customer got it twice",
        "2,000 receipts/s coming in: responses handled in p99 < 250 ms, none timed out",
        at_length=True,
    ),
    "14": Asked(
        "urgent messages stand behind a campaign",
        "50,000 queued on 50/s, a code each second: p99 ≤ 100 ms to the wire, the campaign has the rest",
        at_length=True,
    ),
    "15": Asked(
        "no answer: sent again makes two, given up makes none",
        "5 % of answers swallowed: each visibly in doubt and resolved by its class; no campaign message twice",
    ),
    "16": Asked(
        "a restart loses accepted messages",
        "killed 100 times with 10,000 accepted: none lost, what may be twice is told",
        at_length=True,
    ),
    "17": Asked(
        "a lost broker or database leaves consumers dead until somebody restarts them",
        "database locked, disk full: 503 and temporary errors, then everything goes on unaided",
    ),
    "18": Asked(
        "a connector without a bind spins",
        "ten minutes down with 1,000 queued: < 5 % of a core, a log line in 10 s, no attempt counted, "
        "first submit ≤ 2 s after the bind",
        at_length=True,
    ),
    "19": Asked(
        "a concatenation reference is used twice at once and texts are mixed",
        "1,000 unfinished long messages to one number: no reference twice, every text whole",
        at_length=True,
    ),
    "20": Asked(
        "balancing picks dead binds", "two binds and a fallback account, killed one by one: traffic moves within 2 s"
    ),
    "21": Asked("a cut network goes unnoticed", "silence is found within 20 s, what was in flight marked, bound again"),
    "22": Asked(
        "“already bound” after a drop",
        "a ghost for 120 s: waited out with jitter, bound when free; a clean stop always unbinds",
        at_length=True,
    ),
    "23": Asked(
        "retrying a wrong password gets the address banned",
        "one try in five minutes, an alarm, bound at once when mended",
    ),
    "24": Asked(
        "an unbind by the operator breaks submitting for days",
        "20 in flight: answered ≤ 1 s, bound again, nothing lost",
    ),
    "25": Asked("a write blocks for ever", "a peer that stops reading is given up; the other binds do not notice"),
    "26": Asked(
        "flapping links leak",
        "2,000 connections made and lost: tasks, descriptors and memory stay flat",
        at_length=True,
    ),
    "27": Asked(
        "a refusal with or without a body kills the bind",
        "every status with no body, empty id, id, id and parameters, parameters alone: the bind lives",
    ),
    "28": Asked(
        "bad lengths, HTTP and overruns",
        "10⁶ and 10⁷ mutated frames: no exception escapes, sizes are capped, other binds do not notice",
        at_length=True,
    ),
    "29": Asked(
        "parts of a reply out of order or over several binds",
        "every permutation of five, copies, a reference shared by two senders, two binds: one right text each; "
        "a gap ends as a flagged partial",
    ),
    "30": Asked(
        "events are dropped after three tries, or stick",
        "a receiver down for an hour at 50 events/s gets all of them later, in order, signed, under stable ids; replay",
        at_length=True,
    ),
}

_HEAD: Final = """\
# What users ask for

Thirty complaints about SMS gateways and SMPP libraries that come up again and again, what is asked of Sceau instead,
and the tests that prove it. This page is generated by `make docs` from `docs/users_ask.py` and from the docstrings of
the tests: a test that proves a number begins its docstring with `users-ask` and the number.

`make test` runs all of them, on virtual time or within a few seconds each. Those marked • have the whole amount in
`make soak`; what that gave is written down in [the benchmarks](benchmarks.md#soak).
"""


def proofs() -> dict[str, list[Proof]]:
    """Return the tests of each number that any test names."""
    return proofs_by(_numbers_of)


def _numbers_of(first_line: str) -> Iterable[str]:
    found = _LABEL.search(first_line.partition(":")[0])
    return found[1].split(", ") if found else ()


def users_ask_page() -> str:
    """Return the page."""
    found = proofs()
    lines = [_HEAD, "| # | complaint | asked of Sceau | tests |", "|--:|---|---|---|"]
    for number, (complaint, asked, at_length) in ASKED.items():
        mark = " •" if at_length else ""
        lines.append(f"| {number}{mark} | {complaint} | {asked} | {cell(found.get(number, ())) or '–'} |")
    return "\n".join(lines) + "\n"
