"""How the commands show things: timelines and instants as tables, with nothing in them that a terminal would obey.

What it is given may come from an operator or a handset: controls and marks of reading direction are written out.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from engine.clock import SECOND, from_rfc3339, to_rfc3339
from engine.logs import escaped

_ALSO_UNSEEN: Final = {0x200B: "\\u200b", 0x200C: "\\u200c", 0x200D: "\\u200d", 0x2060: "\\u2060"}
_PIPE_WIDTH: Final = 160
_OWN_COLUMNS: Final = frozenset({"at", "what"})
_NOTHING: Final[tuple[object, ...]] = (None, "", {}, [])
_IDS: Final = frozenset({"case_id", "message_id", "event_id", "subject_id", "endpoint_id"})


def console() -> Console:
    """Return where to print: as wide as the terminal, and wide enough for tables when it is a file or a pipe."""
    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def safe(value: object) -> Text:
    """Return a value as text on one line, without markup, controls or marks of reading direction (E23)."""
    return Text(escaped(str(value)).translate(_ALSO_UNSEEN))


def instant(at: int | None) -> str:
    """Return an instant (µs) as RFC 3339, or a dash."""
    return "–" if at is None else to_rfc3339(at)


def timeline(entries: Sequence[Mapping[str, Any]], title: str, *, ids: bool = False) -> Group:
    """Return a timeline as the API gives it, with the seconds since its first entry; ids of ours only if asked."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("at (UTC)", no_wrap=True)
    table.add_column("after", justify="right", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("more", overflow="fold")
    hidden = _OWN_COLUMNS if ids else _OWN_COLUMNS | _IDS
    first = from_rfc3339(entries[0]["at"]) if entries else 0
    for entry in entries:
        after_s = (from_rfc3339(entry["at"]) - first) / SECOND
        more = " ".join(
            f"{name}={_plain(value)}" for name, value in entry.items() if name not in hidden and value not in _NOTHING
        )
        table.add_row(safe(entry["at"][11:23]), f"{after_s:.3f} s", safe(entry["what"]), safe(more))
    return Group(safe(title), table)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
