"""The mailbox store on SQLite: one database file for each mailbox, in its cell's directory.

A `SqliteCell` may be used from any number of threads at once; see `files.py` for who waits for
whom. A `SqliteMailbox` belongs to one caller at a time, because its `abandoned` event is that
caller's. Nothing here is done late: each step looks at `abandoned` when it gets its turn.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from staffetta.mailboxes import (
    changing,
    checking,
    delivering,
    fetching,
    folders,
    indexing,
    quarantine,
    searching,
)
from staffetta.mailboxes.counters import Writing
from staffetta.mailboxes.counters import writing as start_writing
from staffetta.mailboxes.durability import Durability
from staffetta.mailboxes.files import FileSettings, MailboxFile, MailboxFiles
from staffetta.mailboxes.keys import APPENDED_ORDINAL, make_key
from staffetta.mailboxes.placing import make_ready
from staffetta.mailboxes.port import (
    Appended,
    Arrange,
    Change,
    Changed,
    CheckReport,
    Column,
    Damaged,
    Mailbox,
    MailboxBatch,
    MailboxDamaged,
    MailboxIncomplete,
    MailboxRef,
    Outcome,
    Overview,
    Query,
    Snapshot,
)
from staffetta.mailboxes.progress import finish
from staffetta.mailboxes.roster import Roster, check_marker
from staffetta.runtime.clock import Clock
from staffetta.runtime.disk import Volume
from staffetta.runtime.entropy import Entropy
from staffetta.runtime.faults import FaultMode, VolumeFault

PROBE_BYTES = 64


class SqliteCell:
    """The mailboxes of one volume. The volume must have been made a cell (`found_cell`)."""

    def __init__(
        self,
        volume: Volume,
        clock: Clock,
        entropy: Entropy,
        settings: FileSettings | None = None,
    ) -> None:
        self.name = volume.name
        self.volume = volume
        self.clock = clock
        self.entropy = entropy
        self.roster = Roster(volume)
        self.files = MailboxFiles(volume, self.roster, settings or FileSettings())
        self.durability = Durability(self.files)
        self._unindexed: dict[int, MailboxRef] = {}
        self._probe_path = f"probe-{entropy.token(6).hex()}"
        self._probe_lock = threading.Lock()

    def deliver(self, batches: Sequence[MailboxBatch]) -> list[list[Outcome]]:
        """See `port.Cell.deliver`."""
        return [self._deliver_batch(batch) for batch in batches]

    def _deliver_batch(self, batch: MailboxBatch) -> list[Outcome]:
        contents = delivering.prepare_all(batch.deliveries)
        try:
            with self.files.borrow(batch.ref) as file:
                self.durability.note(batch.ref, file)
                self._unindexed[batch.ref.mailbox] = batch.ref
                return delivering.deliver(file, batch.ref, batch.deliveries, contents)
        except VolumeFault as fault:
            if fault.mode is FaultMode.ERROR:
                self.durability.doubt(batch.ref)
            raise
        except MailboxDamaged as damage:
            return [Damaged(damage.detail)] * len(batch.deliveries)
        except MailboxIncomplete as error:
            return [Damaged(str(error), incomplete=True)] * len(batch.deliveries)

    def sync(self) -> None:
        """See `port.Cell.sync`."""
        self.durability.sync()

    def open(self, ref: MailboxRef) -> Mailbox:
        """See `port.Cell.open`."""
        with self.files.borrow(ref):
            return SqliteMailbox(self, ref)

    def probe(self) -> None:
        """See `port.Cell.probe`."""
        with self._probe_lock:
            check_marker(self.volume)
            wanted = self.entropy.token(PROBE_BYTES)
            self.volume.write_durable(self._probe_path, [wanted])
            if self.volume.read(self._probe_path) != wanted:
                raise VolumeFault(
                    self.name, FaultMode.CORRUPT, "what is read is not what was written"
                )
            self.volume.remove(self._probe_path)

    def check(self, ref: MailboxRef) -> CheckReport:
        """See `port.Cell.check`."""
        return finish(checking.check(self.files, ref))

    def quarantine(self, ref: MailboxRef) -> str:
        """See `port.Cell.quarantine`."""
        return quarantine.set_aside(self.files, ref, self.clock.now_us())

    def index_pending(self, limit: int) -> int:
        """Make up to `limit` messages delivered by this process ready for SEARCH.

        For idle time: a search does for itself what has not been done. Returns how many.
        """
        done = 0
        for mailbox, ref in list(self._unindexed.items()):
            if done >= limit:
                break
            try:
                with self.files.borrow(ref) as file:
                    count, is_finished = indexing.index_pending(file, limit - done)
            except (MailboxDamaged, MailboxIncomplete):
                count, is_finished = 0, True
            done += count
            if is_finished:
                self._unindexed.pop(mailbox, None)
        return done

    def close(self) -> None:
        """See `port.Cell.close`."""
        self.files.close()
        self.roster.close()


@dataclass(slots=True)
class SqliteMailbox:
    """One mailbox, for one caller. Holds no file open between calls."""

    _cell: SqliteCell
    _ref: MailboxRef
    abandoned: threading.Event | None = field(default=None)

    def overview(self) -> Overview:
        """See `port.Mailbox.overview`."""
        with self._borrow() as file:
            return fetching.overview(file.database)

    def snapshot(self, folder: str, since_modseq: int = 0, claim_recent: bool = False) -> Snapshot:
        """See `port.Mailbox.snapshot`."""
        with self._borrow() as file:
            found = fetching.snapshot(file.database, folder, since_modseq)
            if claim_recent and found.recent_from < found.folder.uid_next:
                self._claim_recent(file, folder, found.folder.uid_next)
            return found

    def _claim_recent(self, file: MailboxFile, folder: str, uid_next: int) -> None:
        try:
            fetching.claim_recent(file, folder, uid_next)
            self._cell.durability.note(self._ref, file)
        except VolumeFault as fault:
            # A cell that can only be read is read; \Recent is then claimed by the next session.
            if fault.mode not in (FaultMode.FULL, FaultMode.READONLY):
                raise

    def fetch(
        self, folder: str, uids: Sequence[tuple[int, int]], columns: Sequence[Column]
    ) -> Iterator[list[tuple[object, ...]]]:
        """See `port.Mailbox.fetch`. The file is free for others between chunks."""
        fetch = fetching.Fetch(folder, uids, columns)
        while not fetch.is_done:
            with self._borrow() as file:
                rows = fetch.read(file.database)
            if rows:
                yield rows

    def search(self, folder: str, uids: Sequence[tuple[int, int]], query: Query) -> list[int]:
        """See `port.Mailbox.search`."""
        with self._borrow() as file:
            return searching.search(file, folder, uids, query)

    def locate(self, receipts: Sequence[bytes]) -> list[tuple[bytes, str, int]]:
        """See `port.Mailbox.locate`."""
        with self._borrow() as file:
            return fetching.locate(file.database, receipts)

    def change(self, folder: str, uids: Sequence[tuple[int, int]], change: Change) -> Changed:
        """See `port.Mailbox.change`."""
        with self._writing() as writing:
            return changing.change_messages(writing, self._ref, folder, uids, change)

    def append(
        self, folder: str, content: bytes, flags: int, keywords: Sequence[str], at_us: int
    ) -> Appended:
        """See `port.Mailbox.append`."""
        key = make_key(self._cell.entropy)
        new = make_ready(key, APPENDED_ORDINAL, content)
        with self._writing() as writing:
            return changing.append(writing, self._ref, folder, new, flags, keywords, at_us)

    def arrange(self, change: Arrange) -> None:
        """See `port.Mailbox.arrange`."""
        with self._writing() as writing:
            folders.arrange(writing, change)

    @contextmanager
    def _borrow(self) -> Iterator[MailboxFile]:
        with self._cell.files.borrow(self._ref, self.abandoned) as file:
            yield file

    @contextmanager
    def _writing(self) -> Iterator[Writing]:
        """A transaction that is on disk, with everything before it, when the block is left."""
        durability = self._cell.durability
        durability.dispel(self._ref)
        try:
            with self._borrow() as file:
                durability.settle(self._ref, file)
                file.make_durable(True)
                with start_writing(file.database) as change:
                    yield change
        except VolumeFault as fault:
            if fault.mode is FaultMode.ERROR:
                # What others delivered into this file may have been lost with this change.
                durability.doubt(self._ref)
                with suppress(VolumeFault):
                    durability.dispel(self._ref)
            raise
