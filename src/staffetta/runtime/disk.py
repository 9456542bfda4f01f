"""The disk: durable files, and databases, on named volumes.

A `Volume` is one failure domain: the log's disk, or one cell of mailboxes. All paths are
relative to its root, and every operation passes the volume's gate (`runtime.faults`).
Errors of the operating system and of SQLite leave here as `VolumeFault` with the mode they
amount to, so that callers decide by meaning and not by errno.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import apsw

from staffetta.runtime.faults import FaultMode, Gate, Operation, VolumeFault

# A statement that meets another process's lock waits this long before it is a fault.
BUSY_TIMEOUT_MS = 5_000

_MODES_BY_ERRNO = {
    errno.ENOSPC: FaultMode.FULL,
    errno.EDQUOT: FaultMode.FULL,
    errno.EROFS: FaultMode.READONLY,
    errno.ENOENT: FaultMode.GONE,
    errno.ENOTDIR: FaultMode.GONE,
    errno.EACCES: FaultMode.GONE,
}

_MODES_BY_RESULT: tuple[tuple[type[apsw.Error], FaultMode], ...] = (
    (apsw.FullError, FaultMode.FULL),
    (apsw.ReadOnlyError, FaultMode.READONLY),
    (apsw.CorruptError, FaultMode.CORRUPT),
    (apsw.NotADBError, FaultMode.CORRUPT),
    (apsw.CantOpenError, FaultMode.GONE),
    (apsw.PermissionsError, FaultMode.GONE),
    (apsw.AuthError, FaultMode.GONE),
    (apsw.IOError, FaultMode.ERROR),
    (apsw.BusyError, FaultMode.HANG),
    (apsw.LockedError, FaultMode.HANG),
)

_READING = ("SELECT", "PRAGMA", "EXPLAIN", "WITH")


def classify(volume: str, fault: OSError | apsw.Error) -> VolumeFault:
    """The operating system's or SQLite's error in the words of `FaultMode`."""
    if isinstance(fault, OSError):
        mode = _MODES_BY_ERRNO.get(fault.errno or 0, FaultMode.ERROR)
        return VolumeFault(volume, mode, str(fault))
    for kind, mode in _MODES_BY_RESULT:
        if isinstance(fault, kind):
            return VolumeFault(volume, mode, str(fault))
    raise fault  # a programming error (bad SQL, misuse): a bug, not the world's fault


class Synchronous(str):
    """SQLite's `synchronous` setting, as text in a PRAGMA."""

    __slots__ = ()


FULL = Synchronous("FULL")
NORMAL = Synchronous("NORMAL")


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """How a database of a volume is opened; sizes as SQLite's PRAGMAs take them."""

    synchronous: Synchronous = FULL
    page_size_bytes: int = 4096
    cache_kib: int = 2048
    checkpoint_pages: int = 1000  # WAL length at which SQLite copies it into the file
    checkpoint_on_close: bool = True
    read_only: bool = False
    create: bool = True  # False: a database that is not there is a fault (`GONE`), not a new one


INSERTED_AT_ONCE = 32


@lru_cache(maxsize=1024)
def _places(columns: int, rows: int) -> str:
    """`(?,?),(?,?)`: the places of that many rows."""
    return ",".join(["(" + ",".join("?" * columns) + ")"] * rows)


class Database:
    """One SQLite connection on a volume. Not for two threads at once."""

    __slots__ = ("_connection", "_gate", "abandoned", "path")

    def __init__(self, connection: apsw.Connection, gate: Gate, path: str) -> None:
        self._connection = connection
        self._gate = gate
        self.path = path
        self.abandoned: threading.Event | None = None

    def rows(self, sql: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Run a statement and return all its rows. Raises `VolumeFault`."""
        if self._gate.mode is not None:
            self._pass(sql)
        try:
            return self._connection.execute(sql, values).fetchall()
        except (apsw.Error, OSError) as fault:
            raise classify(self._gate.volume, fault) from fault

    def each(self, sql: str, values: Sequence[Any] | None = None) -> Iterator[tuple[Any, ...]]:
        """Run a statement and yield its rows as they are read. Raises `VolumeFault`."""
        if self._gate.mode is not None:
            self._pass(sql)
        try:
            for row in self._connection.execute(sql, values):
                yield row
                if self._gate.mode is not None:
                    self._pass(sql)
        except (apsw.Error, OSError) as fault:
            raise classify(self._gate.volume, fault) from fault

    def row(self, sql: str, values: Sequence[Any] | None = None) -> tuple[Any, ...] | None:
        """The first row, or None. Raises `VolumeFault`."""
        found = self.rows(sql, values)
        return found[0] if found else None

    def run(self, sql: str, values: Sequence[Any] | None = None) -> int:
        """Run a statement that changes something; returns the number of rows it changed."""
        if self._gate.mode is not None:
            self._pass(sql)
        try:
            self._connection.execute(sql, values)
            return self._connection.changes()
        except (apsw.Error, OSError) as fault:
            raise classify(self._gate.volume, fault) from fault

    def insert(self, into: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows of one width with as few statements as possible.

        `into` is a statement up to and with `VALUES `. Each statement lets go of the interpreter
        lock and has to win it back from the event loop's thread: for a few dozen rows that takes
        longer than the rows do. Raises `VolumeFault`.
        """
        for start in range(0, len(rows), INSERTED_AT_ONCE):
            some = rows[start : start + INSERTED_AT_ONCE]
            places = _places(len(some[0]), len(some))
            self.run(into + places, [value for row in some for value in row])

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row of values. Raises `VolumeFault`."""
        if self._gate.mode is not None:
            self._pass(sql)
        try:
            self._connection.executemany(sql, rows)
        except (apsw.Error, OSError) as fault:
            raise classify(self._gate.volume, fault) from fault

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """`BEGIN IMMEDIATE` … `COMMIT`, or `ROLLBACK` if the body raises.

        With `synchronous=FULL` the commit has been synced when the block is left.
        """
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._roll_back()
            raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Everything read in the block is of one moment, whatever others write meanwhile."""
        if self._gate.mode is not None:
            self._gate.pass_(Operation.READ, self.abandoned)
        try:
            self._connection.execute("BEGIN")
            yield
        except apsw.Error as fault:
            raise classify(self._gate.volume, fault) from fault
        finally:
            if self._connection.in_transaction:
                self._roll_back()

    def _roll_back(self) -> None:
        try:  # past the gate on purpose: a broken volume must not leave a transaction open
            self._connection.execute("ROLLBACK")
        except apsw.Error:
            # SQLite has already rolled back on a disk error; nothing is left to undo.
            return

    def rowid(self) -> int:
        """The rowid of the last inserted row."""
        return self._connection.last_insert_rowid()

    def close(self) -> None:
        """Let go of the files. Never raises for a broken volume."""
        try:
            self._connection.close(True)
        except apsw.Error:
            return

    def _pass(self, sql: str) -> None:
        reading = sql.lstrip()[:8].upper().startswith(_READING)
        self._gate.pass_(Operation.READ if reading else Operation.WRITE, self.abandoned)


class DurableFile(Protocol):
    """A file in the making: all of it appears, durably, or none."""

    def write(self, chunk: bytes) -> None:
        """Add bytes at the end. Raises `VolumeFault`."""
        ...

    def commit(self) -> None:
        """Sync, give the file its name, sync the directory. Raises `VolumeFault`."""
        ...

    def discard(self) -> None:
        """Forget it. Never raises for a broken volume."""
        ...


class Volume(Protocol):
    """One failure domain of storage: the real one below, a simulated one in the tests."""

    name: str
    gate: Gate

    def database(self, path: str, settings: DatabaseSettings) -> Database:
        """Open (and create, with its directory, unless read-only) a database file."""
        ...

    def write_durable(self, path: str, chunks: Iterable[bytes]) -> int:
        """Create or replace a file: temporary name, sync, rename, sync of the directory.

        Returns its size in bytes. When this returns, the file survives a power cut.
        """
        ...

    def stream_durable(self, path: str) -> DurableFile:
        """Begin a file whose content arrives bit by bit; it appears when committed.

        Its directory is made, durably, where it is not there yet.
        """
        ...

    def write_lazily(self, path: str, content: bytes) -> None:
        """Create a file without syncing it: `sync` makes it durable later."""
        ...

    def create_lazily(self, path: str, content: bytes) -> bool:
        """Like `write_lazily`, but False, and nothing done, where there is such a file already.

        Another process that looks meanwhile sees no file or the whole of it.
        """
        ...

    def write_again(self, path: str) -> None:
        """Write over a file what it has, where it is; nobody else may write to it meanwhile.

        After a sync that failed the system may show bytes that are not on the disk, and take
        them for written: this makes them something to be synced again.
        """
        ...

    def read(self, path: str, size_bytes_max: int = -1) -> bytes:
        """The whole file, or its beginning. Raises `VolumeFault` (`GONE` where there is none)."""
        ...

    def chunks(self, path: str, chunk_bytes: int) -> Iterator[bytes]:
        """The file in pieces of that size. Raises `VolumeFault` (`GONE` where there is none)."""
        ...

    def exists(self, path: str) -> bool:
        """Is there such a file?"""
        ...

    def identity(self, path: str) -> int:
        """Which file has this name now: it changes when another takes its place; 0 for none."""
        ...

    def names(self, path: str) -> list[str]:
        """Sorted names in a directory; empty where there is no such directory."""
        ...

    def remove(self, path: str) -> None:
        """Delete a file if it is there."""
        ...

    def rename(self, path: str, target: str) -> None:
        """Give a file another name on the same volume; not yet durable."""
        ...

    def sync(self, paths: Sequence[str]) -> None:
        """Make everything written to these files (and their directories) durable."""
        ...

    def free_bytes(self) -> int:
        """Bytes that may still be written."""
        ...


# Above this many touched files one syncfs(2) is cheaper than a sync of each.
SYNC_EACH_FILES_MAX = 24
REWRITTEN_AT_ONCE_BYTES = 1 << 20


class _DirectoryFile:
    """A `DurableFile` under a temporary name in its final directory."""

    def __init__(self, volume: str, gate: Gate, target: Path) -> None:
        self._volume = volume
        self._gate = gate
        self._target = target
        self._temporary = target.with_name(target.name + ".partial")
        try:
            self._file = self._temporary.open("wb", buffering=0)
        except OSError as fault:
            raise classify(volume, fault) from fault

    def write(self, chunk: bytes) -> None:
        self._gate.pass_(Operation.WRITE)
        try:
            view = memoryview(chunk)
            while view:
                view = view[self._file.write(view) :]
        except OSError as fault:
            raise classify(self._volume, fault) from fault

    def commit(self) -> None:
        self._gate.pass_(Operation.SYNC)
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            self._temporary.rename(self._target)
            _sync_directory(self._target.parent)
        except OSError as fault:
            raise classify(self._volume, fault) from fault

    def discard(self) -> None:
        try:
            self._file.close()
            self._temporary.unlink(missing_ok=True)
        except OSError:
            return  # a broken volume keeps a .partial file, which nothing reads


class DirectoryVolume:
    """A volume that is a directory of the machine's file system."""

    def __init__(self, name: str, root: Path) -> None:
        self.name = name
        self.root = root
        self.gate = Gate(name)
        self._settled: set[Path] = set()  # folders whose names this process has synced

    def database(self, path: str, settings: DatabaseSettings) -> Database:
        self._pass(Operation.READ)
        target = self.root / path
        try:
            if settings.read_only or not settings.create:
                flags = apsw.SQLITE_OPEN_READWRITE  # WAL needs its index file even to read
            else:
                self._make_folder(target.parent)
                flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
            connection = apsw.Connection(str(target), flags=flags)
        except (OSError, apsw.Error) as fault:
            raise classify(self.name, fault) from fault
        try:
            configure(connection, settings)
        except apsw.Error as fault:
            connection.close(True)
            raise classify(self.name, fault) from fault
        return Database(connection, self.gate, path)

    def write_durable(self, path: str, chunks: Iterable[bytes]) -> int:
        file = self.stream_durable(path)
        size_bytes = 0
        try:
            for chunk in chunks:
                size_bytes += len(chunk)
                file.write(chunk)
            file.commit()
        except BaseException:
            file.discard()
            raise
        return size_bytes

    def stream_durable(self, path: str) -> DurableFile:
        self._pass(Operation.WRITE)
        target = self.root / path
        try:
            self._make_folder(target.parent)
        except OSError as fault:
            raise classify(self.name, fault) from fault
        return _DirectoryFile(self.name, self.gate, target)

    def write_lazily(self, path: str, content: bytes) -> None:
        self._pass(Operation.WRITE)
        target = self.root / path
        try:
            try:
                target.write_bytes(content)
            except FileNotFoundError:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        except OSError as fault:
            raise classify(self.name, fault) from fault

    def create_lazily(self, path: str, content: bytes) -> bool:
        self._pass(Operation.WRITE)
        temporary = f"{path}.{os.getpid()}-{threading.get_ident()}"
        self.write_lazily(temporary, content)
        try:
            os.link(f"{self.root}/{temporary}", f"{self.root}/{path}")
        except FileExistsError:
            return False
        except OSError as fault:
            raise classify(self.name, fault) from fault
        finally:
            (self.root / temporary).unlink(missing_ok=True)
        return True

    def write_again(self, path: str) -> None:
        self._pass(Operation.WRITE)
        try:
            with (self.root / path).open("r+b", buffering=0) as file:
                offset = 0
                while chunk := os.pread(file.fileno(), REWRITTEN_AT_ONCE_BYTES, offset):
                    offset += os.pwrite(file.fileno(), chunk, offset)
        except OSError as fault:
            raise classify(self.name, fault) from fault

    def read(self, path: str, size_bytes_max: int = -1) -> bytes:
        self._pass(Operation.READ)
        try:
            with (self.root / path).open("rb") as file:
                return file.read(size_bytes_max)
        except OSError as fault:
            raise classify(self.name, fault) from fault

    def chunks(self, path: str, chunk_bytes: int) -> Iterator[bytes]:
        self._pass(Operation.READ)
        try:
            with (self.root / path).open("rb") as file:
                while chunk := file.read(chunk_bytes):
                    yield chunk
                    self._pass(Operation.READ)
        except OSError as fault:
            raise classify(self.name, fault) from fault

    def identity(self, path: str) -> int:
        self._pass(Operation.READ)
        try:
            # The path as text: this is asked before every use of a mailbox file.
            return os.stat(f"{self.root}/{path}").st_ino
        except (FileNotFoundError, NotADirectoryError):
            return 0
        except OSError as fault:
            raise classify(self.name, fault) from fault

    def exists(self, path: str) -> bool:
        self._pass(Operation.READ)
        try:
            return (self.root / path).exists()
        except OSError as fault:
            raise classify(self.name, fault) from fault

    def names(self, path: str) -> list[str]:
        self._pass(Operation.READ)
        try:
            return sorted(os.listdir(self.root / path))
        except FileNotFoundError:
            return []
        except OSError as fault:
            raise classify(self.name, fault) from fault

    def remove(self, path: str) -> None:
        self._pass(Operation.WRITE)
        try:
            (self.root / path).unlink(missing_ok=True)
        except OSError as fault:
            raise classify(self.name, fault) from fault

    def rename(self, path: str, target: str) -> None:
        self._pass(Operation.WRITE)
        try:
            (self.root / target).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).rename(self.root / target)
        except OSError as fault:
            raise classify(self.name, fault) from fault

    def sync(self, paths: Sequence[str]) -> None:
        self._pass(Operation.SYNC)
        if not paths:
            return
        try:
            if len(paths) > SYNC_EACH_FILES_MAX:
                sync_file_system(self.root)
                return
            for path in paths:
                _sync_file(self.root / path)
            for directory in {(self.root / path).parent for path in paths}:
                _sync_directory(directory)
        except OSError as fault:
            raise classify(self.name, fault) from fault

    def free_bytes(self) -> int:
        self._pass(Operation.READ)
        if self.gate.mode is FaultMode.FULL:
            return 0
        try:
            facts = os.statvfs(self.root)
        except OSError as fault:
            raise classify(self.name, fault) from fault
        return facts.f_bavail * facts.f_frsize

    def _make_folder(self, folder: Path) -> None:
        """A folder that will be there after a power cut, for files that are to be durable. One
        that is there already may be left by a process that ended before it could sync it."""
        _make_directories(folder)
        if folder in self._settled:
            return
        above = folder
        while above != self.root:
            above = above.parent
            _sync_directory(above)
        self._settled.add(folder)

    def _pass(self, operation: Operation) -> None:
        if self.gate.mode is not None:
            self.gate.pass_(operation)


def configure(connection: apsw.Connection, settings: DatabaseSettings) -> None:
    """Apply the settings to a fresh connection. Shared with simulated volumes."""
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    if not settings.checkpoint_on_close:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    pragmas = f"PRAGMA cache_size=-{settings.cache_kib};PRAGMA temp_store=MEMORY;"
    if settings.read_only:
        connection.execute(pragmas + "PRAGMA query_only=1")
        return
    if settings.create:
        # A file that is there already has its page size and journal; asking costs a third of
        # the time that opening it takes.
        connection.execute(f"PRAGMA page_size={settings.page_size_bytes}")
        if connection.pragma("journal_mode") != "wal":
            _give_wal(connection)
    connection.execute(
        f"{pragmas}PRAGMA synchronous={settings.synchronous};"
        f"PRAGMA wal_autocheckpoint={settings.checkpoint_pages};"
    )


def _give_wal(connection: apsw.Connection) -> None:
    if connection.pragma("journal_mode", "wal") != "wal":
        # SQLite keeps the mode it had, without an error, where the disk failed the change. A
        # commit in that mode can be undone by a power cut: nothing syncs the end of its journal.
        raise apsw.IOError("the database could not be given a write-ahead log")


def _make_directories(path: Path) -> None:
    """Make a directory, with those above it that are missing; durable on return."""
    if path.is_dir():
        return
    _make_directories(path.parent)
    path.mkdir(exist_ok=True)
    _sync_directory(path.parent)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(path: Path) -> None:
    """syncfs(2) of the file system that a directory is on.

    Raises `OSError`, since Linux 5.8 for what could not be written back too.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)
