"""Line ends and mbox files."""

from __future__ import annotations

import pytest

from staffetta.formats.eml import (
    LineEnds,
    MboxMessage,
    MboxOversize,
    MboxReader,
    MboxStyle,
    format_mbox,
    normalise_line_ends,
)

MBOX = (
    b"From anna@libero.example Mon Mar  3 10:22:11 2025\n"
    b"Subject: one\n"
    b"\n"
    b"first\n"
    b">From here on\n"
    b">>From deeper\n"
    b"From the middle of a paragraph\n"
    b"\n"
    b"From MAILER-DAEMON Tue Mar  4 00:00:00 2025\n"
    b"Subject: two\n"
    b"\n"
    b"second\n"
    b"\n"
)


def read(
    mbox: bytes, size_bytes: int = 10_000, style: MboxStyle = MboxStyle.MBOXRD
) -> list[object]:
    reader = MboxReader(style)
    found: list[object] = []
    for start in range(0, len(mbox), size_bytes):
        found += reader.feed(mbox[start : start + size_bytes])
    return found + list(reader.close())


def test_line_ends() -> None:
    assert normalise_line_ends(b"a\nb\r\nc\rd\r\r\n\n") == b"a\r\nb\r\nc\rd\r\r\n\r\n"


@pytest.mark.parametrize("size_bytes", [1, 2, 3, 7, 100])
def test_line_ends_in_pieces(size_bytes: int) -> None:
    data = b"a\nb\r\nc\rd\r\r\n\n\r"
    ends = LineEnds()
    pieces = [
        ends.feed(data[start : start + size_bytes]) for start in range(0, len(data), size_bytes)
    ]
    assert b"".join(pieces) + ends.feed(b"") == normalise_line_ends(data)


@pytest.mark.parametrize("size_bytes", [1, 3, 50, 10_000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_reading(size_bytes: int, line_end: bytes) -> None:
    first, second = read(MBOX.replace(b"\n", line_end), size_bytes)
    assert isinstance(first, MboxMessage)
    assert first.content == (
        b"Subject: one\r\n\r\nfirst\r\nFrom here on\r\n>From deeper\r\n"
        b"From the middle of a paragraph\r\n"
    )
    assert first.sender == b"anna@libero.example"
    assert first.received is not None
    assert first.received.utc_s == 1_740_997_331
    assert second == MboxMessage(
        b"From MAILER-DAEMON Tue Mar  4 00:00:00 2025", b"Subject: two\r\n\r\nsecond\r\n"
    )


def test_the_older_quoting() -> None:
    first = read(MBOX, style=MboxStyle.MBOXO)[0]
    assert isinstance(first, MboxMessage)
    assert b"\r\nFrom here on\r\n>>From deeper\r\n" in first.content


@pytest.mark.parametrize(
    ("mbox", "contents"),
    [
        (b"", []),
        (b"no separator\n\nat all\n", []),
        (b"\n\nFrom a b\nx\n", [b"x\r\n"]),
        (b"junk\n\nFrom a b\nx", [b"x"]),
        (b"From a b\n", [b""]),
        (b"From a b\n\nFrom c d\n\n", [b"", b""]),
        (b"From a b\n\n\nFrom c d\n", [b"\r\n", b""]),
        (b"From only the beginning of a separator", []),
    ],
)
def test_odd_files(mbox: bytes, contents: list[bytes]) -> None:
    for size_bytes in (1, 10_000):
        found = read(mbox, size_bytes)
        assert [
            message.content for message in found if isinstance(message, MboxMessage)
        ] == contents


def test_written_messages_are_read_back() -> None:
    contents = [
        b"Subject: a\r\n\r\nFrom x\r\n>From y\r\n>>>From z\r\n",
        b"\r\n",
        b"Subject: b\r\n\r\n\r\n\r\n",
        b"From start to end\r\n",
    ]
    mbox = b"".join(format_mbox(content, "a b@c", 1_740_993_731) for content in contents)
    assert mbox.startswith(b"From ab@c Mon Mar  3 09:22:11 2025\n")
    messages = read(mbox, 13)
    assert [m.content for m in messages if isinstance(m, MboxMessage)] == contents
    assert format_mbox(b"x", "", 0) == b"From MAILER-DAEMON Thu Jan  1 00:00:00 1970\nx\n\n"


def test_a_message_that_is_too_large_is_named_and_left_out() -> None:
    reader = MboxReader(message_bytes_max=10_000)
    found = reader.feed(b"From small x\nhello\n\nFrom large x\n")
    for _ in range(1000):
        found += reader.feed(b"x" * 99 + b"\n")
        assert len(reader._buffer) < 20_000
    found += reader.feed(b"\nFrom last x\nbye\n")
    found += reader.close()
    assert found == [
        MboxMessage(b"From small x", b"hello\r\n"),
        MboxOversize(b"From large x"),
        MboxMessage(b"From last x", b"bye\r\n"),
    ]
