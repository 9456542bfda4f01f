"""The log in SQLite files: one directory per partition, one file per period.

    <partition>/<period>.db       e.g. 1/2026-11-22T00.db
    spool/<partition>/<receipt>   bodies beyond the inline limit

A file's tables: `entry` (small rows, read in order), `body` (the messages, apart so that
reading entries does not touch them), `indexed` (which entries concern which mailbox: the whole
emergency inbox), `about` (partition and first position). Retention is deleting whole files.

The writer commits with `synchronous=FULL` in WAL mode: when COMMIT has returned, the WAL has
been synced. It never runs a checkpoint inside a commit: a thread of its own copies the WAL into
the file, so that the slowest `250` does not wait for that.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from staffetta.log import facts
from staffetta.log.port import LogBroken, LogFull, NewEntry, SpooledBody
from staffetta.log.receipts import to_text
from staffetta.runtime.disk import FULL, Database, DatabaseSettings, DurableFile, Volume
from staffetta.runtime.faults import FaultMode, VolumeFault

# Bodies sit in rows, so pages are larger than SQLite's default: fewer overflow pages.
PAGE_SIZE_BYTES = 8192
# How much WAL may gather before it is copied into the file, and before a commit waits for it.
CHECKPOINT_PAGES = 2_000
CHECKPOINT_FORCED_PAGES = 32_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS about (partition INTEGER NOT NULL, first INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS entry (
    position INTEGER PRIMARY KEY,
    at_us INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    receipt BLOB NOT NULL,
    message_key INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    payload BLOB NOT NULL,
    spool TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS entry_receipt ON entry (receipt);
CREATE TABLE IF NOT EXISTS body (position INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS indexed (
    mailbox INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (mailbox, position)
) STRICT, WITHOUT ROWID;
"""

INSERT_ENTRY = "INSERT INTO entry VALUES "
INSERT_BODY = "INSERT INTO body VALUES "
INSERT_INDEXED = "INSERT OR IGNORE INTO indexed VALUES "


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a partition is kept. `period_h` hours go into one file.

    `checkpoint_pages`: the length of write-ahead log at which a commit copies it into the file,
    where that is not left to a thread of its own (`shared`).
    """

    period_h: int = 24
    shared: bool = True  # other processes read it; False only in simulation
    checkpoint_pages: int = CHECKPOINT_PAGES


def period_name(at_us: int, period_h: int) -> str:
    """The file name (without `.db`) of the period a moment belongs to."""
    period_us = period_h * 3_600_000_000
    start = datetime.fromtimestamp(at_us // period_us * period_us // 1_000_000, UTC)
    return start.strftime("%Y-%m-%dT%H")


def checksum_of(payload: bytes, body: bytes) -> int:
    """CRC-32 over the fact and its inline body."""
    return zlib.crc32(body, zlib.crc32(payload))


def open_period(volume: Volume, path: str, *, checkpoint_pages: int = 0) -> Database:
    """Open a period file for writing; 0 pages means that somebody else runs checkpoints."""
    return volume.database(
        path,
        DatabaseSettings(
            synchronous=FULL,
            page_size_bytes=PAGE_SIZE_BYTES,
            cache_kib=8192,
            checkpoint_pages=checkpoint_pages,
        ),
    )


def _raise(fault: VolumeFault) -> None:
    if fault.mode is FaultMode.FULL:
        raise LogFull(str(fault)) from fault
    raise LogBroken(str(fault)) from fault


class SqliteLogWriter:
    """The one writer of a partition (see `log.port.LogWriter`)."""

    def __init__(self, volume: Volume, partition: int, settings: LogSettings) -> None:
        self.partition = partition
        self._volume = volume
        self._settings = settings
        self._period = ""  # the newest that there is a file of
        self._database: Database | None = None
        self._checkpointer: _Checkpointer | None = None
        self._broken = ""
        self._next = self._recover()

    def _recover(self) -> int:
        """The position after the last one on disk. SQLite replays the WAL as it opens."""
        names = [n for n in self._volume.names(str(self.partition)) if n.endswith(".db")]
        if names:
            self._period = names[-1].removesuffix(".db")
            self._settle(f"{self.partition}/{names[-1]}-wal")
        for name in reversed(names):
            database = open_period(self._volume, f"{self.partition}/{name}")
            try:
                database.run(SCHEMA)
                row = database.row("SELECT max(position) FROM entry")
                if row is not None and row[0] is not None:
                    return int(row[0]) + 1
                first = database.row("SELECT first FROM about")
                if first is not None:
                    return int(first[0])
            finally:
                database.close()
        return 1

    def _settle(self, wal: str) -> None:
        """Make durable what the writer before this one left, before anybody is told of it.

        It may have ended in the middle of a sync, or after one that failed: SQLite takes what
        it finds for committed, and it may not be on the disk at all.
        """
        if self._volume.exists(wal):
            self._volume.write_again(wal)
            self._volume.sync([wal])

    def append(self, entries: Sequence[NewEntry]) -> int:
        """See the port. Called on one thread only."""
        if self._broken:
            raise LogBroken(self._broken)
        first = self._next
        rows, bodies, index = _rows_of(entries, first)
        try:
            database = self._period_database(entries[0].at_us)
            with database.transaction():
                database.insert(INSERT_ENTRY, rows)
                database.insert(INSERT_BODY, bodies)
                database.insert(INSERT_INDEXED, index)
        except VolumeFault as fault:
            if fault.mode is not FaultMode.FULL:
                self._broken = str(fault)
            _raise(fault)
        self._next = first + len(entries)
        if self._checkpointer is not None:
            self._checkpointer.committed(len(entries))
        return first

    def _period_database(self, at_us: int) -> Database:
        # A clock that goes back never reopens an older file: positions follow file order.
        period = max(period_name(at_us, self._settings.period_h), self._period)
        if self._database is not None and period == self._period:
            return self._database
        path = f"{self.partition}/{period}.db"
        settings = self._settings
        database = open_period(
            self._volume, path, checkpoint_pages=0 if settings.shared else settings.checkpoint_pages
        )
        try:
            with database.transaction():
                database.run(SCHEMA)
                if database.row("SELECT 1 FROM about") is None:
                    database.run("INSERT INTO about VALUES (?,?)", (self.partition, self._next))
            # The file's name, and the partition directory's own, must survive a power cut too.
            self._volume.sync([path, str(self.partition)])
        except VolumeFault:
            database.close()
            raise
        self._close_period()
        self._database, self._period = database, period
        if self._settings.shared:
            self._checkpointer = _Checkpointer(
                lambda: open_period(self._volume, path), f"checkpoint-{self.partition}"
            )
        return database

    def spool(self, receipt: bytes) -> SqliteSpoolFile:
        """See the port. May be used on another thread than `append`."""
        path = f"spool/{self.partition}/{to_text(receipt)}"
        try:
            return SqliteSpoolFile(path, self._volume.stream_durable(path))
        except VolumeFault as fault:
            _raise(fault)
            raise AssertionError("unreachable") from fault

    def _close_period(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.close()
            self._checkpointer = None
        if self._database is not None:
            self._database.close()
            self._database = None

    def close(self) -> None:
        """See the port."""
        self._close_period()


def _rows_of(
    entries: Sequence[NewEntry], first: int
) -> tuple[list[tuple[object, ...]], list[tuple[int, bytes]], list[tuple[int, int]]]:
    rows: list[tuple[object, ...]] = []
    bodies: list[tuple[int, bytes]] = []
    index: list[tuple[int, int]] = []
    for position, entry in enumerate(entries, first):
        payload = facts.encode(entry.fact)
        body, spool, size_bytes = b"", None, 0
        match entry.body:
            case None:
                checksum = zlib.crc32(payload)
            case SpooledBody():
                spool, size_bytes = entry.body.path, entry.body.size_bytes
                checksum = zlib.crc32(payload) ^ entry.body.checksum
            case bytes():
                body, size_bytes = entry.body, len(entry.body)
                checksum = checksum_of(payload, body)
                bodies.append((position, body))
        kind = int(facts.kind_of(entry.fact))
        rows.append(
            (
                position,
                entry.at_us,
                kind,
                entry.receipt,
                entry.message_key,
                size_bytes,
                checksum,
                payload,
                spool,
            )
        )
        for mailbox in entry.mailboxes:
            index.append((mailbox, position))
    return rows, bodies, index


class SqliteSpoolFile:
    """A large body in a file of its own (see `log.port.SpoolFile`)."""

    def __init__(self, path: str, file: DurableFile) -> None:
        self._path = path
        self._file = file
        self._size_bytes = 0
        self._checksum = 0

    def write(self, chunk: bytes) -> None:
        """See the port."""
        try:
            self._file.write(chunk)
        except VolumeFault as fault:
            _raise(fault)
        self._size_bytes += len(chunk)
        self._checksum = zlib.crc32(chunk, self._checksum)

    def finish(self) -> SpooledBody:
        """See the port."""
        try:
            self._file.commit()
        except VolumeFault as fault:
            _raise(fault)
        return SpooledBody(self._path, self._size_bytes, self._checksum)

    def discard(self) -> None:
        """See the port."""
        self._file.discard()


class _Checkpointer:
    """Copies the WAL into the file beside the commits, on a thread and connection of its own.

    A passive checkpoint never makes the writer wait, but under steady load it also never lets
    the WAL start over; beyond `CHECKPOINT_FORCED_PAGES` one restarting checkpoint does.
    """

    def __init__(self, connect: Callable[[], Database], name: str) -> None:
        self._connect = connect
        self._work = threading.Event()
        self._ended = False
        self._since = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def committed(self, entries: int) -> None:
        """The writer has committed; cheap."""
        self._since += entries
        if self._since * 4096 >= CHECKPOINT_PAGES * PAGE_SIZE_BYTES:
            self._since = 0
            self._work.set()

    def close(self) -> None:
        """End the thread; the writer's own connection checkpoints as it closes."""
        self._ended = True
        self._work.set()
        self._thread.join()

    def _run(self) -> None:
        database: Database | None = None
        while True:
            self._work.wait()
            self._work.clear()
            if self._ended:
                break
            try:
                if database is None:
                    database = self._connect()
                row = database.row("PRAGMA wal_checkpoint(PASSIVE)")
                if row is not None and row[1] > CHECKPOINT_FORCED_PAGES:
                    database.rows("PRAGMA wal_checkpoint(RESTART)")
            except VolumeFault:
                # The writer meets the same disk at its next commit, and it is the one to say so.
                continue
        if database is not None:
            database.close()
