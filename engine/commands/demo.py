"""`sceau demo`: one code travels from an HTTP call to a handset and back, step by step, each with its real time.

A fresh installation in a temporary folder, a server and a simulator as processes of their own, a webhook receiver
here; every port is any free one, and nothing stays behind. A step that fails fails the whole.
"""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import httpx2
import tomlkit
import trio
import typer
from rich.console import Console

from engine.clock import SystemClock
from engine.commands import showing
from engine.commands.children import child
from engine.commands.init import first_key, lay_out
from engine.errors import EngineError, SettingsError
from engine.phones import BadNumber, parse_destination
from engine.private_files import replace_private
from engine.settings import load

WHOLE_S: Final = 50.0
_STEP_S: Final = 20.0
_END_S: Final = 10.0
_PHONE: Final = "+33612345678"  # fictional, as every number of ours
_LOOK_EVERY_S: Final = 0.02
_RECEIPT_DELAY_S: Final = 0.1


class StepFailed(EngineError):
    """A step of the demo did not do what it should."""

    code = "step_failed"


def demo(
    phone: Annotated[str, typer.Option(help="The simulated handset that gets the code.")] = _PHONE,
    language: Annotated[str, typer.Option(help="Of the text: fr, en, de, es, it.")] = "en",
) -> None:
    """Send a one-time code to a simulated handset, type it back, and verify the signed webhook that tells of it."""
    try:
        to = parse_destination(phone).e164
    except BadNumber as error:
        raise SettingsError(f"--phone: {error.code}") from None
    console = showing.console()
    with tempfile.TemporaryDirectory(prefix="sceau-demo-") as folder:
        try:
            trio.run(Demo(Path(folder), to, language, Steps(console)).run)
        except trio.TooSlowError:
            raise StepFailed(f"the demo did not end within {WHOLE_S:.0f} s") from None
        except BaseExceptionGroup as group:
            raise _first_of(group) from None
    console.print("[bold green]approved[/]")


@dataclass(slots=True)
class Steps:
    """Prints each step with the time it took, after the time since the beginning."""

    console: Console
    begun: float | None = None

    @contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """Time a step; the lines that it appends to the list are printed below it."""
        started = trio.current_time()
        self.begun = started if self.begun is None else self.begun
        said: list[str] = []
        with trio.move_on_after(_STEP_S) as scope, self.console.status(title):
            yield said
        if scope.cancelled_caught:
            raise StepFailed(f"{title}: not within {_STEP_S:.0f} s")
        now = trio.current_time()
        took_ms = (now - started) * 1000
        line = f"[dim]{now - self.begun:6.2f} s[/]  [green]✓[/] {title}  [bold]{took_ms:.1f} ms[/]"
        self.console.print(line, soft_wrap=True)
        for line in said:
            self.console.print("            ", showing.safe(line), soft_wrap=True)


@dataclass(slots=True)
class Demo:
    """One run. `_play` starts and ends the processes, `_converse` is the conversation."""

    folder: Path
    phone: str
    language: str
    steps: Steps
    clock: SystemClock = field(default_factory=SystemClock)

    async def run(self) -> None:
        """Do every step; raises `EngineError` for one that fails, `trio.TooSlowError` if all takes too long."""
        with trio.fail_after(WHOLE_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_at_sigterm, nursery.cancel_scope)
                await self._play(nursery)
                nursery.cancel_scope.cancel()
                return
        raise StepFailed("ended by a signal")

    async def _play(self, nursery: trio.Nursery) -> None:
        from engine.commands.receiver import Receiver  # with it comes the HTTP server

        settings = self.folder / "sceau.toml"
        with self.steps.step("a fresh installation: settings, key ring, database, an API key"):
            laid_out = lay_out(settings)
            key = await trio.to_thread.run_sync(lambda: first_key(load(settings, {})))
        receiver = Receiver(self.clock)
        hook = await nursery.start(receiver.serve)
        _wait_like_a_network(laid_out.simulator)
        simulating = ["serve", "--port", "0", "--scenario", str(laid_out.simulator)]
        async with child("smppsim", simulating, self.folder / "smppsim.log") as simulator:
            with self.steps.step("an operator starts: smppsim serve") as said:
                operator = await simulator.line()
                said.append(f"SMPP at {operator['host']}:{operator['port']}, control API at {operator['http']}")
            _adapt(settings, int(operator["port"]))
            async with child("engine", ["serve", "--file", str(settings)], self.folder / "sceau.log") as server:
                with self.steps.step("the server starts: sceau serve") as said:
                    urls = await server.line()
                    said.append(f"API at {urls['api']}, its pages at {urls['api']}/docs")
                handset = httpx2.AsyncClient(base_url=operator["http"], trust_env=False, timeout=_STEP_S)
                operations = httpx2.AsyncClient(base_url=urls["operations"], trust_env=False)
                api = httpx2.AsyncClient(
                    base_url=urls["api"], trust_env=False, headers={"Authorization": f"Bearer {key}"}
                )
                async with api, operations, handset:
                    try:
                        await self._converse(api, operations, handset, receiver, hook)
                    except StepFailed as failed:
                        raise StepFailed(f"{failed}\nthe server's last words:\n{server.tail()}") from None
                with self.steps.step("the server ends: no more HTTP, answers awaited, unbound"):
                    code = await server.end(_END_S)
                    if code != 0:
                        raise StepFailed(f"the server ended with {code}:\n{server.tail()}")

    async def _converse(
        self,
        api: httpx2.AsyncClient,
        operations: httpx2.AsyncClient,
        handset: httpx2.AsyncClient,
        receiver: Any,
        hook: str,
    ) -> None:
        step = self.steps.step
        with step("it is bound to the operator over SMPP"):
            while True:
                if (await operations.get("/readyz")).status_code == 200:
                    break
                await trio.sleep(_LOOK_EVERY_S)
        with step("POST /v1/webhook-endpoints"):
            endpoint = _expect(201, await api.post("/v1/webhook-endpoints", json={"url": hook}))
            receiver.keys = [endpoint["secret"]]
        with step("POST /v1/verifications: stored, its code on the way") as said:
            asked = {"to": self.phone, "language": self.language}
            case = _expect(201, await api.post("/v1/verifications", json=asked))
            said.append(f"{case['id']} to {case['to']}: {case['state']}")
        with step(f"submit_sm, {_RECEIPT_DELAY_S * 1000:.0f} ms of radio, and the handset has it") as said:
            answer = await handset.get(f"/handsets/{self.phone}/messages", params={"wait_s": _STEP_S})
            inbox = _expect(200, answer)
            if not inbox or inbox[-1]["code"] is None:
                raise StepFailed("the handset got no code")
            said.extend(inbox[-1]["text"].splitlines())
        with step("POST …/checks: the code is typed back") as said:
            checked = _expect(
                200, await api.post(f"/v1/verifications/{case['id']}/checks", json={"code": inbox[-1]["code"]})
            )
            if checked["state"] != "approved":
                raise StepFailed(f"the check answered {checked['state']}")
            said.append(checked["state"])
        with step("the webhook arrives; its Standard Webhooks signature is verified") as said:
            received = await receiver.until("verification.approved", case["id"])
            if receiver.refused:
                raise StepFailed("a webhook with a wrong signature arrived")
            said.append(f"{received.type}, webhook-id {received.webhook_id}")
        with step("GET …/timeline"):
            timeline = await self._timeline(api, case["id"])
        self.steps.console.print(showing.timeline(timeline, f"verification {case['id']}"))

    async def _timeline(self, api: httpx2.AsyncClient, case_id: str) -> list[dict[str, Any]]:
        """Return the timeline once it tells of the receipt and of the last webhook."""
        wanted = {"receipt", "verification.approved", "webhook.delivered"}
        while True:
            entries: list[dict[str, Any]] = _expect(200, await api.get(f"/v1/verifications/{case_id}/timeline"))["data"]
            told = {entry["what"] for entry in entries}
            webhooks = {entry["event"] for entry in entries if entry["what"] == "webhook.delivered"}
            if wanted <= told and "verification.approved" in webhooks:
                return entries
            await trio.sleep(_LOOK_EVERY_S)


def _adapt(settings: Path, smpp_port: int) -> None:
    """Let the installation listen on any free port, bind to this operator, and call back to loopback."""
    document: Any = tomlkit.parse(settings.read_text(encoding="utf-8"))
    document["http"]["port"] = 0
    document["operations"]["port"] = 0
    document["accounts"]["simulator"]["binds"]["main"]["port"] = smpp_port
    document["webhooks"] = {"allow_loopback": True}
    replace_private(settings, tomlkit.dumps(document))


def _wait_like_a_network(simulator: Path) -> None:
    """Let some time pass between an answer and its receipt."""
    document: Any = tomlkit.parse(simulator.read_text(encoding="utf-8"))
    document["accounts"][0]["behaviour"] = {"receipt_delay": _RECEIPT_DELAY_S}
    replace_private(simulator, tomlkit.dumps(document))


def _expect(status: int, answer: httpx2.Response) -> Any:
    if answer.status_code != status:
        raise StepFailed(f"{answer.request.method} {answer.request.url.path}: {answer.status_code}, not {status}")
    return answer.json()


async def _end_at_sigterm(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        await anext(signals)
        scope.cancel()


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of ours, else an interruption, else whatever came first."""
    leaves: list[BaseException] = []
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop(0)
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            leaves.append(error)
    for kind in (EngineError, trio.TooSlowError, KeyboardInterrupt):
        found = next((error for error in leaves if isinstance(error, kind)), None)
        if found is not None:
            return StepFailed("the demo took too long") if isinstance(found, trio.TooSlowError) else found
    return StepFailed(f"{type(leaves[0]).__name__} in the demo")
