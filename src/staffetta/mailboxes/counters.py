"""The counters of a mailbox and its folders, as one transaction reads, moves on and writes them.

Every change of a mailbox is a `Writing`: it reads the mailbox's row, hands out modseqs, content
ids and UIDVALIDITYs that have never been given before, and writes back what has moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from staffetta.mailboxes.names import canonical_name
from staffetta.mailboxes.port import DELETED, SEEN, Folder, MailboxIncomplete, NoSuchFolder
from staffetta.mailboxes.schema import WHOLE
from staffetta.runtime.disk import Database

CHANGES_KEPT = 10_000
"""How many modseqs back it is remembered which UIDs have changed."""

_MAILBOX = "SELECT state,modseq,used_bytes,content_next,uid_validity,uid_validity_last FROM mailbox"
_FOLDER = (
    "SELECT id,name,token,special_use,subscribed,selectable,uid_validity,uid_next,recent_from,"
    "highest_modseq,messages,unseen,deleted,recent,size_bytes FROM folder"
)


@dataclass(slots=True)
class FolderRow:
    """One folder, with its counts, as the file has them."""

    id: int
    name: str
    token: str
    special_use: str
    subscribed: int
    selectable: int
    uid_validity: int
    uid_next: int
    recent_from: int
    highest_modseq: int
    messages: int
    unseen: int
    deleted: int
    recent: int
    size_bytes: int

    def add(self, messages: int, unseen: int, deleted: int, recent: int, size_bytes: int) -> None:
        """Count messages that have come (or, with negative numbers, gone)."""
        self.messages += messages
        self.unseen += unseen
        self.deleted += deleted
        self.recent += recent
        self.size_bytes += size_bytes

    def add_one(self, uid: int, flags: int, size_bytes: int) -> None:
        """Count one message that has come."""
        self.messages += 1
        self.unseen += not flags & SEEN
        self.deleted += bool(flags & DELETED)
        self.recent += uid >= self.recent_from
        self.size_bytes += size_bytes

    def counters(self) -> tuple[int, ...]:
        """What a change may have moved, and the folder's id."""
        return (
            self.uid_next,
            self.recent_from,
            self.highest_modseq,
            self.messages,
            self.unseen,
            self.deleted,
            self.recent,
            self.size_bytes,
            self.id,
        )

    def to_port(self) -> Folder:
        """The folder as the port describes it."""
        return Folder(
            self.name,
            self.token,
            self.special_use,
            bool(self.subscribed),
            self.uid_validity,
            self.uid_next,
            self.highest_modseq,
            self.messages,
            self.unseen,
            self.deleted,
            self.recent,
            self.size_bytes,
            bool(self.selectable),
        )


@dataclass(slots=True)
class Writing:
    """The mailbox's row within a transaction; what a change touches is noted in `touched`."""

    database: Database
    modseq: int
    used_bytes: int
    content_next: int
    uid_validity: int
    uid_validity_last: int
    touched: dict[int, FolderRow] = field(default_factory=dict)
    changes: dict[int, tuple[int, int]] = field(default_factory=dict)
    is_changed: bool = False

    def take_modseqs(self, count: int) -> int:
        """The first of so many modseqs in a row."""
        first = self.modseq + 1
        self.modseq += count
        self.is_changed = True
        return first

    def take_contents(self, count: int) -> int:
        """The first of so many content ids in a row."""
        first = self.content_next
        self.content_next += count
        return first

    def take_uid_validity(self) -> int:
        """A UIDVALIDITY above all others of this mailbox."""
        self.uid_validity_last += 1
        self.is_changed = True
        return self.uid_validity_last

    def folder(self, name: str) -> FolderRow:
        """The folder, to be changed. Raises `NoSuchFolder`."""
        return self.adopt(find_folder(self.database, name))

    def adopt(self, folder: FolderRow) -> FolderRow:
        """The row of that folder which will be written back at the end."""
        return self.touched.setdefault(folder.id, folder)

    def note(self, folder: FolderRow, low: int, high: int) -> None:
        """Messages that were there before have changed, at the next or latest modseq; their
        UIDs lie between `low` and `high`."""
        before = self.changes.get(folder.id, (low, high))
        self.changes[folder.id] = min(before[0], low), max(before[1], high)
        self.is_changed = True

    def add_used(self, size_bytes: int) -> None:
        """Count bytes against the quota."""
        self.used_bytes += size_bytes
        self.is_changed = True

    def save(self) -> None:
        """Write back what has moved; nothing where nothing has."""
        if not self.is_changed:
            return
        database = self.database
        database.run(
            "UPDATE mailbox SET modseq=?,used_bytes=?,content_next=?,uid_validity_last=?",
            (self.modseq, self.used_bytes, self.content_next, self.uid_validity_last),
        )
        database.many(
            "UPDATE folder SET uid_next=?,recent_from=?,highest_modseq=?,messages=?,unseen=?,"
            "deleted=?,recent=?,size_bytes=? WHERE id=?",
            [folder.counters() for folder in self.touched.values()],
        )
        if self.changes:
            database.many(
                "INSERT INTO change VALUES(?,?,?,?)",
                [(self.modseq, folder, *ends) for folder, ends in self.changes.items()],
            )
            database.run("DELETE FROM change WHERE modseq<=?", (self.modseq - CHANGES_KEPT,))


@contextmanager
def writing(database: Database) -> Iterator[Writing]:
    """A transaction that changes the mailbox. Raises `MailboxIncomplete`, `VolumeFault`."""
    with database.transaction():
        row = database.row(_MAILBOX)
        assert row is not None
        state, *counters = row
        if state != WHOLE:
            raise MailboxIncomplete("the mailbox is being moved")
        change = Writing(database, *counters)
        yield change
        change.save()


def find_folder(database: Database, name: str) -> FolderRow:
    """The folder of that name, which can be selected. Raises `NoSuchFolder`."""
    found = look_up_folder(database, name)
    if found is None or not found.selectable:
        raise NoSuchFolder(name)
    return found


def look_up_folder(database: Database, name: str) -> FolderRow | None:
    """The folder of that name, selectable or not."""
    row = database.row(f"{_FOLDER} WHERE name=?", (canonical_name(name),))
    return None if row is None else FolderRow(*row)


def list_folders(database: Database) -> list[FolderRow]:
    """All folders, by name."""
    return [FolderRow(*row) for row in database.rows(f"{_FOLDER} ORDER BY name")]
