"""Who may be written to: the ledger of what people said, and the standing opt-outs that follow from it.

Store functions. Replies bring the words, `engine.transit.claiming` asks at the last moment before a message leaves;
codes and answers to replies are exempt (`engine.transit.classes`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, literal_column, select

from engine.clock import Clock
from engine.keyring import KeyRing
from engine.store.statements import Statement, column_kinds, insert, insert_new
from engine.store.tables_signing import ConsentEntry, OptOut
from engine.store.transaction import Tx

EVERY_SENDER: Final = ""


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


@dataclass(frozen=True, slots=True)
class Consent:
    """The ledger and the standing opt-outs of an installation."""

    clock: Clock
    keyring: KeyRing

    def opt_out(self, tx: Tx, said: Said, now: int) -> bool:
        """Record an opt-out; return whether it is news, so that it is confirmed once."""
        entry_id = self._record(tx, said, "opt_out", now)
        phone_fp = self.keyring.fingerprint("phone", said.phone)
        row = (said.application_id, phone_fp, said.sender, "all", entry_id, now)
        return tx.batch(_INSERT_OPT_OUT, [row]) > 0

    def opt_in(self, tx: Tx, said: Said, now: int) -> None:
        """Record an opt-in, which ends the opt-outs of this sender and of all."""
        self._record(tx, said, "opt_in", now)
        phone_fp = self.keyring.fingerprint("phone", said.phone)
        tx.run(_END, application=said.application_id, phone=phone_fp, sender=said.sender)

    def silenced(self, tx: Tx, application_id: str, recipients: Mapping[str, tuple[str, str]]) -> set[str]:
        """Return which messages must not leave: `recipients` is message id → (number, sender)."""
        if tx.one(_ANY, application=application_id) is None:
            return set()
        found: set[str] = set()
        for message_id, (phone, sender) in recipients.items():
            phone_fp = self.keyring.fingerprint("phone", phone)
            if any(row[0] in {EVERY_SENDER, sender} for row in self._standing(tx, application_id, phone_fp)):
                found.add(message_id)
        return found

    def _standing(self, tx: Tx, application_id: str, phone_fp: str) -> Sequence[Any]:
        return tx.all(_STANDING, application=application_id, phone=phone_fp)

    def _record(self, tx: Tx, said: Said, kind: str, now: int) -> str:
        entry_id = self.clock.new_id("con")
        phone_fp = self.keyring.fingerprint("phone", said.phone)
        sealed = self.keyring.seal(said.words.encode("utf-8", "replace"), entry_id)
        tx.batch(
            _INSERT_ENTRY,
            [
                (
                    entry_id, said.application_id, phone_fp, said.sender, kind, "all", said.source, said.source_id,
                    said.legal_basis, sealed, now,
                )
            ],
        )  # fmt: skip
        return entry_id


# Statements.

_opt_out: Any = OptOut.__table__  # type: ignore[attr-defined]
_INSERT_ENTRY: Final = insert(ConsentEntry, column_kinds(ConsentEntry))
_INSERT_OPT_OUT: Final = insert_new(OptOut, column_kinds(OptOut))
_STANDING: Final = Statement(
    lambda _: select(_opt_out.c.our_number).where(
        _opt_out.c.application_id == bindparam("application"), _opt_out.c.phone_fp == bindparam("phone")
    )
)
_ANY: Final = Statement(
    lambda _: (
        select(literal_column("1"))
        .select_from(_opt_out)
        .where(_opt_out.c.application_id == bindparam("application"))
        .limit(literal_column("1"))
    )
)
_END: Final = Statement(
    lambda _: _opt_out.delete().where(
        _opt_out.c.application_id == bindparam("application"),
        _opt_out.c.phone_fp == bindparam("phone"),
        (_opt_out.c.our_number == bindparam("sender")) | (_opt_out.c.our_number == literal_column("''")),
    )
)
