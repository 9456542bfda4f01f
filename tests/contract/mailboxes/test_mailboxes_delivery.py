"""Delivery and what a message has once it is there."""

from __future__ import annotations

from staffetta.log import receipts
from staffetta.mailboxes.port import (
    FLAGGED,
    INBOX,
    SEEN,
    Arrange,
    Cell,
    Column,
    Copy,
    Expunge,
    Mailbox,
    MailboxBatch,
    MailboxRef,
    Overfull,
    Placed,
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
    receipt,
)


def test_a_message_is_placed_with_the_next_uid_and_modseq(cell: Cell) -> None:
    first, second = deliver(cell, [delivery(1), delivery(2)])

    assert first == Placed(INBOX, 1, REF.uid_validity, 2, True)
    assert second == Placed(INBOX, 2, REF.uid_validity, 3, True)


def test_what_was_delivered_is_read_back_byte_for_byte(cell: Cell) -> None:
    awkward = [b"", b"\r\n", b"no header\n", b"A: b\r\n\r\n\x00\xff\r", mail("è", "ü" * 5_000)]

    uids = fill(cell, awkward)

    assert contents(cell.open(REF)) == dict(zip(uids, awkward, strict=True))


def test_a_delivery_that_is_repeated_changes_nothing(cell: Cell, mailbox: Mailbox) -> None:
    (placed,) = deliver(cell, [delivery(1)])
    before = mailbox.snapshot(INBOX)

    (again,) = deliver(cell, [delivery(1)])
    (within,) = {deliver(cell, [delivery(2), delivery(2)])[1]}

    assert isinstance(placed, Placed)
    assert again == Placed(INBOX, placed.uid, placed.uid_validity, placed.modseq, False)
    assert isinstance(within, Placed)
    assert not within.fresh
    assert before.rows == mailbox.snapshot(INBOX).rows[:1]
    assert mailbox.overview().messages == 2


def test_the_same_receipt_for_another_recipient_is_another_message(cell: Cell) -> None:
    first = delivery(1)
    second = type(first)(first.receipt, 1, first.at_us, first.content)

    outcomes = deliver(cell, [first, second])

    assert [outcome.uid for outcome in outcomes if isinstance(outcome, Placed)] == [1, 2]


def test_a_message_that_was_deleted_does_not_come_back(cell: Cell, mailbox: Mailbox) -> None:
    deliver(cell, [delivery(1), delivery(2)])
    mailbox.change(INBOX, [(1, 1)], Expunge(whatever_flags=True))

    (again,) = deliver(cell, [delivery(1)])

    assert again == Placed(INBOX, 1, REF.uid_validity, 2, False)
    assert list(flags(mailbox)) == [2]


def test_a_message_that_does_not_fit_is_left_out_and_later_fits(cell: Cell) -> None:
    small, large = mail("small"), mail("large", "x" * 1000)
    ref = MailboxRef(REF.mailbox, REF.uid_validity, quota_bytes=len(small) + len(large))

    outcomes = deliver(cell, [delivery(n, c) for n, c in enumerate([large, large, small])], ref)

    assert isinstance(outcomes[0], Placed)
    assert outcomes[1] == Overfull(len(large), ref.quota_bytes)
    assert isinstance(outcomes[2], Placed)
    assert isinstance(deliver(cell, [delivery(1, large)])[0], Placed)


def test_batches_keep_their_shape(cell: Cell) -> None:
    other = MailboxRef(7, 99)
    batches = [MailboxBatch(REF, [delivery(1), delivery(2)]), MailboxBatch(other, [delivery(1)])]

    first, second = cell.deliver([*batches, MailboxBatch(REF, [])])[:2]

    assert [outcome.uid for outcome in first if isinstance(outcome, Placed)] == [1, 2]
    assert second == [Placed(INBOX, 1, 99, 2, True)]


def test_flags_and_folder_are_as_delivered(cell: Cell, mailbox: Mailbox) -> None:
    deliver(cell, [delivery(1, folder="Sent", flags=SEEN), delivery(2, flags=FLAGGED)])

    assert flags(mailbox, "Sent") == {1: SEEN}
    assert flags(mailbox) == {1: FLAGGED}


def test_mail_for_a_folder_that_is_not_there_goes_to_inbox(cell: Cell) -> None:
    (outcome,) = deliver(cell, [delivery(1, folder="Nowhere")])

    assert isinstance(outcome, Placed)
    assert outcome.folder == INBOX


def test_mail_for_sent_finds_the_folder_under_its_new_name(cell: Cell, mailbox: Mailbox) -> None:
    mailbox.arrange(Arrange("rename", "Sent", "Posta inviata"))

    (outcome,) = deliver(cell, [delivery(1, folder="Sent")])

    assert isinstance(outcome, Placed)
    assert outcome.folder == "Posta inviata"


def test_a_known_uid_is_kept_and_never_given_again(cell: Cell) -> None:
    outcomes = deliver(cell, [delivery(1, uid=70), delivery(2), delivery(3, uid=40)])
    taken = deliver(cell, [delivery(4, uid=40)])

    uids = [outcome.uid for outcome in outcomes + taken if isinstance(outcome, Placed)]
    assert uids == [70, 71, 40, 72]


def test_columns_of_a_delivered_message(cell: Cell, mailbox: Mailbox) -> None:
    content = mail("Gruß", "line\r\nline")
    deliver(cell, [delivery(9, content)])
    columns = [column for column in Column if column is not Column.BODYSTRUCTURE]

    ((row,),) = mailbox.fetch(INBOX, EVERYTHING, columns)

    found = dict(zip(columns, row[3:], strict=True))
    assert row[:3] == (1, 0, 2)
    assert found[Column.CONTENT] == content
    assert found[Column.SIZE] == len(content)
    assert found[Column.AT_US] == NOON_US + 9
    assert found[Column.HEADER] == content[: content.index(b"\r\n\r\n") + 4]
    assert found[Column.RECEIPT] == receipt(9)
    assert found[Column.EMAIL_ID] == "M" + receipts.to_text(receipt(9))
    assert str(found[Column.ENVELOPE]).startswith("b'(\"Mon, 02 Jan 2023")
    assert str(found[Column.BODY]).startswith('b\'("text" "plain"')


def test_receipts_are_found_where_the_messages_are_now(cell: Cell, mailbox: Mailbox) -> None:
    deliver(cell, [delivery(1), delivery(2), delivery(3)])
    mailbox.change(INBOX, [(1, 1)], Copy("Archive", move=True))
    mailbox.change(INBOX, [(2, 2)], Copy("Junk"))
    mailbox.change(INBOX, [(3, 3)], Expunge(whatever_flags=True))

    found = mailbox.locate([receipt(n) for n in range(1, 5)])

    assert sorted(found) == [
        (receipt(1), "Archive", 1),
        (receipt(2), INBOX, 2),
        (receipt(2), "Junk", 1),
    ]
    assert mailbox.locate([]) == []


def test_bodystructure_and_body_differ_in_extensions(cell: Cell, mailbox: Mailbox) -> None:
    deliver(cell, [delivery(1)])

    full = read(mailbox, Column.BODYSTRUCTURE)[1]
    short = read(mailbox, Column.BODY)[1]

    assert isinstance(full, bytes)
    assert isinstance(short, bytes)
    assert len(short) < len(full)
