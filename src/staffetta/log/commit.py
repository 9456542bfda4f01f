"""Group commit: whatever arrived while the last sync ran goes into the next transaction.

There is no timer: under no load a message is committed at once, under load the groups grow by
themselves to what the disk needs. The event loop never waits; each entry has a callback, and
the callbacks of a group are called together when the group is durable.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from staffetta.log.port import LogBroken, LogFull, LogWriter, NewEntry
from staffetta.runtime.tasks import Done, Failed, Outcome, Worker


@dataclass(frozen=True, slots=True)
class CommitLimits:
    """What may wait for the disk before new entries are turned away at once, and what goes into
    one transaction at most, so that no `250` waits for a huge one."""

    waiting_entries_max: int = 10_000
    waiting_bytes_max: int = 128 * 1024 * 1024
    group_entries_max: int = 512
    group_bytes_max: int = 8 * 1024 * 1024


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
_Waiting = tuple[NewEntry, int, DoneCallback | None]  # with the bytes of its body


class GroupCommit:
    """Feeds one partition's writer from an event loop, one group at a time."""

    def __init__(
        self, writer: LogWriter, worker: Worker, limits: CommitLimits | None = None
    ) -> None:
        self._writer = writer
        self._worker = worker
        self._limits = limits or CommitLimits()
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._running = False
        self._groups = 0
        self._entries = 0
        self._settled: asyncio.Future[None] | None = None
        self.broken = ""

    def submit(self, entry: NewEntry, done: DoneCallback | None) -> None:
        """Queue an entry. `done`, if any, is called once, later or (when refused) now."""
        body = entry.body
        size_bytes = len(body) if isinstance(body, bytes) else 0
        limits = self._limits
        refused: CommitResult | None = None
        if self.broken:
            refused = CommitResult.BROKEN
        elif (
            len(self._waiting) >= limits.waiting_entries_max
            or self._waiting_bytes + size_bytes > limits.waiting_bytes_max
        ):
            refused = CommitResult.BUSY
        if refused is not None:
            if done is not None:
                done(refused)
            return
        self._waiting.append((entry, size_bytes, done))
        self._waiting_bytes += size_bytes
        if not self._running:
            self._start_group()

    @property
    def idle(self) -> bool:
        """Is nothing waiting or being written?"""
        return not self._running and not self._waiting

    async def settle(self) -> None:
        """Wait until nothing is waiting or being written."""
        if not self.idle:
            self._settled = self._settled or asyncio.get_running_loop().create_future()
            await asyncio.shield(self._settled)

    def statistics(self) -> CommitStatistics:
        """Counts for the metrics."""
        return CommitStatistics(self._groups, self._entries, len(self._waiting))

    def _start_group(self) -> None:
        limits, waiting = self._limits, self._waiting
        group: list[_Waiting] = []
        group_bytes = 0
        while waiting and len(group) < limits.group_entries_max:
            if group and group_bytes + waiting[0][1] > limits.group_bytes_max:
                break
            group.append(waiting.popleft())
            group_bytes += group[-1][1]
        self._waiting_bytes -= group_bytes
        self._running = True
        entries = [entry for entry, _, _ in group]
        self._worker.submit(
            lambda: self._writer.append(entries), lambda outcome: self._finish(group, outcome)
        )

    def _finish(self, group: list[_Waiting], outcome: Outcome[int]) -> None:
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
        for _, _, done in group:
            if done is not None:
                done(result)
        if self._settled is not None and self.idle:
            self._settled.set_result(None)
            self._settled = None
