"""Lets calls wait for a case to change (long polls), without asking the database again and again.

In the loop's own thread; a change is rung after its commit. Another process's changes are seen when the wait ends.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio


@dataclass(slots=True)
class Waiting:
    """Who waits for which case."""

    _events: dict[str, set[trio.Event]] = field(default_factory=lambda: defaultdict(set))

    @contextmanager
    def on(self, case_id: str) -> Iterator[trio.Event]:
        """Give an event that the case's next change sets; take it before reading the case, so that none is missed."""
        event = trio.Event()
        self._events[case_id].add(event)
        try:
            yield event
        finally:
            self._events[case_id].discard(event)
            if not self._events[case_id]:
                del self._events[case_id]

    def ring(self, case_ids: Iterable[str]) -> None:
        """Wake those who wait for these cases; call it in the loop's thread."""
        for case_id in case_ids:
            for event in self._events.get(case_id, ()):
                event.set()
