"""What is synced, when, and what happens when a sync fails."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from staffetta.mailboxes.files import FileSettings
from staffetta.mailboxes.port import INBOX, SEEN, FlagChange, MailboxBatch, MailboxRef, SetFlags
from staffetta.mailboxes.roster import MARKER_PATH, ROSTER_PATH, Standing, path_of
from staffetta.mailboxes.sqlite import SqliteCell
from staffetta.runtime.faults import FaultMode, VolumeFault
from tests.mailbox_rig import (
    NOON_US,
    REF,
    SeededEntropy,
    StillClock,
    contents,
    deliver,
    delivery,
    fill,
    mail,
    make_sqlite_cell,
    make_volume,
)

PATH = path_of(REF.mailbox)


class SyncLog:
    """The volume's `sync`, written down; it can be made to fail."""

    def __init__(self, cell: SqliteCell, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[set[str]] = []
        self.failing = False
        self._sync = cell.volume.sync
        monkeypatch.setattr(cell.volume, "sync", self.sync)

    def sync(self, paths: Sequence[str]) -> None:
        self.calls.append(set(paths))
        if self.failing:
            raise VolumeFault("one", FaultMode.ERROR, "as asked")
        self._sync(paths)


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[SqliteCell]:
    made = make_sqlite_cell(tmp_path)
    yield made
    assert made.check(REF).problems == []
    made.close()


@pytest.fixture
def syncs(cell: SqliteCell, monkeypatch: pytest.MonkeyPatch) -> SyncLog:
    return SyncLog(cell, monkeypatch)


def put(cell: SqliteCell, number: int, ref: MailboxRef = REF) -> None:
    cell.deliver([MailboxBatch(ref, [delivery(number)])])


def test_delivery_syncs_nothing_until_it_is_asked_to(cell: SqliteCell, syncs: SyncLog) -> None:
    put(cell, 1)
    put(cell, 2)
    assert syncs.calls == []

    cell.sync()

    assert syncs.calls == [{PATH, PATH + "-wal", MARKER_PATH}]


def test_a_file_that_is_known_needs_only_its_log_synced(cell: SqliteCell, syncs: SyncLog) -> None:
    put(cell, 1)
    cell.sync()
    put(cell, 2)
    cell.sync()
    cell.sync()

    assert syncs.calls[1:] == [{PATH + "-wal"}]


def test_a_new_file_is_on_the_roster_once_it_is_durable(cell: SqliteCell) -> None:
    put(cell, 1)
    assert cell.roster.standing(REF.mailbox) is Standing.UNKNOWN

    cell.sync()

    assert cell.roster.standing(REF.mailbox) is Standing.PRESENT


def test_a_new_file_is_made_durable_before_a_person_is_told_yes(
    cell: SqliteCell, syncs: SyncLog
) -> None:
    mailbox = cell.open(REF)
    mailbox.append(INBOX, mail(), 0, (), NOON_US)
    assert syncs.calls == [{PATH, MARKER_PATH}]
    assert cell.roster.standing(REF.mailbox) is Standing.PRESENT

    mailbox.append(INBOX, mail(), 0, (), NOON_US)
    assert len(syncs.calls) == 1


def test_a_file_that_another_process_made_is_made_durable_too(
    cell: SqliteCell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cell, 1)  # and not synced
    other = make_sqlite_cell(tmp_path, seed=2)
    syncs = SyncLog(other, monkeypatch)

    other.open(REF).change(INBOX, [(1, 1)], SetFlags(FlagChange.ADD, SEEN))

    assert syncs.calls == [{PATH, MARKER_PATH}]


def test_after_a_failed_sync_the_files_are_written_again(
    cell: SqliteCell, syncs: SyncLog, tmp_path: Path
) -> None:
    fill(cell, [mail("one"), mail("two")])
    put(cell, 8)
    put(cell, 8, MailboxRef(REF.mailbox + 1, 5))
    syncs.failing = True
    with pytest.raises(VolumeFault):
        cell.sync()
    wal = tmp_path / "one" / (PATH + "-wal")
    os.utime(wal, (0, 0))
    before = wal.read_bytes()

    syncs.failing = False
    cell.sync()

    # The log is what it was, and its pages are new to the disk.
    assert wal.read_bytes() == before
    assert wal.stat().st_mtime > 0
    assert cell.check(MailboxRef(REF.mailbox + 1, 5)).messages == 1
    assert cell.roster.standing(REF.mailbox + 1) is Standing.PRESENT


def test_what_could_not_be_written_again_stays_in_doubt(
    cell: SqliteCell, syncs: SyncLog, tmp_path: Path
) -> None:
    put(cell, 8)
    syncs.failing = True
    for _ in range(3):
        with pytest.raises(VolumeFault):
            cell.sync()
    syncs.failing = False
    cell.volume.gate.break_(FaultMode.ERROR)
    with pytest.raises(VolumeFault):
        cell.sync()
    cell.volume.gate.mend()

    cell.sync()

    assert (tmp_path / "one" / (PATH + "-wal")).stat().st_size == 0


def test_a_sync_of_an_empty_mount_point_is_no_sync(cell: SqliteCell, tmp_path: Path) -> None:
    fill(cell, [mail()])
    put(cell, 8)
    (tmp_path / "one").rename(tmp_path / "elsewhere")
    (tmp_path / "one").mkdir()

    with pytest.raises(VolumeFault) as caught:
        cell.sync()
    assert caught.value.mode is FaultMode.GONE

    (tmp_path / "one").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "one")
    cell.sync()
    assert len(contents(cell.open(REF))) == 2


def test_a_mailbox_set_aside_does_not_hinder_the_others(cell: SqliteCell) -> None:
    other = MailboxRef(REF.mailbox + 1, 5)
    put(cell, 1, other)
    put(cell, 1)
    cell.quarantine(other)

    cell.sync()

    assert len(contents(cell.open(REF))) == 1


def test_the_log_of_a_file_stays_bounded(tmp_path: Path) -> None:
    volume = make_volume(tmp_path)
    settings = FileSettings(checkpoint_pages=50, idle_wal_pages=10, open_files_max=1)
    cell = SqliteCell(volume, StillClock(), SeededEntropy(), settings)
    wal = tmp_path / "one" / (PATH + "-wal")
    for number in range(1, 60):
        deliver(cell, [delivery(number, mail("large", "x" * 20_000))])
        assert wal.stat().st_size < 100 * 4_200

    cell.open(MailboxRef(1, 1))  # which pushes the other one out

    assert wal.stat().st_size == 0
    assert not list((tmp_path / "one" / "67").glob("*.mbx.*"))
    assert (tmp_path / "one" / ROSTER_PATH).exists()
    assert cell.check(REF).problems == []
