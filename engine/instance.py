"""One running process for each node of an installation: a lock keeps a second one out, a note says where it listens.

Two processes of one node would take each other's messages on the wire for abandoned. `app` holds the lock while it
serves, commands read the note; the lock falls with the process, however it ends.
"""

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from engine.errors import Conflict, SettingsError

_TRIES: Final = 10
_PAUSE_S: Final = 0.1


class Started(NamedTuple):
    """Where a running process answers: two base URLs and its process id."""

    api: str
    operations: str
    pid: int

    def as_json(self) -> str:
        """Return the one line that `sceau serve` prints."""
        return json.dumps(self._asdict())


@contextmanager
def occupied(folder: Path, node: str) -> Iterator[Callable[[Started], None]]:
    """Hold a node's lock in the data folder; yields the function that leaves the note.

    Raises `Conflict` if another process holds it, `SettingsError` if the folder cannot be written to.
    """
    path = _path(folder, node)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"data_dir {folder} cannot be used: {error.strerror}") from None
    with file:
        if not _lock(file, fcntl.LOCK_EX, _TRIES):
            raise Conflict(f"another process serves the node {node!r} of {folder}")
        _write(file, "")
        try:
            yield lambda started: _write(file, started.as_json())
        finally:
            _write(file, "")


def find(folder: Path, node: str) -> Started | None:
    """Return where the process that serves a node answers, or None if there is none or it is not there yet."""
    try:
        file = _path(folder, node).open(encoding="utf-8")
    except OSError:
        return None
    with file:
        if _lock(file, fcntl.LOCK_SH, 1):
            return None
        text = file.read()
    return Started(**json.loads(text)) if text else None


def _path(folder: Path, node: str) -> Path:
    return folder / f"{node}.lock"


def _write(file: TextIO, text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def _lock(file: TextIO, kind: int, tries: int) -> bool:
    for attempt in range(tries):
        if attempt:
            time.sleep(_PAUSE_S)  # a reader holds it for an instant, a process that was killed for a moment
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False
