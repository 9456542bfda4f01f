"""The log in memory: what the SQLite one does, without a disk. For tests and trials."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

from staffetta.log import facts
from staffetta.log.facts import Kind
from staffetta.log.port import Damage, Entry, Extent, LogDamaged, NewEntry, SpooledBody
from staffetta.log.receipts import partition_of, to_text


class MemoryLog:
    """All partitions of a log that ends with the process; reader and source of writers."""

    def __init__(self) -> None:
        self._entries: dict[int, list[Entry]] = {}
        self._bodies: dict[tuple[int, int], bytes] = {}
        self._indexed: dict[int, list[Entry]] = {}
        self._keys: dict[int, list[Entry]] = {}
        self._spool: dict[str, bytes] = {}

    def writer(self, partition: int) -> MemoryLogWriter:
        """A writer for that partition; at most one at a time is the caller's care."""
        self._entries.setdefault(partition, [])
        return MemoryLogWriter(self, partition)

    def _append(self, partition: int, new: NewEntry) -> int:
        kept = self._entries[partition]
        match new.body:
            case None:
                body = b""
            case SpooledBody():
                body = self._spool[new.body.path]
            case bytes():
                body = new.body
        kind = facts.kind_of(new.fact)
        # Through the codec, so that a fact which cannot be stored fails here as it would there.
        fact = facts.decode(kind, facts.encode(new.fact))
        entry = Entry(partition, len(kept) + 1, new.at_us, kind, new.receipt, fact, len(body))
        kept.append(entry)
        if new.body is not None:
            self._bodies[partition, entry.position] = body
        for mailbox in set(new.mailboxes):
            self._indexed.setdefault(mailbox, []).append(entry)
        if new.message_key:
            self._keys.setdefault(new.message_key, []).append(entry)
        return entry.position

    def close(self) -> None:
        """Nothing to let go of."""

    def partitions(self) -> list[int]:
        """See the port."""
        return sorted(self._entries)

    def extent(self, partition: int) -> Extent:
        """See the port."""
        entries = self._entries.get(partition, [])
        size_bytes = sum(entry.size_bytes for entry in entries)
        return Extent(partition, 1, len(entries), len(entries), size_bytes, ())

    def last(self, partition: int) -> int:
        """See the port."""
        return len(self._entries.get(partition, []))

    def read(
        self, partition: int, after: int, limit: int, kinds: frozenset[Kind] | None = None
    ) -> list[Entry]:
        """See the port."""
        beyond = self._entries.get(partition, [])[after:]
        return [entry for entry in beyond if kinds is None or entry.kind in kinds][:limit]

    def bodies(self, partition: int, positions: Sequence[int]) -> list[bytes]:
        """See the port."""
        try:
            return [self._bodies[partition, position] for position in positions]
        except KeyError as missing:
            raise LogDamaged(f"partition {partition}: no body at {missing}") from missing

    def find(self, receipt: bytes) -> list[Entry]:
        """See the port."""
        own = partition_of(receipt)
        found = [e for es in self._entries.values() for e in es if e.receipt == receipt]
        return sorted(found, key=lambda e: (e.at_us, e.partition != own, e.position))

    def heads(self, partition: int, positions: Sequence[int], size_bytes: int) -> list[bytes]:
        """See the port."""
        return [body[:size_bytes] for body in self.bodies(partition, positions)]

    def of_mailbox(
        self, mailbox: int, since_us: int, limit: int, kinds: frozenset[Kind] | None = None
    ) -> list[Entry]:
        """See the port."""
        found = [
            entry
            for entry in self._indexed.get(mailbox, [])
            if entry.at_us >= since_us and (kinds is None or entry.kind in kinds)
        ]
        found.sort(key=lambda entry: (entry.at_us, entry.receipt), reverse=True)
        return found[:limit]

    def by_message_key(self, key: int, since_us: int) -> list[Entry]:
        """See the port."""
        found = [entry for entry in self._keys.get(key, []) if entry.at_us >= since_us]
        return sorted(found, key=lambda entry: entry.at_us)

    def since(self, since_us: int, kinds: frozenset[Kind]) -> Iterator[Entry]:
        """See the port."""
        for partition in self.partitions():
            for entry in self._entries[partition]:
                if entry.kind in kinds and entry.at_us >= since_us:
                    yield entry

    def verify(self, partition: int) -> Iterator[tuple[int, list[Damage]]]:
        """Memory that keeps what it was given has no damage; counts the entries."""
        yield len(self._entries.get(partition, [])), []


class MemoryLogWriter:
    """The one writer of a partition in memory."""

    def __init__(self, log: MemoryLog, partition: int) -> None:
        self.partition = partition
        self._log = log

    def append(self, entries: Sequence[NewEntry]) -> int:
        """See the port."""
        positions = [self._log._append(self.partition, entry) for entry in entries]
        return positions[0]

    def spool(self, receipt: bytes) -> MemorySpoolFile:
        """See the port."""
        return MemorySpoolFile(self._log._spool, f"spool/{self.partition}/{to_text(receipt)}")

    def close(self) -> None:
        """Nothing to let go of."""


class MemorySpoolFile:
    """A large body in memory."""

    def __init__(self, spool: dict[str, bytes], path: str) -> None:
        self._spool = spool
        self._path = path
        self._content = bytearray()

    def write(self, chunk: bytes) -> None:
        """See the port."""
        self._content += chunk

    def finish(self) -> SpooledBody:
        """See the port."""
        content = bytes(self._content)
        self._spool[self._path] = content
        return SpooledBody(self._path, len(content), zlib.crc32(content))

    def discard(self) -> None:
        """See the port."""
        self._content.clear()
