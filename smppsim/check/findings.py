"""What a rule may say, and how its sayings become one row of the report.

Pure; `rules` says, `report` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from smppsim.check.trace import Seen, Trace


class Verdict(StrEnum):
    """Of a finding and of a row."""

    RIGHT = "right"
    WRONG = "wrong"
    ADVICE = "advice"
    """Legal, and likely to hurt with some operator."""
    NOT_SEEN = "not seen"


class Finding(NamedTuple):
    """One thing that a rule saw; `seen` is the PDU that shows it, if one does."""

    verdict: Verdict
    said: str
    seen: Seen | None = None


def right(said: str, seen: Seen | None = None) -> Finding:
    """As it should be."""
    return Finding(Verdict.RIGHT, said, seen)


def wrong(said: str, seen: Seen | None = None) -> Finding:
    """Against the specification, or harmful."""
    return Finding(Verdict.WRONG, said, seen)


def advice(said: str, seen: Seen | None = None) -> Finding:
    """Legal, and unwise."""
    return Finding(Verdict.ADVICE, said, seen)


Judge = Callable[[Trace], Iterable[Finding]]


class Rule(NamedTuple):
    """One row of the report. `source`: section of SMPP 3.4 or row of the failure catalogue."""

    id: str
    what: str
    source: str
    judge: Judge
    stage: str = "traffic"
    """The situation in which it shows."""


class Row(NamedTuple):
    """What came of a rule: the worst verdict, its first finding, and how many there were of it."""

    rule: Rule
    verdict: Verdict
    said: str
    times: int
    seen: Seen | None


_WORST_FIRST = (Verdict.WRONG, Verdict.ADVICE, Verdict.RIGHT)


def judge(rules: Sequence[Rule], trace: Trace) -> list[Row]:
    """One row for each rule, in their order."""
    return [_row(rule, list(rule.judge(trace))) for rule in rules]


def _row(rule: Rule, findings: list[Finding]) -> Row:
    for verdict in _WORST_FIRST:
        of_it = [finding for finding in findings if finding.verdict is verdict]
        if of_it:
            first = next((finding for finding in of_it if finding.seen is not None), of_it[0])
            return Row(rule, verdict, first.said, len(of_it), first.seen)
    return Row(rule, Verdict.NOT_SEEN, "", 0, None)
