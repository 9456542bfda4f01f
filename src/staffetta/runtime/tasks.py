"""Work beside the event loop: single threads and small pools, with deadlines.

An event loop must never wait for a disk. A `Worker` runs jobs in order on one thread and calls
back on the loop; a `Pool` runs jobs on a bounded number of threads and gives up on those that
miss their deadline. Given-up jobs keep their thread (nothing can end a system call that hangs)
but never more threads than the bound.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Done(Generic[T_co]):
    """A job that returned."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that raised."""

    error: Exception


Outcome = Done[T] | Failed


class Worker(Protocol):
    """Runs blocking jobs one after the other and calls back on the event loop."""

    def submit(self, job: Callable[[], T], done: Callable[[Outcome[T]], None]) -> None:
        """Queue a job; `done` is called on the loop's thread with what became of it."""
        ...

    def close(self) -> None:
        """Take no more jobs; those queued are still run."""
        ...


class ThreadWorker:
    """A `Worker` on one thread of its own."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], T], done: Callable[[Outcome[T]], None]) -> None:
        def run() -> None:
            outcome: Outcome[T]
            try:
                outcome = Done(job())
            except Exception as error:  # carried to the loop, not swallowed
                outcome = Failed(error)
            try:
                self._loop.call_soon_threadsafe(done, outcome)
            except RuntimeError:  # the loop has been closed: nobody is left to tell
                return

        self._jobs.put(run)

    def close(self) -> None:
        self._jobs.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end; False if it is still busy after that time."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (run := self._jobs.get()) is not None:
            run()


class DeadlineMissed(Exception):
    """The job did not end in time; whether it will is unknown."""


class PoolBusy(Exception):
    """All threads of the pool are held by jobs that hang, or too many jobs wait."""


class Pool:
    """At most `threads_max` threads for the blocking jobs of one failure domain.

    A job gets an `abandoned` event: set when its caller has given up, so that a job that was
    still waiting, or hung before it began, can be dropped instead of done late.
    """

    def __init__(self, name: str, threads_max: int, waiting_max: int) -> None:
        self._name = name
        self._threads_max = threads_max
        self._waiting_max = waiting_max
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = 0
        self._idle = 0
        self._waiting = 0
        self._lock = threading.Lock()

    async def run(self, job: Callable[[threading.Event], T], deadline_s: float) -> T:
        """The job's result. Raises what it raises, `DeadlineMissed`, or `PoolBusy` at once."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        abandoned = threading.Event()

        def finish(outcome: Outcome[T]) -> None:
            if future.done():
                return
            match outcome:
                case Done(value):
                    future.set_result(value)
                case Failed(error):
                    future.set_exception(error)

        def call() -> None:
            if abandoned.is_set():
                return
            outcome: Outcome[T]
            try:
                outcome = Done(job(abandoned))
            except Exception as error:  # carried to the loop, not swallowed
                outcome = Failed(error)
            try:
                loop.call_soon_threadsafe(finish, outcome)
            except RuntimeError:  # the loop has been closed: nobody is left to tell
                return

        self._enqueue(call)
        timer = loop.call_later(deadline_s, _give_up, future, self._name, deadline_s)
        try:
            return await future
        except (DeadlineMissed, asyncio.CancelledError):
            abandoned.set()
            raise
        finally:
            timer.cancel()

    def _enqueue(self, call: Callable[[], None]) -> None:
        with self._lock:
            if self._waiting >= self._waiting_max:
                raise PoolBusy(f"{self._name}: {self._waiting} jobs wait already")
            self._waiting += 1
            grow = self._idle < self._waiting and self._threads < self._threads_max
            if grow:
                self._threads += 1
        self._jobs.put(call)
        if grow:
            threading.Thread(target=self._serve, name=self._name, daemon=True).start()

    def _serve(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            call = self._jobs.get()
            with self._lock:
                self._idle -= 1
                self._waiting -= 1
            call()


def _give_up(future: asyncio.Future[T], name: str, deadline_s: float) -> None:
    if not future.done():
        future.set_exception(DeadlineMissed(f"{name}: no answer within {deadline_s:g} s"))
