"""A disk with two sides: what running processes see, and what a power cut leaves.

Every write and every change of a name goes to the volatile side (the page cache) and is noted
as pending. `sync` of a file makes its content durable, `sync_directory` the names in it; nothing
else does. After a power cut the durable side is all there is, with as much of what was pending
as `Survival` says: nothing, everything, a prefix, or any part of it, writes torn at sectors.

A sync that fails drops what it was to make durable, as Linux does: the page cache still shows
the bytes, the next sync succeeds, and they never reach the disk.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

SECTOR_BYTES = 512
ROOT = ""
ENDLESS_BYTES = 1 << 40


class Survival(Enum):
    """How much of what was pending outlives a power cut."""

    NOTHING = "nothing"
    EVERYTHING = "everything"
    PREFIX = "prefix"  # in the order in which it was written, the last of it torn
    PARTS = "parts"  # any of it, in any order, torn at sectors


@dataclass(eq=False, slots=True)
class Inode:
    """One file. `pending`: (number, offset, octets), or (number, size, None) for a truncation."""

    number: int
    content: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, int, bytes | None]] = field(default_factory=list)


class _Entry(Enum):
    DIRECTORY = 1
    ABSENT = 2


_Names = list[tuple[str, "Inode | _Entry"]]


@dataclass(slots=True)
class DiskFaults:
    """What the disk does wrong. A call gets the path and says whether it fails (or is a lie)."""

    write_fails: Callable[[str], int] = lambda path: 0  # an errno, or 0
    sync_fails: Callable[[str], int] = lambda path: 0
    sync_lies: Callable[[str], bool] = lambda path: False  # says it is done and does nothing


class Disk:
    """Files, directories and the difference between written and kept."""

    def __init__(
        self, name: str, chance: random.Random, capacity_bytes: int = ENDLESS_BYTES
    ) -> None:
        self.name = name
        self.capacity_bytes = capacity_bytes
        self.faults = DiskFaults()
        self.boots = 0  # how often the power came back
        self._chance = chance
        self._inodes = 0
        self._changes = 0
        self._files: dict[str, Inode] = {}
        self._children: dict[str, dict[str, None]] = {ROOT: {}}
        self._durable_names: dict[str, Inode | _Entry] = {}
        self._pending_names: list[tuple[int, _Names]] = []

    # --- names -----------------------------------------------------------------------------------

    def find(self, path: str) -> Inode | None:
        """The file of that name now."""
        return self._files.get(path)

    def names(self, path: str) -> list[str]:
        """What is in a directory, sorted; empty where there is none."""
        return sorted(self._children.get(path, ()))

    def is_directory(self, path: str) -> bool:
        return path in self._children

    def make_directories(self, path: str) -> None:
        """The directory and those above it."""
        if path in self._children:
            return
        self.make_directories(parent_of(path))
        self._note([(path, _Entry.DIRECTORY)])

    def found_directory(self, path: str) -> None:
        """A directory that has been there, durably, since the disk was set up."""
        self.make_directories(path)
        self._durable_names[path] = _Entry.DIRECTORY
        self._pending_names.clear()

    def create(self, path: str) -> Inode:
        """An empty file in a directory that is there, in place of any other of that name."""
        if parent_of(path) not in self._children:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if self.free_bytes <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        self._inodes += 1
        inode = Inode(self._inodes)
        self._note([(path, inode)])
        return inode

    def link(self, path: str, target: str) -> None:
        self._note([(target, self._files[path])])

    def rename(self, path: str, target: str) -> None:
        if path not in self._files:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        self.make_directories(parent_of(target))
        self._note([(path, _Entry.ABSENT), (target, self._files[path])])

    def remove(self, path: str) -> None:
        if path in self._files:
            self._note([(path, _Entry.ABSENT)])

    def _note(self, change: _Names) -> None:
        self._changes += 1
        self._pending_names.append((self._changes, change))
        for path, what in change:
            self._show(path, what)

    def _show(self, path: str, what: Inode | _Entry) -> None:
        self._files.pop(path, None)
        siblings = self._children[parent_of(path)]
        name = path.rpartition("/")[2]
        match what:
            case Inode():
                self._files[path] = what
                siblings[name] = None
            case _Entry.DIRECTORY:
                self._children[path] = {}
                siblings[name] = None
            case _Entry.ABSENT:
                siblings.pop(name, None)

    @property
    def free_bytes(self) -> int:
        """Room for more content."""
        if self.capacity_bytes >= ENDLESS_BYTES:
            return self.capacity_bytes
        return self.capacity_bytes - sum(len(i.content) for i in set(self._files.values()))

    # --- content ---------------------------------------------------------------------------------

    def write(self, path: str, inode: Inode, offset: int, octets: bytes) -> None:
        """Raises `OSError`, having written nothing."""
        number = self.faults.write_fails(path)
        content = inode.content
        growth = max(offset + len(octets) - len(content), 0)
        if not number and growth > self.free_bytes:
            number = errno.ENOSPC
        if number:
            raise OSError(number, os.strerror(number), path)
        _put(content, offset, octets)
        self._changes += 1
        inode.pending.append((self._changes, offset, octets))

    def truncate(self, inode: Inode, size_bytes: int) -> None:
        _resize(inode.content, size_bytes)
        self._changes += 1
        inode.pending.append((self._changes, size_bytes, None))

    # --- durability ------------------------------------------------------------------------------

    def sync(self, path: str, inode: Inode) -> None:
        """Make the file's content durable. Raises `OSError`; then what was pending is lost."""
        if self.faults.sync_lies(path):
            return
        number = self.faults.sync_fails(path)
        pending, inode.pending = inode.pending, []
        for _, offset, octets in pending:
            if not number or self._chance.random() < 0.5:
                _apply(inode.durable, offset, octets)
        if number:
            raise OSError(number, os.strerror(number), path)

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable (not its own). Raises `OSError`."""
        if self.faults.sync_lies(path + "/"):
            return
        number = self.faults.sync_fails(path + "/")
        if number:
            raise OSError(number, os.strerror(number), path)
        kept = []
        for pending in self._pending_names:
            if any(parent_of(changed) == path for changed, _ in pending[1]):
                self._durable_names.update(pending[1])
            else:
                kept.append(pending)
        self._pending_names = kept

    def sync_everything(self) -> None:
        """Make the whole disk durable (syncfs). Raises `OSError`."""
        for inode in self._all_inodes():
            self.sync("*", inode)
        if not self.faults.sync_lies("*"):
            for _, change in self._pending_names:
                self._durable_names.update(change)
            self._pending_names.clear()

    @property
    def pending(self) -> int:
        """How many changes a power cut could take now."""
        return len(self._pending_names) + sum(len(i.pending) for i in self._all_inodes())

    def power_cut(self, survival: Survival) -> None:
        """Only what is durable is left, and what of the rest `survival` lets through."""
        writes = [(*write, inode) for inode in self._all_inodes() for write in inode.pending]
        writes.sort(key=lambda write: write[0])
        numbers = sorted([write[0] for write in writes] + [n for n, _ in self._pending_names])
        last = self._last_to_survive(survival, numbers)
        likelihood = self._chance.choice((0.2, 0.5, 0.9))
        for number, offset, octets, inode in writes:
            torn = number == last and survival is Survival.PREFIX
            if number < last and (survival is not Survival.PARTS):
                _apply(inode.durable, offset, octets)
            elif torn or (survival is Survival.PARTS and self._chance.random() < likelihood):
                self._tear(inode.durable, offset, octets)
        for number, change in self._pending_names:
            if number <= last:
                self._durable_names.update(change)
        self._restart()

    def _last_to_survive(self, survival: Survival, numbers: list[int]) -> int:
        """The number of the last change that may survive; names are journalled in order."""
        match survival:
            case Survival.NOTHING:
                return 0
            case Survival.EVERYTHING:
                return self._changes + 1
            case Survival.PREFIX | Survival.PARTS:
                return self._chance.choice(numbers) if numbers else 0

    def _tear(self, durable: bytearray, offset: int, octets: bytes | None) -> None:
        if octets is None or self._chance.random() < 0.5:
            _apply(durable, offset, octets)
            return
        for start in range(0, len(octets), SECTOR_BYTES):
            if self._chance.random() < 0.5:
                _put(durable, offset + start, octets[start : start + SECTOR_BYTES])

    def _restart(self) -> None:
        self.boots += 1
        self._pending_names.clear()
        self._files.clear()
        self._children = {ROOT: {}}
        names, self._durable_names = self._durable_names, {}
        for path in sorted(names):  # a directory comes before what is in it
            what = names[path]
            if what is _Entry.ABSENT or parent_of(path) not in self._children:
                continue
            self._durable_names[path] = what
            self._show(path, what)
        for inode in self._files.values():
            inode.content = bytearray(inode.durable)
            inode.pending.clear()

    def _all_inodes(self) -> list[Inode]:
        """Files that have a name on either side, each once, in a fixed order."""
        found = {inode.number: inode for inode in self._files.values()}
        for what in self._durable_names.values():
            if isinstance(what, Inode):
                found[what.number] = what
        for _, change in self._pending_names:
            found |= {what.number: what for _, what in change if isinstance(what, Inode)}
        return [found[number] for number in sorted(found)]


def parent_of(path: str) -> str:
    """The directory that a name is in."""
    return path.rpartition("/")[0]


def _apply(side: bytearray, offset: int, octets: bytes | None) -> None:
    if octets is None:
        _resize(side, offset)
    else:
        _put(side, offset, octets)


def _put(side: bytearray, offset: int, octets: bytes) -> None:
    if len(side) < offset:
        side.extend(bytes(offset - len(side)))
    side[offset : offset + len(octets)] = octets


def _resize(side: bytearray, size_bytes: int) -> None:
    if size_bytes < len(side):
        del side[size_bytes:]
    else:
        side.extend(bytes(size_bytes - len(side)))
