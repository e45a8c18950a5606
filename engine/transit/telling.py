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
    def status(self) -> int | None: ...
    @property
    def simulated(self) -> int: ...


def message_data(message: Told, event_type: str, state: str, reason: str | None) -> str:
    """Return the payload of a `message.*` event, as `event_data` would."""
    assert event_type in MESSAGE_EVENTS
    before, after = around_state(message, reason)
    return f"{before}{state}{after}"


def around_state(message: Told, reason: str | None) -> tuple[str, str]:
    """Return what stands before and after the state in such a payload: a message may raise two at once.

    Only what a caller or an operator wrote needs escaping.
    """
    reference, why = "null", "null"
    if message.reference is not None or reason is not None:
        reference, why = json.dumps(message.reference, ensure_ascii=False), json.dumps(reason)
    account = "null" if message.account is None else f'"{message.account}"'
    status = "null" if message.status is None else message.status
    return (
        f'{{"message_id":"{message.id}","category":"{message.category}","state":"',
        f'","to":"{mask(message.recipient)}","reference":{reference},"parts":{message.parts},"account":{account},'
        f'"reason":{why},"status":{status},"simulated":{"true" if message.simulated else "false"}}}',
    )
