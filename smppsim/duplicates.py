"""Recognising a submit that comes once more, by its reference or its content, for those who asked for it (row H7).

By default nobody did: SMPP has no idempotency key, and an operator takes an equal submit as a new message.
`submission` asks before it accepts and tells what it accepted.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from engine.smpp.pdu import SubmitSm, Tag, tlv

if TYPE_CHECKING:
    from smppsim.messages import Message

_BOUND: Final = 50_000
_Key = tuple[object, ...]


def _key(by: str, pdu: SubmitSm) -> _Key | None:
    pair = pdu.source_addr, pdu.destination_addr
    if by == "reference":
        reference = tlv(pdu.tlvs, Tag.USER_MESSAGE_REFERENCE)
        return None if reference is None else (*pair, reference)
    return (*pair, pdu.esm_class, pdu.data_coding, pdu.short_message, pdu.tlvs)


class Duplicates:
    """What one account has submitted lately."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, tuple[Message, float]] = OrderedDict()

    def first(self, by: str, pdu: SubmitSm, within_s: float, now: float) -> Message | None:
        """The message accepted for an equal submit at most `within_s` ago; `by` is `reference` or `content`."""
        key = _key(by, pdu)
        known = None if key is None else self._known.get(key)
        return known[0] if known is not None and now - known[1] <= within_s else None

    def keep(self, by: str, message: Message, now: float) -> None:
        """A message was accepted."""
        key = _key(by, message.pdu)
        if key is None:
            return
        self._known[key] = message, now
        self._known.move_to_end(key)
        if len(self._known) > _BOUND:
            self._known.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()
