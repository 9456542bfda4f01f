"""Making a mailbox again: from what can still be read of its damaged file, and from the log.

The damaged file is in quarantine and is only read. A new file is made beside the others, checked,
synced and put in place in one step; until then the mailbox is incomplete and nobody is shown an
emptier one. What the old file still says (folders, flags, moves, deletions, messages that people
put in) goes before what the log says (delivered there, with that UID). UIDs stay what they were,
and what is given next is above everything that was ever given.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

from staffetta.mailboxes.checking import list_problems
from staffetta.mailboxes.placing import INSERT_ARRIVAL, INSERT_MESSAGE, insert_contents, make_ready
from staffetta.mailboxes.port import INBOX, SPECIAL_FOLDERS, Delivery, MailboxRef
from staffetta.mailboxes.progress import Progress
from staffetta.mailboxes.quarantine import find_newest, set_aside
from staffetta.mailboxes.roster import MARKER_PATH, Standing, path_of
from staffetta.mailboxes.schema import PAGE_SIZE_BYTES, Template
from staffetta.mailboxes.sqlite import SqliteCell
from staffetta.runtime.disk import NORMAL, Database, DatabaseSettings
from staffetta.runtime.faults import VolumeFault

DIRECTORY = "rebuilding"
MESSAGES_PER_STEP = 200
# UIDs that a damaged file may have given without our knowing are skipped.
UIDS_SKIPPED = 1_000

_NEW = DatabaseSettings(
    synchronous=NORMAL, page_size_bytes=PAGE_SIZE_BYTES, create=False, checkpoint_on_close=False
)
_OLD = DatabaseSettings(read_only=True, checkpoint_on_close=False)
_FOLDER_COLUMNS = (
    "id,name,token,special_use,subscribed,selectable,uid_validity,uid_next,recent_from,"
    "highest_modseq"
)


class RebuildFailed(Exception):
    """The new file does not hold together; the mailbox stays in quarantine."""


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a rebuild found. `lost`: messages that the old file names and nobody still has."""

    mailbox: int
    quarantine: str
    from_old_file: int
    from_log: int
    lost: int


@dataclass(slots=True)
class _Salvage:
    """What could be read of the old file. `messages`: (folder, uid, content, flags, modseq,
    at_us, sent_day, size)."""

    folders: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    messages: list[tuple[Any, ...]] = field(default_factory=list)
    arrivals: dict[tuple[bytes, int], tuple[int, int, int]] = field(default_factory=dict)
    keywords: list[tuple[int, str]] = field(default_factory=list)
    retired: list[tuple[str, int]] = field(default_factory=list)
    modseq: int = 1
    uid_validity_last: int = 0
    complete: bool = False  # all tables could be read to their end


def rebuild(
    cell: SqliteCell, ref: MailboxRef, deliveries: Iterable[Delivery], total: int = 0
) -> Generator[Progress, None, RebuildReport]:
    """Set the mailbox aside and make it again; the report is the generator's result.

    `deliveries` are those that the log knows to have been delivered, oldest first, each with the
    folder and UID it had; `total` is their number. Raises `RebuildFailed`, `VolumeFault`.
    """
    set_aside(cell.files, ref, cell.clock.now_us())
    aside = find_newest(cell.files, ref.mailbox)
    known = list(deliveries)
    problem = ""
    for source in (aside, "") if aside else ("",):
        filling, problem = yield from _make(cell, ref, source, known, total)
        if not problem:
            _put_in_place(cell, ref, _temporary(ref))
            return RebuildReport(
                ref.mailbox, aside, filling.from_old, filling.from_log, filling.lost
            )
    raise RebuildFailed(f"mailbox {ref.mailbox}: {problem}")


def _temporary(ref: MailboxRef) -> str:
    return f"{DIRECTORY}/{ref.mailbox}.mbx"


def _make(
    cell: SqliteCell, ref: MailboxRef, aside: str, known: Sequence[Delivery], total: int
) -> Generator[Progress, None, tuple[_Filling, str]]:
    """Fill a new file; what is wrong with it, if anything, is the result's second half.

    What is read of a damaged file may be nonsense that still looks like rows: then the new file
    does not hold together, and is made again without it.
    """
    volume, temporary = cell.volume, _temporary(ref)
    for end in ("", "-wal", "-shm"):
        volume.remove(temporary + end)
    volume.write_lazily(temporary, Template().make(ref.mailbox, ref.uid_validity))
    old = _open_old(cell, aside)
    new = volume.database(temporary, _NEW)
    filling = _Filling(new, old, ref)
    try:
        try:
            yield from filling.run(known, total)
        except apsw.Error as error:
            return filling, str(error)
        problems = list_problems(new)
        new.row("PRAGMA wal_checkpoint(TRUNCATE)")
        return filling, problems[0] if problems else ""
    finally:
        new.close()
        if old is not None:
            old.close()


def _open_old(cell: SqliteCell, aside: str) -> Database | None:
    if not aside:
        return None
    try:
        return cell.volume.database(aside, _OLD)
    except VolumeFault:
        if cell.volume.gate.mode is not None:
            raise
        return None  # nothing of it can be read


def _put_in_place(cell: SqliteCell, ref: MailboxRef, temporary: str) -> None:
    volume, path = cell.volume, path_of(ref.mailbox)
    volume.sync([temporary])
    with cell.files.closed(ref.mailbox):
        for end in ("-wal", "-shm"):
            volume.remove(path + end)
        volume.rename(temporary, path)
        for end in ("-wal", "-shm"):
            volume.remove(temporary + end)
        volume.sync([path, MARKER_PATH])
        cell.roster.mark(ref.mailbox, Standing.PRESENT)


class _Filling:
    """A new file on its way."""

    def __init__(self, new: Database, old: Database | None, ref: MailboxRef) -> None:
        self._new = new
        self._old = old
        self._ref = ref
        self._content_next = 1
        self._taken: set[tuple[int, int]] = set()
        self._folders: dict[str, int] = {}
        self._uid_next: dict[int, int] = {}
        self.from_old = 0
        self.from_log = 0
        self.lost = 0

    def run(self, deliveries: Iterable[Delivery], total: int) -> Iterator[Progress]:
        """Old file first, then the log, then the counters."""
        salvage = _read_old(self._old)
        log = {(one.receipt, one.ordinal): one for one in deliveries}
        with self._new.transaction():
            self._make_folders(salvage)
            yield from self._take_old(salvage, log)
            yield from self._take_log(salvage, log, total)
            self._count(salvage)

    def _make_folders(self, salvage: _Salvage) -> None:
        for row in salvage.folders.values():
            self._new.run(
                f"INSERT OR REPLACE INTO folder({_FOLDER_COLUMNS},messages,unseen,deleted,recent,"
                "size_bytes) VALUES(?,?,?,?,?,?,?,?,?,?,0,0,0,0,0)",
                row,
            )
        self._new.many("INSERT OR REPLACE INTO keyword VALUES(?,?)", salvage.keywords)
        self._new.many("INSERT OR REPLACE INTO retired VALUES(?,?)", salvage.retired)
        for id_, name, uid_next in self._new.rows("SELECT id,name,uid_next FROM folder"):
            self._folders[name] = id_
            self._uid_next[id_] = uid_next

    def _take_old(
        self, salvage: _Salvage, log: dict[tuple[bytes, int], Delivery]
    ) -> Iterator[Progress]:
        """The messages that the old file names, with its own bytes or the log's."""
        sharing: dict[int, int] = {}
        for done, message in enumerate(salvage.messages, 1):
            folder, uid, content = message[:3]
            if folder not in self._uid_next or (folder, uid) in self._taken:
                continue
            known = sharing.get(content)
            if known is None:
                found = self._old_content(content, log)
                if found is None:
                    self.lost += 1
                    continue
                receipt, ordinal, octets = found
                known = sharing[content] = self._store(receipt, ordinal, octets)
            else:
                self._share(known)
            self._new.run(INSERT_MESSAGE, (folder, uid, known, *message[3:]))
            self._taken.add((folder, uid))
            self.from_old += 1
            if done % MESSAGES_PER_STEP == 0:
                yield Progress(done, len(salvage.messages), "old file")
        arrivals = [
            (receipt, ordinal, folder, uid, sharing.get(content, 0), 1)
            for (receipt, ordinal), (folder, uid, content) in salvage.arrivals.items()
        ]
        self._new.many(INSERT_ARRIVAL, arrivals)

    def _old_content(
        self, content: int, log: dict[tuple[bytes, int], Delivery]
    ) -> tuple[bytes, int, bytes] | None:
        """(receipt, ordinal, bytes) of a message of the old file; None where nobody has it."""
        assert self._old is not None
        try:
            row = self._old.row("SELECT receipt,ordinal FROM content WHERE id=?", (content,))
        except VolumeFault:
            row = None
        key = None if row is None else (bytes(row[0]), int(row[1]))
        if key is not None and key in log:
            return *key, log[key].content
        try:
            body = self._old.row("SELECT header,text FROM body WHERE id=?", (content,))
        except VolumeFault:
            body = None
        if body is None:
            return None
        return *(key or (b"", -1)), body[0] + body[1]

    def _take_log(
        self, salvage: _Salvage, log: dict[tuple[bytes, int], Delivery], total: int
    ) -> Iterator[Progress]:
        """What was delivered and the old file does not tell of."""
        placed = set(salvage.arrivals) if salvage.complete else self._stored_keys()
        for done, (key, delivery) in enumerate(log.items(), 1):
            if done % MESSAGES_PER_STEP == 0:
                yield Progress(done, total, "log")
            if key in placed:
                continue  # it is there, or its owner has deleted it
            folder = self._folders.get(delivery.folder) or self._folders[INBOX]
            uid = delivery.uid or self._uid_next[folder]
            while (folder, uid) in self._taken:
                uid = self._uid_next[folder]
                self._uid_next[folder] += 1
            content = self._store(delivery.receipt, delivery.ordinal, delivery.content)
            ready = make_ready(delivery.receipt, delivery.ordinal, delivery.content)
            size_bytes = len(delivery.content)
            self._new.run(
                INSERT_MESSAGE,
                (
                    folder,
                    uid,
                    content,
                    delivery.flags,
                    1,
                    delivery.at_us,
                    ready.sent_day,
                    size_bytes,
                ),
            )
            arrival = (delivery.receipt, delivery.ordinal, folder, uid, content, 1)
            self._new.run(INSERT_ARRIVAL.replace("INSERT", "INSERT OR REPLACE"), arrival)
            self._taken.add((folder, uid))
            self._uid_next[folder] = max(self._uid_next[folder], uid + 1)
            self.from_log += 1

    def _stored_keys(self) -> set[tuple[bytes, int]]:
        rows = self._new.rows("SELECT receipt,ordinal FROM content")
        return {(bytes(receipt), ordinal) for receipt, ordinal in rows}

    def _store(self, receipt: bytes, ordinal: int, octets: bytes) -> int:
        content = self._content_next
        self._content_next += 1
        insert_contents(self._new, content, [make_ready(receipt, ordinal, octets)])
        return content

    def _share(self, content: int) -> None:
        changed = self._new.run("UPDATE shared SET messages=messages+1 WHERE content=?", (content,))
        if not changed:
            self._new.run("INSERT INTO shared VALUES(?,2)", (content,))

    def _count(self, salvage: _Salvage) -> None:
        """Counters from the messages themselves; what is given next is above all of the past."""
        skipped = 0 if salvage.complete else UIDS_SKIPPED
        modseq = salvage.modseq + 1
        self._new.run("UPDATE message SET modseq=min(modseq,?)", (modseq,))
        self._new.run(
            "UPDATE folder SET"
            " uid_next=max(uid_next,ifnull((SELECT max(uid)+1 FROM message m WHERE m.folder=id),1)"
            " +?),highest_modseq=?,"
            "messages=(SELECT count(*) FROM message m WHERE m.folder=id),"
            "unseen=(SELECT ifnull(sum((flags&1)=0),0) FROM message m WHERE m.folder=id),"
            "deleted=(SELECT ifnull(sum((flags&8)<>0),0) FROM message m WHERE m.folder=id),"
            "size_bytes=(SELECT ifnull(sum(m.size_bytes),0) FROM message m WHERE m.folder=id)",
            (skipped, modseq),
        )
        self._new.run(
            "UPDATE folder SET recent_from=min(recent_from,uid_next),"
            "recent=(SELECT count(*) FROM message m WHERE m.folder=id AND uid>=recent_from)"
        )
        self._new.run(
            "UPDATE mailbox SET modseq=?,content_next=?,settled=1,"
            "used_bytes=(SELECT ifnull(sum(size_bytes),0) FROM message),"
            "uid_validity_last=max(?,(SELECT max(uid_validity) FROM folder))",
            (modseq, self._content_next, salvage.uid_validity_last),
        )


def _read_old(old: Database | None) -> _Salvage:
    """Whatever can be read; each table to the place where it breaks off."""
    salvage = _Salvage()
    if old is None:
        return salvage
    whole = True

    def read(sql: str) -> list[tuple[Any, ...]]:
        nonlocal whole
        rows: list[tuple[Any, ...]] = []
        try:
            rows.extend(old.each(sql))
        except (VolumeFault, UnicodeDecodeError):
            whole = False
        return rows

    for modseq, last in read("SELECT modseq,uid_validity_last FROM mailbox"):
        salvage.modseq, salvage.uid_validity_last = modseq, last
    for row in read(f"SELECT {_FOLDER_COLUMNS} FROM folder"):
        salvage.folders[row[0]] = row
    salvage.keywords = [(row[0], row[1]) for row in read("SELECT bit,name FROM keyword")]
    salvage.retired = [(row[0], row[1]) for row in read("SELECT name,uid_validity FROM retired")]
    salvage.messages = _messages_of(read)
    for receipt, ordinal, folder, uid, content in read(
        "SELECT receipt,ordinal,folder,uid,content FROM arrival"
    ):
        salvage.arrivals[bytes(receipt), ordinal] = folder, uid, content
    if not set(SPECIAL_FOLDERS) <= {row[1] for row in salvage.folders.values()} or not any(
        row[1] == INBOX for row in salvage.folders.values()
    ):
        salvage.folders = {}  # a part of the folders is worse than the usual ones
        salvage.messages = [row for row in salvage.messages if row[0] == 1]
    salvage.complete = whole and bool(salvage.folders)
    return salvage


def _messages_of(read: Any) -> list[tuple[Any, ...]]:
    columns = "folder,uid,content,flags,modseq,at_us,sent_day,size_bytes"
    rows: Sequence[tuple[Any, ...]] = read(f"SELECT {columns} FROM message")
    return [tuple(row) for row in rows]
