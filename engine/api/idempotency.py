"""Idempotency-Key: one request, one effect, one answer, however often it is sent (S17).

The key is claimed, and the answer stored, in the transaction of the change itself; a duplicate in flight waits for
that commit. Answers that carried a secret are stored without it; refusals of the caller's form or rights not at all.
A change in several transactions keeps with each how far it came, and a repeat goes on from there.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import trio
from sqlalchemy import BigInteger, bindparam, select

from engine.api.problems import Refused, problem_body
from engine.clock import HOUR
from engine.keyring import KeyRing
from engine.store.statements import Statement, column_kinds, insert_new
from engine.store.tables_tenancy import Idempotency
from engine.store.transaction import Tx
from engine.transit.backlog import QueueKey
from engine.transit.books import Bells

WAIT_S: Final = 5.0
_NOT_STORED: Final = frozenset({400, 401, 403, 413, 429})
_KEY: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
UNDER_WAY: Final = 0


class Answer(NamedTuple):
    """What a store function answers: status, JSON, and what to wake once it is committed.

    `stored` is what a repeat gets instead of a body that carries a secret. The status `UNDER_WAY` is no answer yet:
    the body is what the next transaction of the same change is given.
    """

    status: int
    body: str
    queued: Sequence[QueueKey] = ()
    bells: Bells | tuple[()] = ()
    stored: str | None = None
    repeated: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    on_air: Sequence[str] = ()  # messages that need not arrive any more


class Once(NamedTuple):
    """One use of a key: where, which, for what request, when."""

    application_id: str
    route: str
    key: str
    fingerprint: str
    now: int


@dataclass(slots=True)
class InFlight:
    """The keys whose first request is running in this process."""

    _running: dict[tuple[str, str, str], trio.Event] = field(default_factory=dict)

    async def enter(self, slot: tuple[str, str, str], wait_s: float = WAIT_S) -> None:
        """Return when no other request with this key is running; refuses (409) when that takes too long."""
        with trio.move_on_after(wait_s):
            while (running := self._running.get(slot)) is not None:
                await running.wait()
        if slot in self._running:
            raise Refused("idempotency_in_flight")
        self._running[slot] = trio.Event()

    def leave(self, slot: tuple[str, str, str]) -> None:
        """Let the next one in."""
        self._running.pop(slot).set()


def key_of(header: str | None) -> str | None:
    """Return the key of a request, None if it has none; refuses (400) one that is no printable ASCII text.

    The quotes of a structured-field string (draft-ietf-httpapi-idempotency-key-header) are not part of it.
    """
    if header is None:
        return None
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if _KEY.fullmatch(key) is None:
        raise Refused("bad_idempotency_key")
    return key


def fingerprint(keyring: KeyRing, path: str, body: bytes) -> str:
    """Return the keyed digest of a request, from which neither a code nor a number can be guessed."""
    return keyring.fingerprint("request", f"{path}\n{hashlib.sha256(body).hexdigest()}")


def run_once(tx: Tx, once: Once, kept: int, job: Callable[[Tx, str], Answer]) -> Answer:
    """Run `job`, given how far earlier transactions of it came, unless its key has an answer: then return that, or the
    refusal of another request.

    `kept` is how long answers are kept, in µs; an older one is as good as none.
    """
    claimed = (once.application_id, once.route, once.key, once.fingerprint, UNDER_WAY, "", once.now)
    done = ""
    if not tx.batch(_CLAIM, [claimed]):
        row = tx.one(_FIND, application=once.application_id, route=once.route, key=once.key)
        if row is not None and int(row[3]) > once.now - kept:
            found, status, done, _ = row
            if found != once.fingerprint:
                return Answer(422, problem_body("idempotency_mismatch"))
            if int(status) != UNDER_WAY:
                return Answer(int(status), done, repeated=True)
        else:
            tx.run(_DROP, application=once.application_id, route=once.route, key=once.key)
            tx.batch(_CLAIM, [claimed])
    answer = job(tx, done)
    if answer.status in _NOT_STORED or answer.status >= 500:
        tx.run(_DROP, application=once.application_id, route=once.route, key=once.key)
    else:
        tx.run(
            _KEEP,
            application=once.application_id,
            route=once.route,
            key=once.key,
            answer_status=answer.status,
            answer_body=answer.body if answer.stored is None else answer.stored,
        )
    return answer


def kept_us(hours: int) -> int:
    """Return how long answers are kept, in µs."""
    return hours * HOUR


# Statements.

_row: Any = Idempotency.__table__  # type: ignore[attr-defined]


def _this() -> Any:
    return (
        (_row.c.application_id == bindparam("application"))
        & (_row.c.route == bindparam("route"))
        & (_row.c.key == bindparam("key"))
    )


_CLAIM: Final = insert_new(Idempotency, column_kinds(Idempotency))
_FIND: Final = Statement(
    lambda dialect: dialect.locked(
        # Two processes with one request under way take turns with its transactions.
        select(_row.c.fingerprint, _row.c.status, _row.c.body, _row.c.created_at).where(_this())
    )
)
_DROP: Final = Statement(lambda _: _row.delete().where(_this()))
_KEEP: Final = Statement(
    lambda _: (
        _row.update()
        .where(_this())
        .values(status=bindparam("answer_status", type_=BigInteger()), body=bindparam("answer_body"))
    )
)
