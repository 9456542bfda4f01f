"""Reading the log's SQLite files, from any process (see `log.sqlite` for their shape)."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from staffetta.log import facts
from staffetta.log.facts import Kind
from staffetta.log.port import Damage, Entry, Extent, LogDamaged
from staffetta.log.receipts import partition_of, time_us_of
from staffetta.log.sqlite import checksum_of, period_name
from staffetta.runtime.disk import Database, DatabaseSettings, Volume
from staffetta.runtime.faults import VolumeFault

OPEN_FILES_MAX = 16
VERIFY_ENTRIES_PER_STEP = 500
# Receipts never go back, clocks do: what is about a receipt may be dated before it by a step of
# the clock, and lie in a file of an earlier period.
CLOCK_STEP_BACK_US_MAX = 3_600_000_000
# A bodies() call whose positions are at least this dense reads one range instead of rows.
RANGE_DENSITY_MIN = 0.5

_ENTRY = "SELECT position, at_us, kind, receipt, size_bytes, payload FROM entry"
_ENTRY_OF_MAILBOX = (
    "SELECT e.position, e.at_us, e.kind, e.receipt, e.size_bytes, e.payload FROM indexed i"
    " CROSS JOIN entry e ON e.position = i.position WHERE i.mailbox = ? AND e.at_us >= ?"
)


@dataclass(frozen=True, slots=True)
class _Period:
    path: str
    name: str
    first: int


class SqliteLogReader:
    """Reads every partition (see `log.port.LogReader`). Not for two threads at once."""

    def __init__(self, volume: Volume, period_h: int = 24) -> None:
        self._volume = volume
        self._period_h = period_h
        self._open: OrderedDict[str, Database] = OrderedDict()
        self._firsts: dict[str, int] = {}

    def close(self) -> None:
        """Let go of the files."""
        while self._open:
            self._open.popitem()[1].close()

    def partitions(self) -> list[int]:
        """See the port."""
        return sorted(int(name) for name in self._volume.names("") if name.isdigit())

    def extent(self, partition: int) -> Extent:
        """See the port."""
        periods = self._periods(partition)
        first, last, entries, size_bytes = 1, 0, 0, 0
        for number, period in enumerate(periods):
            if number == 0:
                first = period.first
            row = self._database(period.path).row(
                "SELECT max(position), count(*), coalesce(sum(size_bytes), 0) FROM entry"
            )
            if row is not None and row[0] is not None:
                last = row[0]
                entries += row[1]
                size_bytes += row[2]
        if entries == 0:
            last = first - 1
        return Extent(partition, first, last, entries, size_bytes, tuple(p.path for p in periods))

    def last(self, partition: int) -> int:
        """The last position of a partition, 0 when it is empty; cheap."""
        for period in reversed(self._periods(partition)):
            row = self._database(period.path).row("SELECT max(position) FROM entry")
            if row is not None and row[0] is not None:
                return int(row[0])
            return period.first - 1
        return 0

    def read(
        self, partition: int, after: int, limit: int, kinds: frozenset[Kind] | None = None
    ) -> list[Entry]:
        """See the port."""
        found: list[Entry] = []
        periods = self._periods(partition)
        for number, period in enumerate(periods):
            following = periods[number + 1].first if number + 1 < len(periods) else None
            if following is not None and following <= after + 1:
                continue
            where = " WHERE position > ?"
            if kinds is not None:
                where += f" AND kind IN ({_numbers(kinds)})"
            rows = self._database(period.path).rows(
                f"{_ENTRY}{where} ORDER BY position LIMIT ?", (after, limit - len(found))
            )
            found += [_entry(partition, row) for row in rows]
            if len(found) >= limit:
                break
        return found

    def bodies(self, partition: int, positions: Sequence[int]) -> list[bytes]:
        """See the port."""
        by_position: dict[int, bytes] = {}
        periods = self._periods(partition)
        for number, period in enumerate(periods):
            end = periods[number + 1].first if number + 1 < len(periods) else 1 << 62
            wanted = sorted(p for p in set(positions) if period.first <= p < end)
            if wanted:
                self._bodies_of(period, wanted, by_position)
        missing = [position for position in positions if position not in by_position]
        if missing:
            raise LogDamaged(f"partition {partition}: no body at position {missing[0]}")
        return [by_position[position] for position in positions]

    def _bodies_of(self, period: _Period, wanted: list[int], into: dict[int, bytes]) -> None:
        database = self._database(period.path)
        select = (
            "SELECT e.position, e.checksum, e.payload, e.spool, b.data FROM entry e"
            " LEFT JOIN body b ON b.position = e.position WHERE e.position "
        )
        if len(wanted) / (wanted[-1] - wanted[0] + 1) >= RANGE_DENSITY_MIN:
            rows = database.rows(select + "BETWEEN ? AND ?", (wanted[0], wanted[-1]))
            asked = set(wanted)
            rows = [row for row in rows if row[0] in asked]
        else:
            rows = [row for p in wanted for row in database.rows(select + "= ?", (p,))]
        for position, checksum, payload, spool, data in rows:
            if spool is not None:
                data = self._volume.read(spool)
                found = zlib.crc32(payload) ^ zlib.crc32(data)
            else:
                data = data or b""
                found = checksum_of(payload, data)
            if found != checksum:
                raise LogDamaged(f"{period.path}: entry {position} does not match its checksum")
            into[position] = data

    def find(self, receipt: bytes) -> list[Entry]:
        """See the port."""
        found: list[Entry] = []
        earliest = period_name(max(time_us_of(receipt) - CLOCK_STEP_BACK_US_MAX, 0), self._period_h)
        own = partition_of(receipt)
        for partition in self.partitions():
            for period in self._periods(partition):
                if period.name < earliest:
                    continue
                rows = self._database(period.path).rows(f"{_ENTRY} WHERE receipt = ?", (receipt,))
                found += [_entry(partition, row) for row in rows]
        return sorted(found, key=lambda e: (e.at_us, e.partition != own, e.position))

    def heads(self, partition: int, positions: Sequence[int], size_bytes: int) -> list[bytes]:
        """See the port."""
        found: dict[int, bytes] = {}
        for number, period in enumerate(periods := self._periods(partition)):
            end = periods[number + 1].first if number + 1 < len(periods) else 1 << 62
            for position in positions:
                if not period.first <= position < end:
                    continue
                row = self._database(period.path).row(
                    "SELECT e.spool, substr(b.data, 1, ?) FROM entry e"
                    " LEFT JOIN body b ON b.position = e.position WHERE e.position = ?",
                    (size_bytes, position),
                )
                if row is not None:
                    spool, data = row
                    found[position] = data or (
                        self._volume.read(spool, size_bytes) if spool else b""
                    )
        return [found.get(position, b"") for position in positions]

    def of_mailbox(
        self, mailbox: int, since_us: int, limit: int, kinds: frozenset[Kind] | None = None
    ) -> list[Entry]:
        """See the port."""
        found: list[Entry] = []
        earliest = period_name(max(since_us, 0), self._period_h)
        among = "" if kinds is None else f" AND e.kind IN ({_numbers(kinds)})"
        for partition in self.partitions():
            of_partition = 0
            for period in reversed(self._periods(partition)):
                if period.name < earliest or of_partition >= limit:
                    break
                rows = self._database(period.path).rows(
                    f"{_ENTRY_OF_MAILBOX}{among} ORDER BY i.position DESC LIMIT ?",
                    (mailbox, since_us, limit - of_partition),
                )
                of_partition += len(rows)
                found += [_entry(partition, row) for row in rows]
        found.sort(key=lambda entry: (entry.at_us, entry.receipt), reverse=True)
        return found[:limit]

    def by_message_key(self, key: int, since_us: int) -> list[Entry]:
        """See the port."""
        found: list[Entry] = []
        earliest = period_name(max(since_us, 0), self._period_h)
        for partition in self.partitions():
            for period in self._periods(partition):
                if period.name < earliest:
                    continue
                rows = self._database(period.path).rows(
                    f"{_ENTRY} WHERE message_key = ? AND at_us >= ?", (key, since_us)
                )
                found += [_entry(partition, row) for row in rows]
        return sorted(found, key=lambda entry: entry.at_us)

    def since(self, since_us: int, kinds: frozenset[Kind]) -> Iterator[Entry]:
        """Entries of those kinds from that moment on, partition by partition, in order."""
        earliest = period_name(max(since_us, 0), self._period_h)
        among = _numbers(kinds)
        for partition in self.partitions():
            for period in self._periods(partition):
                if period.name < earliest:
                    continue
                for row in self._database(period.path).each(
                    f"{_ENTRY} WHERE kind IN ({among}) AND at_us >= ? ORDER BY position",
                    (since_us,),
                ):
                    yield _entry(partition, row)

    def verify(self, partition: int) -> Iterator[tuple[int, list[Damage]]]:
        """See the port."""
        checked, expected = 0, 0
        for period in self._periods(partition):
            try:
                yield checked, self._file_damage(period, expected)
                expected = period.first
                while rows := self._stored(period, expected - 1):
                    damage, expected = self._entries_damage(period, rows, expected)
                    checked += len(rows)
                    yield checked, damage
            except VolumeFault as fault:
                yield checked, [Damage(period.path, 0, str(fault))]

    def _file_damage(self, period: _Period, expected: int) -> list[Damage]:
        checks = self._database(period.path).rows("PRAGMA quick_check(20)")
        damage = [Damage(period.path, 0, text) for (text,) in checks if text != "ok"]
        if expected and period.first != expected:
            gap = f"begins at {period.first}, the file before it ended at {expected - 1}"
            damage.append(Damage(period.path, period.first, gap))
        return damage

    def _stored(self, period: _Period, after: int) -> list[tuple[Any, ...]]:
        return self._database(period.path).rows(
            "SELECT e.position, e.kind, e.checksum, e.payload, e.spool, b.data FROM entry e"
            " LEFT JOIN body b ON b.position = e.position"
            " WHERE e.position > ? ORDER BY e.position LIMIT ?",
            (after, VERIFY_ENTRIES_PER_STEP),
        )

    def _entries_damage(
        self, period: _Period, rows: list[tuple[Any, ...]], expected: int
    ) -> tuple[list[Damage], int]:
        """The damage in these rows, and the position that must come after them."""
        damage: list[Damage] = []
        for position, kind, checksum, payload, spool, data in rows:
            if position != expected:
                what = f"positions {expected} to {position - 1} are missing"
                damage.append(Damage(period.path, expected, what))
            expected = position + 1
            problem = self._problem(kind, checksum, payload, spool, data)
            if problem:
                damage.append(Damage(period.path, position, problem))
        return damage, expected

    def _problem(
        self, kind: int, checksum: int, payload: bytes, spool: str | None, data: bytes | None
    ) -> str:
        """What is wrong with one stored entry; empty when nothing is."""
        try:
            facts.decode(Kind(kind), payload)
        except (ValueError, msgspec.DecodeError) as error:
            return f"its fact cannot be read: {error}"
        if spool is None:
            found = checksum_of(payload, data or b"")
        else:
            try:
                found = zlib.crc32(payload) ^ zlib.crc32(self._volume.read(spool))
            except VolumeFault as fault:
                return f"its spooled body cannot be read: {fault}"
        return "" if found == checksum else "it does not match its checksum"

    def _periods(self, partition: int) -> list[_Period]:
        periods = []
        for name in self._volume.names(str(partition)):
            if not name.endswith(".db"):
                continue
            path = f"{partition}/{name}"
            first = self._firsts.get(path)
            if first is None:
                first = self._first_of(path)
                if first is None:
                    continue  # made this instant: its first entry is not committed yet
                self._firsts[path] = first
            periods.append(_Period(path, name.removesuffix(".db"), first))
        return periods

    def _first_of(self, path: str) -> int | None:
        database = self._database(path)
        if database.row("SELECT 1 FROM sqlite_schema WHERE name = 'about'") is None:
            self._forget(path)
            return None
        row = database.row("SELECT first FROM about")
        return None if row is None else int(row[0])

    def _database(self, path: str) -> Database:
        database = self._open.get(path)
        if database is not None:
            self._open.move_to_end(path)
            return database
        wal = f"{path}-wal"
        if self._volume.exists(wal):
            # Left by a writer that ended in the middle of a sync, it would be read as committed.
            self._volume.sync([wal])
        database = self._volume.database(path, DatabaseSettings(read_only=True, cache_kib=4096))
        self._open[path] = database
        if len(self._open) > OPEN_FILES_MAX:
            self._open.popitem(last=False)[1].close()
        return database

    def _forget(self, path: str) -> None:
        database = self._open.pop(path, None)
        if database is not None:
            database.close()


def _entry(partition: int, row: tuple[Any, ...]) -> Entry:
    position, at_us, kind, receipt, size_bytes, payload = row
    try:
        fact = facts.decode(Kind(kind), payload)
    except (ValueError, msgspec.DecodeError) as error:
        raise LogDamaged(f"partition {partition}: entry {position}: {error}") from error
    return Entry(partition, position, at_us, Kind(kind), receipt, fact, size_bytes)


def _numbers(kinds: frozenset[Kind]) -> str:
    return ",".join(str(int(kind)) for kind in sorted(kinds))
