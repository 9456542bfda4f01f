"""Whatever comes, the parser answers; it never raises, and never hangs on a long command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staffetta.protocols.imap import responses
from staffetta.protocols.imap.commands import BadCommand
from staffetta.protocols.imap.frames import CommandFrame
from staffetta.protocols.imap.parser import parse_command

NAMES = b"""
CAPABILITY NOOP LOGOUT ID STARTTLS AUTHENTICATE LOGIN ENABLE SELECT EXAMINE CREATE DELETE RENAME
SUBSCRIBE UNSUBSCRIBE LIST LSUB STATUS APPEND NAMESPACE IDLE GETQUOTA GETQUOTAROOT CHECK CLOSE
UNSELECT EXPUNGE FETCH STORE SEARCH COPY MOVE UID
""".split()
WORDS = b"""
INBOX "" NIL ( ) (( )) () * % 1 0 1:* 4294967295 7,9 $ \\Seen \\Recent (\\Seen) FLAGS +FLAGS.SILENT
ALL FULL BODY[] BODY.PEEK[ ] [1.2.HEADER] BODY[HEADER.FIELDS (A B)] <0.5> RFC822 CHANGEDSINCE
(CHANGEDSINCE 5 VANISHED) UNCHANGEDSINCE RETURN CHARSET UTF-8 X-NO OR NOT SEEN NEW KEYWORD FROM
HEADER UID SINCE 1-Feb-1994 31-Feb-1994 LARGER MODSEQ YOUNGER EMAILID (MESSAGES UNSEEN) (STATUS
(UIDNEXT)) SUBSCRIBED CHILDREN RECURSIVEMATCH (USE (\\Sent)) (CONDSTORE) (QRESYNC (1 2 3 (4 5)))
"01-Feb-1994 01:02:03 +0000" = AGEAYg== & &APw- {3} {3+} " \\ \0 \xff
""".split()
WORDS += [b"{3}\r\n", b"{3+}\r\n", b'"a b"']
LINES = st.lists(st.sampled_from(WORDS) | st.binary(max_size=6), max_size=10).map(b" ".join)


@given(st.sampled_from(NAMES), LINES, st.lists(st.binary(max_size=4), max_size=2))
def test_nothing_raises(name: bytes, rest: bytes, literals: list[bytes]) -> None:
    answer = parse_command(CommandFrame(b"a " + name + b" " + rest, tuple(literals)))
    assert answer.tag == b"a"
    if isinstance(answer, BadCommand):
        assert responses.refusal(answer).count(b"\r\n") == 1


@given(st.binary(max_size=40))
def test_nothing_raises_without_a_command_either(line: bytes) -> None:
    parse_command(CommandFrame(line))


LONG = 20_000


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "line",
    [
        b"a" * LONG,
        b"a STORE 1 FLAGS (" + b"\\a" * LONG,
        b"a STORE 1 FLAGS (" + b"a " * LONG,
        b"a STORE 1 FLAGS (" + b"a" * LONG + b"(",
        b"a STATUS x (" + b"a  " * LONG + b"(",
        b'a LOGIN "' + b'\\"' * LONG,
        b"a FETCH " + b"1:2," * LONG + b"x FLAGS",
        b"a FETCH " + b",".join(b"%d" % n for n in range(1, LONG)) + b" FLAGS",
        b"a FETCH 1 BODY[" + b"1." * LONG + b"]",
        b"a FETCH 1 (" + b"BODY[] " * LONG,
        b"a FETCH 1 BODY[HEADER.FIELDS (" + b"a" * LONG,
        b"a SEARCH " + b"(" * LONG,
        b"a SEARCH " + b"NOT " * LONG,
        b"a SEARCH " + b"OR " * LONG,
        b"a SEARCH " + b"OR ALL " * LONG,
        b"a SELECT " + b"&" * LONG,
        b"a SELECT " + b"&AOk-" * LONG,
        b'a LIST "" (' + b"* " * LONG,
        b"a ID (" + b'"a" ' * LONG,
        b"a NOOP" + b" " * LONG + b"x",
        b"a SEARCH LARGER " + b"9" * LONG,
    ],
    ids=lambda line: line[:24].decode(),
)
def test_long_commands_take_no_long_time(line: bytes) -> None:
    parse_command(CommandFrame(line))
