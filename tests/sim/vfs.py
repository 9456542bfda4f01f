"""SQLite on a simulated disk: the real library, with the real code above it.

Main files, write-ahead logs and rollback journals live on the disk of `tests.sim.disk`. The
wal-index, which is memory shared between connections and never durable, and the locks between
connections are SQLite's own, on empty files of the machine that runs the simulation.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
from collections.abc import Callable
from typing import TypeVar

import apsw

from tests.sim.disk import Disk, Inode, parent_of
from tests.sim.machine import Process
from tests.sim.scheduler import Killed
from tests.sim.threads import SimThread

T = TypeVar("T")

_NAMES = itertools.count(1)
_LOGS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
_CREATE_MAIN = (
    apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_MAIN_DB
)  # fmt: skip


def to_sqlite(error: OSError) -> apsw.Error:
    """The disk's error as the operating system's layer of SQLite reports it."""
    return (apsw.FullError if error.errno == errno.ENOSPC else apsw.IOError)(str(error))


class SimVfs(apsw.VFS):
    """The files of one disk, for the connections of one process."""

    def __init__(self, process: Process, disk: Disk) -> None:
        self.registered = f"sim-{next(_NAMES)}"
        self._process = process
        self._disk = disk
        super().__init__(self.registered, "")

    def excepthook(self, *error: object) -> bool:
        return True  # what cannot be told to the caller: that the process has ended

    def xOpen(  # type: ignore[override]
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> object:
        assert name is not None, "temporary files stay in memory"
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        inode = self._disk.find(path)
        if inode is None:
            if not flags[0] & apsw.SQLITE_OPEN_CREATE:
                raise apsw.CantOpenError(f"no {path}")
            inode = operate(
                self._process, "create", self._disk, path,
                lambda: self._disk.find(path) or self._disk.create(path),
            )  # fmt: skip
        flags[1] = flags[0]
        if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return MainFile(self._process, self._disk, path, inode)
        # As in SQLite's own layer: the first sync of a log or journal also syncs its directory.
        return SimFile(self._process, self._disk, path, inode, bool(flags[0] & _LOGS))

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if self._disk.find(filename) is None:
            missing = apsw.IOError(f"no {filename}")
            missing.extendedresult = apsw.SQLITE_IOERR_DELETE_NOENT  # type: ignore[attr-defined]
            raise missing
        operate(self._process, "remove", self._disk, filename, lambda: self._disk.remove(filename))
        if syncdir:
            folder = parent_of(filename)
            operate(
                self._process, "sync", self._disk, folder + "/",
                lambda: self._disk.sync_directory(folder),
            )  # fmt: skip

    def xAccess(self, pathname: str, flags: int) -> bool:
        return self._disk.find(pathname) is not None

    def xFullPathname(self, name: str) -> str:
        return name

    def xSleep(self, microseconds: int) -> int:
        if SimThread.running is not None:
            SimThread.running.park(microseconds / 1_000_000)
        return microseconds


def operate(
    process: Process, kind: str, disk: Disk, path: str, act: Callable[[], T], size: int = 0
) -> T:
    """One operation of SQLite's on the disk. Raises `Killed`, `apsw.Error`."""
    process.operate(kind, disk.name, path, size)
    try:
        result = act()
    except OSError as error:
        process.machine.scheduler.trace(f"{process.label} fails: {error}")
        raise to_sqlite(error) from error
    process.done()
    return result


class SimFile:
    """An open file of SQLite's."""

    def __init__(
        self, process: Process, disk: Disk, path: str, inode: Inode, sync_directory: bool
    ) -> None:
        self.process = process
        self.disk = disk
        self.path = path
        self.inode = inode
        self.sync_directory = sync_directory

    def excepthook(self, *error: object) -> bool:
        return True

    def xRead(self, amount: int, offset: int) -> bytes:
        return read(self, amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        write(self, data, offset)

    def xTruncate(self, newsize: int) -> None:
        truncate(self, newsize)

    def xSync(self, flags: int) -> None:
        sync(self)
        if self.sync_directory:
            self.sync_directory = False
            folder = parent_of(self.path)
            operate(
                self.process, "sync", self.disk, folder + "/",
                lambda: self.disk.sync_directory(folder),
            )  # fmt: skip

    def xFileSize(self) -> int:
        return len(self.inode.content)

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 512

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE

    def xLock(self, level: int) -> None:
        return

    def xUnlock(self, level: int) -> None:
        return

    def xCheckReservedLock(self) -> bool:
        return False

    def xClose(self) -> None:
        return


class MainFile(apsw.VFSFile):
    """A database file: its content on the simulated disk, its locks and wal-index beside it."""

    def __init__(self, process: Process, disk: Disk, path: str, inode: Inode) -> None:
        shared = f"{process.machine.scratch}/{disk.name}-{disk.boots}-{inode.number}"
        super().__init__("", shared, [_CREATE_MAIN, 0])
        self.process = process
        self.disk = disk
        self.path = path
        self.inode = inode

    def excepthook(self, *error: object) -> bool:
        return True

    def xRead(self, amount: int, offset: int) -> bytes:
        return read(self, amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        write(self, data, offset)

    def xTruncate(self, newsize: int) -> None:
        truncate(self, newsize)

    def xSync(self, flags: int) -> None:
        sync(self)

    def xFileSize(self) -> int:
        return len(self.inode.content)

    def xFileControl(self, op: int, ptr: int) -> bool:
        if op == apsw.SQLITE_FCNTL_HAS_MOVED:
            moved = self.disk.find(self.path) is not self.inode
            ctypes.c_int.from_address(ptr).value = int(moved)
            return True
        return super().xFileControl(op, ptr)

    def xSectorSize(self) -> int:
        return 512

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE


def read(file: SimFile | MainFile, amount: int, offset: int) -> bytes:
    if not file.process.alive:
        raise Killed
    return bytes(file.inode.content[offset : offset + amount])


def write(file: SimFile | MainFile, data: bytes, offset: int) -> None:
    octets = bytes(data)
    operate(
        file.process, "write", file.disk, file.path,
        lambda: file.disk.write(file.path, file.inode, offset, octets), len(octets),
    )  # fmt: skip


def truncate(file: SimFile | MainFile, size_bytes: int) -> None:
    if size_bytes != len(file.inode.content):
        operate(
            file.process, "truncate", file.disk, file.path,
            lambda: file.disk.truncate(file.inode, size_bytes),
        )  # fmt: skip


def sync(file: SimFile | MainFile) -> None:
    operate(
        file.process, "sync", file.disk, file.path,
        lambda: file.disk.sync(file.path, file.inode),
    )  # fmt: skip
