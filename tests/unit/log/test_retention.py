"""Forgetting drops what is old and dealt with, and nothing else, however old."""

from __future__ import annotations

from pathlib import Path

import pytest

from staffetta.log.port import NewEntry
from staffetta.log.receipts import ReceiptMint, to_text
from staffetta.log.retention import retire
from staffetta.log.sqlite import LogSettings, SqliteLogWriter
from staffetta.log.sqlite_reading import SqliteLogReader
from staffetta.runtime.disk import DirectoryVolume
from tests.joints import DAY_US, START_US, CountingEntropy, make_accepted

LATER_US = START_US + 10 * DAY_US
EVERYTHING = 1 << 40


@pytest.fixture
def volume(tmp_path: Path) -> DirectoryVolume:
    """Days 0 to 3 of partition 1, each with an inline body and a spooled one."""
    made = DirectoryVolume("log", tmp_path)
    writer = SqliteLogWriter(made, 1, LogSettings())
    mint = ReceiptMint(1, CountingEntropy())
    for day in range(4):
        at_us = START_US + day * DAY_US
        receipt = mint.make(at_us)
        spool = writer.spool(receipt)
        spool.write(b"large %d" % day)
        fact = make_accepted((7,))
        writer.append(
            [
                NewEntry(at_us, mint.make(at_us), fact, b"small", (7,)),
                NewEntry(at_us + 1, receipt, fact, spool.finish(), (7,)),
            ]
        )
    writer.close()
    return made


def first_kept(volume: DirectoryVolume) -> int:
    reader = SqliteLogReader(volume)
    try:
        assert [found for _, found in reader.verify(1) if found] == []
        extent = reader.extent(1)
        positions = list(range(extent.first, extent.last + 1))
        assert [one.position for one in reader.read(1, 0, 100)] == positions
        reader.bodies(1, positions)
        return extent.first
    finally:
        reader.close()


def test_old_files_go_with_their_large_bodies_and_the_newest_file_stays(
    volume: DirectoryVolume,
) -> None:
    gone = retire(volume, LATER_US, 2, lambda partition: EVERYTHING)
    assert len([path for path in gone if path.endswith(".db")]) == 3
    assert len([path for path in gone if path.startswith("spool/1/")]) == 3
    assert first_kept(volume) == 7
    assert len(volume.names("spool/1")) == 1
    assert all(not volume.exists(path) for path in gone)


def test_what_is_young_stays(volume: DirectoryVolume) -> None:
    now_us = START_US + 3 * DAY_US
    assert retire(volume, now_us, 30, lambda partition: EVERYTHING) == []
    retire(volume, now_us, 1, lambda partition: EVERYTHING)
    assert first_kept(volume) == 5  # of day 2 one entry is just younger than a day


def test_nothing_is_dropped_that_is_not_safe_however_old(volume: DirectoryVolume) -> None:
    assert retire(volume, LATER_US * 2, 1, lambda partition: 0) == []
    assert retire(volume, LATER_US * 2, 1, lambda partition: 1) == []
    assert first_kept(volume) == 1
    retire(volume, LATER_US * 2, 1, lambda partition: 3)
    assert first_kept(volume) == 3  # the second day's last position is 4
    retire(volume, LATER_US * 2, 1, lambda partition: 4)
    assert first_kept(volume) == 5


def test_each_partition_is_asked_for_by_its_own_number(volume: DirectoryVolume) -> None:
    asked = []

    def safe(partition: int) -> int:
        asked.append(partition)
        return 0

    retire(volume, LATER_US, 1, safe)
    assert asked == [1]


def test_a_writer_goes_on_after_what_is_forgotten(volume: DirectoryVolume) -> None:
    retire(volume, LATER_US, 1, lambda partition: EVERYTHING)
    writer = SqliteLogWriter(volume, 1, LogSettings())
    new = NewEntry(LATER_US, b"r" * 10, make_accepted((7,)), b"x", (7,))
    assert writer.append([new]) == 9
    writer.close()
    assert first_kept(volume) == 7


def test_large_bodies_that_were_never_finished_go_after_a_day(volume: DirectoryVolume) -> None:
    mint = ReceiptMint(1, CountingEntropy())
    old = f"spool/1/{to_text(mint.make(LATER_US - 2 * DAY_US))}.partial"
    young = f"spool/1/{to_text(mint.make(LATER_US - DAY_US // 2))}.partial"
    strange = "spool/1/something-else.partial"
    for path in (old, young, strange):
        volume.write_durable(path, [b"half"])
    assert retire(volume, LATER_US, 1_000, lambda partition: 0) == [old]
    assert not volume.exists(old)
    assert volume.exists(young)
    assert volume.exists(strange)
