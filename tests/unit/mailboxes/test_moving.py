"""A mailbox moves to another cell whole, or stays where it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from staffetta.mailboxes.moving import MoveRefused, abandon, begin, complete
from staffetta.mailboxes.port import (
    INBOX,
    SEEN,
    Damaged,
    FlagChange,
    MailboxBatch,
    MailboxDamaged,
    MailboxIncomplete,
    Placed,
    SetFlags,
)
from staffetta.mailboxes.roster import Standing, path_of
from staffetta.mailboxes.sqlite import SqliteCell
from staffetta.runtime.faults import FaultMode, VolumeFault
from tests.mailbox_rig import (
    NOON_US,
    REF,
    contents,
    deliver,
    delivery,
    fill,
    mail,
    make_sqlite_cell,
)

PATH = path_of(REF.mailbox)


@pytest.fixture
def source(tmp_path: Path) -> SqliteCell:
    cell = make_sqlite_cell(tmp_path, "one")
    fill(cell, [mail("one"), mail("two")])
    mailbox = cell.open(REF)
    mailbox.change(INBOX, [(1, 1)], SetFlags(FlagChange.ADD, SEEN, ("Work",)))
    mailbox.append("Sent", mail("mine"), 0, (), NOON_US)
    return cell


@pytest.fixture
def target(tmp_path: Path) -> SqliteCell:
    return make_sqlite_cell(tmp_path, "two", seed=2)


@pytest.fixture(autouse=True)
def open_elsewhere(source: SqliteCell, tmp_path: Path) -> Iterator[SqliteCell]:
    """Another process has the mailbox open all the while."""
    other = make_sqlite_cell(tmp_path, "one", seed=3)
    other.open(REF).overview()
    yield other
    other.close()


def test_the_mailbox_is_the_same_in_the_other_cell(
    source: SqliteCell, target: SqliteCell, tmp_path: Path
) -> None:
    before = source.open(REF).overview(), source.open(REF).snapshot(INBOX)

    digest = begin(source, target, REF)
    old = complete(source, target, REF)

    mailbox = target.open(REF)
    assert (mailbox.overview(), mailbox.snapshot(INBOX)) == before
    assert contents(mailbox, "Sent") == {1: mail("mine")}
    assert target.check(REF).problems == []
    assert len(digest) == 64
    assert (tmp_path / "one" / old).exists()
    assert not (tmp_path / "one" / PATH).exists()


def test_nobody_sees_or_fills_it_meanwhile(
    source: SqliteCell, target: SqliteCell, open_elsewhere: SqliteCell
) -> None:
    begin(source, target, REF)

    for cell in (source, target):
        with pytest.raises(MailboxIncomplete):
            cell.open(REF)
        (outcomes,) = cell.deliver([MailboxBatch(REF, [delivery(9)])])
        assert isinstance(outcomes[0], Damaged)
        assert outcomes[0].incomplete
    with pytest.raises(MailboxIncomplete):
        open_elsewhere.open(REF).append(INBOX, mail(), 0, (), NOON_US)
    (outcomes,) = open_elsewhere.deliver([MailboxBatch(REF, [delivery(9)])])
    assert outcomes == [Damaged("the mailbox is being moved", incomplete=True)]

    complete(source, target, REF)
    for cell in (source, open_elsewhere):
        with pytest.raises(MailboxIncomplete, match="another cell"):
            cell.open(REF).overview()


def test_what_was_delivered_before_is_not_delivered_again(
    source: SqliteCell, target: SqliteCell
) -> None:
    begin(source, target, REF)
    complete(source, target, REF)

    again, new = deliver(target, [delivery(2, mail("two")), delivery(9)])

    assert isinstance(again, Placed)
    assert not again.fresh
    assert isinstance(new, Placed)
    assert new.uid == 3


def test_a_move_is_undone(source: SqliteCell, target: SqliteCell, tmp_path: Path) -> None:
    before = source.open(REF).overview()
    begin(source, target, REF)

    abandon(source, target, REF)

    assert source.open(REF).overview() == before
    assert not (tmp_path / "two" / PATH).exists()
    begin(source, target, REF)
    complete(source, target, REF)
    assert target.open(REF).overview() == before


def test_a_move_that_was_broken_off_is_begun_again(source: SqliteCell, target: SqliteCell) -> None:
    before = source.open(REF).overview()
    begin(source, target, REF)  # and the process died

    begin(source, target, REF)
    assert complete(source, target, REF)
    assert complete(source, target, REF) == ""

    assert target.open(REF).overview() == before


def test_there_and_back(source: SqliteCell, target: SqliteCell) -> None:
    before = source.open(REF).overview()
    for one, other in ((source, target), (target, source)):
        begin(one, other, REF)
        complete(one, other, REF)

    assert source.open(REF).overview() == before
    assert target.roster.standing(REF.mailbox) is Standing.ELSEWHERE


def test_a_mailbox_that_is_there_already_is_not_replaced(
    source: SqliteCell, target: SqliteCell
) -> None:
    fill(target, [mail("other")])

    with pytest.raises(MoveRefused):
        begin(source, target, REF)

    assert source.open(REF).overview().messages == 3
    assert contents(target.open(REF)) == {1: mail("other")}


def test_a_copy_that_differs_is_thrown_away(
    source: SqliteCell, target: SqliteCell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read = target.volume.chunks
    monkeypatch.setattr(
        target.volume, "chunks", lambda path, size: [next(read(path, size))[:-1] + b"?"]
    )

    with pytest.raises(VolumeFault) as caught:
        begin(source, target, REF)

    assert caught.value.mode is FaultMode.CORRUPT
    assert source.open(REF).overview().messages == 3
    assert not (tmp_path / "two" / PATH).exists()


@pytest.mark.parametrize("mode", [FaultMode.ERROR, FaultMode.FULL, FaultMode.READONLY])
def test_a_broken_target_leaves_the_mailbox_where_it_is(
    source: SqliteCell, target: SqliteCell, mode: FaultMode
) -> None:
    target.volume.gate.break_(mode)

    with pytest.raises(VolumeFault):
        begin(source, target, REF)

    assert source.open(REF).overview().messages == 3
    target.volume.gate.mend()
    begin(source, target, REF)
    complete(source, target, REF)
    assert target.open(REF).overview().messages == 3


def test_a_damaged_mailbox_is_not_moved(
    source: SqliteCell, target: SqliteCell, tmp_path: Path
) -> None:
    source.close()
    path = tmp_path / "one" / PATH
    path.with_name(path.name + "-wal").unlink()
    path.write_bytes(b"\xa5" * 50_000)

    with pytest.raises(MailboxDamaged):
        begin(source, target, REF)

    assert target.roster.standing(REF.mailbox) is not Standing.PRESENT
