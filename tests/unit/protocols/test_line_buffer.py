"""Lines out of a bounded buffer, and what is no line."""

from __future__ import annotations

import pytest

from staffetta.protocols.lines import LineBuffer, LineFault

MAX = 10


def lines_of(octets: bytes, *, one_by_one: bool) -> list[bytes | LineFault]:
    buffer = LineBuffer(drop_bytes_max=30)
    reads = [octets[at : at + 1] for at in range(len(octets))] if one_by_one else [octets]
    lines: list[bytes | LineFault] = []
    for read in reads:
        buffer.feed(read)
        while (line := buffer.take_line(MAX)) is not None:
            lines.append(line)
            if line is LineFault.ENDLESS:
                return lines
    return lines


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize(
    ("octets", "lines"),
    [
        (b"", []),
        (b"abc", []),
        (b"abc\r", []),
        (b"abc\r\n\r\nd\r\n", [b"abc", b"", b"d"]),
        (b"\n", [LineFault.BARE_NEWLINE]),
        (b"abc\nd\r\n", [LineFault.BARE_NEWLINE, b"d"]),
        (b"a\rb\r\nc\r\n", [LineFault.BARE_NEWLINE, b"c"]),
        (b"a\r\r\n", [LineFault.BARE_NEWLINE]),
        (b"12345678\r\n", [b"12345678"]),
        (b"123456789\r\nx\r\n", [LineFault.TOO_LONG, b"x"]),
        (b"1234567890123\r\nx\r\n", [LineFault.TOO_LONG, b"x"]),
        (b"123456789012\nx\r\n", [LineFault.BARE_NEWLINE, b"x"]),
        (b"1" * 28 + b"\r\nx\r\n", [LineFault.TOO_LONG, b"x"]),
        (b"1" * 29 + b"\r\nx\r\n", [LineFault.ENDLESS]),
        (b"1" * 31, [LineFault.ENDLESS]),
    ],
)
def test_lines(octets: bytes, lines: list[bytes | LineFault], one_by_one: bool) -> None:
    assert lines_of(octets, one_by_one=one_by_one) == lines


def test_what_is_no_line_is_taken_from_where_the_line_ended() -> None:
    buffer = LineBuffer(drop_bytes_max=100)
    buffer.feed(b"BDAT 3\r\nabc")
    assert buffer.take_line(MAX) == b"BDAT 3"
    assert buffer.held[buffer.at :] == b"abc"
    assert len(buffer) == 3
    buffer.at += 3
    buffer.release()
    assert buffer.held == b""
    buffer.feed(b"NOOP\r\n")
    assert buffer.take_line(MAX) == b"NOOP"


def test_an_overlong_line_takes_no_room() -> None:
    buffer = LineBuffer(drop_bytes_max=10_000)
    for _ in range(100):
        buffer.feed(b"x" * 50)
        assert buffer.take_line(MAX) is None
        assert len(buffer) <= 1
    buffer.feed(b"\r\n")
    assert buffer.take_line(MAX) is LineFault.TOO_LONG
