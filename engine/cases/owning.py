"""Whose our numbers are: the application of a number, or of the keyword that a text to a shared one begins with.

Read from the settings once; replies that answer no conversation go to the owner.
"""

from collections.abc import Callable
from typing import TypeAlias

from engine.settings import Settings

OwnerOf: TypeAlias = Callable[[str, str], str | None]
"""Names the application of one of our numbers and a text, None if nobody owns them."""


def owner_of(settings: Settings) -> OwnerOf:
    """Return the function that names the application of one of our numbers, by the keyword that a text begins with."""
    by_address: dict[str, list[tuple[frozenset[str], str]]] = {}
    for number in settings.numbers:
        keywords = frozenset(keyword.casefold() for keyword in number.keywords)
        by_address.setdefault(number.address.lstrip("+"), []).append((keywords, number.application))

    def owner(address: str, text: str) -> str | None:
        claims = by_address.get(address.lstrip("+"), [])
        words = text.casefold().split()
        first = words[0] if words else ""
        named = next((application for keywords, application in claims if first in keywords), None)
        return named or next((application for keywords, application in claims if not keywords), None)

    return owner
