"""Filling the word blocks of a mailbox, behind delivery and in front of a search."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from staffetta.formats.mime import scan
from staffetta.formats.text import BODY_TEXT_CHARS_MAX, HEADER_TEXT_CHARS_MAX, searchable
from staffetta.mailboxes.counters import writing
from staffetta.mailboxes.files import MailboxFile
from staffetta.mailboxes.matching import list_fields
from staffetta.mailboxes.words import (
    ANY_TRIGRAMS,
    BLOCK_MESSAGES,
    WordBook,
    WordList,
    map_trigrams,
    pack_line,
    pack_lines,
    unpack_lines,
)
from staffetta.runtime.disk import Database

FIELDS = {"from": "senders", "to": "recipients", "cc": "copies", "subject": "subjects"}
"""The fields whose values stand in the blocks, and in which column."""

BLOCK_WORD_BYTES_MAX = 1024 * 1024
"""A block with more than this takes no further message."""

READ_BYTES_MAX = 16 * 1024 * 1024
"""Messages are read into memory until they have so many bytes."""

CLEAN_EVERY_BLOCKS = 16
"""How often blocks whose messages are all gone are looked for."""


@dataclass(slots=True)
class _Block:
    """A block on its way: what it has, and what is added."""

    id: int
    contents: array[int] = field(default_factory=lambda: array("q"))
    rough: int = 0
    words: WordBook = field(default_factory=WordBook)
    values: dict[str, list[bytes]] = field(default_factory=dict)


def index_pending(file: MailboxFile, limit: int) -> tuple[int, bool]:
    """Index up to `limit` messages; (how many, whether none is left). Raises `VolumeFault`.

    Each step is a short transaction of its own, not synced: what a power cut takes is done again.
    """
    done = 0
    while done < limit:
        count = _index_some(file, min(limit - done, BLOCK_MESSAGES))
        if count == 0:
            return done, True
        done += count
    return done, not _has_content_above(file.database, _read_indexed_to(file.database))


def list_pending(database: Database) -> list[int]:
    """The contents that are not indexed yet."""
    rows = database.rows("SELECT id FROM content WHERE id>(SELECT indexed_to FROM mailbox)")
    return [row[0] for row in rows]


def _has_content_above(database: Database, content: int) -> bool:
    return database.row("SELECT 1 FROM content WHERE id>? LIMIT 1", (content,)) is not None


def _index_some(file: MailboxFile, limit: int) -> int:
    database = file.database
    with database.reading():
        indexed_to = _read_indexed_to(database)
        if not _has_content_above(database, indexed_to):
            return 0
        block = _open_block(database)
        added = _read_some(database, indexed_to, min(limit, BLOCK_MESSAGES - len(block.contents)))
    for content, header, text in added:
        _add_message(block, content, header, text)
    words = block.words.pack()
    is_full = len(block.contents) == BLOCK_MESSAGES
    trigrams = map_trigrams(words.words) if is_full else ANY_TRIGRAMS
    file.make_durable(False)
    with writing(database):
        if _read_indexed_to(database) != indexed_to:
            return len(added)  # another process has done it meanwhile
        _store_block(database, block, words, trigrams)
        database.run("UPDATE mailbox SET indexed_to=?", (added[-1][0],))
        if is_full and block.id % CLEAN_EVERY_BLOCKS == 0:
            _remove_dead_blocks(database)
    return len(added)


def _read_some(database: Database, after: int, limit: int) -> list[tuple[int, bytes, bytes]]:
    rows: list[tuple[int, bytes, bytes]] = []
    size_bytes = 0
    for content, header, text in database.each(
        "SELECT id,header,text FROM body WHERE id>? ORDER BY id LIMIT ?", (after, limit)
    ):
        rows.append((content, header, text))
        size_bytes += len(header) + len(text)
        if size_bytes >= READ_BYTES_MAX:
            break
    return rows


def _read_indexed_to(database: Database) -> int:
    row = database.row("SELECT indexed_to FROM mailbox")
    assert row is not None
    return int(row[0])


def _open_block(database: Database) -> _Block:
    """The last block if it has room, else a new one."""
    row = database.row(
        "SELECT id,contents,rough,senders,recipients,copies,subjects,words,owners,masks "
        "FROM word_block JOIN word_list ON block=id ORDER BY id DESC LIMIT 1"
    )
    if row is None:
        return _Block(1, values={column: [] for column in FIELDS.values()})
    id_, stored, rough, *packed, words, owners, masks = row
    contents = array("q", stored)
    if len(contents) >= BLOCK_MESSAGES or len(words) > BLOCK_WORD_BYTES_MAX:
        return _Block(id_ + 1, values={column: [] for column in FIELDS.values()})
    values = dict(zip(FIELDS.values(), map(unpack_lines, packed), strict=True))
    rough = int.from_bytes(rough, "little")
    return _Block(id_, contents, rough, WordList(words, owners, masks).unpack(), values)


def _add_message(block: _Block, content: int, header: bytes, text: bytes) -> None:
    bit = len(block.contents)
    data = header + text
    header_text, body_text = searchable(data, scan(data))
    block.words.add(header_text, bit)
    block.words.add(body_text, bit + BLOCK_MESSAGES)
    if len(header_text) >= HEADER_TEXT_CHARS_MAX // 2 or len(body_text) >= BODY_TEXT_CHARS_MAX // 2:
        # So much text that some of it may have been cut: it is read whenever it may matter.
        block.rough |= 1 << bit
    values = list_fields(header, FIELDS)
    for name, column in FIELDS.items():
        block.values[column].append(pack_line(values[name]))
    block.contents.append(content)


def _store_block(database: Database, block: _Block, words: WordList, trigrams: bytes) -> None:
    packed = [pack_lines(block.values[column]) for column in FIELDS.values()]
    # 64 bits, of which SQLite would take the highest for a sign.
    rough = block.rough.to_bytes(8, "little")
    database.run(
        "INSERT OR REPLACE INTO word_block VALUES(?,?,?,?,?,?,?,?)",
        (block.id, block.contents.tobytes(), rough, trigrams, *packed),
    )
    database.run(
        "INSERT OR REPLACE INTO word_list VALUES(?,?,?,?)",
        (block.id, words.words, words.owners, words.masks),
    )


def _remove_dead_blocks(database: Database) -> None:
    """Drop blocks whose messages are all gone: nothing of them is left to be found."""
    for block, stored in database.rows("SELECT id,contents FROM word_block"):
        contents = array("q", stored)
        live = database.row(
            "SELECT 1 FROM content WHERE id BETWEEN ? AND ? LIMIT 1", (contents[0], contents[-1])
        )
        if live is None:
            database.run("DELETE FROM word_block WHERE id=?", (block,))
            database.run("DELETE FROM word_list WHERE block=?", (block,))


def list_contents(stored: bytes) -> Sequence[int]:
    """The content ids of a block, in the order of its bits."""
    return array("q", stored)
