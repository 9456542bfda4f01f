"""Crashes everywhere: nothing that was answered `250` is lost, nothing is there twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from staffetta.mailboxes.port import Cell
from staffetta.runtime.disk import NORMAL, DatabaseSettings, Synchronous
from tests.sim.crashes import Work, kills, power_cuts
from tests.sim.disk import DiskFaults
from tests.sim.machine import Crash

SOUND = Work()
WAYS: dict[str, Callable[[str, list[str]], Iterator[Crash]]] = {
    "killed": kills,
    "without power": power_cuts,
}


@pytest.fixture(scope="module")
def operations() -> dict[str, list[str]]:
    """What each process does to the disks when nothing goes wrong."""
    breaches, kinds = SOUND.run()
    assert breaches == []
    assert len(kinds["accept"]) > 50
    assert len(kinds["deliver"]) > 100
    return kinds


@pytest.mark.parametrize("way", sorted(WAYS))
@pytest.mark.parametrize("process", ["accept", "deliver"])
def test_nothing_is_lost_or_doubled_whatever_operation_a_crash_hits(
    process: str, way: str, operations: dict[str, list[str]]
) -> None:
    for crash in WAYS[way](process, operations[process]):
        breaches, _ = SOUND.run(crash)
        assert breaches == [], crash


# --- each sync that durability hangs on is missed when it is left out --------------------------


def lying(disk: str, *endings: str) -> Work:
    """The work on a disk that only says that it has synced what ends like that."""

    def faults(name: str) -> DiskFaults:
        if name != disk:
            return DiskFaults()
        return DiskFaults(sync_lies=lambda path: path.endswith(endings))

    return Work(faults=faults)


def with_synchronous(synchronous: Synchronous) -> Work:
    """The work with another setting of SQLite's for the log."""

    def weaken(settings: DatabaseSettings) -> DatabaseSettings:
        from dataclasses import replace

        return replace(settings, synchronous=synchronous)

    return SOUND.with_system(database_settings=weaken)


class Unsynced:
    """A cell whose `sync` does nothing: the checkpoint moves before deliveries are durable."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    def __getattr__(self, name: str) -> object:
        return getattr(self._cell, name)

    def sync(self) -> None:
        return


BROKEN: dict[str, tuple[Work, str]] = {
    "no sync reaches the log's disk": (lying("log", ""), "accept"),
    "no sync reaches the cell's disk": (lying("c1", ""), "deliver"),
    "the log's write-ahead log is not synced": (lying("log", ".db-wal"), "accept"),
    "the name of a period is not synced": (lying("log", "log/1/"), "accept"),
    "the directory of a partition is not synced": (lying("log", "log/"), "accept"),
    "a large body is not synced": (lying("log", ".partial"), "accept"),
    "the name of a large body is not synced": (lying("log", "log/spool/1/"), "accept"),
    "the directory of large bodies is not synced": (lying("log", "log/spool/"), "accept"),
    "the log commits without a sync": (with_synchronous(Synchronous("OFF")), "accept"),
    "the log commits with a sync now and then": (with_synchronous(NORMAL), "accept"),
    "mailboxes are not synced": (lying("c1", ".mbx-wal"), "deliver"),
    "new mailboxes are not synced": (lying("c1", ".mbx"), "deliver"),
    "the directories of mailboxes are not synced": (lying("c1", "c1/01/", "c1/02/"), "deliver"),
    "the checkpoint moves first": (
        SOUND.with_system(cell_wrapper=lambda cell: Unsynced(cell)),
        "deliver",
    ),
}


@pytest.mark.parametrize("what", sorted(BROKEN))
def test_a_sync_that_is_left_out_is_missed(what: str) -> None:
    work, process = BROKEN[what]
    breaches, kinds = work.run()
    if breaches:  # the power cut at the end was enough
        return
    for crash in power_cuts(process, kinds[process]):
        if work.run(crash)[0]:
            return
    pytest.fail("nothing was lost: the crashes do not look where it hurts")
