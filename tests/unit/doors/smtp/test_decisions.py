"""Who may be written to, and what may come in."""

from __future__ import annotations

import pytest

from staffetta.directory.recipients import (
    Doubt,
    Known,
    NoSuchUser,
    NotOurs,
    Resolution,
    Unsure,
)
from staffetta.directory.records import MailboxState
from staffetta.doors.smtp.decisions import (
    CANNOT_SAY_NOW,
    HEADER_LOOK_BYTES,
    MAILBOX_CLOSED,
    MESSAGE_ID_CHARACTERS_MAX,
    NO_SUCH_USER,
    RELAY_DENIED,
    TOO_BIG_FOR_RECIPIENT,
    TOO_MANY_HOPS,
    Addressees,
    RecipientYes,
    decide_content,
    decide_recipient,
    find_message_id,
)
from staffetta.log.facts import Recipient
from staffetta.protocols.smtp.events import (
    MailGiven,
    MailParameters,
    NotifyOn,
    OriginalRecipient,
    RecipientGiven,
    RecipientParameters,
)
from staffetta.protocols.smtp.paths import NULL_PATH, Path
from staffetta.protocols.smtp.replies import Reply
from tests.joints import FixedRecipients, make_target

CLOSED = MailboxState.CLOSED


def rcpt(
    address: str = "user7@example.org", parameters: RecipientParameters | None = None
) -> RecipientGiven:
    local_part, _, domain = address.rpartition(":")[2].rpartition("@")
    path = Path(address, local_part, domain)
    return RecipientGiven(path, parameters or RecipientParameters())


def decide(
    answer: Resolution, size_bytes: int | None = None, into: Addressees | None = None
) -> RecipientYes | Reply:
    table = FixedRecipients()
    table.answers["user7@example.org"] = answer
    mail = MailGiven(NULL_PATH, MailParameters(size_bytes=size_bytes))
    return decide_recipient(rcpt(), mail, table, Addressees() if into is None else into)


def known(*targets: object) -> Known:
    return Known("user7@example.org", targets)  # type: ignore[arg-type]


def test_a_known_user_is_a_yes_with_the_size_that_the_plan_allows() -> None:
    into = Addressees()
    assert decide(known(make_target(7, size_bytes_max=50)), into=into) == RecipientYes(50)
    assert into.freeze() == (Recipient(7, "brand", ("user7@example.org",)),)
    assert into.named == 1


def test_of_several_mailboxes_the_smallest_limit_counts() -> None:
    several = known(make_target(7, size_bytes_max=50), make_target(8, size_bytes_max=20))
    assert decide(several) == RecipientYes(20)


def test_a_suspended_mailbox_gets_its_mail() -> None:
    suspended = make_target(7, state=MailboxState.SUSPENDED)
    assert isinstance(decide(known(suspended)), RecipientYes)


def test_a_closed_mailbox_is_a_no_unless_there_are_others() -> None:
    into = Addressees()
    assert decide(known(make_target(7, state=CLOSED)), into=into) == MAILBOX_CLOSED
    assert into.freeze() == ()
    both = known(make_target(7, state=CLOSED, size_bytes_max=1), make_target(8, size_bytes_max=9))
    assert decide(both, into=into) == RecipientYes(9)
    assert [one.mailbox for one in into.freeze()] == [8]


@pytest.mark.parametrize(("declared", "yes"), [(None, True), (49, True), (50, True), (51, False)])
def test_a_declared_size_is_held_against_the_limit(declared: int | None, yes: bool) -> None:
    into = Addressees()
    answer = decide(known(make_target(7, size_bytes_max=50)), declared, into)
    assert answer == (RecipientYes(50) if yes else TOO_BIG_FOR_RECIPIENT)
    assert into.named == int(yes)


@pytest.mark.parametrize(
    ("answer", "reply"), [(NoSuchUser(), NO_SUCH_USER), (NotOurs(), RELAY_DENIED)]
)
def test_a_sound_table_may_say_no_for_ever(answer: Resolution, reply: Reply) -> None:
    into = Addressees()
    assert decide(answer, into=into) == reply
    assert reply.code == 550
    assert into.freeze() == ()


@pytest.mark.parametrize("doubt", list(Doubt))
def test_no_doubt_ever_becomes_a_permanent_no(doubt: Doubt) -> None:
    into = Addressees()
    answer = decide(Unsure(doubt), into=into)
    if doubt in (Doubt.STALE, Doubt.DANGLING):
        assert answer == RecipientYes(0)
        assert into.freeze() == (Recipient(0, "", ("user7@example.org",)),)
    else:
        assert answer == CANNOT_SAY_NOW
        assert CANNOT_SAY_NOW.code == 451
        assert into.freeze() == ()


def test_each_mailbox_is_there_once_with_all_the_ways_that_led_to_it() -> None:
    into = Addressees()
    into.add(rcpt("alias@example.org"), (make_target(7), make_target(8)))
    into.add(rcpt("user7@example.org"), (make_target(7),))
    into.add(rcpt("alias@example.org"), (make_target(7), make_target(8)))
    assert into.freeze() == (
        Recipient(7, "brand", ("alias@example.org", "user7@example.org")),
        Recipient(8, "brand", ("alias@example.org",)),
    )
    assert into.named == 3


def test_the_unverified_come_after_the_known_each_for_itself() -> None:
    into = Addressees()
    into.add_unverified(rcpt("one@example.org"))
    into.add(rcpt(), (make_target(7),))
    into.add_unverified(rcpt("two@example.org"))
    found = [(one.mailbox, one.addresses) for one in into.freeze()]
    assert found == [
        (7, ("user7@example.org",)),
        (0, ("one@example.org",)),
        (0, ("two@example.org",)),
    ]


def test_a_source_route_is_left_out() -> None:
    into = Addressees()
    into.add(rcpt("@relay.example:user7@example.org"), (make_target(7),))
    assert into.freeze()[0].addresses == ("user7@example.org",)


def test_what_is_wanted_of_delivery_reports_is_kept() -> None:
    parameters = RecipientParameters(
        frozenset({NotifyOn.SUCCESS, NotifyOn.FAILURE}), OriginalRecipient("rfc822", "o@x")
    )
    into = Addressees()
    into.add(rcpt("user7@example.org", parameters), (make_target(7),))
    (one,) = into.freeze()
    assert (one.notify, one.orcpt) == ("FAILURE,SUCCESS", "rfc822;o@x")


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"Message-ID: <a@x>\r\n\r\n", "<a@x>"),
        (b"From: y\r\nmessage-id:<a@x>\r\n\r\n", "<a@x>"),
        (b"Message-ID:\r\n <a@x>\r\n\r\n", "<a@x>"),
        (b"Message-Id : <a@x> (comment)\r\n\r\n", "<a@x>"),
        (b"X-Message-ID: <a@x>\r\n\r\n", ""),
        (b"Subject: y\r\n\r\nMessage-ID: <a@x>\r\n", ""),
        (b"Message-ID: a@x\r\n\r\n", ""),
        (b"Message-ID: <>\r\n\r\n", ""),
        (b"Message-ID: <a\r\n b@x>\r\n\r\n", ""),
        ("Message-ID: <ä@x>\r\n\r\n".encode(), "<ä@x>"),
        (b"Message-ID: <\xff@x>\r\n\r\n", "<\ufffd@x>"),
        (b"Message-ID: <a@x>", "<a@x>"),
        (b"", ""),
    ],
)
def test_a_message_id_is_found_in_the_header_only(head: bytes, found: str) -> None:
    assert find_message_id(head) == found


def test_a_message_id_has_bounds_in_place_and_length() -> None:
    late = b"X: " + b"y" * HEADER_LOOK_BYTES + b"\r\nMessage-ID: <a@x>\r\n\r\n"
    assert find_message_id(late) == ""
    long = b"Message-ID: <" + b"a" * 5_000 + b">\r\n\r\n"
    assert len(find_message_id(long)) == MESSAGE_ID_CHARACTERS_MAX


def make_hops(count: int, body: bytes = b"") -> bytes:
    return b"Received: from x by y\r\n" * count + b"Subject: z\r\n\r\n" + body


def test_hops_are_counted_up_to_their_limit() -> None:
    assert decide_content(make_hops(5), 5) is None
    assert decide_content(make_hops(6), 5) == TOO_MANY_HOPS
    assert decide_content(make_hops(6).replace(b"Received:", b"RECEIVED :"), 5) == TOO_MANY_HOPS
    assert not TOO_MANY_HOPS.is_positive


def test_what_only_looks_like_a_hop_is_none() -> None:
    quoted = make_hops(0, b"Received: from x\r\n" * 50)
    folded = b"Subject: x\r\n" + b" Received: y\r\n" * 50 + b"\r\n"
    others = b"X-Received: y\r\nReceived-SPF: z\r\n" * 50 + b"\r\n"
    assert [decide_content(one, 5) for one in (quoted, folded, others, b"")] == [None] * 4
