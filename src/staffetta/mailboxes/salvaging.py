"""Reading what can still be read of a damaged mailbox file.

SQLite gives up on a table at the first page that makes no sense. So a table is read from both
ends, and then row by row in the gap between; and where the very first page is gone, which is
the same in all mailboxes but for a few numbers, a copy of the file gets a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import apsw

from staffetta.mailboxes.checking import is_damage
from staffetta.mailboxes.port import KEYWORDS_MAX, SYSTEM_FLAGS
from staffetta.mailboxes.schema import PAGE_SIZE_BYTES, Template
from staffetta.runtime.disk import Database, DatabaseSettings, Volume
from staffetta.runtime.faults import VolumeFault

GAP_ROWS_MAX = 200_000
"""So many rows of a gap are asked for one by one."""

COPY_CHUNK_BYTES = 1024 * 1024

_SETTINGS = DatabaseSettings(read_only=True, checkpoint_on_close=False)

Row = tuple[Any, ...]

UID_MAX = 0xFFFF_FFFF
FLAGS_MAX = (1 << 62) - 1
MODSEQ_MAX = (1 << 62) - 1

# What the values of a row must be, lest damage within a page be taken for a number.
_TYPES: dict[str, tuple[tuple[type, ...], ...]] = {
    "mailbox": ((int,),) * 11,
    "folder": ((int,), (str,), (str,), (str,), *(((int,),) * 11)),
    "retired": ((str,), (int,)),
    "keyword": ((int,), (str,)),
    "message": (*(((int,),) * 6), (int, type(None)), (int,)),
    "arrival": ((bytes,), *(((int,),) * 5)),
    "vanished": ((int,),) * 4,
    "content": ((int,),),
    "body": ((int,),),
}
# (column, lowest, highest) of what may stand there.
_BOUNDS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "message": ((1, 1, UID_MAX), (3, 0, FLAGS_MAX), (4, 1, MODSEQ_MAX), (7, 0, MODSEQ_MAX)),
    "arrival": ((3, 1, UID_MAX), (5, 0, MODSEQ_MAX)),
    "vanished": ((1, 1, MODSEQ_MAX), (2, 1, UID_MAX), (3, 1, UID_MAX)),
    "folder": ((6, 1, UID_MAX), (7, 1, UID_MAX), (8, 1, UID_MAX), (9, 0, MODSEQ_MAX)),
    "keyword": ((0, len(SYSTEM_FLAGS), len(SYSTEM_FLAGS) + KEYWORDS_MAX - 1),),
    "retired": ((1, 1, UID_MAX),),
    "mailbox": ((5, 1, MODSEQ_MAX), (8, 1, UID_MAX), (9, 1, UID_MAX)),
    "content": (),
    "body": (),
}
_CONTENT_TYPES = ((int,), (bytes,), (int,), (int,), (bytes,), (bytes,), (bytes,), (bytes,))


@dataclass(slots=True)
class Salvage:
    """The small tables of a damaged file; `broken` names those that could not be read whole.

    Rows are as in the schema, whole.
    """

    mailbox: Row | None = None
    folders: list[Row] = field(default_factory=list)
    retired: list[Row] = field(default_factory=list)
    keywords: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    arrivals: list[Row] = field(default_factory=list)
    vanished: list[Row] = field(default_factory=list)
    contents: list[int] = field(default_factory=list)  # ids alone
    broken: set[str] = field(default_factory=set)


class Wreck:
    """A damaged file, open for reading. `path` may be empty: then there is nothing."""

    def __init__(self, volume: Volume, mailbox: int, path: str, repaired_path: str) -> None:
        self._volume = volume
        self._mailbox = mailbox
        self._repaired_path = repaired_path
        self._database = self._open(path) if path else None

    def close(self) -> None:
        """Let go of the file and of its repaired copy."""
        if self._database is not None:
            self._database.close()
        for end in ("", "-wal", "-shm"):
            self._volume.remove(self._repaired_path + end)

    def read_tables(self) -> Salvage:
        """Everything but the messages' contents. Raises `VolumeFault` only for the volume."""
        found = Salvage()
        rows = self._read_whole("mailbox", "id", found)
        found.mailbox = rows[0] if rows and rows[0][2] == self._mailbox else None
        found.folders = self._read_whole("folder", "id", found)
        found.retired = self._read_whole("retired", "name", found)
        found.keywords = self._read_whole("keyword", "bit", found)
        found.messages = self._read_whole("message", "folder,uid", found)
        found.arrivals = self._read_whole("arrival", "receipt,ordinal", found)
        found.vanished = self._read_whole("vanished", "folder,modseq,low", found)
        for table in ("content", "body"):
            found.contents += [row[0] for row in self._read_whole(table, "id", found)]
        if "message" in found.broken:
            self._fill_gaps(found)
        return found

    def contents(self, ids: Sequence[int]) -> Iterator[Row]:
        """(id, receipt, ordinal, checksum, envelope, bodystructure, header, text) of each of
        these contents that can be read."""
        sql = (
            "SELECT c.id,receipt,ordinal,checksum,envelope,bodystructure,header,text "
            "FROM content c JOIN body b ON b.id=c.id WHERE c.id=?"
        )
        for id_ in ids:
            yield from (row for row in self._try(sql, (id_,)) if _is_sound(row, _CONTENT_TYPES))

    def _open(self, path: str) -> Database | None:
        return self._open_once(path) or self._open_once(self._repair(path))

    def _open_once(self, path: str) -> Database | None:
        database: Database | None = None
        try:
            database = self._volume.database(path, _SETTINGS)
            database.rows("SELECT name FROM sqlite_schema")
        except VolumeFault as fault:
            if database is not None:
                database.close()
            if not is_damage(self._volume, fault):
                raise
            return None
        return database

    def _repair(self, path: str) -> str:
        """A copy of the file whose schema is that of a new mailbox; returns its path."""
        pages = Template().schema_pages()

        def read() -> Iterator[bytes]:
            offset = 0
            for chunk in self._volume.chunks(path, COPY_CHUNK_BYTES):
                repaired = bytearray(chunk)
                for page, content in pages.items():
                    at = (page - 1) * PAGE_SIZE_BYTES - offset
                    if 0 <= at < len(chunk):
                        repaired[at : at + PAGE_SIZE_BYTES] = content
                offset += len(chunk)
                yield bytes(repaired)

        self._volume.write_durable(self._repaired_path, read())
        if self._volume.exists(path + "-wal"):
            wal = self._volume.chunks(path + "-wal", COPY_CHUNK_BYTES)
            self._volume.write_durable(self._repaired_path + "-wal", wal)
        return self._repaired_path

    def _read_whole(self, table: str, key: str, found: Salvage) -> list[Row]:
        """All rows that can be read from either end, in the order of the key."""
        columns = "id" if table in ("content", "body") else "*"
        rows, is_whole = self._read_until_broken(f"SELECT {columns} FROM {table} ORDER BY {key}")
        if not is_whole:
            descending = ",".join(f"{part} DESC" for part in key.split(","))
            sql = f"SELECT {columns} FROM {table} ORDER BY {descending}"
            others, _ = self._read_until_broken(sql)
            rows = list(dict.fromkeys([*rows, *reversed(others)]))
        sound = [row for row in rows if _is_row_of(table, row)]
        if not is_whole or len(sound) < len(rows):
            found.broken.add(table)
        return sound

    def _read_until_broken(self, sql: str) -> tuple[list[Row], bool]:
        rows: list[Row] = []
        if self._database is None:
            return rows, False
        return rows, self._guard(lambda database: rows.extend(database.each(sql)))

    def _try(self, sql: str, values: Sequence[Any]) -> list[Row]:
        rows: list[Row] = []
        self._guard(lambda database: rows.extend(database.each(sql, values)))
        return rows

    def _guard(self, read: Callable[[Database], None]) -> bool:
        """Whether reading came to its end; damage only ends it early."""
        if self._database is None:
            return False
        try:
            read(self._database)
        except VolumeFault as fault:
            if not is_damage(self._volume, fault):
                raise
            return False
        except (apsw.Error, UnicodeDecodeError):
            return False  # a table that is not there, a text that is none
        return True

    def _fill_gaps(self, found: Salvage) -> None:
        """Ask for the messages between those that were found, one by one."""
        known = {row[:2] for row in found.messages}
        uid_next = {row[0]: row[7] for row in found.folders}
        asked = 0
        for folder, limit in uid_next.items():
            for uid in range(1, limit):
                if asked >= GAP_ROWS_MAX:
                    return
                if (folder, uid) not in known:
                    asked += 1
                    sql = "SELECT * FROM message WHERE folder=? AND uid=?"
                    rows = self._try(sql, (folder, uid))
                    found.messages += [row for row in rows if _is_row_of("message", row)]


def _is_row_of(table: str, row: Row) -> bool:
    return _is_sound(row, _TYPES[table]) and all(
        low <= row[column] <= high for column, low, high in _BOUNDS[table]
    )


def _is_sound(row: Row, types: tuple[tuple[type, ...], ...]) -> bool:
    return len(row) == len(types) and all(map(isinstance, row, types))
