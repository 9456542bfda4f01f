"""Folders of the operator's own: where mail is exported to and imported from.

They are no volume: they belong to no cell, are slow or broken at nobody's cost but the
operator's, and what lies in them may have been made by anybody. So nothing in them is reached
through a symbolic link, nothing that is no plain file is read, and nothing is written over.
Paths are relative to the root, `/` between their levels, as text that may hold the surrogates
with which the interpreter stands for bytes that are no UTF-8.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from staffetta.runtime.disk import sync_file_system

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe must not be waited for.
_EXISTING_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class FolderFault(Exception):
    """A file or folder of the operator's cannot be read or written; the text says which."""


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """One thing in a folder. What is neither file nor folder is left to its name."""

    name: str
    is_folder: bool
    is_file: bool
    size_bytes: int
    changed_us: int


class OperatorFolder:
    """A directory of this machine and everything in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def entries(self, path: str = "") -> list[FolderEntry]:
        """What lies in a folder, by name. Raises `FolderFault`."""
        with _faults(self.root / path), os.scandir(self.root / path) as found:
            return sorted((_describe(one) for one in found), key=lambda entry: entry.name)

    def chunks(self, path: str, chunk_bytes: int) -> Iterator[bytes]:
        """A file, in pieces. Raises `FolderFault`."""
        target = self.root / path
        with _faults(target):
            descriptor = os.open(target, _EXISTING_FILE)
            with open(descriptor, "rb", buffering=0) as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise FolderFault(f"{shown(path)}: not a plain file")
                while chunk := file.read(chunk_bytes):
                    yield chunk

    def read(self, path: str, size_bytes_max: int) -> bytes:
        """The beginning of a file, up to that size. Raises `FolderFault`."""
        content = bytearray()
        for chunk in self.chunks(path, size_bytes_max):
            content += chunk
            if len(content) >= size_bytes_max:
                break
        return bytes(content[:size_bytes_max])

    def make(self, path: str = "") -> None:
        """Make a folder, and those around it, where they are missing. Raises `FolderFault`."""
        with _faults(self.root / path):
            (self.root / path).mkdir(0o700, parents=True, exist_ok=True)

    def write(self, path: str, content: bytes, changed_us: int) -> None:
        """Make a new file with that time of change. Raises `FolderFault`."""
        with self.writing(path) as write:
            write(content)
        with _faults(self.root / path):
            os.utime(self.root / path, ns=(changed_us * 1000, changed_us * 1000))

    @contextmanager
    def writing(self, path: str) -> Iterator[Callable[[bytes], object]]:
        """A new file, to be written in pieces. Raises `FolderFault`."""
        target = self.root / path
        with _faults(target):
            descriptor = os.open(target, _NEW_FILE, 0o600)
        file = open(descriptor, "wb")  # noqa: SIM115

        def write(content: bytes) -> None:
            with _faults(target):
                file.write(content)

        try:
            yield write
        finally:
            with _faults(target):
                file.close()

    def sync(self) -> None:
        """Have everything that was written on disk. Raises `FolderFault`."""
        with _faults(self.root):
            sync_file_system(self.root)


def place_of(path: Path) -> tuple[OperatorFolder, str]:
    """The folder in which a path given by the operator lies, and the path in it.

    A directory is the folder itself, with an empty path. Raises `FolderFault`.
    """
    with _faults(path):
        resolved = path.resolve(strict=True)
    if resolved.is_dir():
        return OperatorFolder(resolved), ""
    return OperatorFolder(resolved.parent), resolved.name


def shown(path: str) -> str:
    """A path as it can be printed, whatever bytes it is made of."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _describe(found: os.DirEntry[str]) -> FolderEntry:
    facts = found.stat(follow_symlinks=False)
    return FolderEntry(
        found.name,
        stat.S_ISDIR(facts.st_mode),
        stat.S_ISREG(facts.st_mode),
        facts.st_size,
        facts.st_mtime_ns // 1000,
    )


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        detail = fault.strerror or str(fault)
        raise FolderFault(f"{shown(str(path))}: {detail}") from fault
    except ValueError as fault:  # a NUL in a path
        raise FolderFault(f"{shown(str(path))}: {fault}") from fault
