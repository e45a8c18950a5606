"""What STOP and START do, whatever conversation they meet: into the ledger, to whoever writes through the address, and
one confirmation.

Store functions, before every other reading of a reply. Exact words act for all that a sender sends, at a stop address
for marketing; looser ones that any reader takes for an opt-out act for marketing alone, and are told, to be looked at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from engine.cases import casebook
from engine.cases.casebook import Budget
from engine.cases.effects import Destination, Effects
from engine.cases.outcomes import Claimed, Wakes
from engine.cases.owning import OwnerOf
from engine.cases.profiles import DEFAULT, Profiles
from engine.consent import EVERY_SENDER, Consent, Said
from engine.events import NewEvent, event_data, record
from engine.phones import BadNumber, mask, parse_destination
from engine.store.transaction import Tx
from engine.tenancy import applications
from engine.transit.replying import JoinedReply
from workflows.courtesy import one_more
from workflows.matching import OPT_IN, OPT_OUT, OPT_OUT_ALL, means_opt_out, opting_words

_ALL: Final = "all"
_MARKETING: Final = "marketing"
_EVERYBODY: Final = "*"  # no application's: one person is answered so often, whoever writes to them


class Stoppable(Protocol):
    """Conversations of one kind that a STOP ends, or is taken in."""

    def stopped(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> list[Claimed]:
        """End those with the number that wrote, over all applications; return each, the latest first."""

    def open_to(self, tx: Tx, reply: JoinedReply) -> list[str]:
        """Return the applications of those with the number that wrote."""


@dataclass(frozen=True, slots=True)
class Opting:
    """Takes opt-outs and opt-ins. A STOP belongs to the first of `stoppables` of which it ended something; `resumed` is
    told what takes one back; `confirms` tells whether the first STOP is confirmed by SMS.
    """

    consent: Consent
    effects: Effects
    profiles: Profiles
    owner_of: OwnerOf
    stoppables: Sequence[Stoppable]
    resumed: Callable[[Tx, JoinedReply, int, Wakes], None]
    confirms: bool = True

    def exact(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> Claimed | None:
        """Take a reply that is nothing but an opt-out or opt-in word, or STOP with a number."""
        spoken = opting_words(reply.text)
        if spoken not in OPT_OUT | OPT_OUT_ALL | OPT_IN:
            return None
        is_stop = spoken not in OPT_IN
        ended: list[Claimed] = []
        if is_stop:
            ended = [each for one in self.stoppables for each in one.stopped(tx, reply, now, wakes)]
        else:
            self.resumed(tx, reply, now, wakes)
        # An old conversation that ends here does not say whose marketing came last.
        owners = list(dict.fromkeys((*self._owners(tx, reply), *(one.application_id for one in ended))))
        if not owners:
            return None
        is_all = spoken in OPT_OUT_ALL
        senders = [EVERY_SENDER] if is_all else self._senders(reply)
        # Marketing alone says where STOP may be sent to: what is written there is about marketing.
        of_marketing = is_stop and not is_all and bool(self.effects.router.stopped_at(reply.our_number))
        category = _MARKETING if of_marketing else _ALL
        self._write(tx, reply, owners, senders, now, wakes, category=category, is_stop=is_stop, exact=True)
        return ended[0] if ended else Claimed(owners[0], "", "opt_out_word" if is_stop else "opt_in_word")

    def loose(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> Claimed | None:
        """Take a reply that nobody else claims and that a reader takes for an opt-out."""
        if not means_opt_out(reply.text):
            return None
        talking = [each for one in self.stoppables for each in one.open_to(tx, reply)]
        owners = list(dict.fromkeys((*self._owners(tx, reply), *talking)))
        senders = self._senders(reply)
        self._write(tx, reply, owners, senders, now, wakes, category=_MARKETING, is_stop=True, exact=False)
        return Claimed(owners[0], "", "opt_out_meaning") if owners else None

    # Whom it is for.

    def _senders(self, reply: JoinedReply) -> list[str]:
        return sorted(self.effects.router.senders_at(reply.account, reply.our_number))

    def _owners(self, tx: Tx, reply: JoinedReply) -> list[str]:
        """Return whose marketing came last with this stop address, else whose number it is, else all who write
        through it.
        """
        last = self.consent.wrote_last(tx, reply.our_number, reply.source)
        if last is not None:
            return [last]
        owner = self.owner_of(reply.our_number, reply.text)
        if owner is not None:
            return [owner]
        router = self.effects.router
        found = router.owners(router.stopped_at(reply.our_number))
        every = [one.id for one in applications(tx)] if None in found else []
        return sorted({*every, *(one for one in found if one is not None)})

    # Rows.

    def _write(
        self,
        tx: Tx,
        reply: JoinedReply,
        owners: Sequence[str],
        senders: Sequence[str],
        now: int,
        wakes: Wakes,
        *,
        category: str,
        is_stop: bool,
        exact: bool,
    ) -> None:
        kind = "consent.revoked" if is_stop else "consent.granted"
        told = event_data(
            kind, **{"from": mask(reply.source)}, to=reply.our_number, reply_id=reply.id, category=category,
            exact=exact,
        )  # fmt: skip
        news: list[str] = []
        for application_id in owners:
            for sender in senders:
                said = Said(application_id, reply.source, sender, reply.text, source_id=reply.id, category=category)
                if not is_stop:
                    self.consent.opt_in(tx, said, now)
                elif self.consent.opt_out(tx, said, now):
                    news.append(application_id)
            event = NewEvent(application_id, kind, f"{reply.id}:{application_id}", 1, told)
            wakes.bells += record(tx, [event], self.consent.clock.new_ids, now)
        if news and self.confirms:
            step = "stopped" if category == _ALL else "stopped_marketing"
            self._confirm(tx, reply, news[0], senders, step, now, wakes)

    def _confirm(
        self, tx: Tx, reply: JoinedReply, application_id: str, senders: Sequence[str], step: str, now: int, wakes: Wakes
    ) -> None:
        """Confirm an opt-out by one SMS, for however many applications it is: answers to replies may leave whatever
        stands against their reader.
        """
        carried = self.effects.router.senders_at(reply.account, reply.our_number)
        sender = next((one for one in (*senders, *sorted(carried)) if one in carried), None)
        profile = self.profiles.of(tx, application_id, DEFAULT)
        if sender is None or profile is None:
            return
        try:
            phone = parse_destination(reply.source)
        except BadNumber:
            return  # a short code or a name: nobody is there to be told
        if not self._may_answer(tx, reply, now):
            return
        there = Destination(phone.country, None, not phone.valid, sender)
        self.effects.notice(
            tx, application_id, "consent", step, profile.languages[0], {"brand": profile.brand}, reply.source,
            there, now, wakes,
        )  # fmt: skip

    def _may_answer(self, tx: Tx, reply: JoinedReply, now: int) -> bool:
        """Count one confirmation more for whoever wrote, unless they had enough: who says STOP and START in turn may be
        a machine.
        """
        phone_fp = self.consent.keyring.fingerprint("phone", reply.source)
        budget = Budget(_EVERYBODY, "*consent", phone_fp, "*confirmed")
        had = casebook.allowance(tx, budget, now)
        counters = one_more(had.get("count", 0), had.get("since", 0), now)
        if counters is None:
            return False
        count, since = counters
        casebook.store_allowance(tx, budget, {"count": count, "since": since}, now)
        return True
