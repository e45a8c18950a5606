"""The report: rows as a table for people and as JSON for programs, and whether the client passed.

Pure; it decides no verdict. `command` prints it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from engine.smpp.pdu import command_name, status_name
from smppsim.check.findings import Row, Verdict
from smppsim.check.trace import Bind, Seen, Trace

_STYLES: Final = {
    Verdict.RIGHT: "green",
    Verdict.WRONG: "bold red",
    Verdict.ADVICE: "yellow",
    Verdict.NOT_SEEN: "dim",
}
_SHOWN: Final = (Verdict.WRONG, Verdict.ADVICE)


def passed(rows: Sequence[Row], trace: Trace) -> bool:
    """Whether somebody bound and nothing was wrong; a check that saw no client proves nothing."""
    return any(link.was_bound for link in trace.links.values()) and not any(
        row.verdict is Verdict.WRONG for row in rows
    )


def _binds(trace: Trace) -> list[str]:
    found = dict.fromkeys(
        f"{seen.pdu.system_id.decode('latin-1')} by {command_name(seen.header.command_id)}, "
        f"version 0x{seen.pdu.interface_version:02X}"
        for seen in trace.of_client()
        if isinstance(seen.pdu, Bind)
    )
    return list(found)


def as_json(rows: Sequence[Row], trace: Trace) -> dict[str, object]:
    """The report as plain data; instants in seconds since the first frame."""
    start = trace.frames[0].at if trace.frames else trace.now
    return {
        "passed": passed(rows, trace),
        "clients": _binds(trace),
        "links": len(trace.links),
        "pdus": len(trace.frames),
        "pdus_unseen": trace.unseen,
        "seconds": round(trace.now - start, 3),
        "verdicts": {verdict.value: count for verdict, count in _count(rows).items()},
        "rows": [_row_as_json(row, start) for row in rows],
    }


def _row_as_json(row: Row, start: float) -> dict[str, object]:
    return {
        "id": row.rule.id,
        "what": row.rule.what,
        "source": row.rule.source,
        "situation": row.rule.stage,
        "verdict": row.verdict.value,
        "said": row.said,
        "times": row.times,
        "pdu": None if row.seen is None else _pdu(row.seen, start),
    }


def _pdu(seen: Seen, start: float) -> dict[str, object]:
    return {
        "at": round(seen.at - start, 3),
        "link": seen.link.number,
        "from": "client" if seen.by_client else "operator",
        "command": command_name(seen.header.command_id),
        "status": status_name(seen.header.command_status),
        "sequence": seen.header.sequence_number,
        "hex": seen.frame.hex(),
    }


def _count(rows: Sequence[Row]) -> dict[Verdict, int]:
    counted = Counter(row.verdict for row in rows)
    return {verdict: counted[verdict] for verdict in Verdict}


def as_tables(rows: Sequence[Row], trace: Trace) -> RenderableType:
    """The report for a console: every row, then the PDUs that show what was wrong or unwise."""
    table = Table(title="Conformance of " + (escape("; ".join(_binds(trace))) or "nobody: no client bound"))
    table.add_column("row", no_wrap=True)
    table.add_column("what is asked")
    table.add_column("source", style="dim")
    table.add_column("verdict", no_wrap=True)
    table.add_column("seen")
    for row in rows:
        said = f"{row.said} ({row.times})" if row.times > 1 else row.said
        verdict = f"[{_STYLES[row.verdict]}]{row.verdict.value}"
        table.add_row(row.rule.id, row.rule.what, escape(row.rule.source), verdict, escape(said))
    pieces: list[RenderableType] = [table]
    start = trace.frames[0].at if trace.frames else 0.0
    for row in rows:
        if row.verdict in _SHOWN and row.seen is not None:
            shown = _pdu(row.seen, start)
            pieces.append(
                f"[{_STYLES[row.verdict]}]{row.rule.id}[/]: {shown['command']} from the {shown['from']}, link "
                f"{shown['link']}, at {shown['at']} s, sequence {shown['sequence']}"
            )
            pieces.append(f"  {row.seen.frame.hex()}")
    if trace.unseen:
        pieces.append(f"{trace.unseen} PDUs came after the trace was full and were not judged.")
    pieces.append(", ".join(f"{count} {verdict.value}" for verdict, count in _count(rows).items()))
    return Group(*pieces)
