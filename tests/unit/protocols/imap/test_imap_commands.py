"""Each kind of command, as the standards show it and as clients send it."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest

from staffetta.protocols.imap import commands as c
from staffetta.protocols.imap import criteria as k
from staffetta.protocols.imap.attributes import BodySection, FetchItem, SectionText
from staffetta.protocols.imap.commands import StatusItem, StoreMode
from staffetta.protocols.imap.criteria import DateRelation, SearchReturn
from staffetta.protocols.imap.frames import CommandFrame, ImapReceiver, limits_after_login
from staffetta.protocols.imap.parser import decode_sasl_line, is_done, parse_command
from staffetta.protocols.imap.sequence import SequenceSet


def parse(octets: bytes) -> c.Command | c.BadCommand:
    """The command in `octets`, which may have {n+} literals."""
    receiver = ImapReceiver(limits_after_login(10_000))
    receiver.receive(octets + b"\r\n")
    frame = receiver.next_event()
    assert isinstance(frame, CommandFrame)
    return parse_command(frame)


def numbers(text: str) -> SequenceSet:
    return SequenceSet.parse(text.encode())


A = b"a"
SIMPLE = [
    (b"a CAPABILITY", c.Capability(A)),
    (b"a noop", c.Noop(A)),
    (b"a LOGOUT ", c.Logout(A)),
    (b"a STARTTLS", c.StartTls(A)),
    (b"a NAMESPACE", c.Namespace(A)),
    (b"a IDLE", c.Idle(A)),
    (b"a CHECK", c.Check(A)),
    (b"a CLOSE", c.Close(A)),
    (b"a UNSELECT", c.Unselect(A)),
    (b"a EXPUNGE", c.Expunge(A)),
    (b"a UID EXPUNGE 3000:3002", c.Expunge(A, numbers("3000:3002"))),
]

SIGN_IN = [
    (b"a LOGIN SMITH SESAME", c.Login(A, "SMITH", b"SESAME")),
    (
        b'a LOGIN "anna@libero.example" "pa \\"ss\\\\"',
        c.Login(A, "anna@libero.example", b'pa "ss\\'),
    ),
    (b"a LOGIN {5+}\r\nanna! {4+}\r\n\xc3\xa8\r\n", c.Login(A, "anna!", b"\xc3\xa8\r\n")),
    (b'a LOGIN anna "\xc3\xa8"', c.Login(A, "anna", b"\xc3\xa8")),
    (b"a AUTHENTICATE GSSAPI", c.Authenticate(A, "GSSAPI")),
    (b"a authenticate plain AGEAYg==", c.Authenticate(A, "PLAIN", b"\0a\0b")),
    (b"a AUTHENTICATE EXTERNAL =", c.Authenticate(A, "EXTERNAL", b"")),
    (b"a ID NIL", c.Id(A, ())),
    (b"a ID ()", c.Id(A, ())),
    (
        b'a ID ("Name" "sodr" "version" "19.34" "vendor" NIL)',
        c.Id(A, (("name", "sodr"), ("version", "19.34"), ("vendor", None))),
    ),
    (b"a ENABLE CONDSTORE X-GOOD-IDEA", c.Enable(A, (b"CONDSTORE", b"X-GOOD-IDEA"))),
]

MAILBOXES = [
    (b"a SELECT INBOX", c.Select(A, "INBOX")),
    (b"a SELECT {5+}\r\ninbox", c.Select(A, "INBOX")),
    (b"a EXAMINE blurdybloop", c.Select(A, "blurdybloop", read_only=True)),
    (b'a SELECT "Pi&APk-" (CONDSTORE)', c.Select(A, "Più", condstore=True)),
    (
        b"a SELECT INBOX (QRESYNC (67890007 20050715194045000 41,43:211,214:541))",
        c.Select(
            A, "INBOX", qresync=c.QResync(67890007, 20050715194045000, numbers("41,43:211,214:541"))
        ),
    ),
    (
        b"a SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541 (1:29997 10:29999)))",
        c.Select(
            A,
            "INBOX",
            qresync=c.QResync(
                67890007,
                90060115194045000,
                numbers("41:211,214:541"),
                numbers("1:29997"),
                numbers("10:29999"),
            ),
        ),
    ),
    (b"a SELECT INBOX (QRESYNC (1 2))", c.Select(A, "INBOX", qresync=c.QResync(1, 2))),
    (b"a CREATE owatagusiam/", c.Create(A, "owatagusiam")),
    (b"a CREATE owatagusiam/blurdybloop", c.Create(A, "owatagusiam/blurdybloop")),
    (
        b"a CREATE MySpecial (USE (\\Drafts \\sent))",
        c.Create(A, "MySpecial", ("\\Drafts", "\\Sent")),
    ),
    (b"a DELETE foo", c.Delete(A, "foo")),
    (b"a RENAME INBOX old-mail", c.Rename(A, "INBOX", "old-mail")),
    (b"a SUBSCRIBE #news.comp.mail.mime", c.Subscribe(A, "#news.comp.mail.mime")),
    (b"a UNSUBSCRIBE x]y", c.Unsubscribe(A, "x]y")),
    (b'a GETQUOTA ""', c.GetQuota(A, "")),
    (b"a GETQUOTAROOT INBOX", c.GetQuotaRoot(A, "INBOX")),
    (
        b"a STATUS blurdybloop (UIDNEXT MESSAGES)",
        c.Status(A, "blurdybloop", (StatusItem.UIDNEXT, StatusItem.MESSAGES)),
    ),
    (
        b'a STATUS "x y" (messages UNSEEN RECENT UIDVALIDITY HIGHESTMODSEQ '
        b"SIZE MAILBOXID DELETED MESSAGES)",
        c.Status(
            A,
            "x y",
            (
                StatusItem.MESSAGES,
                StatusItem.UNSEEN,
                StatusItem.RECENT,
                StatusItem.UIDVALIDITY,
                StatusItem.HIGHESTMODSEQ,
                StatusItem.SIZE,
                StatusItem.MAILBOXID,
                StatusItem.DELETED,
            ),
        ),
    ),
]

LISTS = [
    (b'a LIST "" ""', c.List(A, "", ("",))),
    (b'a LIST #news.comp.mail.misc ""', c.List(A, "#news.comp.mail.misc", ("",))),
    (b'a LIST "" %', c.List(A, "", ("%",))),
    (b"a LIST ~/Mail/ %", c.List(A, "~/Mail/", ("%",))),
    (b'a LIST "" "Pi&APk-/*"', c.List(A, "", ("Più/*",))),
    (b'a LIST "" inbox/%', c.List(A, "", ("INBOX/%",))),
    (b'a LSUB "#news." "comp.mail.*"', c.Lsub(A, "#news.", "comp.mail.*")),
    (
        b'a LIST (SUBSCRIBED) "" "*"',
        c.List(A, "", ("*",), select_subscribed=True, return_subscribed=True, is_extended=True),
    ),
    (
        b'a LIST () "" "%" RETURN (CHILDREN)',
        c.List(A, "", ("%",), return_children=True, is_extended=True),
    ),
    (
        b'a LIST (REMOTE) "" "%" RETURN (SUBSCRIBED CHILDREN)',
        c.List(
            A,
            "",
            ("%",),
            select_remote=True,
            return_subscribed=True,
            return_children=True,
            is_extended=True,
        ),
    ),
    (
        b'a LIST (RECURSIVEMATCH SUBSCRIBED) "" "%"',
        c.List(
            A,
            "",
            ("%",),
            select_subscribed=True,
            recursive_match=True,
            return_subscribed=True,
            is_extended=True,
        ),
    ),
    (
        b'a LIST "" ("INBOX" "Drafts" "Sent/%")',
        c.List(A, "", ("INBOX", "Drafts", "Sent/%"), is_extended=True),
    ),
    (
        b'a LIST (SPECIAL-USE) "" "*"',
        c.List(A, "", ("*",), select_special_use=True, return_special_use=True, is_extended=True),
    ),
    (
        b'a LIST "" % RETURN (STATUS (MESSAGES UNSEEN) SPECIAL-USE)',
        c.List(
            A,
            "",
            ("%",),
            return_special_use=True,
            return_status=(StatusItem.MESSAGES, StatusItem.UNSEEN),
            is_extended=True,
        ),
    ),
    (b'a LIST "" "*" RETURN ()', c.List(A, "", ("*",), is_extended=True)),
]

WHEN = datetime(1994, 2, 7, 21, 52, 25, tzinfo=timezone(timedelta(hours=-8)))
APPENDS = [
    (
        b"a APPEND saved-messages (\\Seen) {3+}\r\nabc",
        c.Append(A, "saved-messages", b"abc", ("\\Seen",)),
    ),
    (
        b"a APPEND INBOX (\\seen $MDNSent \\Recent $mdnsent) "
        b'" 7-Feb-1994 21:52:25 -0800" {2+}\r\n\0\xff',
        c.Append(A, "INBOX", b"\0\xff", ("\\Seen", "$MDNSent"), WHEN),
    ),
    (
        b'a APPEND {5+}\r\nBozze "07-Feb-1994 21:52:25 -0800" {0+}\r\n',
        c.Append(A, "Bozze", b"", (), WHEN),
    ),
    (b"a APPEND x () {1+}\r\nx", c.Append(A, "x", b"x")),
]

STORES = [
    (b"a STORE 2:4 +FLAGS (\\Deleted)", c.Store(A, numbers("2:4"), StoreMode.ADD, ("\\Deleted",))),
    (b"a STORE * FLAGS ()", c.Store(A, numbers("*"), StoreMode.REPLACE, ())),
    (
        b"a UID STORE 7 -flags.silent \\Seen $Junk",
        c.Store(A, numbers("7"), StoreMode.REMOVE, ("\\Seen", "$Junk"), silent=True, by_uid=True),
    ),
    (
        b"a STORE 7,5,9 (UNCHANGEDSINCE 320162338) +FLAGS.SILENT (\\Deleted)",
        c.Store(
            A,
            numbers("7,5,9"),
            StoreMode.ADD,
            ("\\Deleted",),
            silent=True,
            unchanged_since=320162338,
        ),
    ),
    (b"a COPY 2:4 MEETING", c.Copy(A, numbers("2:4"), "MEETING")),
    (b"a UID COPY 1:* Archivio", c.Copy(A, numbers("1:*"), "Archivio", by_uid=True)),
    (b"a UID MOVE 42:69 foo", c.Move(A, numbers("42:69"), "foo", by_uid=True)),
    (b"a MOVE 1 foo", c.Move(A, numbers("1"), "foo")),
]


@pytest.mark.parametrize(
    ("octets", "expected"),
    [*SIMPLE, *SIGN_IN, *MAILBOXES, *LISTS, *APPENDS, *STORES],
    ids=lambda value: value.decode("latin-1")[:60] if isinstance(value, bytes) else "",
)
def test_commands(octets: bytes, expected: c.Command) -> None:
    assert parse(octets) == expected


F = FetchItem
FAST = frozenset({F.FLAGS, F.INTERNALDATE, F.RFC822_SIZE})


@pytest.mark.parametrize(
    ("wanted", "items"),
    [
        (b"FLAGS", {F.FLAGS}),
        (b"(FLAGS)", {F.FLAGS}),
        (b"( flags  Uid )", {F.FLAGS, F.UID}),
        (b"FAST", FAST),
        (b"ALL", FAST | {F.ENVELOPE}),
        (b"full", FAST | {F.ENVELOPE, F.BODY}),
        (b"(BODYSTRUCTURE BODY)", {F.BODYSTRUCTURE, F.BODY}),
        (b"(MODSEQ EMAILID THREADID)", {F.MODSEQ, F.EMAILID, F.THREADID}),
        (b"(ENVELOPE INTERNALDATE RFC822.SIZE)", {F.ENVELOPE, F.INTERNALDATE, F.RFC822_SIZE}),
    ],
)
def test_fetch_items(wanted: bytes, items: set[FetchItem]) -> None:
    assert parse(b"a FETCH 1:* " + wanted) == c.Fetch(A, numbers("1:*"), frozenset(items))
    by_uid = c.Fetch(A, numbers("1:*"), frozenset(items | {F.UID}), by_uid=True)
    assert parse(b"a UID FETCH 1:* " + wanted) == by_uid


@pytest.mark.parametrize(
    ("wanted", "section"),
    [
        (b"BODY[]", BodySection(b"BODY[]")),
        (b"BODY.PEEK[]", BodySection(b"BODY[]", peek=True)),
        (b"body.peek[header]", BodySection(b"BODY[HEADER]", text=SectionText.HEADER, peek=True)),
        (b"BODY[TEXT]", BodySection(b"BODY[TEXT]", text=SectionText.TEXT)),
        (b"BODY[4.2.2.1]", BodySection(b"BODY[4.2.2.1]", (4, 2, 2, 1))),
        (b"BODY[3.header]", BodySection(b"BODY[3.HEADER]", (3,), SectionText.HEADER)),
        (b"BODY[4.1.MIME]", BodySection(b"BODY[4.1.MIME]", (4, 1), SectionText.MIME)),
        (b"BODY[]<0.2048>", BodySection(b"BODY[]<0>", partial=(0, 2048))),
        (
            b"BODY.PEEK[1.2]<512.65536>",
            BodySection(b"BODY[1.2]<512>", (1, 2), partial=(512, 65536), peek=True),
        ),
        (
            b"BODY[HEADER.FIELDS (DATE From)]",
            BodySection(
                b"BODY[HEADER.FIELDS (DATE From)]",
                text=SectionText.HEADER_FIELDS,
                fields=(b"DATE", b"From"),
            ),
        ),
        (
            b'BODY.PEEK[2.HEADER.FIELDS.NOT ("X-A b" {3+}\r\nX-\xc3)]<5.6>',
            BodySection(
                b'BODY[2.HEADER.FIELDS.NOT ("X-A b" {3}\r\nX-\xc3)]<5>',
                (2,),
                SectionText.HEADER_FIELDS_NOT,
                (b"X-A b", b"X-\xc3"),
                (5, 6),
                peek=True,
            ),
        ),
        (b"RFC822", BodySection(b"RFC822")),
        (b"RFC822.HEADER", BodySection(b"RFC822.HEADER", text=SectionText.HEADER, peek=True)),
        (b"RFC822.TEXT", BodySection(b"RFC822.TEXT", text=SectionText.TEXT)),
    ],
)
def test_fetch_sections(wanted: bytes, section: BodySection) -> None:
    expected = c.Fetch(A, numbers("2"), frozenset(), (section,))
    assert parse(b"a FETCH 2 " + wanted) == expected
    assert parse(b"a FETCH 2 (" + wanted + b")") == expected
    assert expected.sets_seen is not section.peek


def test_a_fetch_may_mix_items_and_sections() -> None:
    assert parse(b"a FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE)] BODY[1] BODY[1] UID)") == c.Fetch(
        A,
        numbers("2:4"),
        frozenset({F.FLAGS, F.UID}),
        (
            BodySection(
                b"BODY[HEADER.FIELDS (DATE)]", text=SectionText.HEADER_FIELDS, fields=(b"DATE",)
            ),
            BodySection(b"BODY[1]", (1,)),
        ),
    )


@pytest.mark.parametrize(
    ("modifiers", "changed_since", "vanished"),
    [
        (b"(CHANGEDSINCE 12345)", 12345, False),
        (b"(changedsince 0)", 0, False),  # iOS 16, against RFC 7162
        (b"(CHANGEDSINCE 9223372036854775807 VANISHED)", 2**63 - 1, True),
        (b"(VANISHED CHANGEDSINCE 5)", 5, True),
    ],
)
def test_fetch_modifiers(modifiers: bytes, changed_since: int, vanished: bool) -> None:
    assert parse(b"a UID FETCH 1:* (FLAGS) " + modifiers) == c.Fetch(
        A,
        numbers("1:*"),
        frozenset({F.FLAGS, F.UID, F.MODSEQ}),
        (),
        True,
        changed_since,
        vanished,
    )


# SEARCH

SEEN, DELETED = k.FlagIs("\\Seen", True), k.FlagIs("\\Deleted", True)
FIRST_OF_FEBRUARY = date(1994, 2, 1)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"ALL", k.AllMessages()),
        (b"UNSEEN", k.FlagIs("\\Seen", False)),
        (b"NEW", k.AllOf((k.FlagIs("\\Recent", True), k.FlagIs("\\Seen", False)))),
        (b"OLD", k.FlagIs("\\Recent", False)),
        (b"KEYWORD $Junk", k.FlagIs("$Junk", True)),
        (b"UNKEYWORD $Junk", k.FlagIs("$Junk", False)),
        (b'FROM "Smith"', k.HeaderContains("From", "Smith")),
        (b"to anna", k.HeaderContains("To", "anna")),
        (b"CC x", k.HeaderContains("Cc", "x")),
        (b"BCC x", k.HeaderContains("Bcc", "x")),
        (b"SUBJECT {5+}\r\npi\xc3\xb9!", k.HeaderContains("Subject", "più!")),
        (b'HEADER Message-ID ""', k.HeaderContains("Message-ID", "")),
        (b"HEADER Message-ID <a@b.example>", k.HeaderContains("Message-ID", "<a@b.example>")),
        (b'BODY "a b"', k.BodyContains("a b")),
        (b"TEXT x", k.TextContains("x")),
        (b"BEFORE 1-Feb-1994", k.InternalDateIs(DateRelation.BEFORE, FIRST_OF_FEBRUARY)),
        (b'ON "01-FEB-1994"', k.InternalDateIs(DateRelation.ON, FIRST_OF_FEBRUARY)),
        (b"SINCE 1-Feb-1994", k.InternalDateIs(DateRelation.SINCE, FIRST_OF_FEBRUARY)),
        (b"SENTBEFORE 1-Feb-1994", k.SentDateIs(DateRelation.BEFORE, FIRST_OF_FEBRUARY)),
        (b"SENTON 1-Feb-1994", k.SentDateIs(DateRelation.ON, FIRST_OF_FEBRUARY)),
        (b"SENTSINCE 1-Feb-1994", k.SentDateIs(DateRelation.SINCE, FIRST_OF_FEBRUARY)),
        (b"LARGER 1000", k.LargerThan(1000)),
        (b"SMALLER 0", k.SmallerThan(0)),
        (b"1:3,*", k.NumberIn(numbers("1:3,*"))),
        (b"*", k.NumberIn(numbers("*"))),
        (b"UID 300:*", k.UidIn(numbers("300:*"))),
        (b"NOT SEEN", k.Not(SEEN)),
        (b"NOT NOT SEEN", k.Not(k.Not(SEEN))),
        (b"OR SEEN DELETED", k.AnyOf((SEEN, DELETED))),
        (b"OR SEEN OR DELETED ALL", k.AnyOf((SEEN, DELETED, k.AllMessages()))),
        (b"OR OR SEEN DELETED ALL", k.AnyOf((SEEN, DELETED, k.AllMessages()))),
        (b"(SEEN)", SEEN),
        (b"SEEN DELETED", k.AllOf((SEEN, DELETED))),
        (b"(SEEN DELETED)", k.AllOf((SEEN, DELETED))),
        (
            b"OR (SEEN DELETED) NOT (ALL)",
            k.AnyOf((k.AllOf((SEEN, DELETED)), k.Not(k.AllMessages()))),
        ),
        (b"EMAILID M6d99ac3275bb4e", k.EmailIdIs("M6d99ac3275bb4e")),
        (b"THREADID T-a_1", k.ThreadIdIs("T-a_1")),
        (b"YOUNGER 259200", k.YoungerThan(259200)),
        (b"OLDER 1", k.OlderThan(1)),
    ],
)
def test_search_keys(text: bytes, key: k.SearchKey) -> None:
    assert parse(b"a SEARCH " + text) == c.Search(A, key)
    assert parse(b"a UID SEARCH " + text + b" ") == c.Search(A, key, by_uid=True)


def test_search_by_modseq() -> None:
    expected = c.Search(A, k.ModseqAtLeast(620162338), has_modseq=True)
    assert parse(b"a SEARCH MODSEQ 620162338") == expected
    assert parse(b'a SEARCH MODSEQ "/flags/\\\\draft" all 620162338') == expected
    assert parse(b"a SEARCH OR NOT MODSEQ 7 LARGER 5") == c.Search(
        A, k.AnyOf((k.Not(k.ModseqAtLeast(7)), k.LargerThan(5))), has_modseq=True
    )


R = SearchReturn


@pytest.mark.parametrize(
    ("options", "returns"),
    [
        (b"RETURN (MIN COUNT)", {R.MIN, R.COUNT}),
        (b"return (all max)", {R.ALL, R.MAX}),
        (b"RETURN ()", {R.ALL}),
    ],
)
def test_search_return(options: bytes, returns: set[SearchReturn]) -> None:
    assert parse(b"a SEARCH " + options + b" SEEN") == c.Search(A, SEEN, False, frozenset(returns))


@pytest.mark.parametrize(
    ("charset", "octets"),
    [
        (b"UTF-8", b"citt\xc3\xa0"),
        (b'"utf-8"', b"citt\xc3\xa0"),
        (b"ISO-8859-1", b"citt\xe0"),
        (b"windows-1252", b"citt\xe0"),
        (b"ISO-8859-15", b"citt\xe0"),
    ],
)
def test_search_charset(charset: bytes, octets: bytes) -> None:
    key = k.AllOf((k.TextContains("città"), SEEN))
    literal = b"{%d+}\r\n%b" % (len(octets), octets)
    assert parse(b"a SEARCH CHARSET " + charset + b" TEXT " + literal + b" SEEN") == c.Search(
        A, key
    )
    returning = b"a SEARCH RETURN () CHARSET " + charset + b" TEXT " + literal + b" SEEN"
    assert parse(returning) == c.Search(A, key, returns=frozenset({R.ALL}))


def test_search_without_charset_takes_what_it_gets() -> None:
    assert parse(b'a SEARCH TEXT "citt\xc3\xa0"') == c.Search(A, k.TextContains("città"))
    assert parse(b'a SEARCH TEXT "citt\xe0"') == c.Search(A, k.TextContains("città"))


def test_passwords_are_not_shown() -> None:
    assert "SESAME" not in repr(parse(b"a LOGIN SMITH SESAME"))
    assert "AGEAYg" not in repr(parse(b"a AUTHENTICATE PLAIN AGEAYg=="))


def test_lines_that_are_no_commands() -> None:
    assert is_done(b"DONE")
    assert is_done(b"done ")
    assert not is_done(b"a NOOP")
    assert decode_sasl_line(b"AGEAYg==") == b"\0a\0b"
    assert decode_sasl_line(b"") == b""
    assert decode_sasl_line(b"*") is None
    with pytest.raises(ValueError, match=r"base64|character"):
        decode_sasl_line(b"not base64!")
