"""Reading messages: snapshots of a folder, and rows of chosen columns in bounded chunks."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any

import apsw

from staffetta.formats.imapdata import body
from staffetta.formats.mime import scan
from staffetta.mailboxes.counters import CHANGES_KEPT, find_folder, list_folders, writing
from staffetta.mailboxes.files import MailboxFile
from staffetta.mailboxes.keys import APPENDED_ORDINAL, format_email_id
from staffetta.mailboxes.keywords import list_keywords
from staffetta.mailboxes.port import Column, Overview, Snapshot
from staffetta.runtime.disk import Database

CHUNK_BYTES = 512 * 1024
"""A chunk of rows ends with the row that reaches this."""

CHUNK_ROWS_MAX = 8_192

Row = tuple[Any, ...]

# Which columns of which table answer a `Column`. Those of `message` are of fixed size.
_SOURCES: dict[Column, tuple[str, ...]] = {
    Column.SIZE: ("m.size_bytes",),
    Column.AT_US: ("m.at_us",),
    Column.ENVELOPE: ("c.envelope",),
    Column.BODYSTRUCTURE: ("c.bodystructure",),
    Column.EMAIL_ID: ("c.receipt", "c.ordinal"),
    Column.RECEIPT: ("c.receipt", "c.ordinal"),
    Column.HEADER: ("b.header",),
    Column.CONTENT: ("b.header", "b.text"),
    Column.BODY: ("b.header", "b.text"),
}
# What is made of those that are not the answer as they are.
_FINISHERS: dict[Column, Callable[[Any, Any], Any]] = {
    Column.EMAIL_ID: format_email_id,
    Column.RECEIPT: lambda receipt, ordinal: b"" if ordinal == APPENDED_ORDINAL else receipt,
    Column.CONTENT: lambda header, text: header + text,
    Column.BODY: lambda header, text: _read_body(header + text),
}


def overview(database: Database) -> Overview:
    """Folders with counts, and the space used; of one moment."""
    with database.reading():
        row = database.row("SELECT used_bytes,modseq FROM mailbox")
        assert row is not None
        folders = [folder.to_port() for folder in list_folders(database)]
    return Overview(folders, row[0], sum(folder.messages for folder in folders), row[1])


def snapshot(database: Database, name: str, since_modseq: int) -> Snapshot:
    """The folder, whole or what changed after a modseq; of one moment."""
    with database.reading():
        folder = find_folder(database, name)
        state = database.row("SELECT modseq FROM mailbox")
        assert state is not None
        modseq: int = state[0]
        keywords = list_keywords(database)
        rows: list[Row] = []
        vanished: list[int] = []
        if since_modseq <= 0:
            rows = database.rows(
                "SELECT uid,flags,modseq FROM message WHERE folder=? ORDER BY uid", (folder.id,)
            )
        elif since_modseq < folder.highest_modseq:
            for low, high in _find_extents(
                database, folder.id, since_modseq, modseq, folder.uid_next
            ):
                rows += database.rows(
                    "SELECT uid,flags,modseq FROM message WHERE folder=? AND uid BETWEEN ? AND ? "
                    "AND modseq>? ORDER BY uid",
                    (folder.id, low, high, since_modseq),
                )
            vanished = _list_vanished(database, folder.id, since_modseq)
    return Snapshot(
        folder.to_port(),
        rows,
        vanished,
        keywords,
        modseq,
        folder.recent_from,
    )


def locate(database: Database, receipts: Sequence[bytes]) -> list[tuple[bytes, str, int]]:
    """Where messages with these receipts are now: (receipt, folder, uid)."""
    contents: dict[int, bytes] = {}
    with database.reading():
        for receipt in dict.fromkeys(receipts):
            arrived = database.rows(
                "SELECT content FROM arrival WHERE receipt=? AND ordinal<>?",
                (receipt, APPENDED_ORDINAL),
            )
            contents.update((row[0], receipt) for row in arrived)
        if not contents:
            return []
        # One pass over the small rows serves all receipts; an index would cost every delivery.
        rows = database.rows(
            "SELECT content,name,uid FROM message JOIN folder ON id=folder "
            "WHERE content IN carray(?) ORDER BY content,folder,uid",
            (apsw.carray(array("q", contents)),),
        )
    return [(contents[content], name, uid) for content, name, uid in rows]


def claim_recent(file: MailboxFile, name: str, uid_next: int) -> None:
    """Messages below `uid_next` are \\Recent for nobody else (RFC 3501 section 2.3.2)."""
    file.make_durable(False)
    with writing(file.database) as change:
        folder = change.folder(name)
        if folder.recent_from >= uid_next:
            return
        row = file.database.row(
            "SELECT count(*) FROM message WHERE folder=? AND uid>=?", (folder.id, uid_next)
        )
        assert row is not None
        folder.recent_from, folder.recent = uid_next, row[0]
        change.is_changed = True


def _find_extents(
    database: Database, folder: int, since_modseq: int, modseq: int, uid_next: int
) -> list[tuple[int, int]]:
    """Ascending ranges of UIDs outside which nothing has changed since then.

    Messages come with ascending UIDs and modseqs: those that are new lie above the last one
    that has not changed. For the others there is a list.
    """
    if since_modseq < modseq - CHANGES_KEPT:
        return [(1, uid_next)]
    unchanged = database.row(
        "SELECT uid FROM message WHERE folder=? AND modseq<=? ORDER BY uid DESC LIMIT 1",
        (folder, since_modseq),
    )
    new_from = 1 if unchanged is None else int(unchanged[0]) + 1
    changed = database.row(
        "SELECT min(low),max(high) FROM change WHERE modseq>? AND folder=?", (since_modseq, folder)
    )
    assert changed is not None
    extents = [(new_from, uid_next)]
    if changed[0] is not None and changed[0] < new_from:
        extents.insert(0, (changed[0], min(changed[1], new_from - 1)))
    return extents


def _list_vanished(database: Database, folder: int, since_modseq: int) -> list[int]:
    ranges = database.rows(
        "SELECT low,high FROM vanished WHERE folder=? AND modseq>? ORDER BY low",
        (folder, since_modseq),
    )
    return [uid for low, high in ranges for uid in range(low, high + 1)]


class Fetch:
    """One FETCH on its way: where it is, and how its rows are read."""

    def __init__(
        self, folder: str, uids: Sequence[tuple[int, int]], columns: Sequence[Column]
    ) -> None:
        self.folder = folder
        self.uid_validity = 0
        self._ranges = [(max(low, 1), high) for low, high in uids if high >= low]
        self._ranges.reverse()  # the next one is at the end
        self._finishers, sources = _plan(columns)
        # Numbers of fixed size need no weighing; everything else is bytes but for `ordinal`.
        self._sized = [3 + n for n, source in enumerate(sources) if _is_sized(source)]
        joins = ""
        if any(source.startswith("c.") for source in sources):
            joins += " CROSS JOIN content c ON c.id=m.content"
        if any(source.startswith("b.") for source in sources):
            joins += " CROSS JOIN body b ON b.id=m.content"
        selected = ",".join(["m.uid", "m.flags", "m.modseq", *sources])
        self._sql = (
            f"SELECT {selected} FROM message m{joins} "
            "WHERE m.folder=? AND m.uid BETWEEN ? AND ? ORDER BY m.uid LIMIT ?"
        )

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to read."""
        return not self._ranges

    def read(self, database: Database) -> list[Row]:
        """The next chunk; may be empty before the end. Raises `NoSuchFolder`."""
        folder = find_folder(database, self.folder)
        if self.uid_validity not in (0, folder.uid_validity):
            self._ranges.clear()  # another folder has taken the name: these messages are gone
            return []
        self.uid_validity = folder.uid_validity
        rows: list[Row] = []
        size_bytes = 0
        while self._ranges and size_bytes < CHUNK_BYTES and len(rows) < CHUNK_ROWS_MAX:
            low, high = self._ranges.pop()
            values = (folder.id, low, high, CHUNK_ROWS_MAX - len(rows))
            if not self._sized:
                found = database.rows(self._sql, values)
                is_cut = len(found) == values[3]
            else:
                found, size_bytes = self._read_bounded(database, values, size_bytes)
                is_cut = size_bytes >= CHUNK_BYTES or len(found) == values[3]
            if is_cut and found and found[-1][0] < high:
                self._ranges.append((found[-1][0] + 1, high))
            rows += found
        return self._finish(rows)

    def _read_bounded(
        self, database: Database, values: Sequence[int], size_bytes: int
    ) -> tuple[list[Row], int]:
        """Rows until a chunk is full; (rows, bytes of the chunk by now)."""
        rows: list[Row] = []
        first, *others = self._sized
        for row in database.each(self._sql, values):
            rows.append(row)
            size_bytes += len(row[first])
            for place in others:
                size_bytes += len(row[place])
            if size_bytes >= CHUNK_BYTES:
                break
        return rows, size_bytes

    def _finish(self, rows: list[Row]) -> list[Row]:
        if self._finishers is None:
            return rows
        finished = []
        for row in rows:
            values = list(row[:3])
            for start, end, finisher in self._finishers:
                values.append(row[start] if finisher is None else finisher(*row[start:end]))
            finished.append(tuple(values))
        return finished


_Finisher = tuple[int, int, Callable[[Any, Any], Any] | None]


def _plan(columns: Sequence[Column]) -> tuple[list[_Finisher] | None, list[str]]:
    """How each column is made (None: as it is read), and what has to be read for all."""
    sources: list[str] = []
    finishers: list[_Finisher] = []
    for column in columns:
        start = 3 + len(sources)
        sources += _SOURCES[column]
        finishers.append((start, 3 + len(sources), _FINISHERS.get(column)))
    if all(finisher is None for _, _, finisher in finishers):
        return None, sources
    return finishers, sources


def _is_sized(source: str) -> bool:
    return not source.startswith("m.") and source != "c.ordinal"


def _read_body(content: bytes) -> bytes:
    return body(content, scan(content))
