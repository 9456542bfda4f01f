"""What a cell knows of itself: its marker, and which mailboxes it has ever held.

A store that finds no file and makes a new one turns a lost disk into an empty mailbox, and
caching clients then delete their copies. So a new file is made only where two things agree: the
cell's marker is there (the right disk is mounted), and the roster has never heard of the
mailbox.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from staffetta.runtime.disk import FULL, Database, DatabaseSettings, Volume
from staffetta.runtime.entropy import Entropy
from staffetta.runtime.faults import FaultMode, VolumeFault

MARKER_PATH = "cell.id"
ROSTER_PATH = "roster.db"
SUFFIX = ".mbx"
DIRECTORIES = 256

_SETTINGS = DatabaseSettings(synchronous=FULL, cache_kib=512, checkpoint_on_close=False)


class Standing(IntEnum):
    """What the roster says of a mailbox."""

    UNKNOWN = 0
    PRESENT = 1
    INCOMPLETE = 2  # set aside, until a rebuild is through
    ELSEWHERE = 3  # moved to another cell


def found_cell(volume: Volume, entropy: Entropy) -> None:
    """Make the volume a cell, once. Does nothing where it is one already.

    To be called when the cell is new by the configuration's own record, never because the
    marker is missing. Raises `VolumeFault`; `GONE` where there are mailboxes without a marker.
    """
    if volume.exists(MARKER_PATH):
        check_marker(volume)
        return
    if any(volume.names(directory) for directory in _directories()):
        raise VolumeFault(volume.name, FaultMode.GONE, "mailboxes without the cell's marker")
    volume.write_durable(MARKER_PATH, [f"{volume.name}\n{entropy.token(8).hex()}\n".encode()])


def check_marker(volume: Volume) -> None:
    """Raises `VolumeFault` (`GONE`) unless this is the disk of this cell."""
    if not volume.exists(MARKER_PATH):
        raise VolumeFault(volume.name, FaultMode.GONE, f"no {MARKER_PATH}: is the disk mounted?")
    owner = volume.read(MARKER_PATH, 1024).split(b"\n", 1)[0].decode("utf-8", "replace")
    if owner != volume.name:
        raise VolumeFault(volume.name, FaultMode.GONE, f"this is the disk of cell {owner!r}")


def path_of(mailbox: int) -> str:
    """Where a mailbox's file lies in its cell."""
    return f"{mailbox & 255:02x}/{mailbox}{SUFFIX}"


def list_mailboxes(volume: Volume) -> list[int]:
    """The mailboxes whose files are there, in no particular order."""
    found = []
    for directory in _directories():
        for name in volume.names(directory):
            number = name.removesuffix(SUFFIX)
            if number != name and number.isdecimal():
                found.append(int(number))
    return found


class Roster:
    """The list of a cell's mailboxes, in a small database of its own. For any thread."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._identity = 0

    def standing(self, mailbox: int) -> Standing:
        """What is known of the mailbox. Raises `VolumeFault`."""
        with self._opened() as database:
            row = database.row("SELECT standing FROM roster WHERE mailbox=?", (mailbox,))
        return Standing.UNKNOWN if row is None else Standing(row[0])

    @contextmanager
    def deciding(self, mailbox: int) -> Iterator[Standing]:
        """The mailbox's standing, while no other process decides about a mailbox of this cell.

        Whoever makes a mailbox file does it in such a block: two that did it at once would
        take each other's write-ahead log away.
        """
        with self._opened() as database, database.transaction():
            row = database.row("SELECT standing FROM roster WHERE mailbox=?", (mailbox,))
            yield Standing.UNKNOWN if row is None else Standing(row[0])

    def add(self, mailboxes: Iterable[int]) -> None:
        """These are there now, and durably so; a standing they have already stays."""
        rows = [(mailbox, Standing.PRESENT.value) for mailbox in mailboxes]
        with self._opened() as database, database.transaction():
            database.many("INSERT OR IGNORE INTO roster VALUES(?,?)", rows)

    def mark(self, mailbox: int, standing: Standing) -> None:
        """Give a mailbox another standing, durably."""
        with self._opened() as database:
            database.run("INSERT OR REPLACE INTO roster VALUES(?,?)", (mailbox, standing.value))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._drop()

    @contextmanager
    def _opened(self) -> Iterator[Database]:
        with self._lock:
            try:
                yield self._open()
            except VolumeFault:
                self._drop()  # after a fault nothing that was open is trusted
                raise

    def _open(self) -> Database:
        identity = self._volume.identity(ROSTER_PATH)
        if self._database is not None and identity == self._identity:
            return self._database
        self._drop()
        check_marker(self._volume)
        try:
            self._database = self._open_file()
        except VolumeFault as fault:
            if fault.mode is not FaultMode.CORRUPT or self._volume.gate.mode is not None:
                raise
            # What it knew beyond the files that are there is lost, which is better than a cell
            # that takes no new mailbox.
            for end in ("", "-wal", "-shm"):
                self._volume.remove(ROSTER_PATH + end)
            self._database = self._open_file()
        self._identity = self._volume.identity(ROSTER_PATH)
        return self._database

    def _open_file(self) -> Database:
        database = self._volume.database(ROSTER_PATH, _SETTINGS)
        try:
            if not database.row("SELECT 1 FROM sqlite_schema WHERE name='roster'"):
                self._fill(database)
        except VolumeFault:
            database.close()
            raise
        return database

    def _fill(self, database: Database) -> None:
        present = [(mailbox, Standing.PRESENT.value) for mailbox in list_mailboxes(self._volume)]
        with database.transaction():
            database.run(
                "CREATE TABLE IF NOT EXISTS roster("
                "mailbox INTEGER PRIMARY KEY, standing INTEGER NOT NULL) STRICT"
            )
            database.many("INSERT OR IGNORE INTO roster VALUES(?,?)", present)

    def _drop(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _directories() -> list[str]:
    return [f"{number:02x}" for number in range(DIRECTORIES)]
