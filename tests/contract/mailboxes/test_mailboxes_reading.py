"""Snapshots, counts and fetching."""

from __future__ import annotations

import pytest

from staffetta.mailboxes.port import (
    DELETED,
    INBOX,
    SEEN,
    SPECIAL_FOLDERS,
    Arrange,
    Cell,
    Column,
    Copy,
    Expunge,
    FlagChange,
    Mailbox,
    MailboxRef,
    NoSuchFolder,
    SetFlags,
)
from tests.mailbox_rig import EVERYTHING, NOON_US, REF, deliver, delivery, fill, mail, read


def test_a_new_mailbox_has_inbox_and_the_special_folders(mailbox: Mailbox) -> None:
    overview = mailbox.overview()

    assert {folder.name: folder.special_use for folder in overview.folders} == {
        INBOX: "",
        **SPECIAL_FOLDERS,
    }
    assert {folder.uid_validity for folder in overview.folders} == {REF.uid_validity}
    assert all(folder.subscribed and folder.selectable for folder in overview.folders)
    assert (overview.used_bytes, overview.messages) == (0, 0)


def test_counts_follow_every_change(cell: Cell, mailbox: Mailbox) -> None:
    fill(cell, [mail(str(number)) for number in range(6)])
    mailbox.change(INBOX, [(1, 3)], SetFlags(FlagChange.ADD, SEEN))
    mailbox.change(INBOX, [(3, 5)], SetFlags(FlagChange.ADD, DELETED))
    mailbox.change(INBOX, [(5, 5)], Expunge())
    mailbox.change(INBOX, [(2, 4)], Copy("Trash", move=True))

    inbox, trash = mailbox.snapshot(INBOX).folder, mailbox.snapshot("Trash").folder

    counts = [(f.messages, f.unseen, f.deleted, f.recent, f.uid_next) for f in (inbox, trash)]
    assert counts == [(2, 1, 0, 2, 7), (3, 1, 2, 3, 4)]
    assert inbox.size_bytes == 2 * len(mail("0"))
    overview = mailbox.overview()
    assert overview.messages == 5
    assert overview.used_bytes == 5 * len(mail("0"))
    assert [f for f in overview.folders if f.name == INBOX] == [inbox]


def test_a_snapshot_since_a_modseq_has_what_changed(cell: Cell, mailbox: Mailbox) -> None:
    fill(cell, [mail(str(number)) for number in range(4)])
    seen = mailbox.snapshot(INBOX)
    mailbox.change(INBOX, [(2, 2)], SetFlags(FlagChange.ADD, SEEN))
    mailbox.change(INBOX, [(3, 3)], Expunge(whatever_flags=True))
    fill(cell, [mail("new")], first=10)
    mailbox.change("Sent", EVERYTHING, Expunge())

    news = mailbox.snapshot(INBOX, seen.modseq)

    assert [row[:2] for row in news.rows] == [(2, SEEN), (5, 0)]
    assert news.vanished == [3]
    assert mailbox.snapshot(INBOX, news.modseq).rows == []
    assert mailbox.snapshot(INBOX, news.modseq).vanished == []


def test_changes_in_other_folders_are_no_news(cell: Cell, mailbox: Mailbox) -> None:
    fill(cell, [mail()])
    seen = mailbox.snapshot(INBOX)

    mailbox.append("Drafts", mail(), 0, (), NOON_US)
    news = mailbox.snapshot(INBOX, seen.modseq)

    assert (news.rows, news.vanished) == ([], [])
    assert news.folder.highest_modseq == seen.folder.highest_modseq < news.modseq


def test_a_message_added_and_gone_between_two_looks_is_among_the_vanished(
    cell: Cell, mailbox: Mailbox
) -> None:
    seen = mailbox.snapshot(INBOX)
    fill(cell, [mail()])
    mailbox.change(INBOX, EVERYTHING, Expunge(whatever_flags=True))

    news = mailbox.snapshot(INBOX, seen.modseq)

    assert (news.rows, news.vanished) == ([], [1])


def test_recent_messages_are_claimed_once(cell: Cell, mailbox: Mailbox) -> None:
    fill(cell, [mail(), mail()])
    looked = mailbox.snapshot(INBOX)

    first = mailbox.snapshot(INBOX, claim_recent=True)
    fill(cell, [mail()], first=10)
    second = mailbox.snapshot(INBOX, claim_recent=True)
    third = mailbox.snapshot(INBOX)

    assert [s.recent_from for s in (looked, first, second, third)] == [1, 1, 3, 4]
    assert [s.folder.recent for s in (looked, first, second, third)] == [2, 2, 1, 0]
    assert first.modseq == looked.modseq


def test_a_snapshot_of_nowhere_is_refused(mailbox: Mailbox) -> None:
    with pytest.raises(NoSuchFolder):
        mailbox.snapshot("Nowhere")
    with pytest.raises(NoSuchFolder):
        list(mailbox.fetch("Nowhere", EVERYTHING, [Column.SIZE]))


def test_inbox_is_found_in_any_case(cell: Cell, mailbox: Mailbox) -> None:
    fill(cell, [mail()])

    assert mailbox.snapshot("inbox").folder.name == INBOX
    assert list(read(mailbox, Column.SIZE, "iNbOx")) == [1]


def test_fetch_gives_rows_in_order_within_the_ranges(cell: Cell, mailbox: Mailbox) -> None:
    fill(cell, [mail("x" * number) for number in range(10)])
    mailbox.change(INBOX, [(4, 5)], Expunge(whatever_flags=True))

    sizes = read(mailbox, Column.SIZE, INBOX, [(1, 2), (5, 7), (10, 99)])

    assert sizes == {uid: len(mail("x" * (uid - 1))) for uid in (1, 2, 6, 7, 10)}
    assert list(mailbox.fetch(INBOX, [], [Column.SIZE])) == []


def test_fetch_without_columns_gives_flags(cell: Cell, mailbox: Mailbox) -> None:
    fill(cell, [mail(), mail()])

    rows = [row for chunk in mailbox.fetch(INBOX, EVERYTHING, []) for row in chunk]

    assert rows == [(1, 0, 2), (2, 0, 3)]


def test_a_large_folder_comes_whole(cell: Cell, mailbox: Mailbox) -> None:
    large = mail("large", "x" * 200_000)
    fill(cell, [large + str(number).encode() for number in range(8)])

    chunks = list(mailbox.fetch(INBOX, EVERYTHING, [Column.CONTENT, Column.SIZE]))

    rows = [row for chunk in chunks for row in chunk]
    assert [row[3] for row in rows] == [large + str(number).encode() for number in range(8)]
    assert max(len(chunk) for chunk in chunks) <= 3


def test_messages_that_go_during_a_fetch_are_left_out(cell: Cell, mailbox: Mailbox) -> None:
    fill(cell, [mail("large", "x" * 600_000), mail("two"), mail("three")])

    chunks = mailbox.fetch(INBOX, EVERYTHING, [Column.CONTENT])
    first = next(chunks)
    mailbox.change(INBOX, [(1, 2)], Copy("Trash", move=True))
    rest = [row[0] for chunk in chunks for row in chunk]

    assert [row[0] for row in first] == [1]
    # In memory all rows have been picked at the start: that is allowed as well.
    assert rest in ([3], [2, 3])


def test_mailboxes_do_not_see_each_other(cell: Cell) -> None:
    other = MailboxRef(REF.mailbox + 256, 5)
    deliver(cell, [delivery(1)])
    deliver(cell, [delivery(1)], other)
    cell.open(other).arrange(Arrange("create", "Mine"))

    assert "Mine" not in [folder.name for folder in cell.open(REF).overview().folders]
    assert cell.open(other).snapshot(INBOX).folder.uid_validity == 5
