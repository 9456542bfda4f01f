"""What a mailbox file holds.

One SQLite database for each mailbox. Its version is `PRAGMA user_version`; an older file is
brought up when it is opened. New files are copies of one image, made once for each process:
creating the tables one by one would cost more than delivering fifty messages.
"""

from __future__ import annotations

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

# What each table is for:
#
# mailbox    one row: the counters. `content_next` and `uid_validity_last` only grow, so that
#            no id is ever given twice. `settled` tells that the file's very existence has been
#            made durable and is on the cell's roster.
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
# change     which range of UIDs each recent modseq touched: spares a scan of the folder.
# keyword    flag bits above the system flags.
# word_block, word_list   the words of the messages, for SEARCH (`words.py`).
_TABLES = f"""
CREATE TABLE mailbox(
  id INTEGER PRIMARY KEY CHECK(id = 1), mailbox INTEGER NOT NULL, state INTEGER NOT NULL,
  settled INTEGER NOT NULL, modseq INTEGER NOT NULL, used_bytes INTEGER NOT NULL,
  content_next INTEGER NOT NULL, uid_validity INTEGER NOT NULL,
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
INSERT INTO mailbox VALUES(1, 0, {WHOLE}, 0, 1, 0, 1, 0, 0, 0);
"""

# One entry for each version above 1: what brings a file of the version before up to it.
_MIGRATIONS: tuple[str, ...] = ()


class NotAMailbox(Exception):
    """The file is a database, but none of ours: empty, or overwritten."""


class UnknownVersion(Exception):
    """The file was written by a later release."""


def make_template() -> bytes:
    """The image of a mailbox that has never been used, without UIDVALIDITY yet."""
    connection = apsw.Connection(":memory:")
    connection.execute(
        f"PRAGMA page_size={PAGE_SIZE_BYTES};{_TABLES}"
        f"PRAGMA user_version={VERSION};PRAGMA application_id={APPLICATION_ID};"
    )
    connection.executemany(
        "INSERT INTO folder VALUES(?1,?2,'F'||?1,?3,1,1,0,1,1,1,0,0,0,0,0)",
        [(1, INBOX, ""), *((n, *each) for n, each in enumerate(SPECIAL_FOLDERS.items(), 2))],
    )
    image = bytearray(connection.serialize("main"))
    connection.close()
    # https://sqlite.org/fileformat2.html, offsets 18 and 19: 2 means WAL, which a database in
    # memory cannot be told.
    image[18] = image[19] = 2
    return bytes(image)


def migrate(database: Database) -> None:
    """Bring the file up to `VERSION`. Raises `NotAMailbox`, `UnknownVersion`."""
    version = _read_version(database)
    if version == VERSION:
        return
    if version < 1:
        raise NotAMailbox("it has no version")
    if version > VERSION:
        raise UnknownVersion(f"the file has version {version}, this release writes {VERSION}")
    with database.transaction():
        # Another process may have done it while this one waited for its turn.
        for number in range(_read_version(database), VERSION):
            for statement in _MIGRATIONS[number - 1].split(";\n"):
                database.run(statement)
            database.run(f"PRAGMA user_version={number + 1}")


def _read_version(database: Database) -> int:
    row = database.row("PRAGMA user_version")
    assert row is not None
    return int(row[0])
