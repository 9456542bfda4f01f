"""Virtual time: one queue of events, and the order among those of the same moment from a seed.

Everything that happens in a simulated world is an event here. Nothing waits for a real clock,
so a day passes in as long as its events take to compute, and the same seed gives the same
events in the same order, on every machine and in every process.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import random
from collections.abc import Callable


class Killed(BaseException):
    """The simulated process whose code this is has ended: nothing of it may go on.

    Not an `Exception`: code that survives faults of the world must not survive its own end.
    """


class Stuck(AssertionError):
    """What was waited for did not come true in time, or nothing is left to happen."""


class Event:
    """Something that will happen, unless it is cancelled."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], object]) -> None:
        self.call: Callable[[], object] | None = call

    def cancel(self) -> None:
        self.call = None


class Scheduler:
    """The clock of a world and everything that is going to happen in it."""

    def __init__(self, seed: int, *, show: Callable[[str], None] | None = None) -> None:
        """`show` gets every line of the trace, e.g. `print`."""
        self.seed = seed
        self.now_us = 0
        self.events = 0
        self._queue: list[tuple[int, float, int, Event]] = []
        self._order = self.stream("order")
        self._count = 0
        self._show = show
        self._hash = hashlib.blake2b(digest_size=8)
        self._failure: BaseException | None = None
        self._interrupts: list[Callable[[], object]] = []

    def stream(self, name: str) -> random.Random:
        """Chance of its own for one purpose: more use of one leaves the others as they were."""
        return random.Random(f"{self.seed}/{name}")

    def after(self, delay_s: float, call: Callable[[], object]) -> Event:
        """Have something happen; among events of one moment the seed decides."""
        return self.at(self.now_us + max(int(delay_s * 1_000_000), 0), call)

    def at(self, at_us: int, call: Callable[[], object]) -> Event:
        """Have something happen at that moment."""
        event = Event(call)
        self._count += 1
        heapq.heappush(self._queue, (at_us, self._order.random(), self._count, event))
        return event

    def trace(self, line: str) -> None:
        """Put something that happened on the record."""
        text = f"{self.now_us / 1_000_000:12.6f} {line}"
        self._hash.update(text.encode())
        if self._show is not None:
            self._show(text)

    @property
    def trace_hash(self) -> str:
        """A digest of the record so far."""
        return self._hash.hexdigest()

    def fail(self, error: BaseException) -> None:
        """A simulated part met a bug: the run ends with this error."""
        self._failure = self._failure or error

    def interrupt(self, call: Callable[[], object]) -> None:
        """Have something happen as soon as the present event is over, before any other."""
        self._interrupts.append(call)

    def step(self) -> bool:
        """The next event; False when none is left. Raises what a part failed with."""
        while self._queue:
            at_us, _, _, event = heapq.heappop(self._queue)
            call, event.call = event.call, None
            if call is None:
                continue
            self.now_us = at_us
            self.events += 1
            call()
            while self._interrupts:
                self._interrupts.pop(0)()
            if self._failure is not None:
                raise self._failure
            return True
        return False

    def run_for(self, seconds: float) -> None:
        """Let that much virtual time pass."""
        until_us = self.now_us + int(seconds * 1_000_000)
        while self._next_us() <= until_us:
            self.step()
        self.now_us = until_us

    def _next_us(self) -> float:
        while self._queue and self._queue[0][3].call is None:
            heapq.heappop(self._queue)
        return self._queue[0][0] if self._queue else math.inf

    def run_until(self, reached: Callable[[], bool], limit_s: float, what: str) -> None:
        """Go on until `reached`. Raises `Stuck` when `limit_s` of virtual time pass before."""
        until_us = self.now_us + int(limit_s * 1_000_000)
        while not reached():
            if not self.step() or self.now_us > until_us:
                raise Stuck(f"after {self.now_us / 1_000_000:.1f} s: waited in vain for {what}")
