"""Who may be written to: the ledger of what people said, and the standing opt-outs that follow from it.

Store functions. Replies bring the words, `engine.transit.claiming` asks at the last moment before a message leaves;
codes and answers to replies are exempt (`engine.transit.classes`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import bindparam, literal_column, select

from engine.clock import Clock
from engine.keyring import KeyRing
from engine.store.statements import Dialect, Statement, column_kinds, insert, insert_new, inserted
from engine.store.tables_signing import ConsentEntry, MarketingReach, OptOut
from engine.store.transaction import Tx
from engine.transit.classes import Lane

EVERY_SENDER: Final = ""


def with_stop(text: str, stop: str, country: str) -> str:
    """Return a marketing text that says where STOP may be sent to, as operators in France want it; others as they are.

    A text that says so already is left alone.
    """
    if not stop or country != _FRANCE or re.search(rf"\bstop\b.*{re.escape(stop)}", text, re.IGNORECASE | re.DOTALL):
        return text
    return f"{text} STOP au {stop}"


_FRANCE: Final = "FR"


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody said of messages: to which application, from which number, to which sender, in which words."""

    application_id: str
    phone: str
    sender: str  # EVERY_SENDER for all of the application's
    words: str
    source: str = "reply"
    source_id: str = ""
    legal_basis: str = ""
    category: str = "all"  # or marketing: then notices may still be sent


@dataclass(frozen=True, slots=True)
class Consent:
    """The ledger and the standing opt-outs of an installation."""

    clock: Clock
    keyring: KeyRing
    strict: frozenset[str] = frozenset()  # applications in which STOP ALL also stops codes
    stops: Mapping[str, str] = field(default_factory=dict)  # sender → where STOP may be sent to

    def opt_out(self, tx: Tx, said: Said, now: int) -> bool:
        """Record an opt-out; tell whether it is news. One of marketing becomes one of all, never the reverse."""
        entry_id = self._record(tx, said, "opt_out", now)
        phone_fp = self.keyring.fingerprint("phone", said.phone)
        stood = tx.one(_STOOD, application=said.application_id, phone=phone_fp, sender=said.sender)
        tx.batch(_INSERT_OPT_OUT, [(said.application_id, phone_fp, said.sender, said.category, entry_id, now)])
        if stood is not None and stood[0] != said.category == "all":
            tx.run(_WIDEN, application=said.application_id, phone=phone_fp, sender=said.sender)
        return stood is None

    def standing(self, tx: Tx, application_id: str, phone: str) -> list[dict[str, Any]]:
        """Return the opt-outs that stand for a number: sender (empty: all), category, since when (microseconds)."""
        rows = tx.all(_OF_PHONE, application=application_id, phone=self.keyring.fingerprint("phone", phone))
        return [{"sender": sender, "category": category, "since_at": int(since)} for sender, category, since in rows]

    def granted(self, tx: Tx, said: Said, at: int) -> None:
        """Record a consent as a form gave it, or a yes to that form. It ends no opt-out: whoever fills a form in need
        not be who is named.
        """
        self._record(tx, said, "granted", at)

    def opt_in(self, tx: Tx, said: Said, now: int) -> None:
        """Record an opt-in, which ends the opt-outs of this sender and of all; for every sender, each that stands."""
        self._record(tx, said, "opt_in", now)
        whose = {"application": said.application_id, "phone": self.keyring.fingerprint("phone", said.phone)}
        if said.sender == EVERY_SENDER:
            tx.run(_END_EACH, **whose)
        else:
            tx.run(_END, **whose, sender=said.sender)

    def reached(self, tx: Tx, application_id: str, marketing: Iterable[tuple[str, str]], now: int) -> None:
        """Note whose marketing leaves for numbers: (sender, number) each. A STOP where a sender wants it is for who
        wrote last.
        """
        named = ((self.stops[sender], phone) for sender, phone in marketing if sender in self.stops)
        rows = {(stop.lstrip("+"), self.keyring.fingerprint("phone", phone)) for stop, phone in named}
        tx.batch(_REACH, [(stop, phone_fp, application_id, now) for stop, phone_fp in sorted(rows)])

    def wrote_last(self, tx: Tx, stop_address: str, phone: str) -> str | None:
        """Return the application whose marketing went to a number last, of those that name a stop address."""
        phone_fp = self.keyring.fingerprint("phone", phone)
        row = tx.one(_REACHED, stop=stop_address.lstrip("+"), phone=phone_fp)
        return None if row is None else str(row[0])

    def silenced(
        self, tx: Tx, application_id: str, asked: Iterable[tuple[str, str, str]], *, lane: int = Lane.BULK
    ) -> set[str]:
        """Return which messages of a lane must not leave: of (message, number, sender or EVERY_SENDER) each. Codes
        always may, unless their reader said STOP ALL to an application that is strict about it. Nothing is taken from
        `asked` while the application has no opt-out at all.
        """
        is_code = lane == Lane.OTP
        if is_code and application_id not in self.strict:
            return set()
        if tx.one(_ANY, application=application_id) is None:
            return set()
        messages = [(key, self.keyring.fingerprint("phone", phone), sender) for key, phone, sender in asked]
        phones = sorted({(application_id, phone_fp) for _, phone_fp, _ in messages})
        found = tx.joined(_STANDING, phones) if phones else ()
        standing = {
            (phone_fp, sender) for phone_fp, sender, category in found if lane == Lane.BULK or category == "all"
        }
        return {
            key
            for key, phone_fp, sender in messages
            if (phone_fp, EVERY_SENDER) in standing or (not is_code and (phone_fp, sender) in standing)
        }

    def _record(self, tx: Tx, said: Said, kind: str, now: int) -> str:
        entry_id = self.clock.new_id("con")
        phone_fp = self.keyring.fingerprint("phone", said.phone)
        sealed = self.keyring.seal(said.words.encode("utf-8", "replace"), entry_id)
        tx.batch(
            _INSERT_ENTRY,
            [
                (
                    entry_id, said.application_id, phone_fp, said.sender, kind, said.category, said.source,
                    said.source_id, said.legal_basis, sealed, now,
                )
            ],
        )  # fmt: skip
        return entry_id


# Statements.

_opt_out: Any = OptOut.__table__  # type: ignore[attr-defined]
_reach: Any = MarketingReach.__table__  # type: ignore[attr-defined]
_INSERT_ENTRY: Final = insert(ConsentEntry, column_kinds(ConsentEntry))
_INSERT_OPT_OUT: Final = insert_new(OptOut, column_kinds(OptOut))


def _build_standing(dialect: Dialect) -> Any:
    given = dialect.given(application_id=str, phone_fp=str)
    return select(_opt_out.c.phone_fp, _opt_out.c.our_number, _opt_out.c.category).join(
        given, (given.c.application_id == _opt_out.c.application_id) & (given.c.phone_fp == _opt_out.c.phone_fp)
    )


_STANDING: Final = Statement(_build_standing)
_ANY: Final = Statement(
    lambda _: (
        select(literal_column("1"))
        .select_from(_opt_out)
        .where(_opt_out.c.application_id == bindparam("application"))
        .limit(literal_column("1"))
    )
)


def _build_reach(dialect: Dialect) -> Any:
    made = inserted(dialect, MarketingReach, column_kinds(MarketingReach), (), {})
    changed = {"application_id": made.excluded.application_id, "at": made.excluded.at}
    return made.on_conflict_do_update(index_elements=["stop_address", "phone_fp"], set_=changed)


_REACH: Final = Statement(_build_reach)
_REACHED: Final = Statement(
    lambda _: select(_reach.c.application_id).where(
        _reach.c.stop_address == bindparam("stop"), _reach.c.phone_fp == bindparam("phone")
    )
)
_mine: Final = (
    (_opt_out.c.application_id == bindparam("application"))
    & (_opt_out.c.phone_fp == bindparam("phone"))
    & (_opt_out.c.our_number == bindparam("sender"))
)
_STOOD: Final = Statement(lambda _: select(_opt_out.c.category).where(_mine))
_WIDEN: Final = Statement(lambda _: _opt_out.update().where(_mine).values(category=literal_column("'all'")))
_OF_PHONE: Final = Statement(
    lambda _: (
        select(_opt_out.c.our_number, _opt_out.c.category, _opt_out.c.since)
        .where(_opt_out.c.application_id == bindparam("application"), _opt_out.c.phone_fp == bindparam("phone"))
        .order_by(_opt_out.c.our_number)
    )
)
_END_EACH: Final = Statement(
    lambda _: _opt_out.delete().where(
        _opt_out.c.application_id == bindparam("application"), _opt_out.c.phone_fp == bindparam("phone")
    )
)
_END: Final = Statement(
    lambda _: _opt_out.delete().where(
        _opt_out.c.application_id == bindparam("application"),
        _opt_out.c.phone_fp == bindparam("phone"),
        (_opt_out.c.our_number == bindparam("sender")) | (_opt_out.c.our_number == literal_column("''")),
    )
)
