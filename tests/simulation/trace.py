"""What happened, line by line, with the virtual time of each: the same for the same seed, in every process."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import trio


@dataclass
class Trace:
    """Every world writes one; no text, code or number is written into it."""

    lines: list[str] = field(default_factory=list)

    def note(self, who: str, what: str) -> None:
        """Write one line."""
        self.lines.append(f"{trio.current_time():11.4f}  {who:<14} {what}")

    @property
    def digest(self) -> str:
        """A name for the whole trace."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()[:16]
