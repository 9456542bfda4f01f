"""The emergency inbox needs nothing but the log, and shows each owner their own mail only."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import SMTP

import pytest

from staffetta.journey.emergency import (
    ENTRIES_MAX,
    RECEIPTS_PER_ACTION_MAX,
    REPLY_CHARACTERS_MAX,
    BadAction,
    EmergencyActions,
    EmergencyInbox,
    NotYours,
    compose_reply,
)
from staffetta.journey.states import State
from staffetta.log.facts import Acted, Delivered, Routed
from staffetta.log.memory import MemoryLog
from staffetta.log.receipts import ReceiptMint
from tests.joints import DAY_US, START_US, CountingEntropy, HeldClock, Scribe

DAYS = 30


class Desk:
    """An owner's emergency inbox over a log in which mail arrives."""

    def __init__(self) -> None:
        self.clock = HeldClock()
        self.log = MemoryLog()
        self.accept = Scribe(self.log.writer(1), self.clock)
        self.deliver = Scribe(self.log.writer(64), self.clock)
        self.people = self.log.writer(128)
        self.actions = EmergencyActions(ReceiptMint(128, CountingEntropy()), self.clock)
        self.inbox = EmergencyInbox(self.log, self.clock, DAYS)

    def arrive(self, subject: str = "s", *mailboxes: int) -> bytes:
        self.clock.pass_s(1)
        body = f"From: Ann <ann@x.example>\r\nSubject: {subject}\r\n\r\nhello\r\n"
        return self.accept.accept(*(mailboxes or (7,)), body=body.encode())

    def act(self, verb: str, *receipts: bytes, folder: str = "") -> None:
        self.clock.pass_s(1)
        self.inbox.check(7, verb, receipts, folder)
        self.people.append([self.actions.acted(7, verb, receipts, folder)])

    def subjects(self, folder: str = "INBOX", mailbox: int = 7, limit: int = 100) -> list[str]:
        return [one.subject for one in self.inbox.glimpses(mailbox, limit, folder)]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_newest_are_listed_first_with_what_a_list_needs(desk: Desk) -> None:
    first = desk.arrive("one")
    desk.arrive("two")
    desk.arrive("not mine", 8)
    assert desk.subjects() == ["two", "one"]
    assert desk.subjects(limit=1) == ["two"]
    glimpse = desk.inbox.glimpses(7, 10)[1]
    assert (glimpse.receipt, glimpse.sender) == (first, "Ann <ann@x.example>")
    assert (glimpse.read, glimpse.flagged, glimpse.answered) == (False, False, False)
    assert glimpse.folder == "INBOX"
    assert glimpse.size_bytes == len(desk.inbox.content(7, first))


def test_encoded_words_are_decoded(desk: Desk) -> None:
    desk.arrive("=?utf-8?q?Gr=C3=BC=C3=9Fe?=")
    assert desk.subjects() == ["Grüße"]


def test_what_was_delivered_before_the_fault_is_there_too(desk: Desk) -> None:
    receipt = desk.arrive()
    assert desk.inbox.state(7, receipt) is State.WAITING
    desk.deliver.note(Delivered(0, 7, "a", "INBOX", 1, 77, 1, 1), receipt, 7)
    assert desk.inbox.state(7, receipt) is State.DELIVERED
    assert len(desk.subjects()) == 1


def test_routed_mail_shows_as_what_was_accepted(desk: Desk) -> None:
    receipt = desk.arrive("lane", 0)
    assert desk.subjects() == []
    desk.clock.pass_s(1)
    desk.deliver.note(Routed(0, 7, "brand", "a@y", 1, 1, desk.clock.now_us()), receipt, 7)
    assert desk.subjects() == ["lane"]
    assert b"hello" in desk.inbox.content(7, receipt)


def test_flags_are_those_that_were_set_last(desk: Desk) -> None:
    one, two = desk.arrive("one"), desk.arrive("two")
    desk.act("read", one, two)
    desk.act("flag", one)
    desk.act("unread", two)
    found = {each.subject: (each.read, each.flagged) for each in desk.inbox.glimpses(7, 10)}
    assert found == {"one": (True, True), "two": (False, False)}
    desk.act("unflag", one)
    assert not desk.inbox.glimpses(7, 10)[1].flagged


def test_the_deleted_are_in_trash_and_the_moved_where_they_were_put(desk: Desk) -> None:
    one, two = desk.arrive("one"), desk.arrive("two")
    desk.arrive("three")
    desk.act("delete", one)
    desk.act("move", two, folder="Work")
    assert desk.subjects() == ["three"]
    assert desk.subjects("Trash") == ["one"]
    assert desk.subjects("Work") == ["two"]
    assert desk.subjects("Other") == []
    desk.act("move", one, folder="INBOX")
    assert desk.subjects() == ["three", "one"]


def test_what_another_owner_does_is_not_seen_here(desk: Desk) -> None:
    receipt = desk.arrive("both", 7, 8)
    desk.act("delete", receipt)
    assert desk.subjects() == []
    assert desk.subjects(mailbox=8) == ["both"]


def test_a_reply_is_kept_for_sent_and_marks_what_it_answers(desk: Desk) -> None:
    receipt = desk.arrive()
    entries = desk.actions.sent(7, receipt, b"the reply")
    desk.people.append(entries)
    assert [(one.fact.verb, one.body) for one in entries if isinstance(one.fact, Acted)] == [
        ("sent", b"the reply"),
        ("answered", None),
    ]
    assert desk.inbox.glimpses(7, 10)[0].answered
    assert desk.log.bodies(128, [1]) == [b"the reply"]


def test_nobody_reads_or_touches_the_mail_of_others(desk: Desk) -> None:
    other = desk.arrive("not mine", 8)
    mine = desk.arrive("mine")
    unknown = desk.accept.mint.make(desk.clock.now_us())
    for receipt in (other, unknown, b"", b"short"):
        with pytest.raises(NotYours):
            desk.inbox.content(7, receipt)
        with pytest.raises(NotYours):
            desk.inbox.state(7, receipt)
        with pytest.raises(NotYours):
            desk.inbox.check(7, "read", [mine, receipt], "")


def test_what_is_older_than_the_inbox_reaches_is_not_shown(desk: Desk) -> None:
    receipt = desk.arrive()
    desk.clock.at_us += DAYS * DAY_US + 1
    assert desk.subjects() == []
    with pytest.raises(NotYours):
        desk.inbox.content(7, receipt)


@pytest.mark.parametrize(
    ("verb", "count", "folder"),
    [
        ("burn", 1, ""),
        ("sent", 1, ""),
        ("answered", 1, ""),
        ("move", 1, ""),
        ("read", 0, ""),
        ("read", RECEIPTS_PER_ACTION_MAX + 1, ""),
    ],
)
def test_what_cannot_be_done_is_said(desk: Desk, verb: str, count: int, folder: str) -> None:
    receipt = desk.arrive()
    with pytest.raises(BadAction):
        desk.inbox.check(7, verb, [receipt] * count, folder)


def test_each_action_has_an_id_of_its_own(desk: Desk) -> None:
    one, two = (desk.actions.acted(7, "read", [b"r" * 10]) for _ in range(2))
    assert one.receipt != two.receipt
    assert isinstance(one.fact, Acted)
    assert one.fact.action == one.receipt
    assert one.mailboxes == (7,)


def test_a_long_list_is_bounded(desk: Desk) -> None:
    assert ENTRIES_MAX >= 1_000
    for number in range(50):
        desk.arrive(str(number))
    assert desk.subjects(limit=20) == [str(number) for number in range(49, 29, -1)]


ORIGINAL = (
    b"From: Ann <ann@x.example>\r\nTo: me@example.org\r\nSubject: Question\r\n"
    b"Message-ID: <two@x>\r\nReferences: <zero@x> <one@x>\r\n\r\nwhy?\r\n"
)


def reply_to(original: bytes, text: str = "because\n", sender: str = "me@example.org"):  # type: ignore[no-untyped-def]
    reply = compose_reply(original, sender, text, "new@example.org", START_US)
    return reply, message_from_bytes(reply.content, policy=SMTP)


def test_a_reply_goes_to_the_author_and_into_the_thread() -> None:
    reply, message = reply_to(ORIGINAL)
    assert (reply.recipient, reply.message_id) == ("ann@x.example", "<new@example.org>")
    assert message["From"] == "me@example.org"
    assert message["To"] == "ann@x.example"
    assert message["Subject"] == "Re: Question"
    assert message["Message-ID"] == "<new@example.org>"
    assert message["In-Reply-To"] == "<two@x>"
    assert message["References"].split() == ["<zero@x>", "<one@x>", "<two@x>"]
    assert message["Date"].datetime.year == 2026
    assert message.get_content().strip() == "because"
    assert b"\n" not in reply.content.replace(b"\r\n", b"")


def test_reply_to_comes_before_from() -> None:
    reply, _ = reply_to(b"Reply-To: list@y.example\r\n" + ORIGINAL)
    assert reply.recipient == "list@y.example"


@pytest.mark.parametrize("subject", [b"Re: x", b"RE: x", b"re: x"])
def test_a_subject_is_answered_only_once(subject: bytes) -> None:
    _, message = reply_to(ORIGINAL.replace(b"Question", subject))
    assert message["Subject"] == subject.decode()


def test_no_header_can_be_brought_in_through_the_original() -> None:
    wicked = ORIGINAL.replace(b"Question", b"=?utf-8?q?x=0D=0ABcc=3A_victim=40y?=")
    _, message = reply_to(wicked)
    assert message["Bcc"] is None


def test_text_of_any_script_survives() -> None:
    _, message = reply_to(ORIGINAL, "Grüße 你好\n")
    assert message.get_content().strip() == "Grüße 你好"


def test_long_threads_still_make_lines_that_may_be_sent() -> None:
    references = b" ".join(b"<%d@some-long-host.example>" % n for n in range(200))
    reply, _ = reply_to(ORIGINAL.replace(b"<zero@x> <one@x>", references))
    assert max(map(len, reply.content.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    ("original", "text"),
    [
        (b"Subject: x\r\n\r\n", "text"),
        (b"From: nobody\r\n\r\n", "text"),
        (ORIGINAL, " \n"),
        (ORIGINAL, "x" * (REPLY_CHARACTERS_MAX + 1)),
    ],
)
def test_a_reply_to_nobody_or_without_words_is_none(original: bytes, text: str) -> None:
    with pytest.raises(BadAction):
        reply_to(original, text)


@pytest.mark.parametrize(
    "header",
    [
        b"Message-ID: =?utf-8?q?=3Ca=0D=0Ab=40x=3E?=\r\nFrom: a@x\r\n",
        b"Message-ID: not an id at all\r\nFrom: a@x\r\n",
        b"References: =?utf-8?q?x=0D=0ABcc=3A_v?=\r\nMessage-ID: <a@x>\r\nFrom: a@x\r\n",
        b"From: =?utf-8?q?x=0D=0ABcc=3A_v=40y?= <a@x>\r\n",
        b"From: a@x\r\nSubject: =?utf-8?q?x=E2=80=A8Bcc=3A_v=0By?=\r\n",
        b"From: =?utf-8?q?a=E2=80=A8b?=@x\r\n",
        b"From: <a b@x>\r\n",
        b"From: a@x@y\r\n",
        b"From: \xff\xfe@x\r\n",
        "From: jörg@exämple.org\r\n".encode(),
        b"From: a@x\r\nSubject: \xff\xfe\r\n",
    ],
)
def test_a_strange_original_gets_a_reply_or_a_reason(header: bytes) -> None:
    try:
        reply, message = reply_to(header + b"\r\nbody\r\n")
    except BadAction:
        return
    assert message["Bcc"] is None
    assert b"\n" not in reply.content.replace(b"\r\n", b"")
