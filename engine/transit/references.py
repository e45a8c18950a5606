"""The concatenation references of long messages: drawn when a message is claimed, in use until it has ended.

Told of every end by the books and, at a start, of what an earlier run left unfinished; the sender's claims draw from
it. It is changed within store functions alone, which one thread runs.
"""

from dataclasses import InitVar, dataclass, field
from typing import NamedTuple

from engine.smpp.text import References


class _Held(NamedTuple):
    account: str
    recipient: str
    reference: int
    width: int


@dataclass(slots=True)
class LiveReferences:
    """Which reference (of 8 or 16 bits) each unfinished long message bears, unique for its recipient (row E19).

    Over all accounts: the handset sees the sender, not the way. Through another account a message gets another one.
    `start` is where the counters of this run begin: by chance, since a handset still knows what the last run used.
    """

    start: InitVar[int] = 0
    _numbers: References = field(init=False)
    _held: dict[str, _Held] = field(default_factory=dict)

    def __post_init__(self, start: int) -> None:
        self._numbers = References(start)

    def draw(self, message_id: str, account: str, recipient: str, width: int) -> int:
        """Return the message's reference, the one that it has if it has one; raises `NoFreeReference`."""
        held = self._held.get(message_id)
        if held is not None:
            if (held.account, held.recipient, held.width) == (account, recipient, width):
                return held.reference
            self.end(message_id)
        reference = self._numbers.take(recipient, width)
        self._held[message_id] = _Held(account, recipient, reference, width)
        return reference

    def hold(self, message_id: str, account: str, recipient: str, reference: int, width: int) -> None:
        """Keep the reference of a message that an earlier run left unfinished."""
        self._numbers.hold(recipient, reference, width)
        self._held[message_id] = _Held(account, recipient, reference, width)

    def end(self, message_id: str) -> None:
        """Free the reference of a message that has ended; nothing if it has none."""
        held = self._held.pop(message_id, None)
        if held is not None:
            self._numbers.release(held.recipient, held.reference, held.width)

    def __len__(self) -> int:
        return len(self._held)
