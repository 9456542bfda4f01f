"""The authoritative database of the directory, and the feed from which replicas are made.

The feed holds, for every key that mail acceptance, delivery or sign-in depend on, the version at
which it last changed: a row is written in the transaction of the change and replaces the key's
earlier row. Versions only grow. A reader that knows version n asks for what is beyond n and gets
each key once, as it is now; a new replica starts from 0 and needs nothing else. The feed is thus
never longer than the directory and needs no pruning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from staffetta.runtime.clock import Clock
from staffetta.runtime.disk import Database, DatabaseSettings, Volume
from staffetta.runtime.entropy import Entropy
from staffetta.runtime.faults import FaultMode, VolumeFault

DATABASE_PATH = "directory.db"  # relative to its volume, <data>/directory
SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE catalogue (kind INTEGER NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE occupancy (cell TEXT PRIMARY KEY, mailboxes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE mailbox (id INTEGER PRIMARY KEY AUTOINCREMENT, address TEXT NOT NULL UNIQUE,
    brand TEXT NOT NULL, plan TEXT NOT NULL, cell TEXT NOT NULL, uid_validity INTEGER NOT NULL,
    state TEXT NOT NULL, created_us INTEGER NOT NULL);
CREATE INDEX mailbox_by_cell ON mailbox (cell, id);
CREATE TABLE alias (address TEXT NOT NULL, target TEXT NOT NULL,
    PRIMARY KEY (address, target)) WITHOUT ROWID;
CREATE INDEX alias_by_target ON alias (target);
CREATE TABLE credential (mailbox INTEGER PRIMARY KEY, hash TEXT NOT NULL,
    changed_us INTEGER NOT NULL);
CREATE TABLE ledger (id INTEGER PRIMARY KEY AUTOINCREMENT, mailbox INTEGER NOT NULL,
    at_us INTEGER NOT NULL, kind TEXT NOT NULL, amount INTEGER NOT NULL, plan TEXT NOT NULL,
    until_us INTEGER NOT NULL, revokes INTEGER NOT NULL, reason TEXT NOT NULL);
CREATE INDEX ledger_by_mailbox ON ledger (mailbox, id);
CREATE TRIGGER ledger_only_grows BEFORE UPDATE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;
CREATE TRIGGER ledger_forgets_nothing BEFORE DELETE ON ledger
    BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;
CREATE TABLE change (version INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL,
    key NOT NULL, UNIQUE (kind, key));
CREATE TABLE origin (id BLOB NOT NULL);
"""

# A mailbox whose ledger is no more than its first plan has no ledger in the feed: nearly all.
_FEED = """
SELECT c.version, c.kind, c.key, k.body,
    CASE c.kind WHEN 2 THEN (SELECT json_group_array(target) FROM alias WHERE address = c.key) END,
    m.address, m.brand, m.plan, m.cell, m.uid_validity, m.state,
    CASE WHEN m.id IS NOT NULL AND (SELECT count(*) FROM ledger WHERE mailbox = m.id) > 1
        THEN (SELECT json_group_array(
                json_array(id, at_us, kind, amount, plan, until_us, revokes))
            FROM ledger WHERE mailbox = m.id) ELSE '' END,
    CASE WHEN ?2 THEN (SELECT hash FROM credential WHERE mailbox = m.id) END
FROM change c
LEFT JOIN mailbox m ON c.kind = 1 AND m.id = c.key
LEFT JOIN catalogue k ON c.kind > 2 AND k.kind = c.kind AND k.key = c.key
WHERE c.version > ?1 ORDER BY c.version LIMIT ?3
"""


class ChangeKind(IntEnum):
    """What a row of the feed is about; catalogue records are stored under the same numbers."""

    MAILBOX = 1  # key: the mailbox's number
    ALIAS = 2  # key: its address
    BRAND = 3  # key: the brand
    DOMAIN = 4  # key: the domain
    PLAN = 5  # key: brand/plan
    CELL = 6  # key: the cell


@dataclass(frozen=True, slots=True)
class FeedPage:
    """What changed beyond a version.

    `origin` names this authority: another one means that versions cannot be compared. `head` is
    the authority's version when it was asked. `rows`: (version, kind, key, body, targets,
    address, brand, plan, cell, uid_validity, state, ledger, hash), by version; a key that is
    gone has None in everything that follows it (an alias: `[]`).
    """

    origin: bytes
    head: int
    rows: Sequence[tuple[Any, ...]]


class Feed(Protocol):
    """Where a replica gets its changes from."""

    def read(self, after: int, limit: int, with_credentials: bool) -> FeedPage:
        """At most `limit` changes beyond a version. Raises `VolumeFault`."""
        ...


class DatabaseFeed:
    """The feed of an authority whose database this machine can reach.

    Opens it anew for each page, so that a database that was put in another's place (a restored
    one) is noticed, and so that nothing is held open between two pages.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def read(self, after: int, limit: int, with_credentials: bool) -> FeedPage:
        settings = DatabaseSettings(read_only=True, checkpoint_on_close=False)
        database = self._volume.database(DATABASE_PATH, settings)
        try:
            check_schema(database, self._volume.name)
            with database.reading():
                origin = database.row("SELECT id FROM origin")
                head = database.row("SELECT max(version) FROM change")
                rows = database.rows(_FEED, (after, with_credentials, limit))
        finally:
            database.close()
        return FeedPage(origin[0] if origin else b"", (head and head[0]) or 0, rows)


@dataclass(frozen=True, slots=True)
class Authority:
    """The open database with what its writers need."""

    database: Database
    clock: Clock
    entropy: Entropy

    def record_change(self, kind: ChangeKind, key: str | int) -> None:
        """Put a key at the head of the feed; within the transaction of the change."""
        self.database.run("INSERT OR REPLACE INTO change (kind, key) VALUES (?, ?)", (kind, key))

    def version(self) -> int:
        """The head of the feed."""
        found = self.database.row("SELECT max(version) FROM change")
        return (found and found[0]) or 0


def open_authority(volume: Volume, clock: Clock, entropy: Entropy) -> Authority:
    """Open the directory's database for writing, and make it where there is none.

    Raises `VolumeFault`.
    """
    database = volume.database(DATABASE_PATH, DatabaseSettings())
    try:
        if _schema_version(database) == 0:
            _create(database, entropy)
        check_schema(database, volume.name)
    except VolumeFault:
        database.close()
        raise
    return Authority(database, clock, entropy)


def check_schema(database: Database, volume: str) -> None:
    """Raises `VolumeFault` where the database is not one that this version understands."""
    found = _schema_version(database)
    if found != SCHEMA_VERSION:
        detail = f"schema {found} where {SCHEMA_VERSION} is understood"
        raise VolumeFault(volume, FaultMode.CORRUPT if found else FaultMode.GONE, detail)


def _schema_version(database: Database) -> int:
    found = database.row("PRAGMA user_version")
    return int(found[0]) if found else 0


def _create(database: Database, entropy: Entropy) -> None:
    with database.transaction():
        if _schema_version(database):  # another process was faster
            return
        database.run(_SCHEMA)
        database.run("INSERT INTO origin (id) VALUES (?)", (entropy.token(16),))
        database.run(f"PRAGMA user_version = {SCHEMA_VERSION}")
