"""The pages of docs/ and the README: generated parts are current, what they name exists, what they show works."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from docs.api_reference import PROFILE_WORDS, SCOPES
from docs.catalogue import proofs, unproven
from docs.catalogue_rows import HALVES, REQUIRED, ROWS, WAITING
from docs.generate import FOLDER, current, names
from docs.pictures import PHONE_COLUMNS, columns, diagram
from docs.settings_reference import leaves
from docs.settings_words import WORDS
from docs.users_ask import ASKED
from docs.users_ask import proofs as proofs_of_asked
from engine import cli as sceau
from engine.api.app import endpoints
from engine.apikeys import Scope
from engine.errors import NotAllowed
from engine.events import EVENT_TYPES, NewEvent, event_data, record
from engine.settings import Settings
from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.moves import MESSAGE
from engine.webhooks.signing import signature_header, signer
from smppsim import cli as smppsim
from smppsim.scenario import Scenario
from workflows.profiles import VerificationProfile

ROOT = FOLDER.parent
PAGES = [ROOT / "README.md", *sorted(FOLDER.glob("*.md"))]
GENERATED = re.compile(r"<!-- generated: .*?<!-- end: [a-z]+ -->", re.DOTALL)
# Reserved for fiction, or ours by agreement: nobody is called by an example.
FICTION = re.compile(r"\+336123456\d\d|\+1202555(01\d\d)?|\+61491570156|\+3361234|\+336")


def name_of(path: Path) -> str:
    return path.name


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


# What is generated.


@pytest.mark.parametrize("name", names())
def test_a_generated_page_is_current(name: str) -> None:
    assert (FOLDER / name).read_text() == current(name), "out of date: make docs"


def test_the_diagrams_show_every_move_and_no_other() -> None:
    shown = set(re.findall(r"^    (\w+) --> (\w+)$", diagram(MESSAGE), re.MULTILINE))
    assert shown == {(state, after) for state, nexts in MESSAGE.table.items() for after in nexts}


def test_every_setting_has_its_sentence_and_every_sentence_its_setting() -> None:
    assert set(leaves()) <= set(WORDS)
    # A table that is also a value of its own, such as `tls = {}`, has a sentence too.
    assert set(WORDS) - set(leaves()) <= {"accounts.binds.tls", "senders.accounts"}


def test_every_scope_and_every_setting_of_a_profile_is_described() -> None:
    assert set(SCOPES) == set(Scope)
    assert set(PROFILE_WORDS) == set(VerificationProfile.__dataclass_fields__) - {"name"}


def test_the_columns_with_phone_numbers_exist() -> None:
    assert set(PHONE_COLUMNS) <= columns()


# The failure catalogue.


def test_every_row_that_is_owed_a_test_has_one_or_waits_with_a_reason() -> None:
    assert unproven(proofs()) == []


def test_rows_wait_only_while_they_have_no_test() -> None:
    assert set(WAITING) <= set(ROWS)
    assert set(WAITING) & set(proofs()) == set()


def test_only_what_later_issues_build_waits_and_what_waits_in_part_is_proven_in_part() -> None:
    assert set(WAITING) <= {"B28", "D22", "E20", "E21", "F6", "F8", "G8"}
    assert set(HALVES) <= {"C10", "D2", "E8", "E20", "F6", "F8"}
    assert set(HALVES) <= set(REQUIRED)


def test_tests_and_the_list_of_owed_rows_name_rows_that_exist() -> None:
    assert set(proofs()) | set(REQUIRED) <= set(ROWS)


# What users ask for.


def test_everything_that_users_ask_for_has_a_test_and_no_test_names_another_number() -> None:
    assert list(ASKED) == [str(number) for number in range(1, 31)]
    assert set(proofs_of_asked()) == set(ASKED)


def test_what_is_asked_for_at_length_is_in_the_soak() -> None:
    found = proofs_of_asked()
    short = [
        number for number, asked in ASKED.items() if asked.at_length and not any(p.at_length for p in found[number])
    ]
    assert short == []


# Events.


def test_an_event_type_outside_the_table_cannot_be_written() -> None:
    with pytest.raises(NotAllowed):
        event_data("message.teleported")
    with pytest.raises(NotAllowed):
        event_data("message.delivered", code="482913")


def test_an_event_type_outside_the_table_cannot_be_recorded(sqlite_database: Database) -> None:
    strange = NewEvent("app_test", "message.teleported", "msg_1", 1, "{}")
    with pytest.raises(NotAllowed):
        Store(sqlite_database, inline=True).write_inline(
            lambda tx: record(tx, [strange], lambda prefix: f"{prefix}_1", 0)
        )


def test_no_event_has_a_field_for_a_text_or_a_code() -> None:
    fields = {field for _, known in EVENT_TYPES.values() for field in known}
    assert not fields & {"code", "text", "body", "number", "phone", "spoken_code"}


# What pages name.


def slugs(path: Path) -> set[str]:
    text = path.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    made = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        there = page if not name else (page.parent / name).resolve()
        assert there.exists(), target
        if anchor:
            assert anchor in slugs(there), target


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield (program, what follows) of each call in a line of code, be it a block, an indented line or a span."""
    code = [*re.findall(r"```(?:sh)?\n(.*?)```", text, re.DOTALL), *re.findall(r"^    (\S.*)$", text, re.MULTILINE)]
    code += re.findall(r"`([^`\n]+)`", text)
    for piece in code:
        for line in piece.splitlines():
            found = re.match(r"(?:\S*/)?(sceau|smppsim) +(\S.*)", line.split("#")[0].strip())
            if found:
                yield found[1], found[2]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_exists_with_its_options(page: Path) -> None:
    programs: dict[str, Any] = {"sceau": sceau.app, "smppsim": smppsim.app}
    for program, rest in commands(page.read_text()):
        command: Any = typer.main.get_command(programs[program])
        words = rest.split()
        while words and hasattr(command, "get_command") and not words[0].startswith("-"):
            known = command.get_command(typer.Context(command), words[0])
            assert known is not None, f"{program} {rest}"
            command, words = known, words[1:]
        options = {option for parameter in command.params for option in parameter.opts}
        for word in words:
            if re.fullmatch(r"--[a-z-]+", word):
                assert word in options | {"--help", "--version"}, f"{program} {rest}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"(?:`|^    )make ([a-z]+)", page.read_text(), re.MULTILINE)
    assert set(named) <= targets


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_call_of_the_api_exists(page: Path) -> None:
    text = GENERATED.sub("", page.read_text())
    known = {re.sub(r"\{\w+\}", "*", path) for _, path in endpoints()}
    for call in re.findall(r"(?<=[\s`0])/v1/[A-Za-z0-9/{}_$\-]+", text):
        assert re.sub(r"\{\w+\}|\$[A-Z]+", "*", call) in known, call


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    for name in re.findall(
        r"`((?:engine|workflows|smppsim|tests|docs|templates|bench)/[\w/.]+\.(?:py|md|toml))`", page.read_text()
    ):
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_examples_call_nobody(page: Path) -> None:
    for number in re.findall(r"\+\d{3,}", page.read_text()):
        assert FICTION.fullmatch(number), number


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_line_that_a_person_wrapped_is_not_too_long(page: Path) -> None:
    text = re.sub(r"```.*?```", "", GENERATED.sub("", page.read_text()), flags=re.DOTALL)
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith(("|", "    "))] == []


# What pages show.


@pytest.mark.parametrize("name", ["operate.md", "leads.md"])
def test_the_settings_that_are_shown_are_valid(name: str) -> None:
    shown = blocks(FOLDER / name, "toml")
    assert shown
    Settings(**tomllib.loads("\n".join(shown)))


def test_the_simulator_settings_that_are_shown_are_valid() -> None:
    shown = blocks(FOLDER / "simulator.md", "toml")
    assert shown
    for each in shown:
        Scenario.model_validate(tomllib.loads(each))


def test_the_webhook_code_that_is_shown_tells_ours_from_others() -> None:
    [shown] = blocks(FOLDER / "integrate.md", "python")
    known: dict[str, Any] = {}
    exec(compile(shown, "integrate.md", "exec"), known)  # our own page
    is_genuine = known["is_genuine"]
    secret, body, now = "whsec_" + "QUFB" * 8, b'{"type":"message.delivered"}', int(time.perf_counter()) + 10**9
    known["time"] = type("Clock", (), {"time": staticmethod(lambda: now)})
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature_header([signer(secret)], "evt_1", now, body),
    }
    assert is_genuine(secret, headers, body)
    assert not is_genuine(secret, headers, body + b" ")
    assert not is_genuine("whsec_" + "QkJC" * 8, headers, body)
    assert not is_genuine(secret, {**headers, "webhook-timestamp": str(now - 301)}, body)
