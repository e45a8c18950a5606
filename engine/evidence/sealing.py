"""Appends entries to a case's chain, within the transaction and the lock of whoever changes the case.

Personal values stay beside the chain, sealed under their subject's key; the chain holds commitments. Nothing here
writes a row that two cases share, but a subject's key when that person is first met.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import BigInteger, bindparam, select

from engine.clock import DAY, Clock, to_rfc3339
from engine.codes import CodeSeed, derive
from engine.keyring import KeyRing
from engine.store.statements import Dialect, Statement, column_kinds, insert, insert_new
from engine.store.tables_evidence import EvidenceChain, EvidenceEntry, EvidenceOpening, EvidenceSubject
from engine.store.transaction import Tx
from workflows import evidence

_YEAR_US: Final = 365 * DAY
_SALT_OCTETS: Final = 32


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to append. `private` members become commitments under the key of `subject_fp`, which a bundle opens once
    every signing of `guard` is closed; `code` commits to a code, with a salt that is stored nowhere.
    """

    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)
    private: Mapping[str, Any] = field(default_factory=dict, repr=False)
    subject_fp: str = ""
    stated: Sequence[str] = ()
    guard: Sequence[str] = ()
    code: CodeSeed | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """The head of a case's chain, in the order of the table's columns."""

    case_id: str
    application_id: str
    count: int
    head: str
    closed_at: int | None
    anchored: int
    anchor_due: int
    retain_until: int
    hold_reason: str | None
    hold_until: int | None
    stamped_at: int | None
    stamp_note_due: int


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals for one installation; `software` is said in the first entry of every chain."""

    clock: Clock
    keyring: KeyRing
    software: str
    retention_years: int = 10

    def seal(self, tx: Tx, application_id: str, case_id: str, entries: Sequence[NewEntry], now: int) -> None:
        """Append entries; those of a closed chain are late ones, and have its head anchored anew."""
        if not entries:
            return
        self._append(tx, self._chain(tx, application_id, case_id, now), entries, now)

    def close(self, tx: Tx, application_id: str, case_id: str, state: str, now: int) -> None:
        """Append the closing entry, which counts those before it; a closed chain stays as it is."""
        chain = self._chain(tx, application_id, case_id, now)
        if chain.closed_at is None:
            closing = NewEntry(evidence.CLOSED, {"count": chain.count, "state": state})
            self._append(tx, replace(chain, closed_at=now), [closing], now, closing=True)

    def _chain(self, tx: Tx, application_id: str, case_id: str, now: int) -> Chain:
        """Return the head of a case's chain; a case without one is given its first entry."""
        found = chain_of(tx, case_id)
        if found is not None:
            return found
        retain_until = now + self.retention_years * _YEAR_US
        chain = Chain(case_id, application_id, 0, "", None, 0, 0, retain_until, None, None, None, 0)
        tx.batch(_INSERT_CHAIN, [astuple(chain)])
        opening = NewEntry("chain.opened", {"software": self.software, "clock": "system, UTC, microseconds"})
        return self._append(tx, chain, [opening], now)

    def _append(self, tx: Tx, chain: Chain, entries: Sequence[NewEntry], now: int, *, closing: bool = False) -> Chain:
        at, seq, prev = to_rfc3339(now), chain.count, chain.head
        rows: list[tuple[Any, ...]] = []
        openings: list[tuple[Any, ...]] = []
        keys: dict[str, bytes] = {}
        for entry in entries:
            body = dict(entry.body)
            if chain.closed_at is not None and not closing:
                body["late"] = True
            for name, value in entry.private.items():
                salt = self.clock.entropy(_SALT_OCTETS)
                body[name] = evidence.committed(value, salt)
                commitment = body[name]["commitment"]
                if entry.subject_fp not in keys:
                    keys[entry.subject_fp] = self._subject_key(tx, chain.application_id, entry.subject_fp, now)
                sealed = seal_value(keys[entry.subject_fp], salt, value, commitment, self.clock.entropy(12))
                guard = json.dumps(sorted(entry.guard))
                openings.append((chain.case_id, commitment, chain.application_id, entry.subject_fp, sealed, guard))
            if entry.code is not None:
                body["code"] = evidence.committed(
                    derive(entry.code, self.keyring.code_key(entry.code.kid)), code_salt(self.keyring, entry.code)
                )
                body["code_seed"] = entry.code.to_json()
            link = evidence.link(
                chain.application_id, chain.case_id, seq, prev, at, entry.kind, body, list(entry.stated)
            )
            rows.append((chain.case_id, seq, chain.application_id, link.content, link.hash))
            seq, prev = seq + 1, link.hash
        tx.batch(_INSERT_ENTRIES, rows)
        tx.batch(_INSERT_OPENINGS, openings)
        tx.run(
            _ADVANCE,
            case=chain.case_id,
            was=chain.count,
            chain_count=seq,
            chain_head=prev,
            chain_closed_at=chain.closed_at,
            chain_due=int(chain.closed_at is not None or chain.anchor_due == 1),
        )
        return replace(chain, count=seq, head=prev)

    def _subject_key(self, tx: Tx, application_id: str, subject_fp: str, now: int) -> bytes:
        row = tx.one(_SUBJECT, application=application_id, subject=subject_fp)
        if row is None:
            fresh = self.keyring.seal(self.clock.entropy(32), subject_row(application_id, subject_fp))
            tx.batch(_INSERT_SUBJECT, [(application_id, subject_fp, fresh, now)])
            row = tx.one(_SUBJECT, application=application_id, subject=subject_fp)
        assert row is not None
        return self.keyring.unseal(row[0], subject_row(application_id, subject_fp))


def chain_of(tx: Tx, case_id: str) -> Chain | None:
    """Return the head of a case's chain, locked until commit."""
    row = tx.one(_CHAIN, case=case_id)
    return None if row is None else Chain(*row)


def subject_row(application_id: str, subject_fp: str) -> str:
    """Return the name to which a subject's key is sealed."""
    return f"subject {application_id} {subject_fp}"


def code_salt(keyring: KeyRing, seed: CodeSeed) -> bytes:
    """Return the salt of a code's commitment, which only the ring can make again."""
    return keyring.salt(f"code {seed.to_json()}")


def seal_value(key: bytes, salt: bytes, value: Any, commitment: str, nonce: bytes) -> str:
    """Return a committed value with its salt, sealed under its subject's key and bound to its commitment (hex)."""
    plain = evidence.canonical({"salt": salt.hex(), "value": value})
    return (nonce + AESGCM(key).encrypt(nonce, plain, commitment.encode())).hex()


def open_value(key: bytes, sealed: str, commitment: str) -> dict[str, Any]:
    """Return `{"salt": hex, "value": …}` of what `seal_value` made; raises `InvalidTag` for anything else."""
    octets = bytes.fromhex(sealed)
    opened: dict[str, Any] = json.loads(AESGCM(key).decrypt(octets[:12], octets[12:], commitment.encode()))
    return opened


# Statements.

_chain: Any = EvidenceChain.__table__  # type: ignore[attr-defined]
_subject: Any = EvidenceSubject.__table__  # type: ignore[attr-defined]
assert [one.name for one in fields(Chain)] == list(column_kinds(EvidenceChain))

_INSERT_CHAIN: Final = insert(EvidenceChain, column_kinds(EvidenceChain))
_INSERT_ENTRIES: Final = insert(EvidenceEntry, column_kinds(EvidenceEntry))
_INSERT_OPENINGS: Final = insert(EvidenceOpening, column_kinds(EvidenceOpening))
_INSERT_SUBJECT: Final = insert_new(EvidenceSubject, column_kinds(EvidenceSubject))
_CHAIN: Final = Statement(lambda dialect: dialect.locked(select(_chain).where(_chain.c.case_id == bindparam("case"))))


def _build_advance(_: Dialect) -> Any:
    return (
        _chain.update()
        .where(_chain.c.case_id == bindparam("case"), _chain.c.count == bindparam("was", type_=BigInteger()))
        .values(
            count=bindparam("chain_count", type_=BigInteger()),
            head=bindparam("chain_head"),
            closed_at=bindparam("chain_closed_at", type_=BigInteger()),
            anchor_due=bindparam("chain_due", type_=BigInteger()),
        )
    )


_ADVANCE: Final = Statement(_build_advance)
_SUBJECT: Final = Statement(
    lambda _: select(_subject.c.sealed_key).where(
        _subject.c.application_id == bindparam("application"), _subject.c.subject_fp == bindparam("subject")
    )
)
