"""The file behind a recipient table: what it holds, how changes go in, how damage is found.

The file can be made again from the authority at any time, so it is written without a sync of
its own (`synchronous=NORMAL` keeps it consistent). It keeps a count and a checksum of all its
addresses, changed in the transaction that changes them: an address that gets lost in the file
is noticed, instead of being refused as an unknown user.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import msgspec

from staffetta.directory.addresses import ROLES
from staffetta.directory.authority import ChangeKind, FeedPage
from staffetta.directory.catalogue import Catalogue, decode
from staffetta.runtime.disk import NORMAL, Database, DatabaseSettings, Volume
from staffetta.runtime.faults import FaultMode, VolumeFault

SCHEMA_VERSION = 1
READER_CACHE_KIB = 16_384
CHECKSUM_BITS = 62
CHECKED_ROWS_AT_ONCE = 10_000

_SCHEMA = """
CREATE TABLE address (address TEXT PRIMARY KEY, mailbox INTEGER NOT NULL,
    targets TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE mailbox (id INTEGER PRIMARY KEY, address TEXT NOT NULL, brand TEXT NOT NULL,
    plan TEXT NOT NULL, cell TEXT NOT NULL, uid_validity INTEGER NOT NULL, state TEXT NOT NULL,
    ledger TEXT NOT NULL);
CREATE TABLE credential (mailbox INTEGER PRIMARY KEY, hash TEXT NOT NULL);
CREATE TABLE catalogue (kind INTEGER NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE condition (origin BLOB NOT NULL, version INTEGER NOT NULL, complete INTEGER NOT NULL,
    with_credentials INTEGER NOT NULL, addresses INTEGER NOT NULL, checksum INTEGER NOT NULL);
"""

_MAILBOX_COLUMNS = "m.id, m.address, m.brand, m.plan, m.cell, m.uid_validity, m.state, m.ledger"
_FIND = (
    f"SELECT a.targets, {_MAILBOX_COLUMNS} FROM address a"
    " LEFT JOIN mailbox m ON m.id = a.mailbox WHERE a.address = ?"
)
_MAILBOX = f"SELECT {_MAILBOX_COLUMNS} FROM mailbox m WHERE m.id = ?"
_CREDENTIAL = (
    "SELECT m.id, c.hash FROM address a JOIN mailbox m ON m.id = a.mailbox"
    " LEFT JOIN credential c ON c.mailbox = m.id WHERE a.address = ?"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """What the file says of itself. `complete`: it once held all that the authority had."""

    origin: bytes = b""
    version: int = 0
    complete: bool = False
    with_credentials: bool = False
    addresses: int = 0
    checksum: int = 0


@dataclass(frozen=True, slots=True)
class Applied:
    """What a page changed that was known before: answers given from it are out of date.

    `mailboxes`: those that changed; `widely`: an alias, the catalogue or the address of a role
    did, so that any address may lead elsewhere now; `catalogue`: it was the catalogue.
    """

    mailboxes: frozenset[int] = frozenset()
    widely: bool = False
    catalogue: bool = False


@dataclass(slots=True)
class _Changes:
    """A page sorted by what has to be written."""

    addresses: dict[str, tuple[int, str]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    mailboxes: list[tuple[Any, ...]] = field(default_factory=list)
    credentials: list[tuple[int, str]] = field(default_factory=list)
    catalogue: list[tuple[int, str, bytes]] = field(default_factory=list)
    catalogue_gone: list[tuple[int, str]] = field(default_factory=list)


class TableFile:
    """One connection that reads, for all threads in turn, and one that writes."""

    def __init__(self, volume: Volume, path: str) -> None:
        self._volume = volume
        self._path = path
        self._reading = threading.Lock()
        self._open_reader: Database | None = None
        self._open_writer: Database | None = None
        try:
            self._open()
            self.condition()
            self.catalogue()
        except VolumeFault as fault:
            if fault.mode is not FaultMode.CORRUPT:
                raise
            self.start_over()

    def find(self, address: str) -> tuple[Any, ...] | None:
        """(targets as JSON or "", and the mailbox's columns or Nones) of a folded address."""
        with self._reading:
            return self._reader.row(_FIND, (address,))

    def mailbox(self, mailbox: int) -> tuple[Any, ...] | None:
        """(id, address, brand, plan, cell, uid_validity, state, ledger as JSON or "")."""
        with self._reading:
            return self._reader.row(_MAILBOX, (mailbox,))

    def credential(self, address: str) -> tuple[int, str | None] | None:
        """The mailbox whose primary address that is, and its password hash."""
        with self._reading:
            found = self._reader.row(_CREDENTIAL, (address,))
        return (found[0], found[1]) if found else None

    def catalogue(self) -> Catalogue:
        """The brands, domains, plans and cells in the file."""
        with self._reading:
            rows = self._reader.rows("SELECT kind, body FROM catalogue ORDER BY kind, key")
        try:
            return decode(rows)
        except (msgspec.DecodeError, ValueError) as error:
            raise VolumeFault(self._volume.name, FaultMode.CORRUPT, str(error)) from error

    def condition(self) -> Condition:
        """What the file says of itself."""
        found = self._writer.row(
            "SELECT origin, version, complete, with_credentials, addresses, checksum FROM condition"
        )
        if found is None:
            raise VolumeFault(self._volume.name, FaultMode.CORRUPT, "the table has no condition")
        origin, version, complete, with_credentials, addresses, checksum = found
        return Condition(
            origin, version, bool(complete), bool(with_credentials), addresses, checksum
        )

    def apply(self, page: FeedPage, after: Condition) -> Applied:
        """Write a page of the feed, and the condition it leads to, in one transaction.

        `after` has the new origin, version and flags; its count and checksum are made here.
        """
        changes = _sort(page.rows)
        with self._writer.transaction():
            before = self.condition()
            old = self._old_addresses(changes)
            new = [(address, *value) for address, value in changes.addresses.items()]
            self._writer.many("DELETE FROM address WHERE address = ?", [(row[0],) for row in old])
            self._writer.many("INSERT INTO address VALUES (?, ?, ?)", new)
            self._write_rest(changes)
            checksum = before.checksum + _checksum(new) - _checksum(old)
            self._write_condition(
                replace(
                    after,
                    addresses=before.addresses + len(new) - len(old),
                    checksum=checksum % (1 << CHECKSUM_BITS),
                )
            )
        catalogue = bool(changes.catalogue or changes.catalogue_gone)
        widely = catalogue or any(
            mailbox == 0 or address.partition("@")[0] in ROLES for address, mailbox, _ in old + new
        )
        return Applied(frozenset(row[1] for row in old), widely, catalogue)

    def check(self) -> str:
        """Read all addresses and compare them with the checksum; what is wrong, or "".

        Raises `VolumeFault` where the file cannot be read now, which says nothing about it.
        """
        try:
            with self._writer.reading():
                condition = self.condition()
                found = self._writer.rows("PRAGMA quick_check(address)")
                if found != [("ok",)]:
                    return str(found[0][0])
                count, checksum = self._sum_up()
        except VolumeFault as fault:
            if fault.mode is not FaultMode.CORRUPT:
                raise
            return str(fault)
        if count != condition.addresses:
            return f"{count} addresses where there were {condition.addresses}"
        if checksum != condition.checksum:
            return "the addresses do not match their checksum"
        return ""

    def _sum_up(self) -> tuple[int, int]:
        """The count and the checksum of all addresses, as they are."""
        count, checksum = 0, 0
        addresses = self._writer.each("SELECT address, mailbox, targets FROM address")
        while rows := [(row[0], row[1], row[2]) for row in islice(addresses, CHECKED_ROWS_AT_ONCE)]:
            count, checksum = count + len(rows), checksum + _checksum(rows)
        return count, checksum % (1 << CHECKSUM_BITS)

    def start_over(self) -> None:
        """Throw the file away and begin an empty one. Raises `VolumeFault`."""
        with self._reading:
            self._close()
            self._remove()
            self._open()

    def close(self) -> None:
        """Let go of the file."""
        with self._reading:
            self._close()

    @property
    def _reader(self) -> Database:
        return self._opened(self._open_reader)

    @property
    def _writer(self) -> Database:
        return self._opened(self._open_writer)

    def _opened(self, database: Database | None) -> Database:
        if database is None:
            raise VolumeFault(self._volume.name, FaultMode.GONE, f"{self._path} is not open")
        return database

    def _close(self) -> None:
        for database in (self._open_reader, self._open_writer):
            if database is not None:
                database.close()
        self._open_reader = self._open_writer = None

    def _open(self) -> None:
        writer = self._volume.database(self._path, DatabaseSettings(synchronous=NORMAL))
        try:
            found = writer.row("PRAGMA user_version")
            if not found or found[0] == 0:
                with writer.transaction():
                    writer.run(_SCHEMA)
                    writer.run("INSERT INTO condition VALUES (x'', 0, 0, 0, 0, 0)")
                    writer.run(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif found[0] != SCHEMA_VERSION:
                raise VolumeFault(self._volume.name, FaultMode.CORRUPT, f"schema {found[0]}")
            settings = DatabaseSettings(
                read_only=True, cache_kib=READER_CACHE_KIB, checkpoint_on_close=False
            )
            self._open_reader = self._volume.database(self._path, settings)
        except VolumeFault:
            writer.close()
            raise
        self._open_writer = writer

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._volume.remove(self._path + suffix)

    def _old_addresses(self, changes: _Changes) -> list[tuple[str, int, str]]:
        """The rows that the changes replace or remove."""
        touched = changes.gone | changes.addresses.keys()
        rows = self._writer.rows(
            "SELECT address, mailbox, targets FROM address"
            " WHERE address IN (SELECT value FROM json_each(?))",
            (_as_json(sorted(touched)),),
        )
        return [(address, mailbox, targets) for address, mailbox, targets in rows]

    def _write_rest(self, changes: _Changes) -> None:
        self._writer.many(
            "INSERT OR REPLACE INTO mailbox VALUES (?, ?, ?, ?, ?, ?, ?, ?)", changes.mailboxes
        )
        self._writer.many("INSERT OR REPLACE INTO credential VALUES (?, ?)", changes.credentials)
        self._writer.many("INSERT OR REPLACE INTO catalogue VALUES (?, ?, ?)", changes.catalogue)
        self._writer.many(
            "DELETE FROM catalogue WHERE kind = ? AND key = ?", changes.catalogue_gone
        )

    def _write_condition(self, condition: Condition) -> None:
        self._writer.run(
            "UPDATE condition SET origin = ?, version = ?, complete = ?, with_credentials = ?,"
            " addresses = ?, checksum = ?",
            (
                condition.origin,
                condition.version,
                condition.complete,
                condition.with_credentials,
                condition.addresses,
                condition.checksum,
            ),
        )


def _sort(rows: Iterable[tuple[Any, ...]]) -> _Changes:
    changes = _Changes()
    for _, kind, key, body, targets, address, *mailbox, password_hash in rows:
        match kind:
            case ChangeKind.MAILBOX if address is not None:
                changes.addresses[address] = (key, "")
                changes.mailboxes.append((key, address, *mailbox))
                if password_hash is not None:
                    changes.credentials.append((key, password_hash))
            case ChangeKind.ALIAS if targets != "[]":
                changes.addresses[key] = (0, targets)
            case ChangeKind.ALIAS:
                changes.gone.add(key)
            case _ if body is not None:
                changes.catalogue.append((kind, key, body))
            case _:
                changes.catalogue_gone.append((kind, key))
    return changes


def _checksum(rows: Iterable[tuple[str, int, str]]) -> int:
    return sum(zlib.crc32(f"{row[0]}\t{row[1]}\t{row[2]}".encode()) for row in rows)


def _as_json(values: Sequence[str]) -> str:
    return msgspec.json.encode(values).decode()
