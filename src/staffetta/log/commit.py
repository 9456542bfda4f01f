"""Group commit: whatever arrived while the last sync ran goes into the next transaction.

There is no timer: under no load a message is committed at once, under load the groups grow by
themselves to what the disk needs. The event loop never waits; each entry has a callback, and
the callbacks of a group are called together when the group is durable.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from staffetta.log.port import LogBroken, LogFull, LogWriter, NewEntry, SpooledBody
from staffetta.runtime.tasks import Done, Failed, Outcome, Worker

# What may wait for the disk before new entries are turned away at once.
WAITING_ENTRIES_MAX = 10_000
WAITING_BYTES_MAX = 128 * 1024 * 1024
# What goes into one transaction at most, so that no `250` waits for a huge one.
GROUP_ENTRIES_MAX = 512


class CommitResult(enum.Enum):
    """What became of an entry."""

    DURABLE = "durable"
    FULL = "full"  # no room on the log's disk
    BROKEN = "broken"  # a write or sync failed; this log takes nothing more
    BUSY = "busy"  # too much waits already; the entry was not taken


@dataclass(frozen=True, slots=True)
class CommitStatistics:
    """Counted since the start; for metrics."""

    groups: int
    entries: int
    waiting: int


DoneCallback = Callable[[CommitResult], None]


class GroupCommit:
    """Feeds one partition's writer from an event loop, one group at a time."""

    def __init__(self, writer: LogWriter, worker: Worker) -> None:
        self._writer = writer
        self._worker = worker
        self._waiting: list[tuple[NewEntry, DoneCallback | None]] = []
        self._waiting_bytes = 0
        self._running = False
        self._groups = 0
        self._entries = 0
        self.broken = ""

    def submit(self, entry: NewEntry, done: DoneCallback | None) -> None:
        """Queue an entry. `done`, if any, is called once, later or (when refused) now."""
        body = entry.body
        size_bytes = 0 if body is None or isinstance(body, SpooledBody) else len(body)
        refused: CommitResult | None = None
        if self.broken:
            refused = CommitResult.BROKEN
        elif (
            len(self._waiting) >= WAITING_ENTRIES_MAX
            or self._waiting_bytes + size_bytes > WAITING_BYTES_MAX
        ):
            refused = CommitResult.BUSY
        if refused is not None:
            if done is not None:
                done(refused)
            return
        self._waiting.append((entry, done))
        self._waiting_bytes += size_bytes
        if not self._running:
            self._start_group()

    @property
    def idle(self) -> bool:
        """Is nothing waiting or being written?"""
        return not self._running and not self._waiting

    def statistics(self) -> CommitStatistics:
        """Counts for the metrics."""
        return CommitStatistics(self._groups, self._entries, len(self._waiting))

    def _start_group(self) -> None:
        group, self._waiting = (
            self._waiting[:GROUP_ENTRIES_MAX],
            self._waiting[GROUP_ENTRIES_MAX:],
        )
        self._waiting_bytes = sum(
            len(entry.body) for entry, _ in self._waiting if isinstance(entry.body, bytes)
        )
        self._running = True
        entries = [entry for entry, _ in group]
        self._worker.submit(
            lambda: self._writer.append(entries), lambda outcome: self._finish(group, outcome)
        )

    def _finish(
        self, group: list[tuple[NewEntry, DoneCallback | None]], outcome: Outcome[int]
    ) -> None:
        match outcome:
            case Done():
                result = CommitResult.DURABLE
                self._groups += 1
                self._entries += len(group)
            case Failed(LogFull()):
                result = CommitResult.FULL
            case Failed(LogBroken() as error):
                result = CommitResult.BROKEN
                self.broken = str(error)
            case Failed(error):
                raise error
        self._running = False
        if self._waiting:
            self._start_group()
        for _, done in group:
            if done is not None:
                done(result)
