"""The end of the log, read once for all cells.

Every cell reader needs every entry (to see whether it concerns its mailboxes), and they are
usually at about the same place. `Tail` keeps the newest entries of each partition decoded; a
reader that is far behind reads from the log itself, at its own pace.
"""

from __future__ import annotations

import threading
from collections import deque

from staffetta.log.facts import Kind
from staffetta.log.port import Entry, LogReader

KEPT_ENTRIES_MAX = 40_000
READ_ENTRIES = 8_000
KINDS = frozenset({Kind.ACCEPTED, Kind.ROUTED, Kind.ACTED, Kind.MAILBOX})


class Tail:
    """Shared by the threads of one delivering process."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._lock = threading.Lock()
        self._kept: dict[int, deque[Entry]] = {}
        self._read_to: dict[int, int] = {}
        self._kept_from: dict[int, int] = {}

    def partitions(self) -> list[int]:
        """The partitions there are, sorted."""
        with self._lock:
            return self._reader.partitions()

    def last(self, partition: int) -> int:
        """The last position of a partition."""
        with self._lock:
            return self._reader.last(partition)

    def read(self, partition: int, after: int, limit: int) -> tuple[list[Entry], int]:
        """Entries of `KINDS` beyond `after`, at most `limit`; and how far that reaches.

        The second value is the position up to which nothing was left out: it moves on over
        entries of other kinds. It equals `after` when there is nothing new.
        """
        with self._lock:
            if after >= self._kept_from.setdefault(partition, after):
                return self._from_kept(partition, after, limit)
            return self._from_log(partition, after, limit)

    def _from_kept(self, partition: int, after: int, limit: int) -> tuple[list[Entry], int]:
        kept = self._kept.setdefault(partition, deque())
        read_to = self._read_to.setdefault(partition, self._kept_from[partition])
        if after >= read_to:
            if after > read_to:  # nobody needs what lies between
                kept.clear()
                self._kept_from[partition] = self._read_to[partition] = after
            entries, read_to = self._from_log(partition, after, READ_ENTRIES)
            kept.extend(entries)
            self._read_to[partition] = read_to
            while len(kept) > KEPT_ENTRIES_MAX:
                self._kept_from[partition] = kept.popleft().position
        found = [entry for entry in kept if entry.position > after][:limit]
        return found, found[-1].position if len(found) == limit else self._read_to[partition]

    def _from_log(self, partition: int, after: int, limit: int) -> tuple[list[Entry], int]:
        # The end is read first: entries that come after it are left for the next call.
        last = self._reader.last(partition)
        if last <= after:
            return [], after
        entries = self._reader.read(partition, after, limit, KINDS)
        entries = [entry for entry in entries if entry.position <= last]
        return entries, entries[-1].position if len(entries) == limit else last
