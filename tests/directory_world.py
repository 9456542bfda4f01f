"""A directory and a recipient table on a real disk, under a clock that the test holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from staffetta.directory.authority import DatabaseFeed
from staffetta.directory.records import GIB, MIB, Brand, CellRecord, Domain, Plan
from staffetta.directory.replica import RecipientTable, TableSettings
from staffetta.directory.store import Directory, open_directory
from staffetta.runtime.disk import DirectoryVolume

START_US = 1_700_000_000_000_000


@dataclass
class HeldClock:
    us: int = START_US
    s: float = 1_000.0

    def now_us(self) -> int:
        return self.us

    def monotonic_s(self) -> float:
        return self.s

    def utc_offset_s(self, at_us: int) -> int:
        return 0

    def advance(self, seconds: float) -> None:
        self.s += seconds
        self.us += int(seconds * 1_000_000)


@dataclass
class CountedEntropy:
    calls: int = 0

    def token(self, size_bytes: int) -> bytes:
        self.calls += 1
        return self.calls.to_bytes(8, "big").rjust(size_bytes, b"\1")[-size_bytes:]


@dataclass
class World:
    """One authority, and any number of tables that follow it."""

    root: Path
    clock: HeldClock = field(default_factory=HeldClock)
    entropy: CountedEntropy = field(default_factory=CountedEntropy)
    _tables: list[RecipientTable] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.authority = DirectoryVolume("directory", self.root / "directory")
        self.replica = DirectoryVolume("replica", self.root / "replica")
        self.directory = open_directory(self.authority, self.clock, self.entropy)

    def table(self, path: str = "accept-1.db", **settings: object) -> RecipientTable:
        table = RecipientTable(
            self.replica,
            path,
            DatabaseFeed(self.authority),
            self.clock,
            TableSettings(**settings),  # type: ignore[arg-type]
        )
        self._tables.append(table)
        return table

    def reopen(self) -> Directory:
        self.directory.close()
        self.directory = open_directory(self.authority, self.clock, self.entropy)
        return self.directory

    def close(self) -> None:
        for table in self._tables:
            table.close()
        self.directory.close()


def lay_out(directory: Directory) -> None:
    """Two brands, three domains, two cells, no people."""
    for record in (
        Brand("libero", "Libero Mail"),
        Brand("virgilio", "Virgilio Mail"),
        Domain("libero.example", "libero"),
        Domain("blu.example", "libero"),
        Domain("virgilio.example", "virgilio"),
        Plan("libero", "free", "Free", GIB, 10 * MIB),
        Plan("libero", "plus", "Plus", 5 * GIB, 50 * MIB),
        Plan("virgilio", "free", "Free", 3 * GIB, 20 * MIB),
        CellRecord("c1", "cells/c1", mailboxes_max=1_000),
        CellRecord("c2", "cells/c2", mailboxes_max=1_000),
    ):
        directory.catalogue.add(record)


# An Argon2id hash of no password that anybody has, with the least of parameters.
NOBODYS_HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$Mk4qZrQzq0xOQkUe9KOFBw"
