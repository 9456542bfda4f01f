"""SEARCH: every key, and that text keys mean substrings of the folded, decoded text."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from staffetta.mailboxes.port import (
    FLAGGED,
    INBOX,
    SEEN,
    Cell,
    Column,
    Copy,
    Expunge,
    FlagChange,
    Mailbox,
    NoSuchFolder,
    Query,
    SetFlags,
)
from tests.mailbox_rig import DAY_US, EVERYTHING, NOON_US, deliver, delivery, fill, mail, read

MAIL = [
    mail("Fattura n. 12", "Il caffè è pronto.", From="Mario Rossi <mario.rossi@libero.example>"),
    mail("invito", "Pranzo con Anna-Maria alle 13", From="anna@virgilio.example", Cc="Mario <m@x>"),
    mail("=?utf-8?q?Citt=C3=A0?=", "snake_case and " + "longword" * 20, To="mario@libero.example"),
    b"X-Odd: unbelievable\r\nSubject: first\r\nSubject: second\r\n\r\nSTRASSE stra\xc3\x9fe",
    b"\r\nno header at all; Mario",
    mail("", "empty subject", Bcc="hidden@x", X_Tag="=?utf-8?b?UGVyw7I=?="),
]


@pytest.fixture(autouse=True)
def some_mail(cell: Cell) -> None:
    fill(cell, MAIL)


def find(mailbox: Mailbox, query: Query, uids: Sequence[tuple[int, int]] = EVERYTHING) -> list[int]:
    return mailbox.search(INBOX, uids, query)


def text(needle: str, key: str = "TEXT", name: str = "") -> Query:
    return Query(key, text=needle, name=name)


@pytest.mark.parametrize(
    ("needle", "in_text", "in_body"),
    [
        ("mario", [1, 2, 3, 5], [5]),
        ("MARIO", [1, 2, 3, 5], [5]),
        ("aff", [1], [1]),
        ("caffe", [1], [1]),
        ("CAFFÈ", [1], [1]),
        ("caffè è", [1], [1]),
        ("caffè  è", [], []),
        ("mario.rossi@libero", [1], []),
        ("ossi <mario.ros", [1], []),
        ("anna-maria", [2], [2]),
        ("na-ma", [2], [2]),
        ("-", [1, 2, 4, 6], [2]),
        ("città", [3], []),
        ("citta", [3], []),
        ("strasse", [4], [4]),
        ("strasse stras", [4], [4]),
        ("snake_case", [3], [3]),
        ("wordlong", [3], [3]),
        ("longword" * 20, [3], [3]),
        ("longword" * 21, [], []),
        ("d" + "longword" * 19, [3], [3]),
        ("and " + "longword" * 20, [3], [3]),
        ("subject: second", [4], []),
        ("però", [6], []),
        ("zebra", [], []),
        ("zebra crossing", [], []),
        ("", [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
    ],
)
def test_text_and_body(
    mailbox: Mailbox, needle: str, in_text: list[int], in_body: list[int]
) -> None:
    assert find(mailbox, text(needle)) == in_text
    assert find(mailbox, text(needle, "BODY")) == in_body


@pytest.mark.parametrize(
    ("name", "needle", "found"),
    [
        ("FROM", "mario", [1]),
        ("From", "ROSSI <", [1]),
        ("cc", "mario", [2]),
        ("to", "@libero", [3]),
        ("to", "", [3]),
        ("subject", "", [1, 2, 3, 4, 6]),
        ("Subject", "first", [4]),
        ("Subject", "second", [4]),
        ("subject", "first\nsecond", []),
        ("subject", "citta", [3]),
        ("subject", "n. 12", [1]),
        ("x-odd", "believ", [4]),
        ("x-odd", "", [4]),
        ("x-od", "", []),
        ("x-tag", "pero", [6]),
        ("bcc", "hidden", [6]),
        ("bcc", "nobody", []),
        ("date", "2023", [1, 2, 3, 6]),
        ("from", "\0", []),
        ("from", "anna@virgilio.example", [2]),
    ],
)
def test_header(mailbox: Mailbox, name: str, needle: str, found: list[int]) -> None:
    assert find(mailbox, text(needle, "HEADER", name)) == found


def test_search_sees_what_came_since_the_last_one(cell: Cell, mailbox: Mailbox) -> None:
    assert find(mailbox, text("novità")) == []

    fill(cell, [mail("novità")], first=50)
    assert find(mailbox, text("novità")) == [7]
    assert find(mailbox, text("novita", "HEADER", "subject")) == [7]

    mailbox.change(INBOX, [(7, 7)], Copy("Archive"))
    mailbox.change(INBOX, [(7, 7)], Expunge(whatever_flags=True))
    assert find(mailbox, text("novità")) == []
    assert mailbox.search("Archive", EVERYTHING, text("novità")) == [1]


def test_search_over_many_blocks(cell: Cell, mailbox: Mailbox) -> None:
    contents = [mail(f"number {n}", f"word{n:04d} shared" + "!" * (n % 2)) for n in range(150)]
    fill(cell, contents, first=100)

    assert find(mailbox, text("word0149")) == [156]
    assert find(mailbox, text("ord007")) == list(range(77, 87))
    assert find(mailbox, text("shared")) == list(range(7, 157))
    assert find(mailbox, text("shared!")) == list(range(8, 157, 2))
    assert find(mailbox, text("number 14", "HEADER", "subject")) == [21, *range(147, 157)]


def test_flags_and_keywords(mailbox: Mailbox) -> None:
    mailbox.change(INBOX, [(1, 2)], SetFlags(FlagChange.ADD, SEEN, ("Work",)))
    mailbox.change(INBOX, [(2, 3)], SetFlags(FlagChange.ADD, FLAGGED))

    assert find(mailbox, Query("HAS", flags=SEEN)) == [1, 2]
    assert find(mailbox, Query("HAS", flags=SEEN | FLAGGED)) == [2]
    assert find(mailbox, Query("LACKS", flags=SEEN | FLAGGED)) == [4, 5, 6]
    assert find(mailbox, Query("KEYWORD", text="WORK")) == [1, 2]
    assert find(mailbox, Query("UNKEYWORD", text="work")) == [3, 4, 5, 6]
    assert find(mailbox, Query("KEYWORD", text="unknown")) == []
    assert find(mailbox, Query("UNKEYWORD", text="unknown")) == [1, 2, 3, 4, 5, 6]


def test_dates(cell: Cell, mailbox: Mailbox) -> None:
    day = NOON_US // DAY_US
    mailbox.append(INBOX, mail("midnight"), 0, (), day * DAY_US)
    mailbox.append(INBOX, mail("before"), 0, (), day * DAY_US - 1)

    assert find(mailbox, Query("ON", number=day)) == [1, 2, 3, 4, 5, 6, 7]
    assert find(mailbox, Query("BEFORE", number=day)) == [8]
    assert find(mailbox, Query("SINCE", number=day)) == [1, 2, 3, 4, 5, 6, 7]
    sent = 19359  # 2 January 2023
    assert find(mailbox, Query("SENTON", number=sent)) == [1, 2, 3, 6, 7, 8]
    assert find(mailbox, Query("SENTBEFORE", number=sent + 1)) == [1, 2, 3, 6, 7, 8]
    assert find(mailbox, Query("SENTBEFORE", number=sent)) == []
    assert find(mailbox, Query("SENTSINCE", number=sent)) == [1, 2, 3, 6, 7, 8]
    without_date = Query("NOT", queries=(Query("SENTSINCE", number=0),))
    assert find(mailbox, without_date) == [4, 5]


def test_sizes_uids_and_modseqs(mailbox: Mailbox) -> None:
    size = len(MAIL[4])
    changed = mailbox.change(INBOX, [(3, 3)], SetFlags(FlagChange.ADD, SEEN))

    assert find(mailbox, Query("SMALLER", number=size + 1)) == [5]
    assert find(mailbox, Query("SMALLER", number=size)) == []
    assert find(mailbox, Query("LARGER", number=size)) == [1, 2, 3, 4, 6]
    assert find(mailbox, Query("MODSEQ", number=changed.modseq)) == [3]
    assert find(mailbox, Query("UID", ranges=((2, 3), (6, 99)))) == [2, 3, 6]
    assert find(mailbox, Query("UID")) == []
    singles = tuple((uid, uid) for uid in range(1, 1_001, 2))
    assert find(mailbox, Query("UID", ranges=singles)) == [1, 3, 5]
    assert find(mailbox, Query("ALL"), singles) == [1, 3, 5]


def test_email_ids(mailbox: Mailbox) -> None:
    mailbox.append(INBOX, mail(), 0, (), NOON_US)
    ids = read(mailbox, Column.EMAIL_ID)

    assert find(mailbox, text(str(ids[2]), "EMAILID")) == [2]
    assert find(mailbox, text(str(ids[7]), "EMAILID")) == [7]
    assert find(mailbox, text("M" + str(ids[7])[1:], "EMAILID")) == []
    for nonsense in ("", "M", "Mé" + "0" * 15, "M" + "U" * 16):
        assert find(mailbox, text(nonsense, "EMAILID")) == []


def test_trees(mailbox: Mailbox) -> None:
    mario, anna, unseen = text("mario"), text("anna"), Query("LACKS", flags=SEEN)
    mailbox.change(INBOX, [(1, 1)], SetFlags(FlagChange.ADD, SEEN))

    assert find(mailbox, Query("AND", queries=(mario, anna))) == [2]
    assert find(mailbox, Query("AND", queries=(mario, unseen))) == [2, 3, 5]
    assert find(mailbox, Query("OR", queries=(text("strasse"), anna))) == [2, 4]
    assert find(mailbox, Query("NOT", queries=(mario,))) == [4, 6]
    both = Query("OR", queries=(Query("NOT", queries=(unseen,)), text("13", "BODY")))
    assert find(mailbox, Query("AND", queries=(both, mario))) == [1, 2]
    assert find(mailbox, Query("AND", queries=(mario, mario)), [(2, 3)]) == [2, 3]
    many = tuple(Query("OR", queries=(mario, anna)) for _ in range(1_500))
    assert find(mailbox, Query("AND", queries=many)) == [1, 2, 3, 5]


def test_messages_outside_the_asked_uids_are_left_out(cell: Cell, mailbox: Mailbox) -> None:
    deliver(cell, [delivery(90, mail("mario"), folder="Junk")])

    assert find(mailbox, text("mario"), [(2, 2), (5, 9)]) == [2, 5]
    assert find(mailbox, text("mario"), []) == []
    assert mailbox.search("Junk", EVERYTHING, text("mario")) == [1]
    with pytest.raises(NoSuchFolder):
        mailbox.search("Nowhere", EVERYTHING, text("mario"))
