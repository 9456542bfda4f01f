"""What the log knows of a mailbox is enough to make it again."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from staffetta.delivery.repair import (
    BODIES_PER_READ,
    Repairer,
    find_deliveries,
    read_deliveries,
)
from staffetta.log.facts import Acted, Delivered, Held, Routed
from staffetta.log.memory import MemoryLog
from staffetta.mailboxes.port import INBOX, SEEN, MailboxRef
from staffetta.mailboxes.progress import Progress
from tests.joints import HeldClock, Scribe

REF = MailboxRef(7, 77)


class Past:
    """A log in which mail is accepted and delivered."""

    def __init__(self) -> None:
        self.clock = HeldClock()
        self.log = MemoryLog()
        self.accept = Scribe(self.log.writer(1), self.clock)
        self.deliver = Scribe(self.log.writer(64), self.clock)
        self.people = Scribe(self.log.writer(128), self.clock)

    def put(self, uid: int, *, mailbox: int = 7, body: bytes = b"body", folder: str = INBOX) -> int:
        """Accept and, some time later, deliver; returns the moment of the acceptance."""
        self.clock.pass_s(1)
        accepted_us = self.clock.now_us()
        receipt = self.accept.accept(mailbox, body=body)
        self.clock.pass_s(1)
        self.note_delivered(receipt, self.log.last(1), uid, mailbox, folder)
        return accepted_us

    def note_delivered(
        self, receipt: bytes, position: int, uid: int, mailbox: int = 7, folder: str = INBOX
    ) -> None:
        fact = Delivered(0, mailbox, "a", folder, uid, 77, 1, position)
        self.deliver.note(fact, receipt, mailbox)


def test_what_was_delivered_is_found_with_its_old_uid_and_its_own_time() -> None:
    past = Past()
    first_us = past.put(1, body=b"one")
    past.put(9, mailbox=8)
    second_us = past.put(2, body=b"two")
    found = list(read_deliveries(past.log, find_deliveries(past.log, 7)))
    assert [(one.uid, one.content, one.at_us) for one in found] == [
        (1, b"one", first_us),
        (2, b"two", second_us),
    ]
    assert {(one.folder, one.flags, one.ordinal) for one in found} == {(INBOX, 0, 0)}


def test_the_order_is_that_of_the_uids_in_each_folder() -> None:
    past = Past()
    for uid, folder in ((2, INBOX), (5, "Junk"), (1, INBOX), (3, "Junk")):
        past.put(uid, folder=folder)
    found = find_deliveries(past.log, 7)
    assert [(one.folder, one.uid) for one in found] == [
        (INBOX, 1),
        (INBOX, 2),
        ("Junk", 3),
        ("Junk", 5),
    ]


def test_what_waits_or_is_held_is_left_to_the_reader() -> None:
    past = Past()
    past.accept.accept(7)
    receipt = past.accept.accept(7)
    past.deliver.note(Held(0, 7, "over-quota", 1, 2), receipt, 7)
    assert find_deliveries(past.log, 7) == []


def test_a_delivery_that_was_told_twice_is_one() -> None:
    past = Past()
    receipt = past.accept.accept(7)
    past.note_delivered(receipt, 1, 4)
    past.clock.pass_s(1)
    past.note_delivered(receipt, 1, 4)
    assert [one.uid for one in find_deliveries(past.log, 7)] == [4]


def test_routed_mail_has_the_time_of_its_acceptance() -> None:
    past = Past()
    accepted_us = past.clock.now_us()
    receipt = past.accept.accept(0, body=b"lane")
    past.clock.pass_s(100)
    past.deliver.note(Routed(0, 7, "brand", "a@example.org", 1, 1, accepted_us), receipt, 7)
    past.note_delivered(receipt, 1, 3)
    (one,) = read_deliveries(past.log, find_deliveries(past.log, 7))
    assert (one.at_us, one.content, one.uid) == (accepted_us, b"lane", 3)


def test_the_copies_of_replies_are_in_sent() -> None:
    past = Past()
    action = past.people.mint.make(past.clock.now_us())
    past.people.note(Acted(action, 7, "sent", (b"r" * 10,)), action, 7, body=b"reply")
    past.people.note(Acted(b"x" * 10, 7, "read", (b"r" * 10,)), b"x" * 10, 7)
    (one,) = read_deliveries(past.log, find_deliveries(past.log, 7))
    assert (one.folder, one.flags, one.uid, one.content) == ("Sent", SEEN, 0, b"reply")
    assert one.receipt == action


def test_more_messages_than_are_read_at_once_come_whole() -> None:
    past = Past()
    count = BODIES_PER_READ * 2 + 3
    for uid in range(1, count + 1):
        past.put(uid, body=b"%d" % uid)
    found = list(read_deliveries(past.log, find_deliveries(past.log, 7)))
    assert [one.content for one in found] == [b"%d" % uid for uid in range(1, count + 1)]


class Watch:
    """Hears what a repairer reports, and waits for the last of it."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, str]] = []
        self.ended = threading.Event()

    def report(self, ref: MailboxRef, what: str, detail: str) -> None:
        self.heard.append((ref.mailbox, what))
        if what != "rebuilding":
            self.ended.set()


def rebuild(cell: str, ref: MailboxRef) -> Iterator[Progress]:
    if ref.mailbox == 666:
        raise OSError("no")
    yield from ()


def test_a_damaged_mailbox_is_rebuilt_and_says_so() -> None:
    watch = Watch()
    repairer = Repairer(lambda cell, ref: True, rebuild, watch.report)
    assert repairer.state(7).what == "none"
    repairer.note("a", REF, "torn")
    assert watch.ended.wait(10)
    assert watch.heard == [(7, "rebuilding"), (7, "rebuilt")]
    assert repairer.state(7).what == "rebuilt"


def test_a_rebuild_that_fails_does_not_keep_the_next_one_waiting() -> None:
    watch = Watch()
    repairer = Repairer(lambda cell, ref: True, rebuild, watch.report)
    repairer.note("a", MailboxRef(666, 1), "torn")
    assert watch.ended.wait(10)
    watch.ended.clear()
    repairer.note("a", REF, "torn")
    assert watch.ended.wait(10)
    assert watch.heard[1::2] == [(666, "rebuild-failed"), (7, "rebuilt")]
    assert repairer.state(666).detail == "OSError: no"


def test_a_sound_mailbox_is_left_alone_unless_it_is_insisted_upon() -> None:
    watch = Watch()
    repairer = Repairer(lambda cell, ref: ref.mailbox != 7, rebuild, watch.report)
    repairer.note("a", REF, "a rumour")
    repairer.note("a", MailboxRef(8, 1), "torn")  # dealt with after it
    assert watch.ended.wait(10)
    assert watch.heard == [(8, "rebuilding"), (8, "rebuilt")]
    assert repairer.state(7).what == "sound"
    watch.ended.clear()
    repairer.note("a", REF, "on request", force=True)
    assert watch.ended.wait(10)
    assert watch.heard[-1] == (7, "rebuilt")
