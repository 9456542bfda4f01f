"""What is one message on the way in is one message here, byte for byte; and nothing else is."""

from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from staffetta.protocols.smtp import (
    Closed,
    MessageReceived,
    Refused,
    SmtpLimits,
    SmtpServer,
    SmtpSettings,
)
from tests.smtp_door import ScriptedDoor

SETTINGS = SmtpSettings("mx.libero.example", limits=SmtpLimits(errors_max=10_000))
ENVELOPE = b"MAIL FROM:<a@client.example>\r\nRCPT TO:<b@libero.example>\r\n"
LINE_PIECES = (b"\r\n", b"\r", b"\n", b".", b"\r\n.", b"\n.\n", b"\0", b" ", b"x", b"MAIL", b"\x0b")

hostile = st.lists(st.sampled_from(LINE_PIECES) | st.binary(max_size=3), max_size=30).map(b"".join)
sound_line = st.binary(max_size=20).map(lambda octets: re.sub(rb"[\r\n\0]", b"", octets))
sound_text = st.lists(sound_line | st.just(b".") | st.just(b"..x"), max_size=12).map(
    lambda lines: b"".join(line + b"\r\n" for line in lines)
)


def open_door() -> ScriptedDoor:
    door = ScriptedDoor(SmtpServer(SETTINGS))
    door.greet()
    door.feed(b"EHLO client.example\r\n")
    return door


def stuffed(text: bytes) -> bytes:
    """What a correct client makes of a text (RFC 5321 §4.5.2): written without the machine's
    means, line by line."""
    lines = text.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)


def split_reference(stream: bytes) -> tuple[bytes, bytes] | None:
    """Text and rest of a stream after DATA, one octet at a time; None without an end of data."""
    text = b""
    line = b""
    at = 0
    while at < len(stream):
        if stream[at : at + 2] == b"\r\n":
            at += 2
            if line == b".":
                return text, stream[at:]
            text += (line[1:] if line.startswith(b".") else line) + b"\r\n"
            line = b""
        else:
            line += stream[at : at + 1]
            at += 1
    return None


def is_sound(text: bytes) -> bool:
    rest = text.replace(b"\r\n", b"")
    return not any(octet in rest for octet in (b"\r", b"\n", b"\0"))


@given(sound_text)
@settings(max_examples=200, deadline=None)
def test_a_sound_text_comes_through_unchanged(text: bytes) -> None:
    door = open_door()
    door.feed(ENVELOPE + b"DATA\r\n" + stuffed(text) + b".\r\n")
    assert [message.body for message in door.messages] == [text]
    door.feed(ENVELOPE + b"BDAT %d LAST\r\n" % len(text) + text)
    assert [message.body for message in door.messages] == [text, text]


@given(hostile)
@settings(max_examples=500, deadline=None)
@example(b"x\r.\nMAIL FROM:<c@client.example>\r\n")
@example(b"x\n.\r\n")
@example(b"\r\r\n.\r\r\n")
def test_texts_end_where_the_reference_says(stream: bytes) -> None:
    """One text, refused or accepted as a whole, up to the first end of data; the rest is commands.

    So a second message can only come out of a stream that has <CRLF>.<CRLF> before it.
    """
    stream = stream + b"\r\n.\r\n"
    split = split_reference(stream)
    assert split is not None
    text, rest = split
    door = open_door()
    door.feed(ENVELOPE + b"DATA\r\n")
    before = len(door.events)
    door.feed(stream)
    first = door.events[before]
    if is_sound(text):
        assert isinstance(first, MessageReceived)
        assert door.messages[0].body == text
    else:
        assert isinstance(first, Refused)
        assert first.reason in ("bare-newline", "nul")
        assert not door.messages
    # What follows the first text was taken for commands, and for nothing else: as a connection
    # would take it on which that text had come alone.
    fresh = open_door()
    fresh.feed(ENVELOPE + b"DATA\r\n" + stream[: len(stream) - len(rest)])
    known = len(fresh.events)
    fresh.feed(rest)
    assert door.events[before + 1 :] == fresh.events[known:]


@given(st.lists(hostile, min_size=1, max_size=4), hostile)
@settings(max_examples=200, deadline=None)
def test_chunks_are_counted_and_never_read_as_commands(chunks: list[bytes], rest: bytes) -> None:
    door = open_door()
    door.feed(ENVELOPE)
    before = len(door.events)
    for chunk in chunks[:-1]:
        door.feed(b"BDAT %d\r\n" % len(chunk) + chunk)
    door.feed(b"BDAT %d LAST\r\n" % len(chunks[-1]) + chunks[-1])
    text = b"".join(chunks)
    if is_sound(text):
        assert [message.body for message in door.messages] == [text]
    else:
        assert not door.messages
        refusals = door.events[before:]
        assert refusals
        assert all(isinstance(event, Refused) and event.command != "" for event in refusals)
    assert not any(isinstance(event, Closed) for event in door.events)
    assert door.feed(b"RSET\r\n").startswith(b"250")
