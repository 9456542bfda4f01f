"""What the server says, octet by octet."""

from __future__ import annotations

import pytest

from staffetta.protocols.imap import codes, listings, responses
from staffetta.protocols.imap.commands import BadCommand, StatusItem
from staffetta.protocols.imap.criteria import SearchReturn
from staffetta.protocols.imap.frames import FrameError
from staffetta.protocols.imap.quoting import (
    format_astring,
    format_flags,
    format_literal,
    format_nstring,
    format_string,
)


@pytest.mark.parametrize(
    ("line", "octets"),
    [
        (responses.ok(b"a1", "Done"), b"a1 OK Done\r\n"),
        (responses.no(b"a1", "Not now", codes.UNAVAILABLE), b"a1 NO [UNAVAILABLE] Not now\r\n"),
        (responses.bad(b"a1", "What?"), b"a1 BAD What?\r\n"),
        (responses.untagged_ok("x", codes.uid_next(7)), b"* OK [UIDNEXT 7] x\r\n"),
        (responses.untagged_no("x", codes.ALERT), b"* NO [ALERT] x\r\n"),
        (responses.untagged_bad("x"), b"* BAD x\r\n"),
        (responses.preauth("x"), b"* PREAUTH x\r\n"),
        (responses.bye("x", codes.UNAVAILABLE), b"* BYE [UNAVAILABLE] x\r\n"),
        (responses.challenge(b""), b"+ \r\n"),
        (responses.challenge(b"hm"), b"+ aG0=\r\n"),
        (responses.capability([b"IMAP4rev1", b"IDLE"]), b"* CAPABILITY IMAP4rev1 IDLE\r\n"),
        (responses.enabled([b"CONDSTORE"]), b"* ENABLED CONDSTORE\r\n"),
        (responses.enabled([]), b"* ENABLED\r\n"),
        (responses.exists(172), b"* 172 EXISTS\r\n"),
        (responses.recent(1), b"* 1 RECENT\r\n"),
        (responses.flags(["\\Seen", "$Junk"]), b"* FLAGS (\\Seen $Junk)\r\n"),
        (responses.expunge(3), b"* 3 EXPUNGE\r\n"),
        (responses.vanished([3, 4, 5, 9]), b"* VANISHED 3:5,9\r\n"),
        (responses.vanished([3], earlier=True), b"* VANISHED (EARLIER) 3\r\n"),
        (responses.search([2, 84, 882]), b"* SEARCH 2 84 882\r\n"),
        (responses.search([]), b"* SEARCH\r\n"),
        (responses.search([2, 5], modseq=9), b"* SEARCH 2 5 (MODSEQ 9)\r\n"),
        (responses.search([], modseq=9), b"* SEARCH\r\n"),
    ],
)
def test_lines(line: bytes, octets: bytes) -> None:
    assert line == octets


def test_text_is_one_line_of_ascii_and_no_code() -> None:
    assert responses.ok(b"a", "più\r\nb NO x") == b"a OK pi b NO x\r\n"
    assert responses.ok(b"a", "") == b"a OK -\r\n"
    assert responses.ok(b"a", "[ALERT] boo") == b"a OK ALERT] boo\r\n"


def test_refusals_answer_themselves() -> None:
    bad = BadCommand(b"a", "Name is no name", "NO", codes.CANNOT)
    assert responses.refusal(bad) == b"a NO [CANNOT] Name is no name\r\n"
    assert responses.refusal(BadCommand(b"", "Tag expected")) == b"* BAD Tag expected\r\n"
    error = FrameError(b"a", "Too much", code=codes.TOOBIG)
    assert responses.refusal(error) == b"a BAD [TOOBIG] Too much\r\n"
    fatal = FrameError(b"a", "Too much", code=codes.TOOBIG, is_fatal=True)
    assert responses.refusal(fatal) == b"* BYE [TOOBIG] Too much\r\n"


def test_many_expunges_go_from_the_highest_down() -> None:
    assert responses.expunges([range(1, 3), range(7, 8)]) == (
        b"* 8 EXPUNGE\r\n* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n"
    )


def test_esearch() -> None:
    everything = frozenset(SearchReturn)
    assert responses.esearch(b"a1", [2, 3, 4, 9], everything, by_uid=True, modseq=7) == (
        b'* ESEARCH (TAG "a1") UID MIN 2 MAX 9 COUNT 4 ALL 2:4,9 MODSEQ 7\r\n'
    )
    assert responses.esearch(b"a1", [], everything, by_uid=False, modseq=7) == (
        b'* ESEARCH (TAG "a1") COUNT 0\r\n'
    )
    assert responses.esearch(b"a", [5], frozenset({SearchReturn.ALL}), by_uid=False) == (
        b'* ESEARCH (TAG "a") ALL 5\r\n'
    )


@pytest.mark.parametrize(
    ("code", "octets"),
    [
        (codes.capability([b"IMAP4rev1", b"ID"]), b"CAPABILITY IMAP4rev1 ID"),
        (codes.permanent_flags(["\\Seen", "\\*"]), b"PERMANENTFLAGS (\\Seen \\*)"),
        (codes.permanent_flags([]), b"PERMANENTFLAGS ()"),
        (codes.uid_validity(9), b"UIDVALIDITY 9"),
        (codes.unseen(3), b"UNSEEN 3"),
        (codes.highest_modseq(4), b"HIGHESTMODSEQ 4"),
        (codes.modified([7, 8, 9]), b"MODIFIED 7:9"),
        (codes.append_uid(38505, 3955), b"APPENDUID 38505 3955"),
        (
            codes.copy_uid(38505, [304, 319, 320], [3956, 3957, 3958]),
            b"COPYUID 38505 304,319:320 3956:3958",
        ),
        (codes.bad_charset([b"UTF-8"]), b"BADCHARSET (UTF-8)"),
        (codes.mailbox_id(b"F2212ea87"), b"MAILBOXID (F2212ea87)"),
    ],
)
def test_codes(code: bytes, octets: bytes) -> None:
    assert code == octets


@pytest.mark.parametrize(
    ("line", "octets"),
    [
        (
            listings.list_line(["\\HasNoChildren", "\\Sent"], "Posta inviata"),
            b'* LIST (\\HasNoChildren \\Sent) "/" "Posta inviata"\r\n',
        ),
        (listings.list_line([], "INBOX"), b'* LIST () "/" INBOX\r\n'),
        (listings.list_line([], "NIL"), b'* LIST () "/" "NIL"\r\n'),
        (
            listings.list_line([], 'a"b\\c', command=b"LSUB"),
            b'* LSUB () "/" "a\\"b\\\\c"\r\n',
        ),
        (
            listings.list_line(["\\NonExistent"], "Più", child_info=["SUBSCRIBED"]),
            b'* LIST (\\NonExistent) "/" "Pi&APk-" ("CHILDINFO" ("SUBSCRIBED"))\r\n',
        ),
        (listings.separator_line(), b'* LIST (\\Noselect) "/" ""\r\n'),
        (listings.namespace(), b'* NAMESPACE (("" "/")) NIL NIL\r\n'),
        (
            listings.status(
                "Bozze",
                {
                    StatusItem.MESSAGES: 231,
                    StatusItem.MAILBOXID: b"F1",
                    StatusItem.APPENDLIMIT: None,
                },
            ),
            b'* STATUS "Bozze" (MESSAGES 231 MAILBOXID (F1) APPENDLIMIT NIL)\r\n',
        ),
        (
            listings.quota("", [(b"STORAGE", 10, 512), (b"MESSAGE", 3, 9)]),
            b'* QUOTA "" (STORAGE 10 512 MESSAGE 3 9)\r\n',
        ),
        (listings.quota("root", []), b"* QUOTA root ()\r\n"),
        (listings.quota_root("INBOX", [""]), b'* QUOTAROOT INBOX ""\r\n'),
        (listings.quota_root("x", []), b'* QUOTAROOT "x"\r\n'),
        (listings.identity({"name": "Staffetta"}), b'* ID ("name" "Staffetta")\r\n'),
        (listings.identity({}), b"* ID NIL\r\n"),
    ],
)
def test_listings(line: bytes, octets: bytes) -> None:
    assert line == octets


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        (b"", b'""'),
        (b"a b", b'"a b"'),
        (b'a"b\\', b'"a\\"b\\\\"'),
        (b"a\r\nb", b"{4}\r\na\r\nb"),
        (b"\xe8", b"{1}\r\n\xe8"),
        (b"a\0b", b"{3}\r\na\x80b"),
        (b"x" * 1001, b"{1001}\r\n" + b"x" * 1001),
    ],
)
def test_strings(value: bytes, octets: bytes) -> None:
    assert format_string(value) == octets
    assert format_nstring(value) == octets


def test_other_forms_of_strings() -> None:
    assert format_nstring(None) == b"NIL"
    assert format_astring(b"x-y.z") == b"x-y.z"
    assert format_astring(b"nil") == b'"nil"'
    assert format_astring(b"") == b'""'
    assert format_astring(b"a]b") == b'"a]b"'
    assert format_literal(b"") == b"{0}\r\n"
    assert format_flags([]) == b"()"
