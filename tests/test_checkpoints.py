"""The write-ahead log begins anew in the same file, unless somebody still reads what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.store.checkpoints import Checkpointer, begin_anew
from engine.store.connections import Database

PAGES = 200


def fill(connection: Any, rounds: int = 1) -> None:
    """Write so many octets that the log grows by `PAGES` pages at least, `rounds` times."""
    connection.execute("CREATE TABLE IF NOT EXISTS filled (octets BLOB)")
    for _ in range(rounds):
        connection.execute("INSERT INTO filled VALUES (zeroblob(?))", (PAGES * 4_096,))


def logged(connection: Any) -> int:
    """Return the pages of the log in use."""
    [(_, pages, _)] = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return int(pages)


def test_a_log_that_begins_anew_is_written_over_and_keeps_its_size(sqlite_database: Database) -> None:
    log = Path(f"{sqlite_database.path}-wal")
    writer = sqlite_database.connect()
    fill(writer, 5)
    size = log.stat().st_size
    assert begin_anew(writer)
    fill(writer)
    assert logged(writer) < 2 * PAGES
    assert log.stat().st_size == size
    assert writer.execute("SELECT count(*) FROM filled").fetchall() == [(6,)]
    writer.close()


def test_a_reader_puts_it_off_and_neither_it_nor_the_writer_loses_a_thing(sqlite_database: Database) -> None:
    writer, reader = sqlite_database.connect(), sqlite_database.connect(read_only=True)
    fill(writer)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM filled").fetchall() == [(1,)]
    fill(writer)
    assert not begin_anew(writer)
    assert writer.execute("PRAGMA busy_timeout").fetchall() == [(5_000,)]
    fill(writer)
    assert reader.execute("SELECT count(*) FROM filled").fetchall() == [(1,)]
    reader.execute("COMMIT")
    assert begin_anew(writer)
    fill(writer)
    assert logged(writer) < 2 * PAGES
    assert reader.execute("SELECT count(*) FROM filled").fetchall() == [(4,)]
    writer.close()
    reader.close()


def test_only_a_long_log_is_begun_anew_and_once_a_look(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []
    monkeypatch.setattr("engine.store.checkpoints.begin_anew", begun.append)
    checkpointer = Checkpointer(sqlite_database)
    writer = sqlite_database.connect()
    fill(writer, 3)
    checkpointer.look(writer)
    checkpointer.keep_log_short(writer)
    assert not begun
    monkeypatch.setattr("engine.store.checkpoints._LONGEST_LOG", 2 * PAGES * 4_096)
    checkpointer.keep_log_short(writer)
    checkpointer.keep_log_short(writer)
    assert begun == [writer]
    writer.close()
