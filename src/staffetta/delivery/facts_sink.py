"""The delivering process's own partition of the log, shared by the threads of its cells."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from staffetta.log.port import LogWriter, NewEntry


class FactsSink:
    """Appends facts durably, one thread at a time."""

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer
        self._lock = threading.Lock()

    def append(self, entries: Sequence[NewEntry]) -> None:
        """Durable when this returns. Raises `LogFull`, `LogBroken`."""
        if entries:
            with self._lock:
                self._writer.append(entries)

    def close(self) -> None:
        """Let go of the files."""
        with self._lock:
            self._writer.close()
