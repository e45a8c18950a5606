"""The shipped templates of SMS, compiled once a worker: compiling them is most of what it costs to open an engine."""

from __future__ import annotations

from functools import cache

from workflows.wording import Templates, load_templates


@cache
def shipped_templates() -> Templates:
    """Return them; nothing changes them once they are made."""
    return load_templates()
