"""The open mailbox files of one process: a bounded number, least recently used first out.

Safe for any number of threads. Each mailbox has one connection in a process, and one thread at
a time uses it; threads that want different mailboxes do not meet. A file that another process
has replaced (a rebuild, a restore) is noticed before each use and opened anew.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import apsw

from staffetta.mailboxes.port import MailboxDamaged, MailboxIncomplete, MailboxRef
from staffetta.mailboxes.roster import Roster, Standing, check_marker, path_of
from staffetta.mailboxes.schema import (
    PAGE_SIZE_BYTES,
    VERSION,
    WHOLE,
    Template,
    UnknownVersion,
    migrate,
)
from staffetta.runtime.disk import FULL, NORMAL, Database, DatabaseSettings, Volume
from staffetta.runtime.faults import Abandoned, FaultMode, VolumeFault

CLOSE_WAIT_S = 1.0
"""So long `close` waits for a file that is in use."""

TRIES_MAX = 3
"""How often opening is begun anew when the file is replaced meanwhile."""


@dataclass(frozen=True, slots=True)
class FileSettings:
    """Bounds of one process's open mailbox files.

    An open file costs three descriptors and up to `cache_kib` of memory. `checkpoint_pages`
    bounds the write-ahead log of a file in use, `idle_wal_pages` that of one that is closed:
    what is left there is read again when the file is next opened.
    """

    open_files_max: int = 400
    cache_kib: int = 2048
    checkpoint_pages: int = 2_000
    idle_wal_pages: int = 256


class MailboxFile:
    """One open mailbox file."""

    __slots__ = ("database", "identity", "is_durable", "mailbox", "path", "settled")

    def __init__(self, mailbox: int, path: str, database: Database, identity: int) -> None:
        self.mailbox = mailbox
        self.path = path
        self.database = database
        self.identity = identity
        self.is_durable = False
        self.settled = False

    def make_durable(self, durable: bool) -> None:
        """Whether the next transactions are on disk when they end."""
        if durable is not self.is_durable:
            # Two PRAGMAs cost 6 µs; two connections would cost three descriptors.
            self.database.run(f"PRAGMA synchronous={FULL if durable else NORMAL}")
            self.is_durable = durable

    def shorten_wal(self, pages_max: int) -> None:
        """Copy the write-ahead log into the file if it is long and nobody is in the way."""
        found = self.database.row("PRAGMA wal_checkpoint(NOOP)")
        if found is not None and found[1] > pages_max:
            self.database.run("PRAGMA busy_timeout=0")
            self.database.row("PRAGMA wal_checkpoint(TRUNCATE)")


class _Slot:
    """The place of one mailbox: who uses it, and its file once it is open."""

    __slots__ = ("file", "lock", "users")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.file: MailboxFile | None = None


class MailboxFiles:
    """All mailbox files of one cell that this process has open."""

    def __init__(self, volume: Volume, roster: Roster, settings: FileSettings) -> None:
        self.volume = volume
        self.roster = roster
        self._settings = settings
        self._database_settings = DatabaseSettings(
            synchronous=NORMAL,
            page_size_bytes=PAGE_SIZE_BYTES,
            cache_kib=settings.cache_kib,
            checkpoint_pages=settings.checkpoint_pages,
            checkpoint_on_close=False,
            create=False,
        )
        self._template = Template()
        self._slots: OrderedDict[int, _Slot] = OrderedDict()
        self._lock = threading.Lock()  # never held while a disk is waited for

    @contextmanager
    def borrow(
        self, ref: MailboxRef, abandoned: threading.Event | None = None
    ) -> Iterator[MailboxFile]:
        """The mailbox's file, for this thread alone. Raises `MailboxDamaged`,
        `MailboxIncomplete`, `VolumeFault` (`Abandoned` once the caller has given up)."""
        slot = self._take_slot(ref.mailbox)
        try:
            with slot.lock:
                file = self._refresh(slot, ref)
                if abandoned is not None and abandoned.is_set():
                    raise Abandoned(self.volume.name)
                file.database.abandoned = abandoned
                try:
                    yield file
                except VolumeFault as fault:
                    self._drop(slot)
                    raise self.explain(ref, fault) from fault
                except apsw.ConstraintError as error:
                    # What the tables promise each other does not hold: the file is at fault.
                    self._drop(slot)
                    raise MailboxDamaged(ref.mailbox, str(error)) from error
                finally:
                    file.database.abandoned = None
        finally:
            self._give_back(slot)

    def explain(self, ref: MailboxRef, fault: VolumeFault) -> VolumeFault | MailboxDamaged:
        """Whose fault it is: a corrupt file is one mailbox's, all else the cell's."""
        if fault.mode is FaultMode.CORRUPT and self.volume.gate.mode is None:
            return MailboxDamaged(ref.mailbox, fault.detail)
        return fault

    @contextmanager
    def closed(self, mailbox: int) -> Iterator[None]:
        """Nobody in this process has the mailbox's file open within the block."""
        slot = self._take_slot(mailbox)
        try:
            with slot.lock:
                self._drop(slot)
                yield
        finally:
            self._give_back(slot)

    def close(self) -> None:
        """Close all files. Raises nothing."""
        with self._lock:
            slots = list(self._slots.values())
            self._slots.clear()
        for slot in slots:
            # Who hangs in a file keeps it; there is no letting go of it then.
            if slot.lock.acquire(timeout=CLOSE_WAIT_S):
                self._retire(slot)
                slot.lock.release()

    def _take_slot(self, mailbox: int) -> _Slot:
        with self._lock:
            slot = self._slots.get(mailbox)
            if slot is None:
                slot = self._slots[mailbox] = _Slot()
            else:
                self._slots.move_to_end(mailbox)
            slot.users += 1
            return slot

    def _give_back(self, slot: _Slot) -> None:
        superfluous: list[_Slot] = []
        with self._lock:
            slot.users -= 1
            excess = len(self._slots) - self._settings.open_files_max
            if excess > 0:
                idle = (key for key, other in self._slots.items() if other.users == 0)
                for key in [key for key, _ in zip(idle, range(excess), strict=False)]:
                    superfluous.append(self._slots.pop(key))
        for other in superfluous:
            with other.lock:
                self._retire(other)

    def _retire(self, slot: _Slot) -> None:
        if slot.file is not None:
            # It only saves time; whoever opens the file next meets the fault itself.
            if self.volume.gate.mode is None:
                with suppress(VolumeFault):
                    slot.file.shorten_wal(self._settings.idle_wal_pages)
            self._drop(slot)

    def _drop(self, slot: _Slot) -> None:
        if slot.file is not None:
            slot.file.database.close()
            slot.file = None

    def _refresh(self, slot: _Slot, ref: MailboxRef) -> MailboxFile:
        path = path_of(ref.mailbox)
        for _ in range(TRIES_MAX):
            identity = self.volume.identity(path)
            if slot.file is not None:
                if identity == slot.file.identity:
                    return slot.file
                self._drop(slot)
            damage = MailboxDamaged(ref.mailbox, "its file is lost")
            if identity:
                try:
                    slot.file = self._open(ref, path, identity)
                    return slot.file
                except MailboxDamaged as error:
                    damage = error
            self._make(ref, path, identity, damage)
        raise VolumeFault(self.volume.name, FaultMode.ERROR, f"{path} is replaced all the time")

    def _make(self, ref: MailboxRef, path: str, identity: int, damage: MailboxDamaged) -> None:
        """Make a new file in place of the one that was found (0: none), if it may be.

        A file that a power cut tore before it was ever synced held nothing that was promised:
        it is as good as none. Raises `damage` where the mailbox is known to have been there.
        """
        check_marker(self.volume)
        with self.roster.deciding(ref.mailbox) as standing:
            if self.volume.identity(path) != identity:
                return  # another process was quicker
            match standing:
                case Standing.INCOMPLETE if not identity:
                    raise MailboxIncomplete(f"mailbox {ref.mailbox} is being rebuilt")
                case Standing.ELSEWHERE if not identity:
                    raise MailboxIncomplete(f"mailbox {ref.mailbox} has moved to another cell")
                case Standing.UNKNOWN:
                    for end in ("", "-wal", "-shm"):
                        self.volume.remove(path + end)
                    image = self._template.make(ref.mailbox, ref.uid_validity)
                    self.volume.create_lazily(path, image)
                case _:
                    raise damage

    def _open(self, ref: MailboxRef, path: str, identity: int) -> MailboxFile:
        database: Database | None = None
        try:
            database = self.volume.database(path, self._database_settings)
            file = MailboxFile(ref.mailbox, path, database, identity)
            self._examine(file, ref)
        except BaseException as error:
            if database is not None:
                database.close()
            match error:
                case VolumeFault():
                    raise self.explain(ref, error) from error
                case apsw.SQLError():
                    raise MailboxDamaged(ref.mailbox, str(error)) from error
            raise
        return file

    def _examine(self, file: MailboxFile, ref: MailboxRef) -> None:
        row = file.database.row("SELECT version,mailbox,state,settled FROM mailbox")
        if row is None:
            raise MailboxDamaged(ref.mailbox, "its first row is missing")
        version, owner, state, settled = row
        if owner != ref.mailbox:
            detail = f"{file.path} is the file of mailbox {owner}"
            raise VolumeFault(self.volume.name, FaultMode.ERROR, detail)
        if version != VERSION:
            try:
                migrate(file.database, version)
            except UnknownVersion as error:
                # It is whole, and this release must keep its hands off it.
                raise VolumeFault(self.volume.name, FaultMode.ERROR, str(error)) from error
        if state != WHOLE:
            raise MailboxIncomplete(f"mailbox {ref.mailbox} is being moved")
        file.settled = bool(settled)
