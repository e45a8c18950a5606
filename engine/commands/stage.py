"""The stage of a demo: a fresh installation in a temporary folder, a server and a simulator as processes of their own,
a webhook receiver here; every port is any free one, and nothing stays behind. What is played on it prints each step
with its real time; a step that fails fails the whole.
"""

import re
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx2
import tomlkit
import trio
from rich.console import Console

from engine.clock import SystemClock
from engine.commands import showing
from engine.commands.children import child
from engine.commands.init import SENDER, first_key, lay_out
from engine.errors import EngineError
from engine.private_files import replace_private
from engine.settings import load
from engine.tenancy import DEFAULT_APPLICATION

if TYPE_CHECKING:
    from engine.commands.receiver import Receiver

WHOLE_S: Final = 50.0
STEP_S: Final = 20.0
LOOK_EVERY_S: Final = 0.02
RECEIPT_DELAY_S: Final = 0.1
_END_S: Final = 10.0
_CODE: Final = re.compile(r"(?<![0-9A-Za-z+])[0-9]{6}(?![0-9A-Za-z])")
_ANCHOR_EVERY_S: Final = 1


class StepFailed(EngineError):
    """A step of the demo did not do what it should."""

    code = "step_failed"


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
        with trio.move_on_after(STEP_S) as scope, self.console.status(title):
            yield said
        if scope.cancelled_caught:
            raise StepFailed(f"{title}: not within {STEP_S:.0f} s")
        now = trio.current_time()
        took_ms = (now - started) * 1000
        line = f"[dim]{now - self.begun:6.2f} s[/]  [green]✓[/] {title}  [bold]{took_ms:.1f} ms[/]"
        self.console.print(line, soft_wrap=True)
        for line in said:
            self.console.print("            ", showing.safe(line), soft_wrap=True)


@dataclass(frozen=True, slots=True)
class Stage:
    """What a conversation is played with: clients of the engine's API and of the simulator, and the webhooks."""

    steps: Steps
    api: httpx2.AsyncClient
    handsets: httpx2.AsyncClient
    receiver: "Receiver"

    async def text(self, phone: str, about: str = "") -> dict[str, Any]:
        """Return the newest text with a code that this handset has, one that tells of `about`; waits for it."""
        while True:
            inbox = expect(200, await self.handsets.get(f"/handsets/{phone}/messages", params={"wait_s": STEP_S}))
            for message in reversed(inbox):
                code = _CODE.search(message["text"])  # a document's fingerprint may be eight digits too
                if code is not None and about in message["text"]:
                    return {**message, "code": code[0]}
            await trio.sleep(LOOK_EVERY_S)


Play = Callable[[Stage], Awaitable[None]]


def perform(console: Console, play: Play) -> None:
    """Set a stage, play on it, and clear it away.

    Raises `EngineError` for a step that fails, `StepFailed` if all takes too long.
    """
    with tempfile.TemporaryDirectory(prefix="sceau-demo-") as folder:
        try:
            trio.run(_run, Path(folder), Steps(console), play)
        except trio.TooSlowError:
            raise StepFailed(f"the demo did not end within {WHOLE_S:.0f} s") from None
        except BaseExceptionGroup as group:
            raise _first_of(group) from None


def expect(status: int, answer: httpx2.Response) -> Any:
    """Return the JSON of an answer; raises `StepFailed` if it has another status."""
    if answer.status_code != status:
        asked = f"{answer.request.method} {answer.request.url.path}"
        raise StepFailed(f"{asked}: {answer.status_code}, not {status}{_problem(answer)}")
    return answer.json()


def _problem(answer: httpx2.Response) -> str:
    """Return the stable words of a problem (RFC 9457): its code, and which fields are meant."""
    try:
        said = answer.json()
        fields = ", ".join(f"{one['field']}: {one['code']}" for one in said.get("errors", ()))
        return f" ({said['code']}{': ' if fields else ''}{fields})"
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


async def _run(folder: Path, steps: Steps, play: Play) -> None:
    with trio.fail_after(WHOLE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_at_sigterm, nursery.cancel_scope)
            await _set(folder, steps, play, nursery)
            nursery.cancel_scope.cancel()
            return
    raise StepFailed("ended by a signal")


async def _set(folder: Path, steps: Steps, play: Play, nursery: trio.Nursery) -> None:
    from engine.commands.receiver import Receiver  # with it comes the HTTP server

    settings = folder / "sceau.toml"
    with steps.step("a fresh installation: settings, key ring, database, an API key"):
        laid_out = lay_out(settings)
        key = await trio.to_thread.run_sync(lambda: first_key(load(settings, {})))
    receiver = Receiver(SystemClock())
    hook = await nursery.start(receiver.serve)
    _wait_like_a_network(laid_out.simulator)
    simulating = ["serve", "--port", "0", "--scenario", str(laid_out.simulator)]
    async with child("smppsim", simulating, folder / "smppsim.log") as simulator:
        with steps.step("an operator starts: smppsim serve") as said:
            operator = await simulator.line()
            said.append(f"SMPP at {operator['host']}:{operator['port']}, control API at {operator['http']}")
        _adapt(settings, int(operator["port"]))
        async with child("engine", ["serve", "--file", str(settings)], folder / "sceau.log") as server:
            with steps.step("the server starts: sceau serve") as said:
                urls = await server.line()
                said.append(f"API at {urls['api']}, its pages at {urls['api']}/docs")
            handsets = httpx2.AsyncClient(base_url=operator["http"], trust_env=False, timeout=STEP_S)
            operations = httpx2.AsyncClient(base_url=urls["operations"], trust_env=False)
            api = httpx2.AsyncClient(
                base_url=urls["api"], trust_env=False, headers={"Authorization": f"Bearer {key}"}, timeout=STEP_S
            )
            stage = Stage(steps, api, handsets, receiver)
            async with api, operations, handsets:
                try:
                    await _ready(stage, operations, hook)
                    await play(stage)
                except StepFailed as failed:
                    raise StepFailed(f"{failed}\nthe server's last words:\n{server.tail()}") from None
            with steps.step("the server ends: no more HTTP, answers awaited, unbound"):
                code = await server.end(_END_S)
                if code != 0:
                    raise StepFailed(f"the server ended with {code}:\n{server.tail()}")


async def _ready(stage: Stage, operations: httpx2.AsyncClient, hook: str) -> None:
    with stage.steps.step("it is bound to the operator over SMPP"):
        while True:
            if (await operations.get("/readyz")).status_code == 200:
                break
            await trio.sleep(LOOK_EVERY_S)
    with stage.steps.step("POST /v1/webhook-endpoints"):
        endpoint = expect(201, await stage.api.post("/v1/webhook-endpoints", json={"url": hook}))
        stage.receiver.keys = [endpoint["secret"]]


def _adapt(settings: Path, smpp_port: int) -> None:
    """Let the installation listen on any free port, bind to this operator, call back to loopback, and take replies."""
    document: Any = tomlkit.parse(settings.read_text(encoding="utf-8"))
    document["http"]["port"] = 0
    document["operations"]["port"] = 0
    [account] = document["accounts"]
    document["accounts"][account]["binds"]["main"]["port"] = smpp_port
    document["webhooks"] = {"allow_loopback": True}
    document["numbers"] = {"replies": {"address": SENDER, "application": DEFAULT_APPLICATION, "accounts": [account]}}
    document["evidence"] = {"anchor_every_s": _ANCHOR_EVERY_S}
    replace_private(settings, tomlkit.dumps(document))


def _wait_like_a_network(simulator: Path) -> None:
    """Let some time pass between an answer and its receipt."""
    document: Any = tomlkit.parse(simulator.read_text(encoding="utf-8"))
    document["accounts"][0]["behaviour"] = {"receipt_delay": RECEIPT_DELAY_S}
    replace_private(simulator, tomlkit.dumps(document))


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
