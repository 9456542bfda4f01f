"""Simulated threads: real ones of which exactly one runs, until it parks.

The code under test blocks where it likes: in a sync that takes its time, on a volume that
hangs, on a lock of SQLite's. A simulated thread then parks, others go on, and the scheduler
resumes it at a virtual moment. Between parking places nothing else runs, so everything repeats.
"""

from __future__ import annotations

import _thread
import random
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, TypeVar

from staffetta.runtime.tasks import Done, Failed, Outcome
from tests.sim.loop import SimLoop
from tests.sim.scheduler import Event, Killed, Scheduler

T = TypeVar("T")

# A simulated thread that computes for longer than this blocks on something real: a bug.
BLOCKED_S = 60.0
WORKER_LATENCY_S = 0.000_2


class Owner(Protocol):
    """The process to which a thread belongs."""

    @property
    def alive(self) -> bool: ...


class SimThread:
    """One thread of a simulated process."""

    running: SimThread | None = None  # the one whose turn it is

    def __init__(self, scheduler: Scheduler, owner: Owner, main: Callable[[], None]) -> None:
        """`main` begins at the scheduler's next turn."""
        self._scheduler = scheduler
        self._owner = owner
        self._main = main
        self._go = _thread.allocate_lock()
        self._back = _thread.allocate_lock()
        self._go.acquire()
        self._back.acquire()
        self.ended = False
        self._wakeup: Event | None = scheduler.after(0, self.resume)
        threading.Thread(target=self._run, daemon=True).start()

    def park(self, delay_s: float | None) -> None:
        """Let others go on, for that long or until `wake`. Raises `Killed`."""
        assert SimThread.running is self, "only the running thread can park"
        if not self._owner.alive:
            raise Killed
        if delay_s is not None:
            self._wakeup = self._scheduler.after(delay_s, self.resume)
        self._back.release()
        self._go.acquire()
        if not self._owner.alive:
            raise Killed

    def wake(self, delay_s: float = 0.0) -> None:
        """Have a parked thread go on."""
        if self._wakeup is not None:
            self._wakeup.cancel()
        self._wakeup = self._scheduler.after(delay_s, self.resume)

    def resume(self) -> None:
        """The thread's turn, until it parks or ends. Called by the scheduler."""
        if self.ended:
            return
        self._wakeup = None
        assert SimThread.running is None, "one thread at a time"
        SimThread.running = self
        self._go.release()
        came_back = self._back.acquire(timeout=BLOCKED_S)
        SimThread.running = None
        assert came_back, "a simulated thread blocks on something real"

    def end(self) -> None:
        """See the thread of a dead process to its end."""
        if self._wakeup is not None:
            self._wakeup.cancel()
        while not self.ended:
            self.resume()

    def _run(self) -> None:
        self._go.acquire()
        try:
            if self._owner.alive:
                self._main()
        except Killed:
            assert not self._owner.alive
        except BaseException as error:
            # What the dead stumble over on their way out is no fault of theirs.
            if self._owner.alive:
                self._scheduler.fail(error)
        finally:
            self.ended = True
            self._back.release()


class SimLock:
    """A lock for simulated threads; stands in for `threading.Lock` where threads meet."""

    def __init__(self) -> None:
        self._holder: SimThread | None = None
        self._waiting: deque[SimThread] = deque()

    def __enter__(self) -> None:
        thread = SimThread.running
        assert thread is not None, "taken outside of a simulated thread"
        while self._holder is not None and not self._holder.ended:
            self._waiting.append(thread)
            thread.park(None)
        self._holder = thread

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._holder = None
        if self._waiting:
            self._waiting.popleft().wake()


class SimWorker:
    """A `runtime.tasks.Worker` on a simulated thread; starting and ending a job take time."""

    def __init__(
        self,
        spawn: Callable[[Callable[[], None]], SimThread],
        loop: SimLoop,
        latency: random.Random,
    ) -> None:
        self._loop = loop
        self._latency = latency
        self._jobs: deque[Callable[[], None]] = deque()
        self._idle = False
        self._closed = False
        self._thread = spawn(self._work)

    def submit(self, job: Callable[[], T], done: Callable[[Outcome[T]], None]) -> None:
        def run() -> None:
            outcome: Outcome[T]
            try:
                outcome = Done(job())
            except Exception as error:  # carried to the loop, as the real worker does
                outcome = Failed(error)
            self._thread.park(self._latency.random() * WORKER_LATENCY_S)
            self._loop.call_soon_threadsafe(done, outcome)

        self._jobs.append(run)
        if self._idle:
            self._idle = False
            self._thread.wake(self._latency.random() * WORKER_LATENCY_S)

    def close(self) -> None:
        self._closed = True
        if self._idle:
            self._idle = False
            self._thread.wake()

    def _work(self) -> None:
        while True:
            while self._jobs:
                self._jobs.popleft()()
            if self._closed:
                return
            self._idle = True
            self._thread.park(None)
