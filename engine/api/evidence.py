"""Evidence as JSON, as a PDF and as a bundle, of signature requests and of deliveries; the log's roots, public keys.

Exports read; what they cost is paid in a thread and in a process beside this one, two at a time.
"""

from collections.abc import Callable
from typing import Any, Final

import trio
from starlette.responses import Response

from engine.api import paging
from engine.api.endpoint import Call, Calling, Routes
from engine.api.problems import Refused
from engine.api.types import OpenShown, Shown, as_json
from engine.apikeys import Scope
from engine.evidence import exporting
from engine.evidence.bundle import collect
from engine.evidence.exporting import Exporter, ExportFailed
from engine.evidence.packing import Gathered

routes = Routes("evidence")

_PATH: Final = "/v1/signature-requests/{request_id}"
_DELIVERY: Final = "/v1/deliveries/{delivery_id}"
_PROOF: Final = (Scope.HANDOVER_MERCHANT, Scope.EVIDENCE_READ)
_AT_ONCE: Final = trio.CapacityLimiter(2)
_ALL: Final = 2**53


class EvidenceShown(OpenShown):
    """The evidence of a case: entries with the hashes of their octets, what may be opened, and the log's proofs."""

    case_id: str
    closed: bool
    head: str | None
    entries: list[dict[str, Any]]
    openings: dict[str, Any]
    anchors: list[dict[str, Any]]


class RootShown(OpenShown):
    """A signed root of the application's log: a posted head, and the time stamps that it has got."""

    size: int
    content: str
    signature: str
    key: str
    tokens: list[dict[str, Any]]


class RootPage(Shown):
    """Roots, newest first."""

    data: list[RootShown]
    next_cursor: str | None


class KeysShown(Shown):
    """The installation's public keys by id, PEM."""

    keys: dict[str, str]


@routes.get(f"{_PATH}/evidence", needs=(Scope.EVIDENCE_READ,), shows=EvidenceShown)
async def read_evidence(call: Calling, request_id: str) -> Response:
    """Read the evidence as it stands; codes and answers are opened once their signings are closed."""
    return call.shown(as_json((await _gathered(call, request_id)).as_json()))


@routes.get(f"{_PATH}/evidence.zip", needs=(Scope.EVIDENCE_READ,), shows=Any, refuses=("export_failed",))
async def download_bundle(call: Calling, request_id: str) -> Response:
    """Download the bundle: verify it with `sceau evidence verify` or, without Sceau, with verify_bundle.py."""
    found = await _gathered(call, request_id)
    return await _export(_exporter(call).bundle, found, "application/zip", f"{request_id}.zip")


@routes.get(f"{_PATH}/evidence.pdf", needs=(Scope.EVIDENCE_READ,), shows=Any, refuses=("export_failed",))
async def download_dossier(call: Calling, request_id: str) -> Response:
    """Download the dossier alone, in the language of the first signer."""
    found = await _gathered(call, request_id)
    return await _export(_exporter(call).dossier, found, "application/pdf", f"{request_id}.pdf")


@routes.get(f"{_DELIVERY}/proof", needs=_PROOF, shows=EvidenceShown)
async def read_proof(call: Calling, delivery_id: str) -> Response:
    """Read the proof of a delivery as it stands; its codes are opened once it has its outcome."""
    return call.shown(as_json((await _gathered(call, delivery_id)).as_json()))


@routes.get(f"{_DELIVERY}/proof.pdf", needs=_PROOF, shows=Any, refuses=("export_failed",))
async def download_proof(call: Calling, delivery_id: str) -> Response:
    """Download the proof for people, in the language of the recipient."""
    found = await _gathered(call, delivery_id)
    return await _export(_exporter(call).dossier, found, "application/pdf", f"{delivery_id}.pdf")


@routes.get(f"{_DELIVERY}/proof.zip", needs=_PROOF, shows=Any, refuses=("export_failed",))
async def download_proof_bundle(call: Calling, delivery_id: str) -> Response:
    """Download the bundle: it is verified as a signature's is."""
    found = await _gathered(call, delivery_id)
    return await _export(_exporter(call).bundle, found, "application/zip", f"{delivery_id}.zip")


@routes.get("/v1/evidence/roots", needs=(Scope.EVIDENCE_READ,), shows=RootPage)
async def list_roots(call: Calling, limit: paging.Limit = 50, cursor: paging.Cursor = None) -> Response:
    """List the signed roots of your log, newest first: keep them outside."""
    before = _ALL if cursor is None else int(paging.after(cursor).partition("_")[2], 16)
    rows = await call.read(lambda tx: exporting.roots(tx, call.application_id, min(before, _ALL), limit + 1))
    following = f"root_{rows[limit - 1]['size']:032x}" if len(rows) > limit else None
    return call.shown(as_json({"data": rows[:limit], "next_cursor": following}))


@routes.get("/v1/evidence/keys", needs=(Scope.EVIDENCE_READ,), shows=KeysShown)
async def list_evidence_keys(call: Calling) -> Response:
    """List the public keys under which evidence is signed, old ones included."""
    return call.shown(as_json({"keys": call.context.keyring.public_pems()}))


def _exporter(call: Call) -> Exporter:
    return Exporter(call.context.keyring, call.context.clock)


async def _gathered(call: Call, request_id: str) -> Gathered:
    keyring = call.context.keyring
    found: Gathered | None = await call.read(lambda tx: collect(tx, call.application_id, request_id, keyring))
    if found is None:
        raise Refused("not_found")
    return found


async def _export(make: Callable[[Gathered], bytes], found: Gathered, media_type: str, name: str) -> Response:
    try:
        made = await trio.to_thread.run_sync(make, found, limiter=_AT_ONCE)
    except ExportFailed:
        raise Refused("export_failed") from None
    disposition = f'attachment; filename="{name}"'
    return Response(made, media_type=media_type, headers={"Content-Disposition": disposition})
