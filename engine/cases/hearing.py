"""Hears what handsets wrote: stores replies with the conversations that they answer, else tells whose the number is.

Most replies of a storm are plain: nobody but a reverse code can claim them. These are decided together, one statement
for all; any other goes from reader to reader by itself, in its place, so that nobody can tell the two ways apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from engine.cases.listening import listened_to
from engine.cases.outcomes import Claimed, Wakes
from engine.cases.owning import OwnerOf
from engine.cases.reverse_replying import NOBODYS, ReverseReplies, Sent, Taken
from engine.clock import NewIds, to_rfc3339
from engine.events import NewEvent, event_data, record
from engine.keyring import KeyRing
from engine.phones import mask
from engine.store.transaction import Tx
from engine.transit.replying import JoinedReply, ReplyRow, put_replies
from workflows.matching import is_about_consent

_LOOK_AHEAD_LEAST: Final = 8


class Reader(Protocol):
    """Takes a whole reply if it is theirs and says whose it is; else None, and nothing was changed."""

    def __call__(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes, /) -> Claimed | None: ...


@dataclass(frozen=True, slots=True)
class Hearing:
    """Who is asked whether a reply is theirs: `stopping` whether it is nothing but STOP, `reverses`, then `readers` in
    their order, until one takes it.
    """

    new_ids: NewIds
    keyring: KeyRing
    owner_of: OwnerOf
    stopping: Reader
    reverses: ReverseReplies
    readers: Sequence[Reader]

    def replied(self, tx: Tx, replies: Sequence[JoinedReply], now: int) -> Wakes:
        """Store replies in order, with what they cause."""
        wakes = Wakes()
        sent = [Sent(reply, self.keyring.fingerprint("phone", reply.source)) for reply in replies]
        # What one reply causes may make another's sender be listened to: so numbers are looked up anew after each that
        # is not plain, and no further ahead than plain ones may be expected to go.
        start, ahead = 0, len(sent)
        while start < len(sent):
            some = sent[start : start + ahead]
            plain = self._plain(tx, some)
            if plain:
                self._write(tx, some[:plain], self._claimed(tx, some[:plain], now), now, wakes)
            if plain < len(some):
                self._write(tx, [some[plain]], [self._asked(tx, some[plain], now, wakes)], now, wakes)
            start += min(plain + 1, len(some))
            ahead = max(2 * plain, _LOOK_AHEAD_LEAST)
        return wakes

    def _plain(self, tx: Tx, some: Sequence[Sent]) -> int:
        """Return how many of these, from the first on, nobody but a reverse code can claim."""
        listened = listened_to(tx, {one.source_fp for one in some if one.reply.state == "whole"})
        for count, (reply, source_fp) in enumerate(some):
            if reply.state == "whole" and (source_fp in listened or is_about_consent(reply.text)):
                return count
        return len(some)

    def _claimed(self, tx: Tx, plain: Sequence[Sent], now: int) -> list[Taken]:
        heard = iter(self.reverses.heard(tx, [one for one in plain if _is_whole(one)], now, counting=True))
        return [next(heard) if _is_whole(one) else NOBODYS for one in plain]

    def _asked(self, tx: Tx, sent: Sent, now: int, wakes: Wakes) -> Taken:
        """Ask one reader after the other; `sent` is whole."""
        reply = sent.reply
        if claimed := self.stopping(tx, reply, now, wakes):
            return Taken(claimed)
        # A reverse code is forty bits and found by an index: a text that holds one means it, whatever else is open.
        [taken] = self.reverses.heard(tx, [sent], now, counting=False)
        if taken.claimed is not None:
            return taken
        for read in self.readers:
            if claimed := read(tx, reply, now, wakes):
                return Taken(claimed)
        self.reverses.unknown(tx, sent, now)
        return NOBODYS

    def _write(self, tx: Tx, some: Sequence[Sent], taken: Sequence[Taken], now: int, wakes: Wakes) -> None:
        rows: list[ReplyRow] = []
        events: list[NewEvent] = []
        for one, (claimed, caused) in zip(some, taken, strict=True):
            events += caused
            if claimed is None:
                claimed = Claimed(self.owner_of(one.reply.our_number, one.reply.text) or "", "", "no_open_case")
            rows.append(self._row(one, claimed))
            if claimed.application_id and not claimed.case_id:
                events.append(_received(one.reply, claimed.application_id))
        put_replies(tx, rows)
        wakes.bells += record(tx, events, self.new_ids, now)

    def _row(self, sent: Sent, claimed: Claimed) -> ReplyRow:
        reply, source_fp = sent
        return ReplyRow(
            reply.id,
            claimed.application_id or None,
            claimed.case_id or None,
            reply.account,
            reply.source,
            reply.source_raw,
            source_fp,
            reply.our_number,
            self.keyring.seal(reply.text.encode("utf-8", "replace"), reply.id),
            reply.state if reply.state != "whole" else "matched" if claimed.case_id else "unmatched",
            claimed.choice,
            reply.flags,
            reply.received_at,
        )


def _is_whole(one: Sent) -> bool:
    return one.reply.state == "whole"


def _received(reply: JoinedReply, application_id: str) -> NewEvent:
    data = event_data(
        "message.received",
        reply_id=reply.id,
        **{"from": mask(reply.source)},
        to=reply.our_number,
        received_at=to_rfc3339(reply.received_at),
        flags=reply.flags,
    )
    return NewEvent(application_id, "message.received", reply.id, 1, data)
