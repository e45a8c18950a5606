"""Fixtures that every test may ask for: databases of both kinds, stores on them, and the figures of a soak."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from engine.store.connections import Database
from engine.store.doorway import Store
from tests.amounts import Figure
from tests.databases import PostgresServer, fresh_sqlite

# Examples are drawn the same way in every run; timings belong to the benchmarks.
settings.register_profile("sceau", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("sceau")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the real tests begin first: they wait for other processes, and nobody shall wait for the last one alone."""
    items.sort(key=lambda item: item.get_closest_marker("real") is None)


def pytest_collection_finish() -> None:
    """Collect as a server does once it has started: what was imported stays, and is a tenth of the tests' time to look
    through again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Note what was measured, and its value with its unit; of a test of the soak it is printed at the end."""
    return record_property


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of a soak as rows of a table, as docs/benchmarks.md has them."""
    reports = [report for report in terminalreporter.getreports("passed") if "soak" in report.keywords]
    rows = {(name, value, report.nodeid) for report in reports for name, value in report.user_properties}
    if rows:
        terminalreporter.section("figures of the soak")
        for name, value, test in sorted(rows):
            terminalreporter.line(f"| {name} | {value} | `{test}` |")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this test worker."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A fresh, migrated database: the test runs on both kinds."""
    if request.param == "sqlite":
        yield Database.at(fresh_sqlite(tmp_path))
    else:
        yield request.getfixturevalue("postgresql_database")


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Database:
    """A fresh, migrated SQLite database."""
    return Database.at(fresh_sqlite(tmp_path))


@pytest.fixture
def postgresql_database(postgres: PostgresServer) -> Iterator[Database]:
    """A fresh, migrated PostgreSQL database."""
    url = postgres.fresh()
    yield Database.at(url)
    postgres.give_back(url)


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    """An inline store on each kind of database, for tests on a virtual clock."""
    opened = Store(database, inline=True)
    opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def embedded(sqlite_database: Database) -> AsyncIterator[Store]:
    """An inline store on SQLite alone, for what differs in nothing but the octets that come in."""
    opened = Store(sqlite_database, inline=True)
    opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def threaded_store(database: Database) -> AsyncIterator[Store]:
    """A store with its writer's thread, on each kind of database; for real time."""
    opened = Store(database)
    opened.open()
    yield opened
    await opened.close()
