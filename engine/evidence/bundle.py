"""Gathers what a bundle holds, in one transaction: a case's chain, the values that may be opened, the log's proofs.

Store functions. `packing` makes the `.zip` of it, in a process of its own; the members and their formats are described
in docs/signing.md.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, literal_column, select

from engine.codes import CodeSeed, derive
from engine.evidence.anchoring import nodes_of
from engine.evidence.packing import Gathered
from engine.evidence.sealing import code_salt, open_value, subject_row
from engine.keyring import KeyRing
from engine.store.statements import Statement
from engine.store.tables_cases import Case, TemplateText
from engine.store.tables_evidence import (
    EvidenceChain,
    EvidenceEntry,
    EvidenceLeaf,
    EvidenceOpening,
    EvidenceRoot,
    EvidenceSubject,
)
from engine.store.tables_signing import SigningRow
from engine.store.transaction import Tx
from workflows.merkle import inclusion_proof, proof_covers


def owner(tx: Tx, case_id: str) -> str | None:
    """Return the application whose case it is."""
    row = tx.one(_OWNER, case=case_id)
    return None if row is None else str(row[0])


def collect(tx: Tx, application_id: str, case_id: str, keyring: KeyRing) -> Gathered | None:
    """Gather a case's evidence; None for a foreign id as for an unknown one."""
    chain = tx.one(_CHAIN, case=case_id, application=application_id)
    if chain is None:
        return None
    entries = tuple(str(row[0]) for row in tx.all(_ENTRIES, case=case_id))
    closed = {row[0] for row in tx.all(_CLOSED_SIGNINGS, request=case_id)}
    if tx.one(_CLOSED_CASE, case=case_id) is not None:
        closed.add(case_id)  # a delivery's codes are its own
    openings = _openings(tx, application_id, case_id, closed, keyring)
    templates: dict[str, str] = {}
    for content in entries:
        body = json.loads(content)["body"]
        if "code" in body and (body.get("signing") or body.get("delivery")) in closed:
            seed = CodeSeed.from_json(body["code_seed"])
            code = derive(seed, keyring.code_key(seed.kid))
            openings[body["code"]["commitment"]] = {"salt": code_salt(keyring, seed).hex(), "value": code}
        if (pinned := body.get("template")) is not None and pinned not in templates:
            row = tx.one(_TEMPLATE, hash=pinned)
            templates[pinned] = "" if row is None else str(row[0])
    anchors = _anchors(tx, application_id, case_id)
    return Gathered(case_id, entries, openings, anchors, templates, chain[0] is not None, str(chain[1]))


def _openings(
    tx: Tx, application_id: str, case_id: str, closed: set[str], keyring: KeyRing
) -> dict[str, Mapping[str, Any]]:
    keys: dict[str, bytes] = {}
    found: dict[str, Mapping[str, Any]] = {}
    for commitment, subject_fp, sealed, guard in tx.all(_OPENINGS, case=case_id):
        others = set(json.loads(guard)) - closed
        if others and not _all_closed(tx, others):
            continue  # a code that is still pending stands in it
        if subject_fp not in keys:
            row = tx.one(_SUBJECT, application=application_id, subject=subject_fp)
            keys[subject_fp] = b"" if row is None else keyring.unseal(row[0], subject_row(application_id, subject_fp))
        if keys[subject_fp]:
            found[commitment] = open_value(keys[subject_fp], sealed, commitment)
    return found


def _all_closed(tx: Tx, guards: set[str]) -> bool:
    """Tell whether signings and deliveries of these ids are closed; those that are gone are."""
    rows = [tx.one(statement, guard=one) for one in guards for statement in (_FINAL, _FINAL_CASE)]
    return all(row is None or row[0] is not None for row in rows)


def _anchors(tx: Tx, application_id: str, case_id: str) -> tuple[dict[str, Any], ...]:
    """Return the case's leaves, each proven in the first root that was time-stamped over it, else in the first."""
    leaves = [(int(position), content) for position, content in tx.all(_LEAVES, case=case_id)]
    roots = [
        tx.one(_STAMPED_ROOT, application=application_id, position=position)
        or tx.one(_ROOT, application=application_id, position=position)
        for position, _ in leaves
    ]
    anchors: list[dict[str, Any]] = []
    for (position, content), root in zip(leaves, roots, strict=True):
        assert root is not None
        size = int(root[0])
        wanted = [node for covered in proof_covers(position, size) for node in covered]
        proof = inclusion_proof(nodes_of(tx, application_id, wanted), position, size)
        anchors.append(
            {
                "leaf": content,
                "position": position,
                "size": size,
                "proof": [one.hex() for one in proof],
                "root": root[1],
                "signature": root[2],
                "key": root[3],
                "tokens": json.loads(root[4]),
            }
        )
    return tuple(anchors)


# Statements.

_case: Any = Case.__table__  # type: ignore[attr-defined]
_chain: Any = EvidenceChain.__table__  # type: ignore[attr-defined]
_entry: Any = EvidenceEntry.__table__  # type: ignore[attr-defined]
_opening: Any = EvidenceOpening.__table__  # type: ignore[attr-defined]
_subject: Any = EvidenceSubject.__table__  # type: ignore[attr-defined]
_leaf: Any = EvidenceLeaf.__table__  # type: ignore[attr-defined]
_root: Any = EvidenceRoot.__table__  # type: ignore[attr-defined]
_signing: Any = SigningRow.__table__  # type: ignore[attr-defined]
_template: Any = TemplateText.__table__  # type: ignore[attr-defined]

_CHAIN: Final = Statement(
    lambda _: (
        select(_chain.c.closed_at, _case.c.language)
        .join(_case, _case.c.id == _chain.c.case_id)
        .where(_chain.c.case_id == bindparam("case"), _chain.c.application_id == bindparam("application"))
    )
)
_OWNER: Final = Statement(lambda _: select(_chain.c.application_id).where(_chain.c.case_id == bindparam("case")))
_ENTRIES: Final = Statement(
    lambda _: select(_entry.c.content).where(_entry.c.case_id == bindparam("case")).order_by(_entry.c.seq)
)
_CLOSED_SIGNINGS: Final = Statement(
    lambda _: select(_signing.c.id).where(
        _signing.c.request_id == bindparam("request"), _signing.c.final_at.is_not(None)
    )
)
_FINAL: Final = Statement(lambda _: select(_signing.c.final_at).where(_signing.c.id == bindparam("guard")))
_FINAL_CASE: Final = Statement(lambda _: select(_case.c.final_at).where(_case.c.id == bindparam("guard")))
_CLOSED_CASE: Final = Statement(
    lambda _: select(_case.c.id).where(_case.c.id == bindparam("case"), _case.c.final_at.is_not(None))
)
_OPENINGS: Final = Statement(
    lambda _: (
        select(_opening.c.commitment, _opening.c.subject_fp, _opening.c.sealed, _opening.c.guard)
        .where(_opening.c.case_id == bindparam("case"))
        .order_by(_opening.c.commitment)
    )
)
_SUBJECT: Final = Statement(
    lambda _: select(_subject.c.sealed_key).where(
        _subject.c.application_id == bindparam("application"), _subject.c.subject_fp == bindparam("subject")
    )
)
_TEMPLATE: Final = Statement(lambda _: select(_template.c.text).where(_template.c.hash == bindparam("hash")))
_LEAVES: Final = Statement(
    lambda _: (
        select(_leaf.c.position, _leaf.c.content).where(_leaf.c.case_id == bindparam("case")).order_by(_leaf.c.position)
    )
)


def _first_root(*more: Any) -> Statement:
    return Statement(
        lambda _: (
            select(_root.c.size, _root.c.content, _root.c.signature, _root.c.key_id, _root.c.tokens)
            .where(
                _root.c.application_id == bindparam("application"),
                _root.c.size > bindparam("position", type_=BigInteger()),
                *more,
            )
            .order_by(_root.c.size)
            .limit(1)
        )
    )


_ROOT: Final = _first_root()
_STAMPED_ROOT: Final = _first_root(_root.c.tokens != literal_column("'[]'"))
