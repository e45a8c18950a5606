"""What the dossier tells of a chain: a sentence for every entry, in five languages, with nothing that is not opened."""

from __future__ import annotations

import json
import re
import string
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.evidence.chronology import Chronology, Told, instant
from engine.evidence.dossier import folder, render

WORDS: dict[str, dict[str, Any]] = tomllib.loads((folder() / "words.toml").read_text("utf-8"))
ROOT = Path(__file__).resolve().parent.parent
KIND = re.compile(r'\b(?:Seal|NewEntry|signer_declared|party_declared|sealed_by)\(\s*(?:[a-z]+, )?"([a-z_]+\.[a-z_]+)"')
SHOWN_APART = {
    "chain.opened", "request.created", "document.declared", "signer.declared", "signing.created", "delivery.created",
    "recipient.declared",
}  # fmt: skip
AT = "2026-11-26T12:00:00.010Z"
NAME, PHONE, TEXT = "c-name", "c-phone", "c-text"
OPENINGS = {NAME: {"value": "Anna Martin"}, PHONE: {"value": "+33612345671"}, TEXT: {"value": "votre code est {code}"}}


def hidden(commitment: str) -> dict[str, str]:
    return {"commitment": commitment}


def entries(*more: tuple[str, dict[str, Any]], stated: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """A request of one document and one signer, and what happened to it."""
    consent = {"version": "v1", "text": "Je signe.", "sha256": "ab"}
    opening: list[tuple[str, dict[str, Any]]] = [
        ("request.created", {"expires_at": AT}),
        ("document.declared", {"document": "doc_1", "name": "Bail", "sha256": "aa"}),
        (
            "signer.declared",
            {"signer": "sgr_1", "name": hidden(NAME), "phone": hidden(PHONE), "role": "signer", "mode": "reply"}
            | {"consent": consent},
        ),
        ("signing.created", {"signing": "sgn_1", "signer": "sgr_1", "document": "doc_1"}),
        ("message.queued", {"message": "msg_1", "signer": "sgr_1", "signing": "sgn_1", "role": "code", "generation": 1}
         | {"text": hidden(TEXT), "code": hidden("c-code")}),
    ]  # fmt: skip
    return [
        {"seq": seq, "at": AT, "kind": kind, "body": body, "stated": list(stated)}
        for seq, (kind, body) in enumerate([*opening, *more])
    ]


def last(
    kind: str, body: Mapping[str, Any], *, stated: tuple[str, ...] = (), openings: Mapping[str, Any] = OPENINGS
) -> Told:
    return list(Chronology(entries((kind, dict(body)), stated=stated), openings, WORDS["en"]))[-1]


def test_a_code_is_told_with_whom_it_was_for_and_what_it_said() -> None:
    [told] = Chronology(entries(), OPENINGS, WORDS["fr"])
    assert told.sentence == "Code n° 1 préparé pour Anna Martin (+33612345671), pour signer « Bail »"
    assert told.details == ("Texte envoyé: votre code est {code}", "Code: (effacé ou non ouvert)")
    assert instant(told.at) == "2026-11-26 12:00:00.010 UTC"


def test_what_happened_to_a_message_names_who_it_was_for_and_what_the_operator_said() -> None:
    part = {"smsc_message_id": "77", "bind": "sim/main", "command_status": "ESME_ROK"}
    sent = last("message.submitted", {"message": "msg_1", "state": "accepted", "parts": [part, {"bind": "sim/main"}]})
    assert sent.sentence == "SMS to Anna Martin (+33612345671) submitted to the operator: accepted"
    assert sent.details == ("operator's message id: 77 (sim/main, ESME_ROK)",)
    receipt = {"smsc_message_id": "77", "stat": "DELIVRD", "err": "000", "received_at": AT}
    settled = last("message.settled", {"message": "msg_1", "state": "delivered", "receipts": [receipt], "late": True})
    assert settled.sentence.endswith(": delivered to the phone, says the operator (after the close)")
    assert settled.details == ("operator's receipt: 77 DELIVRD err:000, 2026-11-26 12:00:00.010 UTC",)


def test_an_answer_is_told_with_its_octets_and_from_whom_it_came() -> None:
    openings = {**OPENINGS, "c-pdus": {"value": ["00ff", "01"]}, "c-said": {"value": "OUI 482913"}}
    body = {"from": hidden(PHONE), "text": hidden("c-said"), "pdus": hidden("c-pdus")}
    told = last("reply.received", body, openings=openings)
    assert told.sentence == "SMS received from +33612345671"
    assert told.details == ("Answer received: OUI 482913", "raw PDUs (hex): 00ff, 01")


def test_what_the_platform_stated_is_marked_and_what_sceau_saw_is_not() -> None:
    body = {"signing": "sgn_1", "door": "otp_web", "result": "right", "ip": "192.0.2.1", "reason": "asked"}
    told = last("check.done", body, stated=("ip",))
    assert told.sentence == "Code entered for “Bail” by Anna Martin (+33612345671): right"
    assert "IP address: 192.0.2.1 (stated by the platform)" in told.details
    assert "reason: asked" in told.details


def test_who_was_erased_is_told_by_an_id_alone() -> None:
    told = last("signing.signed", {"signing": "sgn_1", "signer": "sgr_1", "document": "doc_1"}, openings={})
    assert told.sentence == "sgr_1 signs “Bail”"


def test_an_answer_of_somebody_erased_comes_from_nobody_known() -> None:
    told = last("reply.received", {"from": hidden(PHONE), "text": hidden("x")}, openings={})
    assert told.sentence == "SMS received from (unknown)"
    assert told.details == ("Answer received: (erased, or not opened)",)


def test_a_kind_without_a_sentence_is_told_by_its_name() -> None:
    assert last("parcel.weighed", {"grams": 12}).sentence == "parcel.weighed"


def sealed_kinds(workflow: str) -> set[str]:
    """Every kind of entry that a workflow's modules and the engine's write, but for those of another workflow."""
    other = {"signature": {"deliveries.py"}, "handover": {"custody.py"}}[workflow]
    engine = [path for path in (ROOT / "engine").rglob("*.py") if path.name not in other]
    sources = [*(ROOT / "workflows").glob(f"{workflow}*.py"), *engine]
    return {kind for path in sources for kind in KIND.findall(path.read_text("utf-8"))}


@pytest.mark.parametrize("language", WORDS)
def test_every_kind_of_entry_has_a_sentence(language: str) -> None:
    kinds = sealed_kinds("signature")
    assert {"signing.signed", "reply.received", "chain.stamped", "signer.changed"} <= kinds
    assert kinds - SHOWN_APART <= WORDS[language]["told"].keys()
    of_delivery = sealed_kinds("handover")
    assert {"delivery.confirmed", "check.done", "delegate.declared", "code.revealed", "log.claimed"} <= of_delivery
    told = WORDS[language]["told"] | WORDS[language]["told_of_delivery"]
    ends = {f"delivery.{state}" for state in ("returned", "canceled", "expired")}
    assert (of_delivery | ends) - SHOWN_APART <= told.keys()


@pytest.mark.parametrize("language", sorted(set(WORDS) - {"en"}))
def test_every_language_says_the_same_with_the_same_facts(language: str) -> None:
    assert shape(WORDS[language]) == shape(WORDS["en"])


def shape(words: Any) -> Any:
    if isinstance(words, dict):
        return {name: shape(value) for name, value in words.items()}
    return sorted(name for _, name, _, _ in string.Formatter().parse(words) if name)


SIGNED = ("signing.signed", {"signing": "sgn_1", "signer": "sgr_1", "document": "doc_1", "document_sha256": "aa"}
          | {"assurance": "sms_reply", "consent": {"version": "v1", "sha256": "ab"}})  # fmt: skip
GATHERED = {
    "case_id": "sig_1",
    "head": "cd" * 32,
    "openings": OPENINGS,
    "entries": [{"entry": one} for one in entries(SIGNED)],
    "anchors": [
        {
            "leaf": json.dumps({"count": 6}),
            "root": json.dumps({"size": 3, "at": AT}),
            "tokens": [{"authority": "one", "at": AT, "token": ""}],
        }
    ],
}


@pytest.mark.parametrize("language", WORDS)
def test_the_dossier_is_a_pdf_in_every_language(language: str) -> None:
    assert render(GATHERED, language).startswith(b"%PDF-")


def test_the_program_that_makes_a_dossier_needs_nothing_but_the_evidence() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "engine.evidence.dossier", "fr"],
        input=json.dumps(GATHERED).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert made.stdout.startswith(b"%PDF-")
