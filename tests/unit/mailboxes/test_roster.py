"""A lost disk or a lost file is never taken for a new mailbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from staffetta.mailboxes.port import MailboxDamaged, MailboxIncomplete
from staffetta.mailboxes.roster import (
    MARKER_PATH,
    ROSTER_PATH,
    Roster,
    Standing,
    check_marker,
    found_cell,
    list_mailboxes,
    path_of,
)
from staffetta.runtime.disk import DirectoryVolume
from staffetta.runtime.faults import FaultMode, VolumeFault
from tests.mailbox_rig import REF, SeededEntropy, fill, mail, make_sqlite_cell, make_volume


def test_a_cell_is_founded_once(tmp_path: Path) -> None:
    volume = make_volume(tmp_path)
    marker = volume.read(MARKER_PATH)

    found_cell(volume, SeededEntropy(9))

    assert volume.read(MARKER_PATH) == marker
    check_marker(volume)


def test_the_disk_of_another_cell_is_refused(tmp_path: Path) -> None:
    make_volume(tmp_path, "one")
    volume = DirectoryVolume("two", tmp_path / "one")

    for attempt in (lambda: check_marker(volume), lambda: found_cell(volume, SeededEntropy())):
        with pytest.raises(VolumeFault, match="disk of cell 'one'") as caught:
            attempt()
        assert caught.value.mode is FaultMode.GONE


def test_mailboxes_without_a_marker_are_no_new_cell(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    fill(cell, [mail()])
    cell.close()
    (tmp_path / "one" / MARKER_PATH).unlink()

    with pytest.raises(VolumeFault) as caught:
        found_cell(cell.volume, SeededEntropy())
    assert caught.value.mode is FaultMode.GONE


def test_an_unmounted_cell_makes_no_mailboxes(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    (tmp_path / "one").rename(tmp_path / "elsewhere")

    for attempt in (lambda: cell.open(REF), lambda: fill(cell, [mail()]), cell.probe):
        with pytest.raises(VolumeFault) as caught:
            attempt()
        assert caught.value.mode is FaultMode.GONE
    assert not (tmp_path / "one" / "67").exists()

    (tmp_path / "elsewhere").rename(tmp_path / "one")
    assert fill(cell, [mail()]) == [1]
    cell.probe()


def test_an_open_mailbox_notices_that_the_disk_is_gone(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    fill(cell, [mail()])
    mailbox = cell.open(REF)
    (tmp_path / "one").rename(tmp_path / "elsewhere")
    (tmp_path / "one").mkdir()  # the empty mount point

    with pytest.raises(VolumeFault) as caught:
        mailbox.overview()
    assert caught.value.mode is FaultMode.GONE
    assert list((tmp_path / "one").iterdir()) == []

    (tmp_path / "one").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "one")
    assert mailbox.overview().messages == 1


def test_a_lost_file_is_damage_and_not_an_empty_mailbox(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    fill(cell, [mail()])
    (tmp_path / "one" / path_of(REF.mailbox)).unlink()

    for process in (cell, make_sqlite_cell(tmp_path, seed=2)):
        with pytest.raises(MailboxDamaged, match="lost"):
            process.open(REF)


def test_a_file_torn_before_it_was_synced_is_made_anew(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    cell.open(REF)  # made, but nothing of it was promised
    cell.close()
    (tmp_path / "one" / path_of(REF.mailbox)).write_bytes(b"")

    again = make_sqlite_cell(tmp_path, seed=2)

    assert again.open(REF).overview().messages == 0
    assert fill(again, [mail()]) == [1]


def test_a_synced_file_that_is_empty_is_damage(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    fill(cell, [mail()])
    cell.close()
    path = tmp_path / "one" / path_of(REF.mailbox)
    path.write_bytes(b"")
    path.with_name(path.name + "-wal").unlink()

    with pytest.raises(MailboxDamaged):
        make_sqlite_cell(tmp_path, seed=2).open(REF)


def test_the_roster_keeps_standings(tmp_path: Path) -> None:
    volume = make_volume(tmp_path)
    roster = Roster(volume)
    assert roster.standing(5) is Standing.UNKNOWN

    roster.add([5, 6])
    roster.mark(6, Standing.INCOMPLETE)
    roster.add([6])

    other = Roster(volume)
    assert other.standing(5) is Standing.PRESENT
    assert other.standing(6) is Standing.INCOMPLETE
    roster.close()
    assert roster.standing(6) is Standing.INCOMPLETE


def test_a_mailbox_that_moved_away_is_not_made_anew(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    cell.roster.mark(REF.mailbox, Standing.ELSEWHERE)

    with pytest.raises(MailboxIncomplete, match="another cell"):
        cell.open(REF)


@pytest.mark.parametrize("content", [None, b"garbage" * 2_000])
def test_a_lost_roster_is_made_from_the_files(tmp_path: Path, content: bytes | None) -> None:
    cell = make_sqlite_cell(tmp_path)
    fill(cell, [mail()])
    cell.close()
    path = tmp_path / "one" / ROSTER_PATH
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)

    roster = Roster(cell.volume)

    assert list_mailboxes(cell.volume) == [REF.mailbox]
    assert roster.standing(REF.mailbox) is Standing.PRESENT
    assert roster.standing(1) is Standing.UNKNOWN
