"""A `runtime.disk.Volume` on a simulated disk, as one process of the machine sees it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import apsw

from staffetta.runtime.disk import (
    SYNC_EACH_FILES_MAX,
    Database,
    DatabaseSettings,
    classify,
    configure,
)
from staffetta.runtime.faults import Abandoned, FaultMode, Gate, Operation, VolumeFault
from tests.sim.disk import Disk, Inode, parent_of
from tests.sim.machine import Process
from tests.sim.threads import SimThread
from tests.sim.vfs import SimVfs

T = TypeVar("T")


class SimGate(Gate):
    """A gate whose hanging operations let the rest of the simulated world go on."""

    __slots__ = ("_hanging",)

    def __init__(self, volume: str) -> None:
        super().__init__(volume)
        self._hanging: list[SimThread] = []

    def mend(self) -> None:
        super().mend()
        self._release()

    def break_(self, mode: FaultMode) -> None:
        super().break_(mode)
        if mode is not FaultMode.HANG:
            self._release()

    def pass_(self, operation: Operation, abandoned: object = None) -> None:
        hung = False
        while self.mode is FaultMode.HANG:
            thread = SimThread.running
            assert thread is not None, "the event loop waits for a disk"
            self._hanging.append(thread)
            hung = True
            thread.park(None)
        if hung and abandoned is not None and abandoned.is_set():  # type: ignore[attr-defined]
            raise Abandoned(self.volume)
        super().pass_(operation)

    def _release(self) -> None:
        hanging, self._hanging = self._hanging, []
        for thread in hanging:
            thread.wake()


class SimVolume:
    """One process's view of a directory of a disk."""

    def __init__(self, process: Process, disk: Disk, name: str, folder: str = "") -> None:
        self.name = name
        self.gate: Gate = SimGate(name)
        self.settings_in_force: Callable[[DatabaseSettings], DatabaseSettings] = _as_asked
        self._process = process
        self._disk = disk
        self._prefix = folder and folder + "/"
        self._vfs = SimVfs(process, disk)
        self._settled: set[str] = set()

    # --- databases -------------------------------------------------------------------------------

    def database(self, path: str, settings: DatabaseSettings) -> Database:
        """See the protocol."""
        self.gate.pass_(Operation.READ)
        settings = self.settings_in_force(settings)
        flags = apsw.SQLITE_OPEN_READWRITE
        full = self._full(path)
        if settings.create and not settings.read_only:
            flags |= apsw.SQLITE_OPEN_CREATE
            self._make_folder(parent_of(full))
        try:
            connection = apsw.Connection(full, vfs=self._vfs.registered, flags=flags)
        except apsw.Error as fault:
            raise classify(self.name, fault) from fault
        self._process.connections.append(connection)
        try:
            configure(connection, settings)
        except apsw.Error as fault:
            connection.close(True)
            raise classify(self.name, fault) from fault
        return Database(connection, self.gate, path)

    # --- files -----------------------------------------------------------------------------------

    def write_durable(self, path: str, chunks: Iterable[bytes]) -> int:
        """See the protocol."""
        file = self.stream_durable(path)
        size_bytes = 0
        for chunk in chunks:
            size_bytes += len(chunk)
            file.write(chunk)
        file.commit()
        return size_bytes

    def stream_durable(self, path: str) -> SimDurableFile:
        """See the protocol."""
        self.gate.pass_(Operation.WRITE)
        self._make_folder(parent_of(self._full(path)))
        return SimDurableFile(self, path)

    def write_lazily(self, path: str, content: bytes) -> None:
        """See the protocol."""
        self.gate.pass_(Operation.WRITE)
        full = self._full(path)
        self._make_directories(parent_of(full))
        self.put(full, self.replace(full), 0, content)

    def create_lazily(self, path: str, content: bytes) -> bool:
        """See the protocol."""
        self.gate.pass_(Operation.WRITE)
        full = self._full(path)
        temporary = f"{full}.{self._process.label}"
        self._make_directories(parent_of(full))
        self.put(temporary, self.replace(temporary), 0, content)
        made = self.operate("link", full, lambda: self._link(temporary, full))
        self.operate("remove", temporary, lambda: self._disk.remove(temporary))
        return made

    def _link(self, temporary: str, full: str) -> bool:
        is_new = self._disk.find(full) is None
        if is_new:
            self._disk.link(temporary, full)
        return is_new

    def write_again(self, path: str) -> None:
        """See the protocol."""
        self.gate.pass_(Operation.WRITE)
        inode = self._found(path)
        self.put(self._full(path), inode, 0, bytes(inode.content))

    def read(self, path: str, size_bytes_max: int = -1) -> bytes:
        """See the protocol."""
        self.gate.pass_(Operation.READ)
        content = bytes(self._found(path).content)
        return content if size_bytes_max < 0 else content[:size_bytes_max]

    def chunks(self, path: str, chunk_bytes: int) -> Iterator[bytes]:
        """See the protocol."""
        content = self.read(path)
        for start in range(0, len(content), chunk_bytes):
            yield content[start : start + chunk_bytes]
            self.gate.pass_(Operation.READ)

    def exists(self, path: str) -> bool:
        """See the protocol."""
        self.gate.pass_(Operation.READ)
        full = self._full(path)
        return self._disk.find(full) is not None or self._disk.is_directory(full)

    def identity(self, path: str) -> int:
        """See the protocol."""
        self.gate.pass_(Operation.READ)
        inode = self._disk.find(self._full(path))
        return 0 if inode is None else inode.number

    def names(self, path: str) -> list[str]:
        """See the protocol."""
        self.gate.pass_(Operation.READ)
        return self._disk.names(self._full(path))

    def remove(self, path: str) -> None:
        """See the protocol."""
        self.gate.pass_(Operation.WRITE)
        full = self._full(path)
        if self._disk.find(full) is not None:
            self.operate("remove", full, lambda: self._disk.remove(full))

    def rename(self, path: str, target: str) -> None:
        """See the protocol."""
        self.gate.pass_(Operation.WRITE)
        full = self._full(path)
        self.operate("rename", full, lambda: self._disk.rename(full, self._full(target)))

    def sync(self, paths: Sequence[str]) -> None:
        """See the protocol."""
        self.gate.pass_(Operation.SYNC)
        if len(paths) > SYNC_EACH_FILES_MAX:
            self.operate("sync", "*", self._disk.sync_everything)
            return
        folders: dict[str, None] = {}
        for path in paths:
            full = self._full(path)
            folders[parent_of(full)] = None
            if self._disk.is_directory(full):
                self.sync_directory(full)
            else:
                self.sync_file(full, self._found(path))
        for folder in folders:
            self.sync_directory(folder)

    def free_bytes(self) -> int:
        """See the protocol."""
        self.gate.pass_(Operation.READ)
        return 0 if self.gate.mode is FaultMode.FULL else self._disk.free_bytes

    # --- operations of the disk ------------------------------------------------------------------

    def operate(self, kind: str, path: str, act: Callable[[], T], size: int = 0) -> T:
        """One operation on the disk. Raises `Killed`, `VolumeFault`."""
        self._process.operate(kind, self._disk.name, path, size)
        try:
            result = act()
        except OSError as fault:
            self._process.machine.scheduler.trace(f"{self._process.label} fails: {fault}")
            raise classify(self.name, fault) from fault
        self._process.done()
        return result

    def replace(self, full: str) -> Inode:
        """An empty file of that name, emptied if there is one already."""
        return self.operate("create", full, lambda: self._emptied(full))

    def _emptied(self, full: str) -> Inode:
        inode = self._disk.find(full)
        if inode is None:
            return self._disk.create(full)
        self._disk.truncate(inode, 0)
        return inode

    def put(self, full: str, inode: Inode, offset: int, content: bytes) -> None:
        """Write into a file."""
        self.operate(
            "write", full, lambda: self._disk.write(full, inode, offset, content), len(content)
        )

    def sync_file(self, full: str, inode: Inode) -> None:
        """Make a file's content durable."""
        self.operate("sync", full, lambda: self._disk.sync(full, inode))

    def sync_directory(self, full: str) -> None:
        """Make the names in a directory durable."""
        self.operate("sync", full + "/", lambda: self._disk.sync_directory(full))

    def move(self, full: str, target: str) -> None:
        """Rename a file."""
        self.operate("rename", full, lambda: self._disk.rename(full, target))

    def drop(self, full: str) -> None:
        """Remove a file, unless the process is no more."""
        if self._process.alive and self._disk.find(full) is not None:
            self.operate("remove", full, lambda: self._disk.remove(full))

    def full_path(self, path: str) -> str:
        """The path on the disk."""
        return self._full(path)

    def _full(self, path: str) -> str:
        return self._prefix + path if path else self._prefix[:-1]

    def _found(self, path: str) -> Inode:
        inode = self._disk.find(self._full(path))
        if inode is None:
            missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            raise classify(self.name, missing)
        return inode

    def _make_directories(self, full: str) -> None:
        if not self._disk.is_directory(full):
            self.operate("mkdir", full, lambda: self._disk.make_directories(full))

    def _make_folder(self, full: str) -> None:
        """As the real volume: make it, and once in a process sync the names down to it."""
        self._make_directories_durably(full)
        if full in self._settled:
            return
        above = full
        while above != self._prefix[:-1]:
            above = parent_of(above)
            self.sync_directory(above)
        self._settled.add(full)

    def _make_directories_durably(self, full: str) -> None:
        if not self._disk.is_directory(full):
            self._make_directories_durably(parent_of(full))
            self._make_directories(full)
            self.sync_directory(parent_of(full))


class SimDurableFile:
    """A file in the making, under a temporary name (see `runtime.disk.DurableFile`)."""

    def __init__(self, volume: SimVolume, path: str) -> None:
        self._volume = volume
        self._target = volume.full_path(path)
        self._temporary = self._target + ".partial"
        self._inode = volume.replace(self._temporary)
        self._size_bytes = 0

    def write(self, chunk: bytes) -> None:
        self._volume.gate.pass_(Operation.WRITE)
        self._volume.put(self._temporary, self._inode, self._size_bytes, bytes(chunk))
        self._size_bytes += len(chunk)

    def commit(self) -> None:
        self._volume.gate.pass_(Operation.SYNC)
        self._volume.sync_file(self._temporary, self._inode)
        self._volume.move(self._temporary, self._target)
        self._volume.sync_directory(parent_of(self._target))

    def discard(self) -> None:
        try:
            self._volume.drop(self._temporary)
        except VolumeFault:
            return


def _as_asked(settings: DatabaseSettings) -> DatabaseSettings:
    return settings
