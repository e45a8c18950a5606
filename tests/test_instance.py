"""One process a node: the lock that keeps a second one out, and the note by which commands find the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import Conflict, SettingsError
from engine.instance import Started, find, occupied

HERE = Started("http://127.0.0.1:8080", "http://127.0.0.1:8081", 4711)


def test_the_note_is_there_as_long_as_the_lock(tmp_path: Path) -> None:
    assert find(tmp_path, "a") is None
    with occupied(tmp_path, "a") as leave_note:
        assert find(tmp_path, "a") is None  # it holds the node but does not listen yet
        leave_note(HERE)
        assert find(tmp_path, "a") == HERE
    assert find(tmp_path, "a") is None


def test_a_second_process_of_a_node_is_kept_out_and_another_node_is_not(tmp_path: Path) -> None:
    with occupied(tmp_path, "a"):
        with pytest.raises(Conflict, match="serves the node 'a'"), occupied(tmp_path, "a"):
            pass
        with occupied(tmp_path, "b") as leave_note:
            leave_note(HERE)
            assert find(tmp_path, "b") == HERE
            assert find(tmp_path, "a") is None


def test_the_note_of_a_process_that_was_killed_is_believed_no_more(tmp_path: Path) -> None:
    (tmp_path / "a.lock").write_text(HERE.as_json())
    assert find(tmp_path, "a") is None
    with occupied(tmp_path, "a"):
        assert find(tmp_path, "a") is None


def test_a_data_folder_that_cannot_be_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be used"), occupied(tmp_path / "file", "a"):
        pass
