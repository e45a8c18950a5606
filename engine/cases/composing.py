"""Composes a message's text at the moment of sending: the caller's own body, or a pinned template with its values and
its code.

Pure but for the keys it holds: the same row gives the same text on every resend, restart and upgrade. The sender's
claim calls it within its transaction; the text is never stored.
"""

import json
from collections.abc import Mapping
from typing import Any

from engine.codes import CodeSeed, derive, page_token, reference_of
from engine.errors import Tampered, UnknownKey
from engine.keyring import KeyRing
from engine.transit.claiming import NotRenderable
from engine.transit.queue import Claimable
from workflows.wording import Templates, WordingError


class Composer:
    """Makes texts; `kept` are the template texts of earlier versions, by hash, from the database. `pages_at` is where
    people reach our pages; without it texts have no links to them.
    """

    def __init__(self, templates: Templates, keyring: KeyRing, kept: Mapping[str, str], pages_at: str = "") -> None:
        self._templates = templates
        self._pages_at = pages_at.rstrip("/")
        self._keyring = keyring
        self._kept = dict(kept)

    def compose(self, message: Claimable) -> str:
        """Return the text to send; raises `NotRenderable`, never naming a value."""
        if message.body is not None:
            return message.body
        if message.body_sealed is not None:
            return self._open(message.id, message.body_sealed)
        if message.template is None or message.params is None:
            raise NotRenderable("the message has neither a text nor a template")
        params: dict[str, Any] = json.loads(message.params)
        slots = params.pop("slots", ())
        if message.seed is not None:
            params |= self._slots(message.seed, slots)
        try:
            return self._templates.render_by_hash(message.template, params, self._kept)
        except WordingError as error:
            raise NotRenderable(str(error)) from None

    def _open(self, message_id: str, sealed: str) -> str:
        try:
            return self._keyring.unseal(sealed, message_id).decode()
        except (Tampered, UnknownKey) as error:
            raise NotRenderable("the sealed text does not open") from error

    def _slots(self, stored: str, wanted: list[str]) -> dict[str, str]:
        """Return the values that exist in memory alone: the code, the reference that tells generations apart, the
        link to the code's page.
        """
        seed = CodeSeed.from_json(stored)
        try:
            key = self._keyring.code_key(seed.kid)
        except UnknownKey as error:
            raise NotRenderable("the key of this code is gone") from error
        slots: dict[str, str] = {}
        if "code" in wanted:
            slots["code"] = derive(seed, key)
        if "reference" in wanted:
            slots["reference"] = reference_of(seed, key)
        if "page" in wanted:
            slots["page"] = f"{self._pages_at}/h/{page_token(seed, key)}" if self._pages_at else ""
        return slots
