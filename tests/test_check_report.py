"""smppsim.check's trace, rows and report as data and as a table, on conversations written by hand."""

from __future__ import annotations

import io
import json

from rich.console import Console

from engine.smpp.pdu import (
    BindTransceiver,
    BindTransceiverResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    SubmitSm,
    SubmitSmResp,
    encode,
)
from engine.smpp.states import BindState, Side
from smppsim.check.findings import Rule, Verdict, advice, judge, right, wrong
from smppsim.check.report import as_json, as_tables, passed
from smppsim.check.trace import Trace


def bound_trace() -> Trace:
    trace = Trace()
    trace.add(1, 0.0, Side.ESME, encode(BindTransceiver(b"demo", b"x"), 1))
    trace.add(1, 0.1, Side.SMSC, encode(BindTransceiverResp(b"SIM"), 1))
    return trace


def shown(rows: list[object], trace: Trace) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(as_tables(rows, trace))  # type: ignore[arg-type]
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_trace_knows_states_and_who_answered_whom() -> None:
    trace = bound_trace()
    trace.add(1, 1.0, Side.SMSC, encode(DeliverSm(short_message=b"hi"), 9))
    trace.add(1, 1.2, Side.ESME, encode(SubmitSm(short_message=b"ho"), 9))
    trace.add(1, 1.3, Side.ESME, encode(DeliverSmResp(), 9))
    trace.add(1, 1.4, Side.SMSC, encode(SubmitSmResp(b"5"), 9))
    bind, _, deliver, submit, acknowledged, answered = trace.frames
    assert bind.state is BindState.OPEN
    assert submit.state is BindState.BOUND_TRX
    assert (deliver.answered, acknowledged.answers) == (acknowledged, deliver)
    assert (submit.answered, answered.answers) == (answered, submit)
    assert trace.links[1].version == 0x34


def test_a_trace_has_a_bound_and_says_what_it_left_out() -> None:
    trace = Trace(most=1)
    for number in range(3):
        trace.add(1, number, Side.ESME, encode(EnquireLink(), number + 1))
    assert (len(trace.frames), trace.unseen) == (1, 2)
    assert "2 PDUs came after the trace was full" in shown([], trace)


def test_two_sessions_side_by_side_are_counted() -> None:
    trace = Trace()
    for link, opened, closed in ((1, 0.0, 5.0), (2, 1.0, 2.0), (3, 2.0, 9.0)):
        trace.opened(link, opened).was_bound = True
        trace.closed(link, closed, Side.ESME)
    assert trace.most_bound == 2


def test_the_worst_finding_makes_the_row() -> None:
    trace = bound_trace()
    bind = trace.frames[0]
    rules = [
        Rule("a", "A", "1", lambda _: [right("fine"), wrong("first"), wrong("shown", bind), advice("hm")]),
        Rule("b", "B", "2", lambda _: [right("fine"), advice("hm")]),
        Rule("c", "C", "3", lambda _: [right("fine")] * 3),
        Rule("d", "D", "4", lambda _: []),
    ]
    rows = judge(rules, trace)
    assert [row.verdict for row in rows] == [Verdict.WRONG, Verdict.ADVICE, Verdict.RIGHT, Verdict.NOT_SEEN]
    assert (rows[0].said, rows[0].times, rows[0].seen) == ("shown", 2, bind)
    assert not passed(rows, trace)
    assert passed(rows[1:], trace)
    assert not passed(rows[1:], Trace()), "a check that saw nobody has not passed"


def test_the_report_shows_the_pdu_of_what_is_wrong() -> None:
    trace = bound_trace()
    trace.add(1, 2.0, Side.ESME, encode(EnquireLink(), 77))
    rows = judge([Rule("a", "What", "4.11", lambda seen: [wrong("so [red]it is", seen.frames[-1])])], trace)
    report = as_json(rows, trace)
    assert json.loads(json.dumps(report)) == report
    assert report["verdicts"] == {"right": 0, "wrong": 1, "advice": 0, "not seen": 0}
    assert report["clients"] == ["demo by bind_transceiver, version 0x34"]
    [row] = report["rows"]  # type: ignore[misc]
    assert row["pdu"] == {
        "at": 2.0, "link": 1, "from": "client", "command": "enquire_link", "status": "ESME_ROK", "sequence": 77,
        "hex": "0000001000000015000000000000004d",
    }  # fmt: skip
    text = shown(rows, trace)  # type: ignore[arg-type]
    assert "0000001000000015000000000000004d" in text
    assert "so [red]it is" in text
