"""A simulator in a thread with a trio run of its own, and calls into it from any thread or from another trio run.

It knows nothing of what is called. `testing` builds what tests hold on it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar, overload

import trio

from smppsim.scenario import Scenario
from smppsim.simulator import Simulator, wall_clock

P = ParamSpec("P")
T = TypeVar("T")

HOST: Final = "127.0.0.1"
_STOP_S: Final = 10.0


class SimulatorThread:
    """Runs until stopped; daemonic, so that a hanging test cannot keep the process alive."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.simulator = Simulator(scenario, seed=seed, wall=wall_clock)
        self.port = 0
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="smppsim", daemon=True)

    def start(self) -> None:
        """Return when it listens on `port`; raise what kept it from it."""
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise RuntimeError("the simulator did not start") from self._failure

    def stop(self) -> None:
        """End the run and its connections; raise what had ended it before."""
        if self._token is not None and self._thread.is_alive():
            with suppress(trio.RunFinishedError):  # it is ending by itself
                self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(_STOP_S)
        if self._thread.is_alive():
            raise RuntimeError(f"the simulator has not ended within {_STOP_S:g} s")
        if self._failure is not None:
            raise RuntimeError("the simulator has failed") from self._failure

    def _run(self) -> None:
        try:
            trio.run(self._main)
        except BaseException as failure:
            self._failure = failure
        finally:
            self._ready.set()

    async def _main(self) -> None:
        with self._scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.simulator.run)
                self.port = await self.simulator.listen(HOST)
                self._token = trio.lowlevel.current_trio_token()
                self._ready.set()

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Run an async function in the simulator's thread and block for its result.

        RuntimeError in a thread that runs trio itself, where blocking would stop whoever is being tested, and if the
        simulator has ended.
        """
        if trio.lowlevel.in_trio_run():
            raise RuntimeError("this call blocks; in a trio test, await its .trio() instead")
        try:
            return trio.from_thread.run(function, trio_token=self._token)
        except trio.RunFinishedError:
            raise RuntimeError("the simulator has ended") from self._failure


class Threaded(Protocol):
    """What `both` needs of its object."""

    @property
    def thread(self) -> SimulatorThread:
        """Where its methods run."""


class Call(Generic[P, T]):
    """A method of an object in the simulator's thread: call it to block, or await its `trio`."""

    def __init__(self, thread: SimulatorThread, method: Callable[P, Awaitable[T]]) -> None:
        self._thread = thread
        self._method = method

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Block until it is done."""
        __tracebackhide__ = True
        try:
            return self._thread.call(functools.partial(self._method, *args, **kwargs))
        except AssertionError as failure:
            # What failed is the caller's expectation; where in here it was noticed is noise.
            raise failure.with_traceback(None) from None

    async def trio(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for a caller who runs trio, on the real clock: under an autojump clock other threads seem idle."""
        __tracebackhide__ = True
        blocking = functools.partial(self, *args, **kwargs)
        try:
            return await trio.to_thread.run_sync(blocking, abandon_on_cancel=True)
        except AssertionError as failure:
            raise failure.with_traceback(None) from None


class both(Generic[P, T]):
    """Makes a `Call` of an async method, which runs in the simulator's thread."""

    def __init__(self, method: Callable[Concatenate[Any, P], Awaitable[T]]) -> None:
        self.method = method
        functools.update_wrapper(self, method)  # type: ignore[arg-type]

    @overload
    def __get__(self, instance: None, owner: type) -> both[P, T]: ...
    @overload
    def __get__(self, instance: Threaded, owner: type) -> Call[P, T]: ...
    def __get__(self, instance: Threaded | None, owner: type) -> both[P, T] | Call[P, T]:
        if instance is None:
            return self
        call: Call[P, T] = Call(instance.thread, functools.partial(self.method, instance))
        functools.update_wrapper(call, self.method)
        return call
