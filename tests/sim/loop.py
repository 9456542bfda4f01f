"""An asyncio event loop on virtual time, one for each simulated process.

Callbacks of one loop run in the order in which they were asked for, as asyncio promises; what
happens between them, in other processes and on the network, is the seed's choice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from tests.sim.scheduler import Event, Scheduler


class SimLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as protocols, futures and tasks need; no sockets, no threads."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: dict[asyncio.TimerHandle, Event] = {}
        self._closed = False
        self._due: Event | None = None

    # --- what asyncio's own classes ask for ------------------------------------------------------

    def time(self) -> float:
        return self._scheduler.now_us / 1_000_000

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Any = None
    ) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._enqueue(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)

        def ring() -> None:
            self._timers.pop(handle, None)
            self._enqueue(handle)

        self._timers[handle] = self._scheduler.after(when - self.time(), ring)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        event = self._timers.pop(handle, None)
        if event is not None:
            event.cancel()

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception") or AssertionError(context.get("message"))
        self._scheduler.fail(error)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.default_exception_handler(context)

    # --- turning ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Nothing that waits is run any more: the process has ended."""
        self._closed = True
        self._ready.clear()
        for event in self._timers.values():
            event.cancel()
        self._timers.clear()

    def _enqueue(self, handle: asyncio.Handle) -> None:
        if self._closed:
            return
        self._ready.append(handle)
        if self._due is None:
            self._due = self._scheduler.after(0, self._turn)

    def _turn(self) -> None:
        self._due = None
        if self._closed or not self._ready:
            return
        handle = self._ready.popleft()
        if not handle.cancelled():
            asyncio._set_running_loop(self)
            try:
                handle._run()
            finally:
                asyncio._set_running_loop(None)
        if self._ready and self._due is None:
            self._due = self._scheduler.after(0, self._turn)


def make_loop(scheduler: Scheduler) -> SimLoop:
    """A loop. It has no sockets and no threads, which its type would want."""
    return SimLoop(scheduler)  # type: ignore[abstract]
