"""One process delivers while another serves people, on the same files."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from staffetta.mailboxes.files import FileSettings
from staffetta.mailboxes.port import (
    INBOX,
    SEEN,
    Arrange,
    Column,
    Copy,
    FlagChange,
    MailboxBatch,
    MailboxRef,
    Placed,
    Query,
    SetFlags,
)
from staffetta.mailboxes.sqlite import SqliteCell
from tests.mailbox_rig import (
    EVERYTHING,
    NOON_US,
    REF,
    contents,
    deliver,
    delivery,
    fill,
    flags,
    mail,
    make_sqlite_cell,
)


@pytest.fixture
def delivering(tmp_path: Path) -> SqliteCell:
    return make_sqlite_cell(tmp_path, seed=1)


@pytest.fixture
def serving(tmp_path: Path) -> SqliteCell:
    return make_sqlite_cell(tmp_path, seed=2)


def test_each_sees_at_once_what_the_other_has_done(
    delivering: SqliteCell, serving: SqliteCell
) -> None:
    mailbox = serving.open(REF)
    assert mailbox.overview().messages == 0

    fill(delivering, [mail("one"), mail("two")])
    seen = mailbox.snapshot(INBOX)
    assert [row[0] for row in seen.rows] == [1, 2]

    mailbox.change(INBOX, [(1, 1)], SetFlags(FlagChange.ADD, SEEN, ("Work",)))
    mailbox.change(INBOX, [(2, 2)], Copy("Archive", move=True))
    mailbox.append(INBOX, mail("three"), 0, (), NOON_US)
    (placed,) = deliver(delivering, [delivery(9)])

    assert isinstance(placed, Placed)
    assert placed.uid == 4
    news = mailbox.snapshot(INBOX, seen.modseq)
    assert [row[0] for row in news.rows] == [1, 3, 4]
    assert news.vanished == [2]


def test_what_one_has_indexed_the_other_finds(delivering: SqliteCell, serving: SqliteCell) -> None:
    fill(delivering, [mail(f"word{number}") for number in range(100)])
    assert delivering.index_pending(70) == 70

    assert serving.open(REF).search(INBOX, EVERYTHING, Query("TEXT", text="word9")) == [
        10,
        *range(91, 101),
    ]
    assert delivering.index_pending(1_000) == 0


def test_many_threads_and_two_processes_on_few_files(tmp_path: Path) -> None:
    settings = FileSettings(open_files_max=2)
    processes = [make_sqlite_cell(tmp_path, settings=settings, seed=n) for n in range(2)]
    refs = [MailboxRef(number, 5) for number in range(1, 6)]
    problems: list[BaseException] = []

    def deliver_all(cell: SqliteCell, first: int) -> None:
        for number in range(first, first + 12):
            cell.deliver([MailboxBatch(ref, [delivery(number)]) for ref in refs])
            cell.sync()

    def work(cell: SqliteCell, ref: MailboxRef) -> None:
        mailbox = cell.open(ref)
        for number in range(8):
            mailbox.append("Sent", mail(f"mine {number}"), 0, (), NOON_US)
            mailbox.change(INBOX, EVERYTHING, SetFlags(FlagChange.ADD, SEEN))
            mailbox.search(INBOX, EVERYTHING, Query("TEXT", text="mine"))
            sum(len(chunk) for chunk in mailbox.fetch(INBOX, EVERYTHING, [Column.CONTENT]))

    def guarded(job: object, *values: object) -> None:
        try:
            job(*values)  # type: ignore[operator]
        except BaseException as problem:
            problems.append(problem)

    threads = [
        threading.Thread(target=guarded, args=(deliver_all, cell, 1 + 100 * place))
        for place, cell in enumerate(processes)
    ]
    threads += [
        threading.Thread(target=guarded, args=(work, cell, ref))
        for cell in processes
        for ref in refs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    for ref in refs:
        mailbox = processes[0].open(ref)
        assert len(contents(mailbox)) == 24
        assert len(contents(mailbox, "Sent")) == 16
        assert list(flags(mailbox)) == list(range(1, 25))
        assert processes[1].check(ref).problems == []


def test_two_processes_make_the_same_new_mailbox_at_once(tmp_path: Path) -> None:
    processes = [make_sqlite_cell(tmp_path, seed=n) for n in range(4)]
    start = threading.Barrier(4)

    def begin(cell: SqliteCell, number: int) -> None:
        start.wait()
        deliver(cell, [delivery(number)])

    threads = [
        threading.Thread(target=begin, args=(cell, number))
        for number, cell in enumerate(processes, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(contents(processes[0].open(REF))) == 4
    assert processes[0].check(REF).problems == []


def test_folders_made_by_one_are_used_by_the_other(
    delivering: SqliteCell, serving: SqliteCell
) -> None:
    fill(delivering, [mail()])
    serving.open(REF).arrange(Arrange("create", "Liste"))

    (placed,) = deliver(delivering, [delivery(9, folder="Liste")])

    assert isinstance(placed, Placed)
    assert placed.folder == "Liste"
