"""Putting messages into the tables: what delivery, APPEND, COPY and rebuilding have in common."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

from staffetta.formats.prepared import prepare
from staffetta.mailboxes.counters import FolderRow, Writing
from staffetta.runtime.disk import Database

INSERT_MESSAGES = "INSERT INTO message VALUES "
INSERT_ARRIVALS = "INSERT INTO arrival VALUES "
INSERT_MESSAGE = INSERT_MESSAGES + "(?,?,?,?,?,?,?,?)"
INSERT_ARRIVAL = INSERT_ARRIVALS + "(?,?,?,?,?,?)"


class NewContent(NamedTuple):
    """A message made ready outside the transaction, so that the file is locked for less time.

    A named tuple, because delivery makes one for each message.
    """

    receipt: bytes
    ordinal: int
    content: bytes
    header_bytes: int
    sent_day: int | None
    envelope: bytes
    bodystructure: bytes
    checksum: int


def make_ready(receipt: bytes, ordinal: int, content: bytes) -> NewContent:
    """Read what is asked of a message without opening it."""
    ready = prepare(content)
    return NewContent(
        receipt,
        ordinal,
        content,
        ready.header_bytes,
        ready.sent_day,
        ready.envelope,
        ready.bodystructure,
        zlib.crc32(content),
    )


def insert_contents(database: Database, first: int, contents: Sequence[NewContent]) -> None:
    """Store messages under the ids `first` and following, in no folder yet."""
    database.insert(
        "INSERT INTO content VALUES ",
        [
            (id_, new.receipt, new.ordinal, new.checksum, new.envelope, new.bodystructure)
            for id_, new in enumerate(contents, first)
        ],
    )
    database.insert(
        "INSERT INTO body VALUES ",
        [
            (id_, new.content[: new.header_bytes], new.content[new.header_bytes :])
            for id_, new in enumerate(contents, first)
        ],
    )


def remove_contents(database: Database, contents: Sequence[int]) -> None:
    """Messages with these contents, one for each mention, are gone: drop what nobody shares."""
    many = [(content,) for content in contents]
    shared: set[int] = set()
    if database.row("SELECT 1 FROM shared LIMIT 1") is not None:
        shared = {row[0] for row in database.rows("SELECT content FROM shared")}
    if shared:
        unshared = []
        for (content,) in many:
            if content in shared:
                database.run("UPDATE shared SET messages=messages-1 WHERE content=?", (content,))
                if database.run("DELETE FROM shared WHERE content=? AND messages<2", (content,)):
                    shared.discard(content)
            else:
                unshared.append((content,))
        many = unshared
    database.many("DELETE FROM content WHERE id=?", many)
    database.many("DELETE FROM body WHERE id=?", many)


def note_vanished(change: Writing, folder: FolderRow, uids: Sequence[int], modseq: int) -> None:
    """Remember that these ascending UIDs are gone."""
    change.database.many(
        "INSERT INTO vanished VALUES(?,?,?,?)",
        [(folder.id, modseq, low, high) for low, high in to_ranges(uids)],
    )
    folder.highest_modseq = modseq


def to_ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as inclusive ranges."""
    ranges: list[tuple[int, int]] = []
    low = high = -1
    for number in numbers:
        if number == high + 1 and low >= 0:
            high = number
            continue
        if low >= 0:
            ranges.append((low, high))
        low = high = number
    if low >= 0:
        ranges.append((low, high))
    return ranges
