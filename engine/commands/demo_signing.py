"""What `sceau demo` plays second, and `sceau demo sign` alone: a document is signed by SMS and on a page.

The bundle of its evidence is verified by the program that works without Sceau, against heads that webhooks brought.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple

import trio
from fpdf import FPDF

from engine.clock import SystemClock, to_rfc3339
from engine.commands.stage import LOOK_EVERY_S, Stage, StepFailed, expect
from engine.evidence import standalone

_LOOK_S: Final = 0.2
_PATH: Final = "/v1/signature-requests"


class Document(NamedTuple):
    """What is signed: its name, its media type, its octets."""

    name: str
    media_type: str
    content: bytes


class Signer(NamedTuple):
    """Who signs: by answering the SMS (`reply`), or on the page (`code`)."""

    phone: str
    mode: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A bundle that was verified, with what a third party verifies it with."""

    request: str
    bundle: bytes
    keys: str
    heads: str


def sample() -> Document:
    """Return a real PDF of one page."""
    pdf = FPDF(format="A4")
    pdf.set_title("Bail")
    pdf.add_page()
    pdf.set_font("Helvetica", size=20)
    pdf.cell(text="Bail")
    return Document("Bail", "application/pdf", bytes(pdf.output()))


async def sign(stage: Stage, document: Document, signers: Sequence[Signer], language: str) -> Proof:
    """Have a document signed by all; return its evidence, which the stand-alone verifier found valid."""
    step, hashed = stage.steps.step, sha256(document.content).hexdigest()
    with step("POST /v1/signature-requests: each signer is told by SMS") as said:
        asked = {
            "documents": [{"name": document.name, "media_type": document.media_type, "sha256": hashed}],
            "signers": [{"phone": one.phone, "mode": one.mode, "language": language} for one in signers],
        }
        request = expect(201, await stage.api.post(_PATH, json=asked))
        said.append(f"{request['id']}: {document.name}, SHA-256 {hashed}")
    path = f"{_PATH}/{request['id']}"
    with step("PUT …/content: Sceau hashes the document itself"):
        content = f"{path}/documents/{request['documents'][0]['id']}/content"
        expect(200, await stage.api.put(content, content=document.content))
    for signer, signing in zip(signers, request["signings"], strict=True):
        await _sign(stage, f"{path}/signings/{signing['id']}", signer, document, hashed)
    with step("all have signed: the webhook signature.completed arrives"):
        await stage.receiver.until("signature.completed", request["id"])
    return await _proof(stage, path, request["id"], document)


async def _sign(stage: Stage, path: str, signer: Signer, document: Document, hashed: str) -> None:
    step = stage.steps.step
    with step("POST …/send: a code for this signer and this document") as said:
        expect(200, await stage.api.post(f"{path}/send"))
        text = await stage.text(signer.phone, document.name)
        said.extend(text["text"].splitlines())
    if signer.mode == "reply":
        answer = f"OUI {text['code']}"
        with step(f"the handset answers the SMS: {answer}") as said:
            expect(202, await stage.handsets.post(f"/handsets/{signer.phone}/send", json={"text": answer}))
            said.append(f"signature.signed: {await _assurance(stage, path)}")
        return
    with step("POST …/sign: the code is typed on the page") as said:
        typed = {"code": text["code"], "document_sha256": hashed, "consent_at": to_rfc3339(SystemClock().now())}
        expect(200, await stage.api.post(f"{path}/sign", json=typed | {"ip": "192.0.2.1", "user_agent": "demo"}))
        said.append(f"signature.signed: {await _assurance(stage, path)}")


async def _assurance(stage: Stage, path: str) -> str:
    """Return how a signing was signed, once a webhook tells of it."""
    signing = path.rpartition("/")[2]
    while True:
        for received in list(stage.receiver.genuine.values()):
            data = received.body["data"]
            if received.type == "signature.signed" and data["signing_id"] == signing:
                return str(data["assurance"])
        await trio.sleep(LOOK_EVERY_S)


async def _proof(stage: Stage, path: str, request: str, document: Document) -> Proof:
    step = stage.steps.step
    with step("the confirming SMS and the last receipts come; the log's root is signed and posted: evidence.anchored"):
        await _anchored(stage, path)
    with step("GET …/evidence.zip: chain, PDF, proofs, keys, manifest") as said:
        answer = await stage.api.get(f"{path}/evidence.zip")
        if answer.status_code != 200:
            raise StepFailed(f"the bundle answered {answer.status_code}")
        bundle = answer.content
        said.append(f"{len(bundle):,} octets")
    keys = "".join(expect(200, await stage.api.get("/v1/evidence/keys"))["keys"].values())
    heads = "".join(json.dumps(one) + "\n" for one in _posted(stage))
    proof = Proof(request, bundle, keys, heads)
    with step("verify_bundle.py, which needs no Sceau, with the key and the posted heads") as said:
        said.extend(await trio.to_thread.run_sync(_verify, proof, document))
    return proof


async def _anchored(stage: Stage, path: str) -> None:
    """Return when a posted head covers every entry: the last receipts are entries too."""
    while True:
        shown = expect(200, await stage.api.get(f"{path}/evidence"))
        counts = [json.loads(anchor["leaf"])["count"] for anchor in shown["anchors"]]
        roots = {anchor["root"] for anchor in shown["anchors"]}
        covered = counts[-1:] == [len(shown["entries"])] and roots <= {one["content"] for one in _posted(stage)}
        if covered and _settled([one["entry"] for one in shown["entries"]]):
            return
        await trio.sleep(_LOOK_S)


def _settled(entries: Sequence[dict[str, Any]]) -> bool:
    queued = {one["body"]["message"] for one in entries if one["kind"] == "message.queued"}
    return queued == {one["body"]["message"] for one in entries if one["kind"] == "message.settled"}


def _posted(stage: Stage) -> list[dict[str, Any]]:
    return [one.body["data"] for one in stage.receiver.genuine.values() if one.type == "evidence.anchored"]


def _verify(proof: Proof, document: Document) -> list[str]:
    """Run the program as a third party does, in a folder that holds nothing else."""
    with tempfile.TemporaryDirectory(prefix="sceau-verify-") as name:
        folder = Path(name)
        (folder / "verify_bundle.py").write_text(standalone.program(), encoding="utf-8")
        (folder / "evidence.zip").write_bytes(proof.bundle)
        (folder / "key.pem").write_text(proof.keys)
        (folder / "heads.jsonl").write_text(proof.heads)
        (folder / "document").write_bytes(document.content)
        told = ["--trust", "key.pem", "--head", "heads.jsonl", "--document", "document"]
        command = [sys.executable, "-I", "verify_bundle.py", "evidence.zip", *told]
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    lines = (ran.stdout + ran.stderr).splitlines()
    if ran.returncode != 0:
        raise StepFailed("\n".join(["the bundle is not valid", *lines]))
    return lines
