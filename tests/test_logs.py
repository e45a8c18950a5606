"""Log lines: the allow-list, masking, escaping, exceptions without values, and what libraries may say."""

from __future__ import annotations

import errno
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from engine import logs
from engine.clock import VirtualClock
from engine.errors import EngineError, NotAllowed

CODE = "482913"
NUMBER = "+33612345678"
LOG = logs.logger("bind")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(clock=VirtualClock(), style="json", stream=stream)
    yield stream
    logs.silence()


def only(stream: io.StringIO) -> dict[str, Any]:
    (line,) = stream.getvalue().splitlines()
    read: dict[str, Any] = json.loads(line)
    return read


def test_a_line_holds_its_instant_level_event_component_and_fields(lines: io.StringIO) -> None:
    LOG.info("part.accepted", message_id="msg_1", account="orange", attempt=2, urgent=None)
    assert only(lines) == {
        "at": "2026-11-23T07:00:00.000Z",
        "level": "info",
        "event": "part.accepted",
        "component": "bind",
        "message_id": "msg_1",
        "account": "orange",
        "attempt": 2,
    }


@pytest.mark.parametrize(
    "field", ["body", "text", "code", "password", "secret", "token", "short_message", "otp", "url"]
)
def test_a_field_outside_the_allow_list_loses_its_value(lines: io.StringIO, field: str) -> None:
    """S22: bodies and codes never, at any level."""
    LOG.error("it.failed", **{field: CODE})
    assert CODE not in lines.getvalue()
    assert only(lines)["refused"] == [field]


def test_a_count_that_is_text_loses_its_value(lines: io.StringIO) -> None:
    LOG.info("it.happened", count=CODE, rows=3)
    line = only(lines)
    assert (line["refused"], line["rows"]) == (["count"], 3)
    assert CODE not in lines.getvalue()


def test_an_event_name_is_a_name_and_never_a_sentence_with_values(lines: io.StringIO) -> None:
    LOG.info(f"sent {CODE} to {NUMBER}")
    assert only(lines)["event"] == "event.misnamed"
    assert CODE not in lines.getvalue()


def test_in_strict_mode_a_stray_field_is_our_bug() -> None:
    logs.configure(clock=VirtualClock(), style="json", stream=io.StringIO(), strict=True)
    try:
        with pytest.raises(NotAllowed, match="body"):
            LOG.info("it.happened", body="x")
    finally:
        logs.silence()


@pytest.mark.parametrize("field", ["recipient", "source", "destination", "phone", "reason", "note", "peer", "id"])
@pytest.mark.parametrize("number", [NUMBER, "+12025550100", "+61491570156"])
def test_a_number_is_masked_in_every_field_that_text_may_have(lines: io.StringIO, field: str, number: str) -> None:
    LOG.info("it.happened", **{field: number})
    assert number not in lines.getvalue()
    assert only(lines)[field] == f"{number[:4]}{'•' * (len(number) - 6)}{number[-2:]}"


@pytest.mark.parametrize("text", [f"to {NUMBER} now", "to 06 12 34 56 78 now", "to 0033612345678 now"])
def test_a_number_inside_a_sentence_is_masked(lines: io.StringIO, text: str) -> None:
    LOG.info("it.happened", reason=text)
    line = only(lines)["reason"]
    assert line.startswith("to ")
    assert line.endswith("78 now")
    assert "•••" in line


def test_an_smscs_id_and_a_host_are_shown_as_they_are(lines: io.StringIO) -> None:
    LOG.info("it.happened", smsc_id="0123456789", host="192.168.100.254", message_id="msg_01a2075c1268")
    line = only(lines)
    assert (line["smsc_id"], line["host"]) == ("0123456789", "192.168.100.254")


@pytest.mark.parametrize("style", ["json", "console"])
def test_no_value_starts_a_line_of_its_own_or_drives_a_terminal(style: Any) -> None:
    """E23, S22: controls and marks of direction are escaped."""
    stream = io.StringIO()
    logs.configure(clock=VirtualClock(), style=style, stream=stream)
    try:
        LOG.info("it.happened", reason="a\r\nb\x1b[2Jc\u202ed\u2028e\x85f", id="x\ny", sender="\ud800")
    finally:
        logs.silence()
    written = stream.getvalue()
    assert written.count("\n") == 1
    assert written.endswith("\n")
    assert not {"\r", "\x1b", "\u202e", "\u2028", "\x85", "\ud800"} & set(written)


def test_a_long_value_is_cut(lines: io.StringIO) -> None:
    LOG.info("it.happened", reason="x" * 5_000)
    assert len(only(lines)["reason"]) == 201


def test_an_exception_shows_kinds_and_places_and_no_value(lines: io.StringIO) -> None:
    """S22: exceptions are rendered without locals and without foreign messages."""
    body = f"your code is {CODE}"

    def fail() -> None:
        try:
            int(body)
        except ValueError as error:
            raise EngineError("the case could not go on") from error

    with pytest.raises(EngineError) as failure:
        fail()
    LOG.error("case.failed", exc=failure.value)
    said = only(lines)["exception"]
    assert said.startswith("EngineError(the case could not go on) at tests/test_logs.py:")
    assert " < ValueError at tests/test_logs.py:" in said
    assert CODE not in said


def test_members_of_a_group_and_its_cause_are_shown(lines: io.StringIO) -> None:
    group = ExceptionGroup("two", [KeyError(CODE), OSError(28, "No space left on device")])
    LOG.error("it.failed", exc=group)
    said = only(lines)["exception"]
    assert said == "ExceptionGroup[KeyError; OSError(No space left on device)]"


def test_an_exception_that_causes_itself_ends(lines: io.StringIO) -> None:
    first, second = ValueError(), TypeError()
    first.__cause__, second.__cause__ = second, first
    LOG.error("it.failed", exc=first)
    assert only(lines)["exception"] == "ValueError < TypeError"


def test_a_librarys_warning_tells_its_place_and_not_its_text(lines: io.StringIO) -> None:
    logging.getLogger("hypercorn.error").warning("body was %s", CODE)
    logging.getLogger("hypercorn.error").info("ready")
    line = only(lines)
    assert (line["event"], line["library"]) == ("library.logged", "hypercorn.error")
    assert CODE not in lines.getvalue()


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    logs.configure(clock=VirtualClock(), style="json", stream=stream, level="warning")
    try:
        LOG.debug("one.thing")
        LOG.info("one.thing")
        LOG.warning("other.thing")
    finally:
        logs.silence()
    assert only(stream)["event"] == "other.thing"


def test_before_it_is_configured_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    LOG.error("it.failed", reason="x")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_a_console_line_is_for_people() -> None:
    stream = io.StringIO()
    logs.configure(clock=VirtualClock(), style="console", stream=stream)
    try:
        LOG.warning("bind.lost", account="orange", hushed=3)
    finally:
        logs.silence()
    assert stream.getvalue() == "07:00:00.000 warning bind       bind.lost account=orange hushed=3\n"


def test_a_noisy_event_is_let_through_once_in_its_time_and_counted() -> None:
    """A13: one line a minute however many connections of garbage."""
    clock = VirtualClock()
    noisy = logs.once_per(60, clock.monotonic)
    said = [noisy.due("garbage") for _ in range(1_000)]
    assert said == [0] + [None] * 999
    assert noisy.due("other") == 0
    clock.advance(60)
    assert noisy.due("garbage") == 999
    assert noisy.due("garbage") is None


class FullDisk(io.StringIO):
    """A file on a disk without room."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")


def test_a_line_that_cannot_be_written_is_lost_and_disturbs_nobody(lines: io.StringIO) -> None:
    """users-ask 17: the disk that is full is often the log's, too."""
    logs.configure(clock=VirtualClock(), style="json", stream=FullDisk())
    LOG.error("store.unavailable")
    logging.getLogger("elsewhere").warning("as well")


def test_a_hush_remembers_a_bounded_number_of_keys() -> None:
    noisy = logs.once_per(60, lambda: 0.0)
    assert all(noisy.due(str(key)) == 0 for key in range(5_000))
    assert len(noisy._hushed) <= 1_024


@pytest.mark.parametrize(
    ("text", "masked"),
    [(NUMBER, "+336••••••78"), ("38012", "•••12"), ("12", "••"), ("", ""), ("+12", "•••")],
)
def test_a_masked_number_keeps_its_country_and_two_digits(text: str, masked: str) -> None:
    assert logs.masked_number(text) == masked
