"""FETCH answers in bulk."""

from __future__ import annotations

from collections.abc import Iterable

from staffetta.protocols.imap.attributes import BodySection, FetchItem
from staffetta.protocols.imap.fetch_lines import (
    FLAG_SETS_MAX,
    FetchLayout,
    FlagTable,
    fetch_line,
    fetch_lines,
    format_date_time,
    format_date_times,
    literal_pieces,
)
from staffetta.protocols.imap.quoting import format_literal


def names_of(mask: int) -> Iterable[str]:
    return [name for bit, name in enumerate(["\\Seen", "$Junk"]) if mask >> bit & 1]


def test_uid_and_flags() -> None:
    table = FlagTable(names_of)
    flags = map(table.__getitem__, [0, 3, 1])
    layout = FetchLayout.of([FetchItem.UID, FetchItem.FLAGS])
    assert fetch_lines(layout, [1, 2, 9], [100, 101, 4294967295], flags) == (
        b"* 1 FETCH (UID 100 FLAGS ())\r\n"
        b"* 2 FETCH (UID 101 FLAGS (\\Seen $Junk))\r\n"
        b"* 9 FETCH (UID 4294967295 FLAGS (\\Seen))\r\n"
    )


def test_every_column() -> None:
    section = BodySection(b"BODY[HEADER.FIELDS (X%d)]")
    layout = FetchLayout.of([*FetchItem, section])
    columns = {
        FetchItem.UID: 7,
        FetchItem.FLAGS: b"()",
        FetchItem.MODSEQ: 2**63 - 1,
        FetchItem.INTERNALDATE: format_date_time(0),
        FetchItem.RFC822_SIZE: 4,
        FetchItem.ENVELOPE: b"(%s)",
        FetchItem.BODYSTRUCTURE: b"(B)",
        FetchItem.BODY: b"(b)",
        FetchItem.EMAILID: b"M1",
        FetchItem.THREADID: b"T1",
    }
    row = [[columns[item]] for item in FetchItem]
    assert fetch_lines(layout, [5], *row, [format_literal(b"X%d: 1\r\n")]) == (
        b"* 5 FETCH (UID 7 FLAGS () MODSEQ (9223372036854775807)"
        b' INTERNALDATE " 1-Jan-1970 00:00:00 +0000" RFC822.SIZE 4 ENVELOPE (%s)'
        b" BODYSTRUCTURE (B) BODY (b) EMAILID (M1) THREADID (T1)"
        b" BODY[HEADER.FIELDS (X%d)] {8}\r\nX%d: 1\r\n)\r\n"
    )


def test_nothing_is_nothing() -> None:
    assert fetch_lines(FetchLayout.of([FetchItem.UID]), [], []) == b""
    assert literal_pieces(b"BODY[]", [], [], []) == []


def test_one_line_of_any_items() -> None:
    assert fetch_line(3, [b"UID 7", b"BODY[1] NIL"]) == b"* 3 FETCH (UID 7 BODY[1] NIL)\r\n"


def test_bodies_go_out_without_being_copied() -> None:
    bodies = [b"A: 1\r\n\r\nx\r\n", b"", b"a\0b"]
    pieces = literal_pieces(b"BODY[]", [1, 2, 3], [11, 12, 13], bodies)
    assert pieces[1] is bodies[0]
    assert b"".join(pieces) == (
        b"* 1 FETCH (UID 11 BODY[] {11}\r\nA: 1\r\n\r\nx\r\n)\r\n"
        b"* 2 FETCH (UID 12 BODY[] {0}\r\n)\r\n"
        b"* 3 FETCH (UID 13 BODY[] {3}\r\na\x80b)\r\n"
    )


def test_the_bytes_of_flags_are_made_once_and_not_hoarded() -> None:
    asked: list[int] = []

    def remember(mask: int) -> Iterable[str]:
        asked.append(mask)
        return [f"k{mask}"]

    table = FlagTable(remember)
    assert table[5] == table[5] == b"(k5)"
    assert asked == [5]
    for mask in range(2 * FLAG_SETS_MAX):
        assert table[mask] == b"(k%d)" % mask
        assert len(table) <= FLAG_SETS_MAX


def test_internal_dates() -> None:
    assert format_date_time(821431785) == b'"12-Jan-1996 07:29:45 +0000"'
    assert format_date_time(837596665, -7 * 60) == b'"17-Jul-1996 02:44:25 -0700"'
    assert format_date_time(-1, -30) == b'"31-Dec-1969 23:29:59 -0030"'
    assert format_date_time(1, 330) == b'" 1-Jan-1970 05:30:01 +0530"'
    assert format_date_times([0, 86399, 86400]) == [
        b'" 1-Jan-1970 00:00:00 +0000"',
        b'" 1-Jan-1970 23:59:59 +0000"',
        b'" 2-Jan-1970 00:00:00 +0000"',
    ]
