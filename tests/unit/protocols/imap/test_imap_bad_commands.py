"""What is refused, how, and that nothing else happens."""

from __future__ import annotations

import pytest

from staffetta.protocols.imap.commands import BadCommand, Search
from staffetta.protocols.imap.frames import CommandFrame
from staffetta.protocols.imap.grammar.search import SEARCH_DEPTH_MAX, SEARCH_KEYS_MAX
from staffetta.protocols.imap.parser import parse_command


def parse(line: bytes, *literals: bytes) -> object:
    return parse_command(CommandFrame(line, literals))


BROKEN = """\
a
a FROB
a UID
a UID NOOP
a UID FROB 1
a NOOP x
a LOGIN
a LOGIN anna
a LOGIN anna pw more
a LOGIN "anna pw
a LOGIN "an\\na" pw
a LOGIN an(na pw
a AUTHENTICATE
a AUTHENTICATE PLAIN not-base64!
a AUTHENTICATE PLAIN AGE
a SELECT
a SELECT (x)
a SELECT INBOX (FROB)
a SELECT INBOX ()
a SELECT INBOX (QRESYNC)
a SELECT INBOX (QRESYNC (0 1))
a SELECT INBOX (QRESYNC (1 1 x))
a CREATE x (FROB)
a CREATE x (USE \\Sent)
a RENAME x
a LIST ""
a LIST "" x FROB
a LIST (FROB) "" x
a LIST (RECURSIVEMATCH) "" x
a LIST "" x RETURN (FROB)
a LIST "" x RETURN (STATUS)
a LIST "" x RETURN (STATUS (FROB))
a LIST "" ()
a LSUB ""
a STATUS INBOX
a STATUS INBOX ()
a STATUS INBOX MESSAGES
a STATUS INBOX (FROB)
a APPEND INBOX
a APPEND INBOX "text"
a APPEND INBOX (\\Frob) {3}
a APPEND INBOX (\\Seen {3}
a APPEND INBOX "31-Feb-2024 10:00:00 +0100" {3}
a APPEND INBOX "01-Feb-2024 10:00:61 +0100" {3}
a APPEND INBOX "01-Feb-2024 10:00:00 +2400" {3}
a APPEND INBOX "01-Jan-0001 10:00:00 +1200" {3}
a APPEND INBOX "01-Xxx-2024 10:00:00 +0100" {3}
a ID
a ID foo
a ID ("name")
a ENABLE
a GETQUOTA
a FETCH
a FETCH 1
a FETCH 0 FLAGS
a FETCH x FLAGS
a FETCH 1:2:3 FLAGS
a FETCH 4294967296 FLAGS
a FETCH 1 ()
a FETCH 1 FROB
a FETCH 1 (FLAGS FROB)
a FETCH 1 (FLAGS
a FETCH 1 FLAGS UID
a FETCH 1 (FLAGS) FROB
a FETCH 1 (FLAGS) (FROB)
a FETCH 1 (FLAGS) (CHANGEDSINCE)
a FETCH 1 (FLAGS) (CHANGEDSINCE -1)
a FETCH 1 (FLAGS) (CHANGEDSINCE 9223372036854775808)
a FETCH 1 (FLAGS) (VANISHED)
a FETCH 1 (ALL)
a FETCH 1 BODY[
a FETCH 1 BODY[FROB]
a FETCH 1 BODY[MIME]
a FETCH 1 BODY[1.]
a FETCH 1 BODY[.TEXT]
a FETCH 1 BODY[1TEXT]
a FETCH 1 BODY[0]
a FETCH 1 BODY[1..2]
a FETCH 1 BODY[HEADER.FIELDS]
a FETCH 1 BODY[HEADER.FIELDS ()]
a FETCH 1 BODY[]<0.0>
a FETCH 1 BODY[]<0>
a FETCH 1 BODY.PEEK
a FETCH 1 FLAGS[]
a FETCH 1 BINARY[1]
a STORE 1
a STORE 1 FLAGS
a STORE 1 FROB (\\Seen)
a STORE 1 FLAGS.LOUD (\\Seen)
a STORE 1 FLAGS (\\Frob)
a STORE 1 FLAGS (\\*)
a STORE 1 FLAGS (a(b)
a STORE 1 (FROB 1) FLAGS ()
a COPY 1
a MOVE x INBOX
a EXPUNGE 1
a UID EXPUNGE
a SEARCH
a SEARCH FROB
a SEARCH ()
a SEARCH (SEEN
a SEARCH SEEN)
a SEARCH NOT
a SEARCH OR SEEN
a SEARCH FROM
a SEARCH HEADER x
a SEARCH SINCE x
a SEARCH SINCE 31-Feb-2024
a SEARCH SINCE "1-Feb-2024
a SEARCH LARGER x
a SEARCH UID
a SEARCH MODSEQ
a SEARCH MODSEQ "x" frob 1
a SEARCH YOUNGER 0
a SEARCH EMAILID "a b"
a SEARCH KEYWORD \\Seen
a SEARCH CHARSET UTF-8
a SEARCH RETURN (FROB) ALL
a SEARCH RETURN MIN ALL
a SEARCH $""".splitlines()


@pytest.mark.parametrize("line", BROKEN)
def test_broken_syntax_is_bad(line: str) -> None:
    answer = parse(line.encode())
    assert isinstance(answer, BadCommand)
    assert (answer.tag, answer.status, answer.code) == (b"a", "BAD", None)


@pytest.mark.parametrize("line", [b"", b" ", b"(", b"* OK", b"+ x", b"\xff NOOP", b"{3}", b'"a" X'])
def test_without_a_tag_the_answer_has_none(line: bytes) -> None:
    answer = parse(line)
    assert isinstance(answer, BadCommand)
    assert answer.tag == b""


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"a SELECT a&b", b"CANNOT"),
        (b'a CREATE "caff\xc3\xa8"', b"CANNOT"),
        (b'a LIST "" "&"', b"CANNOT"),
        (b"a CREATE x (USE (\\Frob))", b"USEATTR"),
        (b"a SEARCH CHARSET X-UNKNOWN ALL", b"BADCHARSET (US-ASCII UTF-8)"),
        (b"a STORE 1 FLAGS (" + b"k" * 256 + b")", b"LIMIT"),
        (b"a SEARCH " + b"NOT " * (SEARCH_DEPTH_MAX + 1) + b"SEEN", b"LIMIT"),
        (b"a SEARCH " + b"(" * (SEARCH_DEPTH_MAX + 1) + b"SEEN", b"LIMIT"),
        (b"a SEARCH " + b"OR " * (SEARCH_DEPTH_MAX + 1) + b"SEEN", b"LIMIT"),
        (b"a SEARCH" + b" SEEN" * (SEARCH_KEYS_MAX + 1), b"LIMIT"),
    ],
)
def test_right_syntax_for_what_cannot_be_is_no(line: bytes, code: bytes) -> None:
    answer = parse(line)
    assert isinstance(answer, BadCommand)
    assert (answer.status, answer.code) == ("NO", code)


def test_the_deepest_search_allowed_passes() -> None:
    assert isinstance(parse(b"a SEARCH " + b"NOT " * SEARCH_DEPTH_MAX + b"SEEN"), Search)
    assert isinstance(parse(b"a SEARCH " + b"OR SEEN " * 1000 + b"SEEN"), Search)
    assert isinstance(parse(b"a SEARCH" + b" NOT (SEEN)" * 500), Search)


def test_literals_that_do_not_fit() -> None:
    assert isinstance(parse(b"a LOGIN {3}\r\n pw", b"a\0b"), BadCommand)
    assert isinstance(parse(b"a LOGIN {3}\r\n pw"), BadCommand)
    assert isinstance(parse(b"a SEARCH CHARSET UTF-8 TEXT {1}\r\n", b"\xe0"), BadCommand)
    assert isinstance(parse(b"a SEARCH CHARSET US-ASCII TEXT {1}\r\n", b"\xe0"), BadCommand)
