"""Flags, keywords, copies, moves, expunging, appending."""

from __future__ import annotations

import pytest

from staffetta.mailboxes.port import (
    DELETED,
    FLAGGED,
    INBOX,
    KEYWORDS_MAX,
    SEEN,
    Cell,
    Column,
    Copy,
    Expunge,
    FlagChange,
    Mailbox,
    MailboxRef,
    NoSuchFolder,
    OverQuota,
    SetFlags,
    TooManyKeywords,
)
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
    read,
)

ADD, REMOVE, REPLACE = FlagChange.ADD, FlagChange.REMOVE, FlagChange.REPLACE


@pytest.fixture(autouse=True)
def three_messages(cell: Cell) -> None:
    fill(cell, [mail("one"), mail("two"), mail("three")])


def test_flags_are_added_removed_and_replaced(mailbox: Mailbox) -> None:
    mailbox.change(INBOX, EVERYTHING, SetFlags(ADD, SEEN | FLAGGED))
    mailbox.change(INBOX, [(1, 1)], SetFlags(REMOVE, SEEN))
    mailbox.change(INBOX, [(2, 2)], SetFlags(REPLACE, DELETED))

    assert flags(mailbox) == {1: FLAGGED, 2: DELETED, 3: SEEN | FLAGGED}


def test_a_change_of_flags_has_one_modseq_and_names_what_changed(mailbox: Mailbox) -> None:
    mailbox.change(INBOX, [(2, 2)], SetFlags(ADD, SEEN))

    changed = mailbox.change(INBOX, [(1, 1), (2, 3), (9, 12)], SetFlags(ADD, SEEN))

    assert changed.rows == [(1, SEEN, changed.modseq), (3, SEEN, changed.modseq)]
    assert changed.modseq == mailbox.overview().modseq == 6


def test_a_change_that_changes_nothing_takes_no_modseq(mailbox: Mailbox) -> None:
    before = mailbox.overview()

    for change in (SetFlags(REMOVE, SEEN), Copy("Junk"), Expunge()):
        changed = mailbox.change(INBOX, [(7, 9)], change)
        assert (changed.modseq, changed.rows, changed.vanished) == (before.modseq, [], [])

    assert mailbox.overview() == before


def test_unchanged_since_spares_what_has_changed(mailbox: Mailbox) -> None:
    changed = mailbox.change(INBOX, [(2, 2)], SetFlags(ADD, FLAGGED))

    after = mailbox.change(
        INBOX, EVERYTHING, SetFlags(ADD, SEEN, unchanged_since=changed.modseq - 1)
    )

    assert after.refused == [2]
    assert [row[0] for row in after.rows] == [1, 3]


def test_keywords_are_bits_in_the_order_of_first_use(mailbox: Mailbox) -> None:
    mailbox.change(INBOX, [(1, 1)], SetFlags(ADD, 0, ("$Label1", "Work")))
    mailbox.change(INBOX, [(2, 2)], SetFlags(ADD, SEEN, ("work",)))
    mailbox.change(INBOX, [(1, 1)], SetFlags(REMOVE, 0, ("$LABEL1", "unknown")))

    assert flags(mailbox) == {1: 64, 2: 64 | SEEN, 3: 0}
    assert mailbox.snapshot(INBOX).keywords == ("$Label1", "Work")


def test_a_mailbox_has_a_bounded_number_of_keywords(mailbox: Mailbox) -> None:
    names = tuple(f"k{number}" for number in range(KEYWORDS_MAX))
    mailbox.change(INBOX, [(1, 1)], SetFlags(ADD, 0, names))

    with pytest.raises(TooManyKeywords):
        mailbox.change(INBOX, [(1, 1)], SetFlags(ADD, SEEN, ("one-more",)))

    assert flags(mailbox)[1] == (1 << 62) - 32
    assert mailbox.change(INBOX, [(2, 2)], SetFlags(ADD, 0, names[:1])).rows


def test_copies_keep_flags_date_and_email_id(cell: Cell, mailbox: Mailbox) -> None:
    mailbox.change(INBOX, [(2, 2)], SetFlags(ADD, SEEN))

    copied = mailbox.change(INBOX, [(2, 3)], Copy("Archive"))

    assert copied.copied == [(2, 1), (3, 2)]
    assert copied.target_uid_validity == REF.uid_validity
    assert flags(mailbox, "Archive") == {1: SEEN, 2: 0}
    for column in (Column.CONTENT, Column.AT_US, Column.EMAIL_ID):
        assert read(mailbox, column, "Archive")[1] == read(mailbox, column)[2]


def test_a_copy_survives_its_original_and_the_other_way_round(mailbox: Mailbox) -> None:
    mailbox.change(INBOX, EVERYTHING, Copy("Archive"))
    mailbox.change(INBOX, EVERYTHING, Copy(INBOX))
    mailbox.change(INBOX, [(1, 3)], Expunge(whatever_flags=True))
    mailbox.change("Archive", [(1, 1)], Expunge(whatever_flags=True))

    assert list(contents(mailbox)) == [4, 5, 6]
    assert list(contents(mailbox, "Archive")) == [2, 3]
    mailbox.change(INBOX, EVERYTHING, Expunge(whatever_flags=True))
    assert contents(mailbox, "Archive") == {2: mail("two"), 3: mail("three")}


def test_a_copy_that_does_not_fit_is_refused_whole(cell: Cell, mailbox: Mailbox) -> None:
    used_bytes = mailbox.overview().used_bytes
    tight = cell.open(MailboxRef(REF.mailbox, REF.uid_validity, used_bytes + len(mail("one"))))

    with pytest.raises(OverQuota):
        tight.change(INBOX, [(1, 2)], Copy("Archive"))
    tight.change(INBOX, [(1, 1)], Copy("Archive"))
    tight.change(INBOX, [(2, 2)], Copy("Archive", move=True))

    assert list(flags(tight, "Archive")) == [1, 2]


def test_a_move_takes_messages_out_in_the_same_step(mailbox: Mailbox) -> None:
    moved = mailbox.change(INBOX, [(1, 1), (3, 3)], Copy("Trash", move=True))

    assert moved.vanished == [1, 3]
    assert moved.copied == [(1, 1), (3, 2)]
    assert list(flags(mailbox)) == [2]
    assert contents(mailbox, "Trash") == {1: mail("one"), 2: mail("three")}


def test_a_message_moved_within_its_folder_gets_a_new_uid(mailbox: Mailbox) -> None:
    moved = mailbox.change(INBOX, [(2, 2)], Copy(INBOX, move=True))

    assert moved.copied == [(2, 4)]
    assert list(flags(mailbox)) == [1, 3, 4]


def test_a_copy_to_nowhere_is_refused(mailbox: Mailbox) -> None:
    with pytest.raises(NoSuchFolder):
        mailbox.change(INBOX, EVERYTHING, Copy("Nowhere"))
    with pytest.raises(NoSuchFolder):
        mailbox.change("Nowhere", EVERYTHING, Expunge())


def test_expunge_removes_what_is_deleted_and_nothing_else(mailbox: Mailbox) -> None:
    mailbox.change(INBOX, [(1, 2)], SetFlags(ADD, DELETED))

    gone = mailbox.change(INBOX, [(2, 3)], Expunge())

    assert gone.vanished == [2]
    assert list(flags(mailbox)) == [1, 3]


def test_uids_are_never_given_twice(cell: Cell, mailbox: Mailbox) -> None:
    mailbox.change(INBOX, EVERYTHING, Expunge(whatever_flags=True))

    deliver(cell, [delivery(9)])
    mailbox.change(INBOX, EVERYTHING, Expunge(whatever_flags=True))

    assert mailbox.append(INBOX, mail(), 0, (), NOON_US).uid == 5


def test_what_is_expunged_makes_room(cell: Cell, mailbox: Mailbox) -> None:
    mailbox.change(INBOX, [(1, 2)], Copy("Trash"))
    mailbox.change(INBOX, EVERYTHING, Expunge(whatever_flags=True))
    mailbox.change("Trash", [(1, 1)], Expunge(whatever_flags=True))

    assert mailbox.overview().used_bytes == len(mail("two"))


def test_a_message_is_put_in_with_flags_and_date(mailbox: Mailbox) -> None:
    put = mailbox.append("Drafts", mail("draft"), SEEN, ("$Draft",), NOON_US)

    assert (put.uid, put.uid_validity) == (1, REF.uid_validity)
    assert flags(mailbox, "Drafts") == {1: SEEN | 32}
    assert contents(mailbox, "Drafts") == {1: mail("draft")}
    assert read(mailbox, Column.AT_US, "Drafts") == {1: NOON_US}
    assert read(mailbox, Column.RECEIPT, "Drafts") == {1: b""}


def test_messages_put_in_have_email_ids_of_their_own(mailbox: Mailbox) -> None:
    mailbox.append("Drafts", mail("draft"), 0, (), NOON_US)
    mailbox.append("Drafts", mail("draft"), 0, (), NOON_US)

    first, second = read(mailbox, Column.EMAIL_ID, "Drafts").values()

    assert first != second
    assert str(first).startswith("A")
    assert len(str(first)) == 17


def test_a_message_that_does_not_fit_is_not_put_in(cell: Cell, mailbox: Mailbox) -> None:
    tight = cell.open(MailboxRef(REF.mailbox, REF.uid_validity, mailbox.overview().used_bytes))

    with pytest.raises(OverQuota):
        tight.append(INBOX, mail(), 0, (), NOON_US)
    with pytest.raises(NoSuchFolder):
        tight.append("Nowhere", mail(), 0, (), NOON_US)
