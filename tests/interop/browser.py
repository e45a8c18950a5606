"""Chromium without a head, spoken to over its DevTools pipe: pages, keys, screenshots, and what its console says.

A small driver instead of a package with a browser of its own: a pipe of JSON is all that the protocol needs.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
_PATIENCE_S: Final = 120
_FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",  # continuous integration runs as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_KEYS: Final = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "End": (35, ""),
    "Home": (36, ""),
    "ArrowUp": (38, ""),
    "ArrowDown": (40, ""),
    " ": (32, " "),
}


class Page:
    """One page of a browser."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A DevTools command on this page."""
        return await self._browser.call(method, self._session, **params)

    async def open(self, url: str) -> None:
        """Go there; scripts have run when this returns."""
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def value(self, expression: str) -> Any:
        """What JavaScript makes of it; an error fails."""
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Ask again until it is true; what it was then."""
        with trio.move_on_after(_PATIENCE_S):
            while not (value := await self.value(expression)):
                await trio.sleep(0.05)
            return value
        raise AssertionError(f"it never was so: {expression}; the browser said: {self._browser.complaints}")

    async def press(self, *keys: str) -> None:
        """Keys, one after the other."""
        for key in keys:
            code, text = _KEYS[key]
            told = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
            await self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **told)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **told)

    async def write(self, text: str) -> None:
        """Type into whatever has the focus."""
        await self.call("Input.insertText", text=text)

    async def tab_to(self, expression: str) -> None:
        """Press Tab until `expression` holds for the element `it` that has the focus."""
        for _ in range(200):
            if await self.value(f"(it => {expression})(document.activeElement)"):
                return
            await self.press("Tab")
        raise AssertionError(f"the tab key never came to: {expression}")

    async def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """A window of that size, in a light or a dark room."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, file: Path) -> None:
        """The whole page as a PNG."""
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await trio.Path(file).write_bytes(base64.b64decode(answer["data"]))


class Browser:
    """A running browser."""

    def __init__(self, commands: trio.lowlevel.FdStream, answers: trio.lowlevel.FdStream) -> None:
        self._commands = commands
        self._answers = answers
        self._count = 0
        self._waiting: dict[int, trio.MemorySendChannel[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        """Errors of consoles, uncaught exceptions, refusals by a policy."""

    async def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """A DevTools command; its result."""
        self._count += 1
        sent = {"id": self._count, "method": method, "params": params}
        if session is not None:
            sent["sessionId"] = session
        send, receive = trio.open_memory_channel[dict[str, Any]](1)
        self._waiting[self._count] = send
        await self._commands.send_all(json.dumps(sent).encode() + b"\0")
        with trio.fail_after(_PATIENCE_S):
            answer = await receive.receive()
        assert "error" not in answer, (method, answer)
        result: dict[str, Any] = answer["result"]
        return result

    async def listen(self) -> None:
        """Hand answers to who waits for them, for ever."""
        rest = b""
        while chunk := await self._answers.receive_some(65_536):
            *messages, rest = (rest + chunk).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self._waiting.pop(message["id"]).send_nowait(message)
                else:
                    self._heard(message["method"], message["params"])

    def _heard(self, event: str, said: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.complaints.append(str(said["exceptionDetails"]))
        elif event == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
        elif event == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(said["args"]))

    async def page(self) -> Page:
        """A new page."""
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        attached = await self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log"):
            await page.call(f"{domain}.enable")
        return page


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Browser]:
    """A browser with a profile of its own in `folder`; it ends with the context."""
    assert CHROMIUM is not None
    its_input, commands = os.pipe()
    answers, its_output = os.pipe()
    # The protocol's pipe is file descriptors 3 and 4, wherever ours are.
    script = f'exec "$@" 3<&{its_input} 4>&{its_output}'
    command = ["bash", "-c", script, "bash", CHROMIUM, *_FLAGS, f"--user-data-dir={folder / 'profile'}"]
    environment = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    log = folder / "chromium.log"
    with log.open("wb") as said:
        process = await trio.lowlevel.open_process(
            command, pass_fds=(its_input, its_output), stdout=said, stderr=said, env=environment
        )
    os.close(its_input)
    os.close(its_output)
    async with (
        trio.lowlevel.FdStream(commands) as to_it,
        trio.lowlevel.FdStream(answers) as from_it,
        trio.open_nursery() as nursery,
    ):
        browser = Browser(to_it, from_it)
        nursery.start_soon(browser.listen)
        try:
            yield browser
        finally:
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                process.terminate()
                with trio.move_on_after(10):
                    await process.wait()
                process.kill()
                await process.wait()
