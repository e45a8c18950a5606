"""What must be true of a request that all have signed, read from its bundle alone: who signed, how, with which code.

`wrongs` returns every breach as a sentence, given what the signers of `tests.signers` say they did.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from tests.signers import Errand, Signer

Body = Mapping[str, Any]


def wrongs(bundle: bytes, errand: Errand) -> list[str]:
    """Return what is wrong with a completed request, as its evidence tells it."""
    told = _told(bundle)
    by_phone = {signer.phone: signer for signer in errand.signers}
    people = {body["signer"]: body["phone"] for body in told["signer.declared"]}
    signed = [body["signing"] for body in told["signing.signed"]]
    found = [] if told["closed"] else ["is not closed"]
    if sorted(signed) != sorted(body["signing"] for body in told["signing.created"]):
        found.append(f"has signatures {signed}")
    if sorted(people.values()) != sorted(by_phone):
        return [f"{errand.title}: was signed by others"]
    for body in told["signing.signed"]:
        found += _of_signature(body, people[body["signer"]], by_phone[people[body["signer"]]], errand, told)
    return [f"{errand.title}: {what}" for what in found]


def _of_signature(
    body: Body, phone: str, signer: Signer, errand: Errand, told: Mapping[str, list[dict[str, Any]]]
) -> list[str]:
    found = []
    if body["assurance"] not in signer.doors:
        found.append(f"a signer of {signer.mode} signed by {body['assurance']}")
    if body["document_sha256"] != errand.sha256:
        found.append("another document was signed")
    sends = [one for one in told["message.queued"] if one.get("signing") == body["signing"]]
    codes = {one["code"] for one in sends if one["generation"] == body["generation"]}
    if len(codes) != 1 or not codes <= signer.entered:
        found.append(f"signed by one of {len(codes)} codes that nobody entered")
    if any(one["signer"] != body["signer"] for one in sends):
        found.append("the code went to somebody else")
    if body["assurance"] == "sms_reply":
        answers = [one for one in told["reply.received"] if one["reply"] == body["reply"]]
        if [one["from"] for one in answers] != [phone]:
            found.append("the answer came from another number")
        elif not any(signer.form(code) == answers[0]["text"] for code in codes):
            found.append("the answer says something else")
    right = [one for one in told["check.done"] if one["signing"] == body["signing"] and one["result"] == "right"]
    if len(right) != 1:
        found.append(f"{len(right)} right checks of one signing")
    return found


def _told(bundle: bytes) -> dict[str, list[dict[str, Any]]]:
    """Return the bodies of a bundle's entries by their kind, commitments replaced by what was opened."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        entries = [json.loads(line) for line in archive.read("chain.jsonl").splitlines()]
        openings = json.loads(archive.read("openings.json"))
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        told[entry["kind"]].append({name: _opened(value, openings) for name, value in entry["body"].items()})
    return told


def _opened(value: Any, openings: Mapping[str, Mapping[str, Any]]) -> Any:
    if isinstance(value, dict) and value.keys() == {"commitment"}:
        return openings.get(value["commitment"], {"value": None})["value"]
    return value
