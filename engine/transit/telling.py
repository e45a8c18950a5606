"""What the events of a message say of it: their payload, written by hand, since every message raises two.

`queue` and `plain` call it for what they change; the types and their fields are listed in `engine.events`.
"""

import json
from typing import Protocol

from engine.events import MESSAGE_EVENTS
from engine.phones import mask


class Told(Protocol):
    """What the events of a message tell of it, besides its state."""

    @property
    def id(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def recipient(self) -> str: ...
    @property
    def reference(self) -> str | None: ...
    @property
    def parts(self) -> int: ...
    @property
    def account(self) -> str | None: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def status(self) -> int | None: ...
    @property
    def simulated(self) -> int: ...


def message_data(tally: Told, event_type: str, state: str) -> str:
    """Return the payload of a `message.*` event, as `event_data` would.

    Written by hand, since every message raises two: only what a caller or an operator wrote needs escaping.
    """
    assert event_type in MESSAGE_EVENTS
    reference, reason = "null", "null"
    if tally.reference is not None or tally.reason is not None:
        reference, reason = json.dumps(tally.reference, ensure_ascii=False), json.dumps(tally.reason)
    account = "null" if tally.account is None else f'"{tally.account}"'
    status = "null" if tally.status is None else tally.status
    return (
        f'{{"message_id":"{tally.id}","category":"{tally.category}","state":"{state}","to":"{mask(tally.recipient)}",'
        f'"reference":{reference},"parts":{tally.parts},"account":{account},"reason":{reason},"status":{status},'
        f'"simulated":{"true" if tally.simulated else "false"}}}'
    )
