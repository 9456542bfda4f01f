"""Group commit: one group at a time, and the truth about each entry."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from staffetta.log.commit import CommitLimits, CommitResult, GroupCommit
from staffetta.log.port import NewEntry
from staffetta.log.sqlite import LogSettings, SqliteLogWriter
from staffetta.log.sqlite_reading import SqliteLogReader
from staffetta.runtime.disk import DirectoryVolume
from staffetta.runtime.faults import FaultMode
from tests.joints import START_US, HandWorker, make_accepted

DURABLE, FULL, BROKEN, BUSY = (
    CommitResult.DURABLE,
    CommitResult.FULL,
    CommitResult.BROKEN,
    CommitResult.BUSY,
)


class Bench:
    """A group commit on a real partition whose worker is driven by hand."""

    def __init__(self, root: Path) -> None:
        self.volume = DirectoryVolume("log", root)
        self.writer = SqliteLogWriter(self.volume, 1, LogSettings())
        self.worker = HandWorker()
        self.commit = self.limited(CommitLimits())
        self.results: list[tuple[int, CommitResult]] = []

    def limited(self, limits: CommitLimits) -> GroupCommit:
        self.commit = GroupCommit(self.writer, self.worker, limits)
        return self.commit

    def submit(self, *numbers: int, size_bytes: int = 1) -> None:
        for number in numbers:
            entry = NewEntry(
                START_US, number.to_bytes(10, "big"), make_accepted((7,)), b"x" * size_bytes
            )
            self.commit.submit(entry, lambda result, n=number: self.results.append((n, result)))

    def kept(self) -> list[int]:
        reader = SqliteLogReader(self.volume)
        try:
            return [int.from_bytes(one.receipt, "big") for one in reader.read(1, 0, 10_000)]
        finally:
            reader.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.volume.gate.mend()
    made.writer.close()


def test_nothing_is_called_durable_before_it_is_on_disk(bench: Bench) -> None:
    bench.submit(1)
    assert bench.results == []
    assert not bench.commit.idle
    bench.worker.run_one()
    assert bench.results == [(1, DURABLE)]
    assert bench.kept() == [1]
    assert bench.commit.idle


def test_what_arrives_while_a_group_is_written_is_the_next_group(bench: Bench) -> None:
    bench.submit(1, 2, 3)
    assert len(bench.worker.jobs) == 1
    bench.worker.run_one()
    assert bench.results == [(1, DURABLE)]
    assert len(bench.worker.jobs) == 1
    bench.submit(4)
    bench.worker.run_one()
    assert bench.results == [(1, DURABLE), (2, DURABLE), (3, DURABLE)]
    bench.worker.run_all()
    assert bench.kept() == [1, 2, 3, 4]
    statistics = bench.commit.statistics()
    assert (statistics.groups, statistics.entries, statistics.waiting) == (3, 4, 0)


def test_a_group_has_at_most_so_many_entries(bench: Bench) -> None:
    bench.limited(CommitLimits(group_entries_max=2))
    bench.submit(1, 2, 3, 4)
    for groups_done in (1, 3, 4):
        bench.worker.run_one()
        assert len(bench.results) == groups_done
    assert bench.kept() == [1, 2, 3, 4]


def test_a_group_has_at_most_so_many_bytes_but_always_one_entry(bench: Bench) -> None:
    bench.limited(CommitLimits(group_bytes_max=10))
    bench.submit(1)
    bench.submit(2, 3, 4, size_bytes=6)
    bench.submit(5, size_bytes=50)
    done = []
    while bench.worker.jobs:
        bench.worker.run_one()
        done.append(len(bench.results))
    assert done == [1, 2, 3, 4, 5]


def test_too_many_that_wait_are_turned_away_at_once(bench: Bench) -> None:
    bench.limited(CommitLimits(waiting_entries_max=2))
    bench.submit(1, 2, 3)  # the first is being written, two wait
    bench.submit(4)
    assert bench.results == [(4, BUSY)]
    bench.worker.run_all()
    bench.submit(5)
    bench.worker.run_all()
    assert bench.kept() == [1, 2, 3, 5]


def test_too_many_bytes_that_wait_are_turned_away_at_once(bench: Bench) -> None:
    bench.limited(CommitLimits(waiting_bytes_max=10))
    bench.submit(1, 2, size_bytes=8)
    bench.submit(3, size_bytes=8)
    assert bench.results == [(3, BUSY)]
    bench.worker.run_all()
    assert bench.kept() == [1, 2]


def test_a_full_disk_refuses_a_group_and_the_next_one_succeeds(bench: Bench) -> None:
    bench.submit(1)
    bench.worker.run_all()
    bench.volume.gate.break_(FaultMode.FULL)
    bench.submit(2, 3)
    bench.worker.run_one()
    bench.volume.gate.mend()
    bench.worker.run_all()
    assert bench.results == [(1, DURABLE), (2, FULL), (3, DURABLE)]
    assert bench.kept() == [1, 3]
    assert not bench.commit.broken


def test_a_broken_log_takes_nothing_ever_again(bench: Bench) -> None:
    bench.submit(1)
    bench.worker.run_all()
    bench.volume.gate.break_(FaultMode.ERROR)
    bench.submit(2, 3)
    bench.worker.run_one()
    bench.volume.gate.mend()
    bench.worker.run_all()
    bench.submit(4)
    assert bench.results == [(1, DURABLE), (2, BROKEN), (3, BROKEN), (4, BROKEN)]
    assert not bench.worker.jobs
    assert bench.commit.broken
    assert bench.kept() == [1]


def test_an_entry_submitted_by_a_callback_is_not_forgotten(bench: Bench) -> None:
    entry = NewEntry(START_US, b"a" * 10, make_accepted((7,)), b"x")
    bench.commit.submit(entry, lambda result: bench.submit(9))
    bench.worker.run_all()
    assert bench.results == [(9, DURABLE)]


def test_to_settle_is_to_wait_for_everything(bench: Bench) -> None:
    async def go() -> list[bool]:
        await bench.commit.settle()  # nothing to wait for
        bench.submit(1, 2)
        settling = asyncio.ensure_future(bench.commit.settle())
        seen = []
        for _ in range(2):
            await asyncio.sleep(0)
            seen.append(settling.done())
            bench.worker.run_one()
        await settling
        return seen

    assert asyncio.run(go()) == [False, False]
    assert [result for _, result in bench.results] == [DURABLE, DURABLE]
