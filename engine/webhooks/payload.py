"""One event, or a batch of them, as the octets that are posted: the same octets at every attempt.

Everything in them comes from immutable rows, so nothing is stored twice. The API shows events in the same form.
"""

from collections.abc import Sequence
from typing import Final

from engine.clock import to_rfc3339

BATCH_TYPE: Final = "batch"
_BATCH_HEAD: Final = '{"type":"batch","timestamp":"%s","data":{"events":['
_BATCH_TAIL: Final = "]}}"
BATCH_OVERHEAD: Final = len(_BATCH_HEAD % to_rfc3339(0)) + len(_BATCH_TAIL)


def event_text(event_id: str, event_type: str, subject_id: str, sequence: int, data: str, occurred_at: int) -> str:
    """Return an event's JSON: type, timestamp, data as Standard Webhooks has them, and id, subject and sequence.

    `data` is the event's own JSON object; ids and types are our own words, which need no escaping.
    """
    return (
        f'{{"type":"{event_type}","timestamp":"{to_rfc3339(occurred_at)}","id":"{event_id}",'
        f'"subject_id":"{subject_id}","sequence":{sequence},"data":{data}}}'
    )


def batch_body(events: Sequence[bytes], occurred_at: int) -> bytes:
    """Return the body of a batch; `occurred_at` is its last event's instant, so that a retry repeats the octets."""
    return (_BATCH_HEAD % to_rfc3339(occurred_at)).encode() + b",".join(events) + _BATCH_TAIL.encode()
