"""Time. Wall clock for what is recorded, monotonic clock for what is measured; never mixed."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """Where the rest of the system reads the time from, so that a simulator can hold it."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01T00:00:00Z, as recorded in the log."""
        ...

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back; its zero means nothing."""
        ...

    def utc_offset_s(self, at_us: int) -> int:
        """Seconds east of UTC to print in trace headers for a message of that moment."""
        ...


# Zones change their offset at full quarters of an hour at the earliest.
OFFSET_KEPT_US = 900_000_000


@lru_cache(maxsize=8)
def _offset_s(at_us: int) -> int:
    return time.localtime(at_us // 1_000_000).tm_gmtoff


class SystemClock:
    """The machine's clocks; trace headers are written in the machine's own zone."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        return time.monotonic()

    def utc_offset_s(self, at_us: int) -> int:
        return _offset_s(at_us // OFFSET_KEPT_US * OFFSET_KEPT_US)
