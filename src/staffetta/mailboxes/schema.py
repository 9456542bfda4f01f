"""What a mailbox file holds.

One SQLite database for each mailbox. Its version stands in its first row; an older file is
brought up when it is opened. New files are copies of one image, made once for each process, in
which the mailbox's own two numbers are put in their places: creating the tables one by one
would cost more than delivering fifty messages.
"""

from __future__ import annotations

import re

import apsw

from staffetta.mailboxes.port import INBOX, SPECIAL_FOLDERS
from staffetta.runtime.disk import Database

APPLICATION_ID = 0x53544642
"""Marks the file as a mailbox of ours (`file` and SQLite's tools show it)."""

VERSION = 1

PAGE_SIZE_BYTES = 4096
"""Measured with 4 KiB messages: 8192 stores one message where two nearly fit, 16384 makes
every small change four times as large; see `benchmarks/mailboxes.py`."""

INITIAL_FOLDERS = 1 + len(SPECIAL_FOLDERS)
"""Folders that every mailbox is made with; their ids are 1 to this."""

WHOLE = 0
MOVING = 1
"""`mailbox.state`: whether the file may be used, or is being copied to another cell."""

# In the image these stand for a mailbox's own numbers: so large that each takes eight bytes.
_MAILBOX = 0x5ACE_F00D_5EED_0001
_UID_VALIDITY = 0x5ACE_F00D_5EED_0002

# What each table is for:
#
# mailbox    one row: whose file this is, and the counters. `version`, `mailbox`, `state` and
#            `settled` are there in every version; the last tells that the file's very existence
#            has been made durable and is on the cell's roster. `content_next` and
#            `uid_validity_last` only grow, so that no id is ever given twice.
# folder     the counts are kept up to date by every change, so that STATUS reads one row.
# retired    names that folders had, with the UIDVALIDITY they had under them: a later folder
#            of that name must have a higher one (RFC 3501 section 2.3.1.1).
# message    small rows, so that flags of a whole folder are read and set within a few pages.
# content    what is asked of a message without opening it; shared by the copies of a message.
# body       the bytes, apart from `content`, so that reading envelopes does not touch them.
# shared     how many messages share a content, where it is more than one.
# arrival    what has been delivered, kept when the message is gone: a replay of the log must
#            not bring back what was deleted. Ordinal -1: put in by a person, under a chance id.
# vanished   ranges of UIDs that are gone, and since when.
# change     between which UIDs each recent change of flags lies: spares a scan of the folder.
# keyword    flag bits above the system flags.
# word_block, word_list   the words of the messages, for SEARCH (`words.py`).
_TABLES = f"""
CREATE TABLE mailbox(
  id INTEGER PRIMARY KEY CHECK(id = 1), version INTEGER NOT NULL, mailbox INTEGER NOT NULL,
  state INTEGER NOT NULL, settled INTEGER NOT NULL, modseq INTEGER NOT NULL,
  used_bytes INTEGER NOT NULL, content_next INTEGER NOT NULL, uid_validity INTEGER NOT NULL,
  uid_validity_last INTEGER NOT NULL, indexed_to INTEGER NOT NULL) STRICT;
CREATE TABLE folder(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, token TEXT NOT NULL,
  special_use TEXT NOT NULL, subscribed INTEGER NOT NULL, selectable INTEGER NOT NULL,
  uid_validity INTEGER NOT NULL, uid_next INTEGER NOT NULL, recent_from INTEGER NOT NULL,
  highest_modseq INTEGER NOT NULL, messages INTEGER NOT NULL, unseen INTEGER NOT NULL,
  deleted INTEGER NOT NULL, recent INTEGER NOT NULL, size_bytes INTEGER NOT NULL) STRICT;
CREATE TABLE retired(name TEXT PRIMARY KEY, uid_validity INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE message(
  folder INTEGER NOT NULL, uid INTEGER NOT NULL, content INTEGER NOT NULL,
  flags INTEGER NOT NULL, modseq INTEGER NOT NULL, at_us INTEGER NOT NULL, sent_day INTEGER,
  size_bytes INTEGER NOT NULL, PRIMARY KEY(folder, uid)) STRICT, WITHOUT ROWID;
CREATE TABLE content(
  id INTEGER PRIMARY KEY, receipt BLOB NOT NULL, ordinal INTEGER NOT NULL,
  checksum INTEGER NOT NULL, envelope BLOB NOT NULL, bodystructure BLOB NOT NULL) STRICT;
CREATE TABLE body(id INTEGER PRIMARY KEY, header BLOB NOT NULL, text BLOB NOT NULL) STRICT;
CREATE TABLE shared(content INTEGER PRIMARY KEY, messages INTEGER NOT NULL) STRICT;
CREATE TABLE arrival(
  receipt BLOB NOT NULL, ordinal INTEGER NOT NULL, folder INTEGER NOT NULL,
  uid INTEGER NOT NULL, content INTEGER NOT NULL, modseq INTEGER NOT NULL,
  PRIMARY KEY(receipt, ordinal)) STRICT, WITHOUT ROWID;
CREATE TABLE vanished(
  folder INTEGER NOT NULL, modseq INTEGER NOT NULL, low INTEGER NOT NULL,
  high INTEGER NOT NULL, PRIMARY KEY(folder, modseq, low)) STRICT, WITHOUT ROWID;
CREATE TABLE change(
  modseq INTEGER NOT NULL, folder INTEGER NOT NULL, low INTEGER NOT NULL,
  high INTEGER NOT NULL, PRIMARY KEY(modseq, folder)) STRICT, WITHOUT ROWID;
CREATE TABLE keyword(bit INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE word_block(
  id INTEGER PRIMARY KEY, contents BLOB NOT NULL, rough BLOB NOT NULL,
  trigrams BLOB NOT NULL, senders BLOB NOT NULL, recipients BLOB NOT NULL,
  copies BLOB NOT NULL, subjects BLOB NOT NULL) STRICT;
CREATE TABLE word_list(
  block INTEGER PRIMARY KEY, words BLOB NOT NULL, owners BLOB NOT NULL,
  masks BLOB NOT NULL) STRICT;
INSERT INTO mailbox VALUES(1, {VERSION}, {_MAILBOX}, {WHOLE}, 0, 1, 0, 1, {_UID_VALIDITY},
  {_UID_VALIDITY}, 0);
"""

# One entry for each version above 1: what brings a file of the version before up to it.
_MIGRATIONS: tuple[str, ...] = ()


class UnknownVersion(Exception):
    """The file was written by a later release."""


class Template:
    """The image of a new mailbox."""

    def __init__(self) -> None:
        connection = apsw.Connection(":memory:")
        connection.execute(
            f"PRAGMA page_size={PAGE_SIZE_BYTES};{_TABLES}PRAGMA application_id={APPLICATION_ID};"
        )
        folders = {INBOX: "", **SPECIAL_FOLDERS}
        connection.executemany(
            "INSERT INTO folder VALUES(?1,?2,'F'||?1,?3,1,1,?4,1,1,1,0,0,0,0,0)",
            [(n, *each, _UID_VALIDITY) for n, each in enumerate(folders.items(), 1)],
        )
        pages = connection.execute("SELECT pageno FROM dbstat WHERE name='sqlite_schema'")
        self._schema_pages = [int(row[0]) for row in pages]
        image = bytearray(connection.serialize("main"))
        connection.close()
        # https://sqlite.org/fileformat2.html, offsets 18 and 19: 2 means WAL, which a database
        # in memory cannot be told.
        image[18] = image[19] = 2
        self._image = bytes(image)
        self._mailbox_places = _find_all(self._image, _MAILBOX)
        self._uid_validity_places = _find_all(self._image, _UID_VALIDITY)

    def make(self, mailbox: int, uid_validity: int) -> bytes:
        """The file of a mailbox that has never been used."""
        image = bytearray(self._image)
        # A value of eight bytes is as good as one of fewer (fileformat2, section 2.1).
        for place in self._mailbox_places:
            image[place : place + 8] = mailbox.to_bytes(8, "big")
        for place in self._uid_validity_places:
            image[place : place + 8] = uid_validity.to_bytes(8, "big")
        return bytes(image)

    def schema_pages(self) -> dict[int, bytes]:
        """The pages, by number, that say what tables there are: the same in every mailbox."""
        # Offset 28 is the size of the file in pages; 0 has SQLite look for itself.
        image = self._image[:28] + bytes(4) + self._image[32:]
        size = PAGE_SIZE_BYTES
        return {page: image[(page - 1) * size :][:size] for page in self._schema_pages}


def migrate(database: Database, version: int) -> None:
    """Bring a file of that version up to `VERSION`. Raises `UnknownVersion`."""
    if version > VERSION:
        raise UnknownVersion(f"the file has version {version}, this release writes {VERSION}")
    with database.transaction():
        row = database.row("SELECT version FROM mailbox")
        assert row is not None
        # Another process may have done it while this one waited for its turn.
        for number in range(row[0], VERSION):
            for statement in _MIGRATIONS[number - 1].split(";\n"):
                database.run(statement)
        database.run("UPDATE mailbox SET version=?", (VERSION,))


def _find_all(image: bytes, number: int) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(number.to_bytes(8, "big")), image)]
