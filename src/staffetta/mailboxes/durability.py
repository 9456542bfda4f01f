"""Which files have to reach the disk before what was promised about them is true.

Delivery does not sync: what it touches is noted here, and `sync` makes all of it durable at
once. What a person does is synced by SQLite at its commit; before the first such commit in a
new file, the file's own existence has to be made durable.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from staffetta.mailboxes.files import MailboxFile, MailboxFiles
from staffetta.mailboxes.port import MailboxDamaged, MailboxIncomplete, MailboxRef
from staffetta.mailboxes.roster import MARKER_PATH, check_marker, path_of
from staffetta.runtime.faults import FaultMode, VolumeFault


class Durability:
    """What one process has written to a cell and not yet synced. For any thread."""

    def __init__(self, files: MailboxFiles) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._touched: dict[int, MailboxRef] = {}
        self._unsettled: dict[int, MailboxRef] = {}
        self._doubtful: dict[int, MailboxRef] = {}
        self._rostered: set[int] = set()  # durable and on the roster, but not marked so yet

    def note(self, ref: MailboxRef, file: MailboxFile) -> None:
        """The file is about to be changed without a sync of its own. Raises `VolumeFault`."""
        if not file.settled and ref.mailbox in self._rostered:
            self._mark_settled(ref, file)
        with self._lock:
            self._touched[ref.mailbox] = ref
            if not file.settled:
                self._unsettled[ref.mailbox] = ref

    def doubt(self, ref: MailboxRef) -> None:
        """A change of the file failed, perhaps in a sync of SQLite's own: at the next `sync` the
        file is rewritten, as after a failed one."""
        with self._lock:
            self._doubtful[ref.mailbox] = ref

    def dispel(self, ref: MailboxRef) -> None:
        """Rewrite and sync the file if it is in doubt. Raises `VolumeFault`; then it still is."""
        if ref.mailbox in self._doubtful:
            self._rewrite(ref)
            self._sync_files([ref.mailbox], ())
            with self._lock:
                self._doubtful.pop(ref.mailbox, None)

    def sync(self) -> None:
        """Make everything noted durable. Raises `VolumeFault`; then all of it is in doubt.

        After a failed sync the kernel may have dropped the pages and calls the next sync a
        success. So what the files concerned have is first written over them once more.
        """
        with self._lock:
            touched, self._touched = self._touched, {}
            unsettled, self._unsettled = self._unsettled, {}
            doubtful = dict(self._doubtful)
        try:
            for mailbox, ref in doubtful.items():
                self._rewrite(ref)
                touched[mailbox] = ref
            self._sync_files(touched | unsettled, unsettled)
            with self._lock:
                self._doubtful = {m: r for m, r in self._doubtful.items() if m not in doubtful}
        except VolumeFault:
            with self._lock:
                self._doubtful |= touched | unsettled
                self._unsettled |= unsettled
            raise
        if unsettled:
            self._files.roster.add(unsettled)
            # The files learn of it when they are next used, which spares opening them now.
            self._rostered.update(unsettled)

    def settle(self, ref: MailboxRef, file: MailboxFile) -> None:
        """Called before a durable change: the file itself survives from here on."""
        if file.settled:
            return
        if ref.mailbox not in self._rostered:
            self._files.volume.sync([file.path, MARKER_PATH])
            self._files.roster.add([ref.mailbox])
        self._mark_settled(ref, file)

    def _sync_files(self, touched: Iterable[int], unsettled: Iterable[int]) -> None:
        paths = [path_of(mailbox) + "-wal" for mailbox in touched]
        if not paths:
            return
        new = [path_of(mailbox) for mailbox in unsettled]
        volume = self._files.volume
        check_marker(volume)  # or an empty mount point would be synced in the disk's place
        # A file may have been set aside since; with it went what was delivered into it.
        paths = [path for path in paths + new if volume.exists(path)]
        if new and paths:
            paths.append(MARKER_PATH)  # its directory holds the names of new directories
        volume.sync(paths)

    def _rewrite(self, ref: MailboxRef) -> None:
        try:
            with self._files.borrow(ref) as file:
                if not file.settled:
                    self._rewrite_new(file)
                wal = file.path + "-wal"
                if self._files.volume.exists(wal):
                    # What lies in the file itself SQLite copies there again after a failure. A
                    # copy into the file would not do: an older, shorter log on the disk would
                    # cover it after a power cut.
                    with file.database.transaction():
                        self._files.volume.write_again(wal)
        except (MailboxDamaged, MailboxIncomplete):
            return  # it will be rebuilt from the log, which has all of this

    def _rewrite_new(self, file: MailboxFile) -> None:
        """Its first pages came from the template and are in no write-ahead log."""
        file.database.run("VACUUM")
        row = file.database.row("PRAGMA wal_checkpoint(TRUNCATE)")
        if row is None or row[0]:
            name = self._files.volume.name
            raise VolumeFault(name, FaultMode.HANG, f"{file.path} is always being read")

    def _mark_settled(self, ref: MailboxRef, file: MailboxFile) -> None:
        file.make_durable(False)
        file.database.run("UPDATE mailbox SET settled=1")
        file.settled = True
        self._rostered.discard(ref.mailbox)
