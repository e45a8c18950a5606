"""The daily file of posted heads: one line for each signed root of an application's log, to be copied elsewhere.

A line is what `sceau evidence verify --head` takes. It is appended and synced; after a crash the rows have the root
all the same, and `GET /v1/evidence/roots` gives it.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from engine.clock import to_rfc3339
from engine.logs import logger

log = logger("evidence")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]")


class Line(NamedTuple):
    """One posted head."""

    application_id: str
    at: int
    content: str
    signature: str
    key: str

    @property
    def text(self) -> str:
        """Return the line without its end."""
        return json.dumps({"content": self.content, "signature": self.signature, "key": self.key})


def appender(folder: Path) -> Callable[[Line], None]:
    """Return what appends lines to `<folder>/<application>/<date>.jsonl`; a full disk is logged, never raised."""

    def append(line: Line) -> None:
        path = folder / _UNSAFE.sub("_", line.application_id) / f"{to_rfc3339(line.at)[:10]}.jsonl"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(line.text + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            log.error("evidence.daily_file_unwritten", exc=error)

    return append
