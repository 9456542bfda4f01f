"""One contract for every log: what `log.port` promises, held against the disk and the memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from staffetta.log.facts import Fact, Held, Kind, Refused
from staffetta.log.memory import MemoryLog
from staffetta.log.port import (
    Damage,
    LogBroken,
    LogDamaged,
    LogFull,
    LogReader,
    LogWriter,
    NewEntry,
    SpooledBody,
)
from staffetta.log.receipts import ReceiptMint, message_key_of, to_text
from staffetta.log.sqlite import LogSettings, SqliteLogWriter
from staffetta.log.sqlite_reading import SqliteLogReader
from staffetta.runtime.disk import DatabaseSettings, DirectoryVolume
from staffetta.runtime.faults import FaultMode
from tests.joints import HOUR_US, START_US, CountingEntropy, make_accepted

CHANCE = CountingEntropy()


def make_receipt(at_us: int = START_US) -> bytes:
    return ReceiptMint(1, CHANCE).make(at_us)


@dataclass
class Rig:
    """A log of either kind, and all of it that is open."""

    volume: DirectoryVolume
    memory: MemoryLog | None
    open: list[LogWriter | LogReader] = field(default_factory=list)

    def writer(self, partition: int = 1) -> LogWriter:
        writer: LogWriter
        if self.memory is not None:
            writer = self.memory.writer(partition)
        else:
            writer = SqliteLogWriter(self.volume, partition, LogSettings(period_h=1))
        self.open.append(writer)
        return writer

    def reader(self) -> LogReader:
        reader: LogReader = self.memory or SqliteLogReader(self.volume, period_h=1)
        self.open.append(reader)
        return reader

    def close(self) -> None:
        while self.open:
            self.open.pop().close()


@pytest.fixture(params=["sqlite", "memory"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made = Rig(DirectoryVolume("log", tmp_path), MemoryLog() if request.param == "memory" else None)
    yield made
    made.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(DirectoryVolume("log", tmp_path), None)
    yield made
    made.volume.gate.mend()
    made.close()


def entry(
    hour: float = 0,
    *mailboxes: int,
    fact: Fact | None = None,
    body: bytes | SpooledBody | None = b"body",
    receipt: bytes = b"",
    message_id: str = "",
) -> NewEntry:
    at_us = START_US + int(hour * HOUR_US)
    return NewEntry(
        at_us,
        receipt or make_receipt(at_us),
        fact or make_accepted(mailboxes or (7,), message_id),
        body,
        mailboxes or (7,),
        message_key_of(message_id),
    )


def refused() -> Refused:
    return Refused("192.0.2.1", "h", "s@x", "r@y", "RCPT", "550 5.1.1 No")


def damage_of(reader: LogReader, partition: int = 1) -> list[Damage]:
    return [one for _, found in reader.verify(partition) for one in found]


def test_an_empty_log_has_no_partitions_and_nothing_in_any(rig: Rig) -> None:
    reader = rig.reader()
    assert reader.partitions() == []
    assert reader.last(1) == 0
    assert reader.read(1, 0, 10) == []
    assert reader.find(make_receipt()) == []


def test_what_is_appended_is_read_in_order_from_position_one_on(rig: Rig) -> None:
    writer, new = rig.writer(), [entry(body=b"%d" % n) for n in range(5)]
    assert writer.append(new[:3]) == 1
    assert writer.append(new[3:]) == 4
    reader = rig.reader()
    found = reader.read(1, 0, 10)
    assert [one.position for one in found] == [1, 2, 3, 4, 5]
    assert [(one.receipt, one.fact, one.at_us) for one in found] == [
        (one.receipt, one.fact, one.at_us) for one in new
    ]
    assert [one.size_bytes for one in found] == [1] * 5
    assert {one.partition for one in found} == {1}
    assert [one.position for one in reader.read(1, 2, 2)] == [3, 4]
    assert reader.last(1) == 5
    assert reader.partitions() == [1]


def test_a_reader_sees_what_comes_after_it_was_opened(rig: Rig) -> None:
    writer, reader = rig.writer(), rig.reader()
    writer.append([entry()])
    assert reader.last(1) == 1
    writer.append([entry(), entry(2)])
    assert [one.position for one in reader.read(1, 1, 10)] == [2, 3]


def test_kinds_choose_and_the_limit_counts_what_was_chosen(rig: Rig) -> None:
    rig.writer().append([entry(fact=refused(), body=None) if n % 2 else entry() for n in range(6)])
    reader = rig.reader()
    found = reader.read(1, 0, 2, frozenset({Kind.REFUSED}))
    assert [one.position for one in found] == [2, 4]
    assert [one.kind for one in found] == [Kind.REFUSED] * 2
    assert len(reader.read(1, 0, 9, frozenset({Kind.ACCEPTED, Kind.REFUSED}))) == 6


def test_a_writer_that_is_opened_again_goes_on_after_the_last_position(rig: Rig) -> None:
    first = rig.writer()
    first.append([entry(), entry()])
    first.close()
    assert rig.writer().append([entry(), entry(1)]) == 3
    assert [one.position for one in rig.reader().read(1, 0, 10)] == [1, 2, 3, 4]


def test_positions_run_on_without_gaps_through_many_periods(rig: Rig) -> None:
    writer = rig.writer()
    for hour in range(6):
        writer.append([entry(hour, body=b"%d" % hour), entry(hour + 0.5)])
    reader = rig.reader()
    assert [one.position for one in reader.read(1, 0, 100)] == list(range(1, 13))
    assert [one.position for one in reader.read(1, 4, 5)] == [5, 6, 7, 8, 9]
    assert reader.bodies(1, [11, 1, 5]) == [b"5", b"0", b"2"]
    assert reader.heads(1, [11, 1, 5], 100) == [b"5", b"0", b"2"]
    extent = reader.extent(1)
    assert (extent.first, extent.last, extent.entries) == (1, 12, 12)
    assert damage_of(reader) == []


def test_a_clock_that_goes_back_leaves_no_gap_and_no_disorder(rig: Rig) -> None:
    writer = rig.writer()
    for hour in (3, 1, 4, 0):
        writer.append([entry(hour)])
    writer.close()
    assert rig.writer().append([entry(2)]) == 5
    reader = rig.reader()
    assert [one.position for one in reader.read(1, 0, 10)] == [1, 2, 3, 4, 5]
    assert damage_of(reader) == []


def test_each_partition_counts_for_itself(rig: Rig) -> None:
    rig.writer(1).append([entry(), entry()])
    assert rig.writer(64).append([entry()]) == 1
    reader = rig.reader()
    assert reader.partitions() == [1, 64]
    assert (reader.last(1), reader.last(64)) == (2, 1)


def test_bodies_come_back_whole_inline_and_spooled_and_heads_are_their_beginnings(
    rig: Rig,
) -> None:
    writer, receipt = rig.writer(), make_receipt()
    spool = writer.spool(receipt)
    for piece in (b"abc", b"d" * 100_000, b"e"):
        spool.write(piece)
    large = b"abc" + b"d" * 100_000 + b"e"
    spooled = spool.finish()
    assert spooled.size_bytes == len(large)
    writer.append([entry(body=b"small"), entry(body=spooled, receipt=receipt), entry(body=b"")])
    reader = rig.reader()
    assert reader.bodies(1, [2, 1, 3]) == [large, b"small", b""]
    assert reader.heads(1, [2, 1, 3], 4) == [b"abcd", b"smal", b""]
    assert [one.size_bytes for one in reader.read(1, 0, 9)] == [5, len(large), 0]
    assert damage_of(reader) == []


def test_a_discarded_spool_file_leaves_the_log_as_it_was(rig: Rig) -> None:
    writer = rig.writer()
    spool = writer.spool(make_receipt())
    spool.write(b"half of a")
    spool.discard()
    writer.append([entry()])
    assert damage_of(rig.reader()) == []


def test_a_body_that_is_not_there_is_damage_and_not_nothing(rig: Rig) -> None:
    rig.writer().append([entry()])
    with pytest.raises(LogDamaged):
        rig.reader().bodies(1, [2])


def test_a_receipt_finds_all_that_is_about_it_in_any_partition_oldest_first(rig: Rig) -> None:
    accepted = entry()
    held = Held(0, 7, "over-quota", 1, 1)
    deliver = rig.writer(64)
    deliver.append([entry(5, fact=held, body=None, receipt=accepted.receipt)])
    rig.writer(1).append([entry(), accepted, entry()])
    deliver.append([entry(6, fact=held, body=None, receipt=accepted.receipt)])
    found = rig.reader().find(accepted.receipt)
    assert [(one.partition, one.position) for one in found] == [(1, 2), (64, 1), (64, 2)]


def test_a_receipt_finds_what_happened_after_the_clock_went_back(rig: Rig) -> None:
    mint = ReceiptMint(1, CHANCE)
    for_first, for_second = (mint.make(START_US + int(hour * HOUR_US)) for hour in (1.1, 0.9))
    rig.writer(1).append([entry(1.1, receipt=for_first), entry(0.9, receipt=for_second)])
    held = Held(0, 7, "over-quota", 1, 2)
    rig.writer(64).append([entry(0.9, fact=held, body=None, receipt=for_second)])
    found = rig.reader().find(for_second)
    assert [one.kind for one in found] == [Kind.ACCEPTED, Kind.HELD]


def test_at_the_same_moment_the_acceptance_comes_before_what_follows_from_it(rig: Rig) -> None:
    accepted = entry()
    rig.writer(64).append([entry(fact=Held(0, 7, "x", 1, 1), body=None, receipt=accepted.receipt)])
    rig.writer(1).append([accepted])
    found = rig.reader().find(accepted.receipt)
    assert [one.kind for one in found] == [Kind.ACCEPTED, Kind.HELD]


def test_a_mailbox_lists_its_entries_newest_first_over_periods_and_partitions(rig: Rig) -> None:
    one, two = rig.writer(1), rig.writer(2)
    for hour in range(5):
        one.append([entry(hour, 7), entry(hour, 8)])
        two.append([entry(hour + 0.25, 8, 7)])
    reader = rig.reader()
    hours = [(e.at_us - START_US) / HOUR_US for e in reader.of_mailbox(7, 0, 100)]
    assert hours == [4.25, 4, 3.25, 3, 2.25, 2, 1.25, 1, 0.25, 0]
    newest = reader.of_mailbox(7, 0, 3)
    assert [(e.at_us - START_US) / HOUR_US for e in newest] == [4.25, 4, 3.25]
    recent = reader.of_mailbox(8, START_US + 3 * HOUR_US, 100)
    assert [(e.at_us - START_US) / HOUR_US for e in recent] == [4.25, 4, 3.25, 3]
    assert reader.of_mailbox(9, 0, 100) == []


def test_the_limit_of_a_mailbox_counts_only_the_kinds_asked_for(rig: Rig) -> None:
    writer = rig.writer()
    for hour in range(4):
        writer.append([entry(hour), entry(hour, fact=refused(), body=None)])
    kinds = frozenset({Kind.ACCEPTED})
    found = rig.reader().of_mailbox(7, 0, 3, kinds)
    assert [(e.at_us - START_US) / HOUR_US for e in found] == [3, 2, 1]


def test_a_mailbox_that_is_named_twice_has_the_entry_once(rig: Rig) -> None:
    rig.writer().append([entry(0, 7, 7)])
    assert len(rig.reader().of_mailbox(7, 0, 10)) == 1


def test_a_message_key_finds_acceptances_oldest_first(rig: Rig) -> None:
    writer = rig.writer()
    writer.append([entry(0, message_id="<a@x>"), entry(0, message_id="<b@x>"), entry()])
    writer.append([entry(3, message_id="<a@x>")])
    reader, key = rig.reader(), message_key_of("<a@x>")
    assert [one.position for one in reader.by_message_key(key, 0)] == [1, 4]
    assert [one.position for one in reader.by_message_key(key, START_US + 1)] == [4]


def test_since_walks_every_partition_from_a_moment_on(rig: Rig) -> None:
    for partition in (1, 64):
        writer = rig.writer(partition)
        for hour in range(3):
            writer.append([entry(hour), entry(hour, fact=refused(), body=None)])
    found = list(rig.reader().since(START_US + HOUR_US, frozenset({Kind.ACCEPTED})))
    assert [(e.partition, e.position) for e in found] == [(1, 3), (1, 5), (64, 3), (64, 5)]


def test_verify_counts_all_it_has_looked_at(rig: Rig) -> None:
    rig.writer().append([entry(body=b"x" * 100) for _ in range(1_200)])
    steps = list(rig.reader().verify(1))
    assert steps[-1][0] == 1_200
    assert [found for _, found in steps if found] == []


def test_verify_finds_a_byte_that_was_flipped(disk: Rig) -> None:
    disk.writer().append([entry(), entry(body=b"a body like no other"), entry()])
    disk.close()
    (file,) = disk.volume.root.glob("1/*.db")
    content = file.read_bytes()
    assert content.count(b"like no other") == 1
    file.write_bytes(content.replace(b"like no other", b"like no othes"))
    reader = disk.reader()
    assert [one.position for one in damage_of(reader)] == [2]
    assert reader.bodies(1, [1]) == [b"body"]
    with pytest.raises(LogDamaged):
        reader.bodies(1, [2])


def test_verify_finds_a_spool_file_that_is_missing(disk: Rig) -> None:
    writer, receipt = disk.writer(), make_receipt()
    spool = writer.spool(receipt)
    spool.write(b"large")
    writer.append([entry(), entry(body=spool.finish(), receipt=receipt)])
    (disk.volume.root / "spool" / "1" / to_text(receipt)).unlink()
    (damage,) = damage_of(disk.reader())
    assert damage.position == 2
    assert "spooled" in damage.what


def test_verify_finds_a_position_that_is_missing(disk: Rig) -> None:
    disk.writer().append([entry() for _ in range(4)])
    disk.close()
    (file,) = disk.volume.root.glob("1/*.db")
    database = disk.volume.database(f"1/{file.name}", DatabaseSettings())
    database.run("DELETE FROM entry WHERE position IN (2, 3)")
    database.close()
    (damage,) = damage_of(disk.reader())
    assert (damage.position, damage.what) == (2, "positions 2 to 3 are missing")


def test_verify_finds_a_whole_period_that_is_missing(disk: Rig) -> None:
    writer = disk.writer()
    for hour in range(3):
        writer.append([entry(hour)])
    disk.close()
    sorted(disk.volume.root.glob("1/*.db"))[1].unlink()
    (damage,) = damage_of(disk.reader())
    assert damage.position == 3


def test_a_full_disk_keeps_nothing_of_a_group_and_is_forgiven_when_there_is_room(
    disk: Rig,
) -> None:
    writer = disk.writer()
    writer.append([entry()])
    for hour in (0, 1):  # in the period that is open, and in one that has to be begun
        disk.volume.gate.break_(FaultMode.FULL)
        with pytest.raises(LogFull):
            writer.append([entry(hour), entry(hour)])
        disk.volume.gate.mend()
    assert writer.append([entry(1)]) == 2
    reader = disk.reader()
    assert [one.position for one in reader.read(1, 0, 10)] == [1, 2]
    assert damage_of(reader) == []


def test_a_full_disk_says_so_to_a_large_body(disk: Rig) -> None:
    writer = disk.writer()
    spool = writer.spool(make_receipt())
    disk.volume.gate.break_(FaultMode.FULL)
    with pytest.raises(LogFull):
        spool.write(b"x")
    disk.volume.gate.mend()
    spool.discard()


@pytest.mark.parametrize("mode", [FaultMode.ERROR, FaultMode.READONLY, FaultMode.GONE])
def test_a_failing_disk_ends_the_writer_for_ever_and_the_next_one_goes_on(
    disk: Rig, mode: FaultMode
) -> None:
    writer = disk.writer()
    writer.append([entry()])
    disk.volume.gate.break_(mode)
    with pytest.raises(LogBroken):
        writer.append([entry()])
    disk.volume.gate.mend()
    with pytest.raises(LogBroken):
        writer.append([entry()])
    writer.close()
    assert disk.writer().append([entry()]) == 2
