"""A thousand signature requests of two signers each, from the first POST to the last signature, through an operator
that loses answers or drops its links; then every bundle is read: is anything wrong?

`sceau serve` is a process of its own; this one is operator, platform and people (`tests.signers`) in one loop.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx2
import trio
from sqlalchemy import func, select, text

from bench.installation import Installation, engine, lay_out
from bench.operators import ACCOUNT, PASSWORD
from engine.clock import SystemClock, to_rfc3339
from engine.commands.rows import Rows
from engine.evidence.bundle import collect
from engine.evidence.exporting import roots, sign
from engine.evidence.packing import Gathered, Packing, pack
from engine.evidence.verify_bundle import Outside, verify
from engine.keyring import KeyRing
from engine.store.statements import Statement
from engine.store.tables import Message
from engine.tenancy import DEFAULT_APPLICATION
from smppsim.scenario import AccountSettings, Bounds, Scenario
from smppsim.scenario_files import load_profile
from smppsim.simulator import Simulator, wall_clock
from tests.signed import wrongs
from tests.signers import OURS, Errand, Signer, asked_again, errands, run

SEED = 38123
REQUESTS = 1_000
AT_ONCE = 100
_CONNECTIONS = 32
_KEPT_S = 2.0
_ALL = 2**53
_LOOK_S = 0.5
_ANCHORED_S = 15.0  # heads are anchored every ten seconds
_WAITING = Statement(
    lambda _: select(func.count()).select_from(Message).where(text("state IN ('queued', 'waiting', 'on_wire')"))
)


@dataclass(frozen=True, slots=True)
class Proof:
    """The evidence of one request, and what somebody keeps outside who verifies it."""

    gathered: Gathered
    keyring: KeyRing
    outside: Outside

    def bundle(self, gathered: Gathered | None = None) -> bytes:
        """Return the bundle, without the PDF."""
        made_at = to_rfc3339(SystemClock().now())
        packing = Packing(gathered or self.gathered, self.keyring.public_pems(), made_at, "sceau bench", {})
        return sign(pack(packing, b"%PDF"), self.keyring)


@dataclass(slots=True)
class Signed:
    """What became of the requests: how long until the last one was signed, and which are not as they should be."""

    requests: int
    seconds: float = 0.0
    again: int = 0
    wrong: list[str] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)

    @property
    def right(self) -> float:
        """Return the share of requests that all have signed, with nothing wrong."""
        return 1 - len({one.partition(":")[0] for one in self.wrong}) / self.requests


class Office:
    """The platform's calls over HTTP."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def create(self, errand: Errand) -> None:
        """Create a request; its codes are sent at once."""
        people = [{"phone": one.phone, "mode": one.mode, "language": "fr", "name": "Anna"} for one in errand.signers]
        documents = [{"name": errand.title, "sha256": errand.sha256}]
        body = {"documents": documents, "signers": people, "auto_send": True}
        answer = await self._client.post("/v1/signature-requests", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        errand.request = made["id"]
        for signer, signing in zip(errand.signers, made["signings"], strict=True):
            signer.signing = signing["id"]

    async def send(self, errand: Errand, signer: Signer) -> str:
        """Send a code once more."""
        return await self._call(errand, signer, "send", {})

    async def sign(self, errand: Errand, signer: Signer, code: str) -> str:
        """Sign on the page."""
        now = to_rfc3339(SystemClock().now())
        body = {"code": code, "document_sha256": errand.sha256, "consent_at": now, "ip": "192.0.2.1"}
        return await self._call(errand, signer, "sign", body)

    async def is_signed(self, errand: Errand, signer: Signer) -> bool:
        """Look at the request."""
        shown = (await self._client.get(f"/v1/signature-requests/{errand.request}")).json()
        return any(one["id"] == signer.signing and one["state"] == "signed" for one in shown["signings"])

    async def _call(self, errand: Errand, signer: Signer, what: str, body: dict[str, Any]) -> str:
        path = f"/v1/signature-requests/{errand.request}/signings/{signer.signing}/{what}"
        answer = await self._client.post(path, json=body)
        return what if answer.status_code == 200 else str(answer.json()["code"])


def measure(profile: str, requests: int = REQUESTS, at_once: int = AT_ONCE) -> Signed:
    """Have requests signed through an operator of this profile, so many at once."""
    with tempfile.TemporaryDirectory(prefix="sceau-bench-") as folder:
        return trio.run(_play, profile, requests, at_once, Path(folder))


async def _play(profile: str, requests: int, at_once: int, folder: Path) -> Signed:
    account = AccountSettings(system_id=ACCOUNT, password=PASSWORD, numbers=(OURS,))
    bounds = Bounds(messages=200_000, handset_parts=200_000, pdus=0)
    scenario = Scenario(accounts=(account,), bounds=bounds).on(load_profile(profile))
    operator = Simulator(scenario, seed=SEED, wall=wall_clock)
    signed, given = Signed(requests), errands(requests)
    async with trio.open_nursery() as nursery:
        await nursery.start(operator.run)
        installation = lay_out(folder, await operator.listen(), number=OURS)
        with ExitStack() as stack:
            # Its start and its end wait for the operator, who must not stand still meanwhile.
            running = await trio.to_thread.run_sync(stack.enter_context, engine(installation))
            await _sign_all(running.port, installation.key, operator, given, at_once, signed)
            await _sent(installation)
            await trio.sleep(_ANCHORED_S)
            await trio.to_thread.run_sync(stack.pop_all().close)
        nursery.cancel_scope.cancel()
    signed.again = asked_again(given)
    _read_bundles(installation, given, signed)
    return signed


async def _sign_all(
    port: int, key: str, operator: Simulator, given: Sequence[Errand], at_once: int, signed: Signed
) -> None:
    limiter = trio.CapacityLimiter(at_once)

    async def one(office: Office, errand: Errand) -> None:
        async with limiter:
            try:
                await run(office, operator, errand)
            except* AssertionError as group:
                signed.wrong.append(f"{errand.title}: {group.exceptions[0]}")

    async with httpx2.AsyncClient(
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {key}"},
        trust_env=False,
        timeout=60,
        # Shorter than the server keeps one: a request must not meet its end.
        limits=httpx2.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_KEPT_S),
    ) as client:
        began = perf_counter()
        async with trio.open_nursery() as nursery:
            for errand in given:
                nursery.start_soon(one, Office(client), errand)
        signed.seconds = perf_counter() - began


async def _sent(installation: Installation) -> None:
    """Return when nothing waits to be sent any more."""
    rows = Rows.of(installation.file)
    while (rows.read(lambda tx: tx.one(_WAITING)) or (0,))[0]:
        await trio.sleep(_LOOK_S)


def _read_bundles(installation: Installation, given: Sequence[Errand], signed: Signed) -> None:
    keyring = KeyRing.load(installation.settings.keyring_file)
    rows = Rows.of(installation.file)
    heads = rows.read(lambda tx: roots(tx, DEFAULT_APPLICATION, _ALL, 100_000))
    outside = Outside(list(keyring.public_keys().values()), heads)
    for errand in given:
        gathered = rows.read(
            lambda tx, request=errand.request: collect(tx, DEFAULT_APPLICATION, request, keyring)  # type: ignore[misc]
        )
        if gathered is None:
            signed.wrong.append(f"{errand.title}: has no evidence")
            continue
        proof = Proof(anchored(gathered), keyring, outside)
        bundle = proof.bundle()
        finding = verify(bundle, outside)
        if finding.verdict != "valid":
            signed.wrong.append(f"{errand.title}: {finding.verdict} {finding.where} {finding.why}")
        signed.wrong += wrongs(bundle, errand)
        signed.proofs.append(proof)


def anchored(gathered: Gathered) -> Gathered:
    """Return evidence as far as the log knows it: a late receipt of the last seconds waits for its anchor."""
    if not gathered.anchors:
        return gathered
    count = int(json.loads(gathered.anchors[-1]["leaf"])["count"])
    entries = gathered.entries[:count]
    whole = "".join(entries)
    openings = {key: value for key, value in gathered.openings.items() if key in whole}
    return replace(gathered, entries=entries, openings=openings)
