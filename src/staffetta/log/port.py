"""The log, as the rest of the system sees it.

A log has partitions: one writer each (a process that accepts, one that delivers, one in which
people act). Positions count from 1 within a partition and never repeat. What `append` has
returned survives the end of the process and of the power; entries are read back in order,
whole, or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from staffetta.log.facts import Fact, Kind


class LogFull(Exception):
    """There is no room: nothing of what was to be appended is kept. Temporary."""


class LogBroken(Exception):
    """A write or a sync failed: what is on disk is unknown, and this writer is finished.

    It must not try again as if nothing had happened: after a failed sync the kernel may drop
    the pages and report the next sync as a success.
    """


class LogDamaged(Exception):
    """What was read is not what was written (checksum, gap)."""


@dataclass(frozen=True, slots=True)
class SpooledBody:
    """A body too large to sit in a row: already durable in a file of the log's volume."""

    path: str
    size_bytes: int
    checksum: int  # CRC-32 of its bytes


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What is to be appended. `mailboxes` are those whose index gets this entry."""

    at_us: int
    receipt: bytes
    fact: Fact
    body: bytes | SpooledBody | None = None
    mailboxes: tuple[int, ...] = ()
    message_key: int = 0  # `message_key_of` the Message-ID; 0 where there is none


@dataclass(frozen=True, slots=True)
class Entry:
    """What was appended, without its body (`Log.bodies` has that)."""

    partition: int
    position: int
    at_us: int
    kind: Kind
    receipt: bytes
    fact: Fact
    size_bytes: int  # of the body; 0 where there is none


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing found by `verify`. `position` is 0 where it is about a file."""

    file: str
    position: int
    what: str


@dataclass(frozen=True, slots=True)
class Extent:
    """What a partition holds: positions `first`…`last` (last < first when empty)."""

    partition: int
    first: int
    last: int
    entries: int
    size_bytes: int
    files: tuple[str, ...]


class SpoolFile(Protocol):
    """A large body on its way to the disk."""

    def write(self, chunk: bytes) -> None:
        """Add bytes. Raises `LogFull` or `LogBroken`."""
        ...

    def finish(self) -> SpooledBody:
        """Sync it; what is returned may go into an entry. Raises `LogFull`, `LogBroken`."""
        ...

    def discard(self) -> None:
        """Forget it."""
        ...


class LogWriter(Protocol):
    """The one writer of a partition."""

    partition: int

    def append(self, entries: Sequence[NewEntry]) -> int:
        """Make the entries durable, all or none; returns the position of the first.

        Blocks until they are on disk. Raises `LogFull` or `LogBroken`.
        """
        ...

    def spool(self, receipt: bytes) -> SpoolFile:
        """Begin a large body, to be durable ahead of its entry. Raises `LogFull`."""
        ...

    def close(self) -> None:
        """Let go of the files; appended entries stay."""
        ...


class LogReader(Protocol):
    """Reads every partition, from any process. All methods block; none changes anything."""

    def partitions(self) -> list[int]:
        """The partitions there are, sorted."""
        ...

    def extent(self, partition: int) -> Extent:
        """What the partition holds now."""
        ...

    def close(self) -> None:
        """Let go of the files."""
        ...

    def last(self, partition: int) -> int:
        """The last position of a partition, 0 when there is none; cheap."""
        ...

    def read(
        self, partition: int, after: int, limit: int, kinds: frozenset[Kind] | None = None
    ) -> list[Entry]:
        """At most `limit` entries beyond position `after`, in order.

        A shorter answer means that the end was reached. Raises `LogDamaged`.
        """
        ...

    def bodies(self, partition: int, positions: Sequence[int]) -> list[bytes]:
        """The bodies of those entries, in that order, checked. Raises `LogDamaged`."""
        ...

    def find(self, receipt: bytes) -> list[Entry]:
        """Every entry about that receipt, in any partition, oldest first."""
        ...

    def heads(self, partition: int, positions: Sequence[int], size_bytes: int) -> list[bytes]:
        """The first bytes of those entries' bodies, unchecked: for lists of messages."""
        ...

    def of_mailbox(
        self, mailbox: int, since_us: int, limit: int, kinds: frozenset[Kind] | None = None
    ) -> list[Entry]:
        """The newest entries indexed for a mailbox, newest first, not older than `since_us`."""
        ...

    def by_message_key(self, key: int, since_us: int) -> list[Entry]:
        """Accepted entries whose Message-ID has that key, oldest first."""
        ...

    def since(self, since_us: int, kinds: frozenset[Kind]) -> Iterator[Entry]:
        """Entries of those kinds from that moment on, partition by partition, in order."""
        ...

    def verify(self, partition: int) -> Iterator[tuple[int, list[Damage]]]:
        """Check everything; yields (entries checked so far, damage found since the last)."""
        ...
