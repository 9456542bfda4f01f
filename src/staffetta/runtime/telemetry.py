"""What the system says about itself: log lines for people, numbers for machines.

Lines are JSON, one for each decision, and never contain a secret or the content of a message.
Writing them never blocks the event loop: a stalled terminal or a full disk costs lines (which
are counted), not mail. Numbers are plain attributes on the hot path and become Prometheus
metrics only when somebody asks.
"""

from __future__ import annotations

import bisect
import os
import select
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

PENDING_BYTES_MAX = 4 * 1024 * 1024
FLUSH_INTERVAL_S = 0.05
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# Fields that never reach a line, whatever code above may have put into them.
SECRET_FIELDS = frozenset({"password", "secret", "token", "credentials", "response"})


class Logger(Protocol):
    """Says one line for each decision: an event's name and its fields."""

    def bind(self, **fields: Any) -> Logger:
        """A logger whose lines all carry these fields."""
        ...

    def debug(self, event: str, **fields: Any) -> Any:
        """For whoever develops this."""
        ...

    def info(self, event: str, **fields: Any) -> Any:
        """A decision."""
        ...

    def warning(self, event: str, **fields: Any) -> Any:
        """Somebody should look at this in office hours."""
        ...

    def error(self, event: str, **fields: Any) -> Any:
        """Somebody should look at this now."""
        ...


class LineSink(Protocol):
    """Where rendered lines go."""

    def write(self, line: bytes, urgent: bool) -> None:
        """Take a line (without its end); must not block."""
        ...

    def flush(self, timeout_s: float) -> None:
        """Try to get everything out before a process ends."""
        ...

    def reopen(self) -> None:
        """The file may have been moved away: open it again by its name."""
        ...


def _open_target(path: Path | None) -> int:
    if path is None:
        return os.dup(2)
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


class DirectLines:
    """Writes each line at once if that is possible without waiting, else drops it.

    For a process that must not have threads.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor = _open_target(path)
        self.dropped_lines = 0

    def write(self, line: bytes, urgent: bool) -> None:
        _, writable, _ = select.select([], [self._descriptor], [], 0)
        if not writable:
            self.dropped_lines += 1
            return
        try:
            os.write(self._descriptor, line + b"\n")
        except OSError:
            self.dropped_lines += 1

    def flush(self, timeout_s: float) -> None:
        return

    def reopen(self) -> None:
        os.close(self._descriptor)
        self._descriptor = _open_target(self._path)


class BufferedLines:
    """Gathers lines and writes them from a thread of its own, many in one system call."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor = _open_target(path)
        self._lines: list[bytes] = []
        self._pending_bytes = 0
        self._lock = threading.Lock()
        self._something = threading.Event()
        self._urgent = threading.Event()
        self._reopen = False
        self.dropped_lines = 0
        threading.Thread(target=self._run, name="log-lines", daemon=True).start()

    def write(self, line: bytes, urgent: bool) -> None:
        with self._lock:
            if self._pending_bytes > PENDING_BYTES_MAX:
                self.dropped_lines += 1
                return
            self._lines.append(line)
            self._pending_bytes += len(line)
        if not self._something.is_set():
            self._something.set()
        if urgent:
            self._urgent.set()

    def flush(self, timeout_s: float) -> None:
        deadline_s = time.monotonic() + timeout_s
        self._urgent.set()
        while self._pending_bytes and time.monotonic() < deadline_s:
            time.sleep(0.005)

    def reopen(self) -> None:
        self._reopen = True  # by the thread that writes, between two writes
        self._urgent.set()
        self._something.set()

    def _run(self) -> None:
        while True:
            self._something.wait()
            self._urgent.wait(FLUSH_INTERVAL_S)
            self._urgent.clear()
            with self._lock:
                lines, self._lines = self._lines, []
                self._something.clear()
            if self._reopen:
                self._reopen = False
                os.close(self._descriptor)
                self._descriptor = _open_target(self._path)
            self._write_all(lines)

    def _write_all(self, lines: Sequence[bytes]) -> None:
        rest = memoryview(b"\n".join([*lines, b""]))
        size_bytes = len(rest) - len(lines)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [], 1.0)
            except OSError:
                self.dropped_lines += len(lines)
                break
        with self._lock:
            self._pending_bytes -= size_bytes


def open_logger(sink: LineSink, level: str, **fields: Any) -> Logger:
    """A logger whose lines carry `fields`; `level` is one of `LEVELS`."""
    import structlog

    encode = msgspec.json.Encoder(enc_hook=str).encode
    moments = _Moments()

    def stamp(_: Any, name: str, line: Any) -> Any:
        if not SECRET_FIELDS.isdisjoint(line):
            for secret in SECRET_FIELDS.intersection(line):
                line[secret] = "…"
        return {"at": moments.text(time.time_ns() // 1000), "level": name, **line}

    def render(
        _: Any, name: str, line: Mapping[str, Any]
    ) -> tuple[tuple[bytes, bool], dict[str, Any]]:
        return (encode(line), LEVELS[name] >= LEVELS["warning"]), {}

    class Out:
        """What structlog calls a logger: each level hands the rendered line to the sink."""

        debug = info = warning = error = staticmethod(sink.write)

    logger: Logger = structlog.wrap_logger(
        Out(),
        processors=[stamp, render],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        context_class=dict,
        cache_logger_on_first_use=True,
        **fields,
    ).bind()
    return logger


class SilentLogger:
    """Says nothing: for tests and for commands that speak to a person instead."""

    def bind(self, **fields: Any) -> SilentLogger:
        return self

    def debug(self, event: str, **fields: Any) -> None:
        return

    info = warning = error = debug


class _Moments:
    """Writes moments in UTC; the second, the same for many lines, is written once."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self, at_us: int) -> str:
        second, us = divmod(at_us, 1_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{us:06}Z"


class Tally:
    """A number that only grows: `tally.value += n` is all that the hot path pays."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


DURATION_BOUNDS_S = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip


class Durations:
    """A histogram of seconds."""

    __slots__ = ("bounds_s", "counts", "total_s")

    def __init__(self, bounds_s: Sequence[float] = DURATION_BOUNDS_S) -> None:
        self.bounds_s = tuple(bounds_s)
        self.counts = [0] * (len(self.bounds_s) + 1)
        self.total_s = 0.0

    def add(self, duration_s: float, times: int = 1) -> None:
        """Count something that took that long; `times` at once for a batch."""
        self.counts[bisect.bisect_left(self.bounds_s, duration_s)] += times
        self.total_s += duration_s * times


Labels = Mapping[str, str]
_Key = tuple[str, tuple[tuple[str, str], ...]]


class Metrics:
    """The numbers of one process. Names are without the common prefix `staffetta_`.

    Asking twice for the same name and labels gives the same object.
    """

    def __init__(self, **common: str) -> None:
        self._common = common
        self._helps: dict[str, str] = {}
        self._tallies: dict[_Key, Tally] = {}
        self._durations: dict[_Key, Durations] = {}
        self._gauges: dict[_Key, Callable[[], float]] = {}
        self._families_read: dict[str, tuple[str, Callable[[], Mapping[str, float]]]] = {}

    def tally(self, name: str, help_text: str, **labels: str) -> Tally:
        """A counter, e.g. `accepted_messages`."""
        self._helps[name] = help_text
        return self._tallies.setdefault(_key(name, labels), Tally())

    def durations(self, name: str, help_text: str, **labels: str) -> Durations:
        """A histogram of seconds, e.g. `commit_seconds`."""
        self._helps[name] = help_text
        return self._durations.setdefault(_key(name, labels), Durations())

    def gauge(self, name: str, help_text: str, read: Callable[[], float], **labels: str) -> None:
        """A number that is read when somebody asks, e.g. `log_free_bytes`; must not block."""
        self._helps[name] = help_text
        self._gauges[_key(name, labels)] = read

    def gauges(
        self, name: str, help_text: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """One number for each value of a label, e.g. for each cell; must not block."""
        self._helps[name] = help_text
        self._families_read[name] = label, read

    def values(self) -> dict[str, float]:
        """Counters and gauges as `name{label=value}`: for the status command and tests."""
        found = {_text(key): float(tally.value) for key, tally in self._tallies.items()}
        return found | {_text(key): float(read()) for key, read in self._gauges.items()}

    def render(self) -> bytes:
        """Everything in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector(self._families))
        return generate_latest(registry)

    def _families(self) -> Iterable[Any]:
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        families: dict[str, tuple[Any, list[str]]] = {}

        def add(family_type: Any, key: _Key, *values: Any) -> None:
            name, labels = key
            named = self._common | dict(labels)
            if name not in families:
                order = list(named)
                family = family_type(f"staffetta_{name}", self._helps[name], labels=order)
                families[name] = family, order
            family, order = families[name]
            family.add_metric([named[label] for label in order], *values)

        for key, tally in self._tallies.items():
            add(CounterMetricFamily, key, tally.value)
        for key, read in self._gauges.items():
            add(GaugeMetricFamily, key, read())
        for name, (label, read_all) in self._families_read.items():
            for value, number in read_all().items():
                add(GaugeMetricFamily, (name, ((label, value),)), number)
        for key, durations in self._durations.items():
            add(HistogramMetricFamily, key, _buckets(durations), durations.total_s)
        return [family for family, _ in families.values()]


class _Collector:
    """What a Prometheus registry asks."""

    def __init__(self, collect: Callable[[], Iterable[Any]]) -> None:
        self.collect = collect


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound_s, count in zip(durations.bounds_s, durations.counts, strict=False):
        total += count
        buckets.append((str(bound_s), total))
    buckets.append(("+Inf", total + durations.counts[-1]))
    return buckets


def _key(name: str, labels: Labels) -> _Key:
    return name, tuple(sorted(labels.items()))


def _text(key: _Key) -> str:
    name, labels = key
    inner = ",".join(f"{label}={value}" for label, value in labels)
    return f"{name}{{{inner}}}" if inner else name
