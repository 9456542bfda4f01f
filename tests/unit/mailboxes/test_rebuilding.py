"""A damaged mailbox is set aside and made whole again from its remains and from the log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from staffetta.mailboxes.port import (
    FLAGGED,
    INBOX,
    SEEN,
    Arrange,
    Column,
    Copy,
    Damaged,
    Delivery,
    Expunge,
    FlagChange,
    Mailbox,
    MailboxBatch,
    MailboxDamaged,
    MailboxIncomplete,
    Placed,
    Query,
    SetFlags,
)
from staffetta.mailboxes.progress import Progress, finish
from staffetta.mailboxes.quarantine import discard
from staffetta.mailboxes.rebuilding import Rebuilt, rebuild
from staffetta.mailboxes.restoring import RECOVERED, UID_GAP
from staffetta.mailboxes.roster import path_of
from staffetta.mailboxes.schema import PAGE_SIZE_BYTES
from staffetta.mailboxes.sqlite import SqliteCell
from tests.mailbox_rig import (
    EVERYTHING,
    NOON_US,
    REF,
    contents,
    deliver,
    delivery,
    flags,
    folder_names,
    mail,
    make_sqlite_cell,
    read,
)

PATH = path_of(REF.mailbox)


@pytest.fixture
def cell(tmp_path: Path) -> SqliteCell:
    return make_sqlite_cell(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "one" / PATH


class Log:
    """What the log knows: every delivery, with the UID that it got."""

    def __init__(self, cell: SqliteCell) -> None:
        self.cell = cell
        self.deliveries: list[Delivery] = []

    def deliver(self, *new: Delivery) -> None:
        for one, placed in zip(new, deliver(self.cell, new), strict=True):
            assert isinstance(placed, Placed)
            self.deliveries.append(
                Delivery(
                    one.receipt,
                    one.ordinal,
                    one.at_us,
                    one.content,
                    placed.folder,
                    one.flags,
                    placed.uid,
                )
            )


def run(cell: SqliteCell, deliveries: Sequence[Delivery] = ()) -> Rebuilt:
    return finish(rebuild(cell.files, REF, deliveries, NOON_US, len(deliveries)))


def use(cell: SqliteCell) -> tuple[Log, Mailbox]:
    """A mailbox in which a person has worked."""
    log = Log(cell)
    log.deliver(*(delivery(n, mail(f"m{n}", "x" * n * 50)) for n in range(1, 41)))
    mailbox = cell.open(REF)
    mailbox.arrange(Arrange("create", "Clienti/Rossi"))
    mailbox.change(INBOX, [(1, 10)], SetFlags(FlagChange.ADD, SEEN, ("Work",)))
    mailbox.change(INBOX, [(11, 12)], Copy("Clienti/Rossi", move=True))
    mailbox.change(INBOX, [(13, 13)], Copy("Archive"))
    mailbox.change(INBOX, [(14, 15)], Expunge(whatever_flags=True))
    mailbox.append("Sent", mail("sent by me"), SEEN, (), NOON_US + 99)
    mailbox.append("Drafts", mail("thrown away"), 0, (), NOON_US)
    mailbox.change("Drafts", EVERYTHING, Expunge(whatever_flags=True))
    return log, mailbox


def state_of(mailbox: Mailbox) -> object:
    """Everything that a rebuild must keep."""
    shown = []
    for folder in mailbox.overview().folders:
        snapshot = mailbox.snapshot(folder.name)
        columns = [Column.CONTENT, Column.AT_US, Column.EMAIL_ID, Column.RECEIPT]
        rows = [
            (*row[:2], *row[3:])
            for chunk in mailbox.fetch(folder.name, EVERYTHING, columns)
            for row in chunk
        ]
        shown.append((folder.name, folder.folder_id, folder.uid_validity, snapshot.keywords, rows))
    return shown


def damage(file: Path, pages: Sequence[int], cell: SqliteCell) -> None:
    """Overwrite pages (from 1) of a file that nobody has open; its log is copied in before."""
    with cell.files.borrow(REF) as opened:
        opened.database.row("PRAGMA wal_checkpoint(TRUNCATE)")
    cell.close()
    with file.open("r+b") as raw:
        for page in pages:
            raw.seek((page - 1) * PAGE_SIZE_BYTES)
            raw.write(b"\xa5" * PAGE_SIZE_BYTES)


def pages_of(cell: SqliteCell, table: str) -> list[int]:
    with cell.files.borrow(REF) as file:
        rows = file.database.rows("SELECT pageno FROM dbstat WHERE name=?", (table,))
    return [row[0] for row in rows]


def test_a_healthy_mailbox_comes_out_as_it_went_in(cell: SqliteCell) -> None:
    log, mailbox = use(cell)
    before, counts = state_of(mailbox), mailbox.overview()

    report = run(cell, log.deliveries)

    assert state_of(mailbox) == before
    after = mailbox.overview()
    assert [f.uid_next for f in after.folders] == [f.uid_next for f in counts.folders]
    assert after.modseq >= counts.modseq
    assert (report.from_log, report.lost) == (0, 0)
    assert cell.check(REF).problems == []


def test_a_mailbox_of_garbage_is_made_from_the_log(cell: SqliteCell, file: Path) -> None:
    log, mailbox = use(cell)
    issued = {folder.name: folder.uid_next for folder in mailbox.overview().folders}
    damage(file, [], cell)
    file.write_bytes(b"garbage" * 10_000)

    with pytest.raises(MailboxDamaged):
        mailbox.overview()
    run(cell, log.deliveries)

    assert contents(mailbox) == {one.uid: one.content for one in log.deliveries}
    assert read(mailbox, Column.AT_US) == {one.uid: one.at_us for one in log.deliveries}
    for folder in mailbox.overview().folders:
        assert folder.uid_next >= issued[folder.name]
        assert folder.uid_validity == REF.uid_validity
    assert deliver(cell, log.deliveries[:1])[0].fresh is False  # type: ignore[union-attr]


def test_a_lost_file_is_made_from_the_log(cell: SqliteCell, file: Path) -> None:
    log, mailbox = use(cell)
    cell.close()
    for end in ("", "-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)

    with pytest.raises(MailboxDamaged):
        cell.open(REF)
    run(cell, log.deliveries)

    assert list(flags(mailbox)) == list(range(1, 41))


def test_with_the_first_page_gone_everything_else_is_kept(cell: SqliteCell, file: Path) -> None:
    log, mailbox = use(cell)
    before = state_of(mailbox)
    damage(file, [1], cell)

    with pytest.raises(MailboxDamaged):
        mailbox.overview()
    report = run(cell, log.deliveries)

    assert state_of(mailbox) == before
    assert (report.from_log, report.lost) == (0, 0)


def test_bodies_that_are_gone_come_from_the_log(cell: SqliteCell, file: Path) -> None:
    log, mailbox = use(cell)
    sent = contents(mailbox, "Sent")
    inbox, seen = contents(mailbox), flags(mailbox)
    damage(file, pages_of(cell, "body"), cell)

    assert cell.check(REF).problems
    report = run(cell, log.deliveries)

    assert contents(mailbox) == inbox
    assert flags(mailbox) == seen
    assert contents(mailbox, "Clienti/Rossi") == {
        1: mail("m11", "x" * 550),
        2: mail("m12", "x" * 600),
    }
    # What its owner had put in was nowhere else.
    assert sent
    assert contents(mailbox, "Sent") == {}
    assert report.lost == 1
    assert mailbox.append("Sent", mail(), 0, (), NOON_US).uid == 2


def test_with_the_rows_gone_the_messages_are_still_found(cell: SqliteCell, file: Path) -> None:
    log, mailbox = use(cell)
    damage(file, pages_of(cell, "message"), cell)

    run(cell, log.deliveries)

    found = {
        content for name in folder_names(mailbox) for content in contents(mailbox, name).values()
    }
    deleted = {mail("m14", "x" * 700), mail("m15", "x" * 750)}
    assert found == {one.content for one in log.deliveries} - deleted | {mail("sent by me")}
    # Those that had been moved are not shown where they came from.
    assert not {11, 12, 14, 15} & set(contents(mailbox))
    assert RECOVERED in folder_names(mailbox)


def test_with_the_folders_gone_messages_stay_together(cell: SqliteCell, file: Path) -> None:
    log, mailbox = use(cell)
    inbox = contents(mailbox)
    rossi = contents(mailbox, "Clienti/Rossi")
    damage(file, pages_of(cell, "folder"), cell)

    run(cell, log.deliveries)

    assert contents(mailbox) == inbox
    (recovered,) = (name for name in folder_names(mailbox) if name.startswith(RECOVERED))
    assert contents(mailbox, recovered) == rossi
    assert mailbox.snapshot(INBOX).folder.uid_next == 41 + UID_GAP


def test_flags_survive_with_keywords_of_unknown_name(cell: SqliteCell, file: Path) -> None:
    log, mailbox = use(cell)
    before = flags(mailbox)
    damage(file, pages_of(cell, "keyword"), cell)

    run(cell, log.deliveries)

    assert flags(mailbox) == before
    assert len(mailbox.snapshot(INBOX).keywords) == 1


def test_a_byte_that_has_changed_is_found_and_mended(cell: SqliteCell, file: Path) -> None:
    log, mailbox = use(cell)
    before = contents(mailbox)
    damage(file, [], cell)
    raw = file.read_bytes()
    at = raw.index(b"x" * 1950)
    file.write_bytes(raw[:at] + b"y" + raw[at + 1 :])

    assert any("not what was written" in problem for problem in cell.check(REF).problems)
    run(cell, log.deliveries)

    assert contents(mailbox) == before
    assert cell.check(REF).problems == []


def test_until_it_is_whole_the_mailbox_is_not_shown(cell: SqliteCell, tmp_path: Path) -> None:
    log, mailbox = use(cell)
    other_process = make_sqlite_cell(tmp_path, seed=2)
    other = other_process.open(REF)
    assert other.overview().messages
    steps = rebuild(cell.files, REF, log.deliveries, NOON_US)

    first = next(steps)

    for shown in (mailbox, other):
        with pytest.raises(MailboxIncomplete):
            shown.overview()
    (outcomes,) = other_process.deliver([MailboxBatch(REF, [delivery(99)])])
    assert outcomes == [Damaged(outcomes[0].detail, incomplete=True)]  # type: ignore[union-attr]
    finish(steps)
    assert isinstance(first, Progress)
    assert other.overview() == mailbox.overview()
    assert isinstance(deliver(other_process, [delivery(99)])[0], Placed)


def test_work_that_was_broken_off_can_be_begun_again(cell: SqliteCell) -> None:
    log, mailbox = use(cell)
    before = state_of(mailbox)
    steps = rebuild(cell.files, REF, log.deliveries, NOON_US)
    next(steps)
    steps.close()

    with pytest.raises(MailboxIncomplete):
        mailbox.overview()
    run(cell, log.deliveries)

    assert state_of(mailbox) == before


def test_deliveries_without_a_uid_get_new_ones(cell: SqliteCell) -> None:
    log, mailbox = use(cell)

    run(cell, [*log.deliveries, delivery(77, mail("late"), flags=FLAGGED)])

    assert contents(mailbox)[41] == mail("late")
    assert flags(mailbox)[41] == FLAGGED


def test_search_works_on_a_rebuilt_mailbox(cell: SqliteCell) -> None:
    log, mailbox = use(cell)
    assert mailbox.search(INBOX, EVERYTHING, Query("TEXT", text="m33")) == [33]

    run(cell, log.deliveries)

    assert mailbox.search(INBOX, EVERYTHING, Query("TEXT", text="m33")) == [33]


def test_sessions_hear_of_changes_from_before_the_rebuild(cell: SqliteCell) -> None:
    log, mailbox = use(cell)
    seen = mailbox.snapshot(INBOX)
    mailbox.change(INBOX, [(20, 20)], SetFlags(FlagChange.ADD, FLAGGED))

    run(cell, log.deliveries)
    news = mailbox.snapshot(INBOX, seen.modseq)

    assert [row[:2] for row in news.rows] == [(20, FLAGGED)]
    mailbox.change(INBOX, [(21, 21)], SetFlags(FlagChange.ADD, FLAGGED))
    assert [row[0] for row in mailbox.snapshot(INBOX, news.modseq).rows] == [21]


def test_the_quarantine_is_emptied_on_request(cell: SqliteCell, tmp_path: Path) -> None:
    log, _ = use(cell)
    report = run(cell, log.deliveries)
    assert (tmp_path / "one" / report.quarantined).exists()

    assert discard(cell.files, REF.mailbox) >= 1
    assert discard(cell.files, REF.mailbox) == 0
    assert not (tmp_path / "one" / report.quarantined).exists()
