"""The effects that mean the same in every workflow, as rows: events, timers, audits, messages queued and stopped.

The conductors of the workflows call it while they write a step; it knows no workflow and decides nothing.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from engine.cases import casebook
from engine.cases.casebook import CaseRow
from engine.cases.outcomes import Wakes, public
from engine.clock import SECOND, Clock
from engine.events import NewEvent, event_data
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.backlog import QueueKey
from engine.transit.books import Bells
from engine.transit.classes import CATEGORIES, CLASSES
from engine.transit.queue import NewMessage
from engine.transit.routing import NoRoute, Router, elsewhere
from engine.transit.tally import Tally
from workflows.base import Arm, Audit, CancelSends, Disarm, Effect, Finish, Notify, Send
from workflows.wording import Templates, template_path

_CATEGORY_OF: Final = {class_name: category for category, class_name in CATEGORIES.items()}


class Destination(NamedTuple):
    """Where messages to one person go: what routing needs besides the number."""

    country: str
    network: str | None
    number_unverified: bool
    sender: str


class Queued(NamedTuple):
    """A message that was queued: its id, and the path and content hash of the template that it pins."""

    message_id: str
    path: str
    pinned: str


@dataclass(frozen=True, slots=True)
class Effects:
    """Writes effects. `write_messages` writes changed tallies back without stepping their case again."""

    clock: Clock
    router: Router
    templates: Templates
    write_messages: Callable[[Tx, list[Tally], int], Bells]

    def note(self, tx: Tx, row: CaseRow, effect: Effect, now: int, events: list[NewEvent], actor: str) -> CaseRow:
        """Write an event, a timer, an audit or an end; return the row with its new sequence. Others do nothing."""
        match effect:
            case Notify(event_type, data):
                row = row._replace(sequence=row.sequence + 1)
                told = event_data(event_type, **public(data))
                events.append(NewEvent(row.application_id, event_type, row.id, row.sequence, told))
            case Arm(kind, at):
                casebook.arm(tx, self.clock.new_id("tmr"), row.application_id, row.id, kind, at)
            case Disarm(kind):
                casebook.disarm(tx, row.id, kind)
            case Audit(action, detail):
                audit_id = self.clock.new_id("aud")
                casebook.put_audit(tx, audit_id, row.application_id, actor, action, row.id, dict(detail), now)
            case Finish():
                casebook.disarm(tx, row.id)
            case _:
                pass
        return row

    def queue(
        self,
        tx: Tx,
        row: CaseRow,
        send: Send,
        phone: str,
        there: Destination,
        now: int,
        wakes: Wakes,
        *,
        seed: str | None = None,
        expects_reply: bool = False,
        avoid: str | None = None,
    ) -> Queued:
        """Queue a message of a case to a number; its template is pinned by content, its code is the seed's. `avoid` is
        an account through which an earlier one did not arrive.
        """
        kind = CLASSES[send.message_class]
        plan = self.router.plan(
            there.sender, phone, there.country, there.network, kind.lane, expects_reply=expects_reply
        )
        if avoid is not None and not isinstance(plan, NoRoute):
            plan = elsewhere(self.router, plan, avoid) or plan
        path, pinned = self._pinned(tx, row.workflow, send.step, send.language, now)
        message = NewMessage(
            id=self.clock.new_id("msg"),
            application_id=row.application_id,
            case_id=row.id,
            category=_CATEGORY_OF.get(send.message_class, "transactional"),
            message_class=send.message_class,
            lane=int(kind.lane),
            # A route that settings took away since: the message waits under its last plan, and expires in time.
            route="none/none" if isinstance(plan, NoRoute) else plan,
            recipient=phone,
            country=there.country,
            sender=there.sender,
            created_at=now,
            expires_at=send.expires_at,
            template=pinned,
            params=kept({**send.params, "slots": list(send.slots)}),
            seed=seed,
            number_unverified=int(there.number_unverified),
        )
        queue.enqueue(tx, [message])
        wakes.queued.append(QueueKey(message.lane, message.route, message.application_id))
        return Queued(message.id, path, pinned)

    def notice(
        self,
        tx: Tx,
        application_id: str,
        workflow: str,
        step: str,
        language: str,
        params: Mapping[str, str],
        phone: str,
        there: Destination,
        now: int,
        wakes: Wakes,
    ) -> None:
        """Queue an answer to a reply that belongs to no conversation."""
        kind = CLASSES["auto_reply"]
        plan = self.router.plan(there.sender, phone, there.country, there.network, kind.lane)
        if isinstance(plan, NoRoute):
            return
        _, pinned = self._pinned(tx, workflow, step, language, now)
        message = NewMessage(
            id=self.clock.new_id("msg"),
            application_id=application_id,
            case_id=None,
            category="transactional",
            message_class=kind.name,
            lane=int(kind.lane),
            route=plan,
            recipient=phone,
            country=there.country,
            sender=there.sender,
            created_at=now,
            expires_at=now + kind.life_s * SECOND,
            template=pinned,
            params=kept({**params, "slots": []}),
            number_unverified=int(there.number_unverified),
        )
        queue.enqueue(tx, [message])
        wakes.queued.append(QueueKey(message.lane, message.route, message.application_id))

    def _pinned(self, tx: Tx, workflow: str, step: str, language: str, now: int) -> tuple[str, str]:
        """Return the path of a template and its content hash, its text kept."""
        path = template_path(workflow, step, language)
        pinned = self.templates.hash_of(path)
        casebook.keep_template(tx, pinned, path, self.templates.texts[path], now)
        return path, pinned

    def stop(self, tx: Tx, roles: Mapping[str, str], cancel: CancelSends, now: int, wakes: Wakes) -> None:
        """Cancel a case's messages (their ids and roles) that have not been sent, as far as the roles are named; have
        the operator asked about the others.
        """
        ids = [message_id for message_id, role in roles.items() if cancel.roles is None or role in cancel.roles]
        if not ids:
            return
        tallies = [tally for tally in queue.load(tx, ids).values() if tally.final_at is None]
        unsent = [tally for tally in tallies if tally.state in {"queued", "waiting"}]
        for tally in unsent:
            tally.finish("canceled", now, "case_over")
        if unsent:
            wakes.bells += self.write_messages(tx, unsent, now)
        if cancel.on_air:
            wakes.on_air += [tally.id for tally in tallies if tally.state == "accepted"]


def kept(value: Any) -> str:
    """Return a JSON value as rows keep it."""
    return _encoded(value)


_encoded: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
