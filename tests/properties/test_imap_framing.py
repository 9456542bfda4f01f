"""However the octets are cut, the receiver says the same; and it never holds more than it may."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from staffetta.protocols.imap.frames import (
    CommandFrame,
    ContinuationLine,
    Event,
    FrameError,
    FrameLimits,
    ImapReceiver,
    LiteralWanted,
)

LIMITS = FrameLimits(
    line_bytes_max=260,
    literal_bytes_max=40,
    append_bytes_max=90,
    command_bytes_max=320,
    literals_max=3,
    skip_bytes_max=700,
)

WORDS = st.sampled_from(
    [
        b"a",
        b" ",
        b"APPEND",
        b"IDLE",
        b"INBOX",
        b"x" * 50,
        b"y" * 300,
        b"{",
        b"}",
        b"~",
        b"\r",
        b"\0",
    ]
)
MARKERS = st.builds(
    b"%b{%d%b}\r\n".__mod__,
    st.tuples(
        st.sampled_from([b"", b"~"]),
        st.sampled_from([0, 1, 5, 40, 41, 90, 91, 500, 800, 10**19]),
        st.sampled_from([b"", b"+"]),
    ),
)
LINES = st.sampled_from([b"\r\n", b"\n", b"a NOOP\r\n", b"DONE\r\n", b"b APPEND x {90+}\r\n"])
STREAMS = st.lists(WORDS | MARKERS | LINES | st.binary(max_size=60), max_size=20).map(b"".join)


def drive(pieces: list[bytes]) -> tuple[list[Event], bool]:
    """All events, asking for a line after each IDLE; whether the receiver then takes more."""
    receiver = ImapReceiver(LIMITS)
    events: list[Event] = []
    for piece in pieces:
        receiver.receive(piece)
        while (event := receiver.next_event()) is not None:
            events.append(event)
            if isinstance(event, CommandFrame) and b"IDLE" in event.line:
                receiver.expect_line()
        held_bytes_max = LIMITS.command_bytes_max + LIMITS.append_bytes_max + len(piece) + 64
        assert receiver.buffered_bytes <= held_bytes_max
    return events, any(isinstance(event, FrameError) and event.is_fatal for event in events)


@given(STREAMS, st.data())
@example(b"a IDLE\r\nDONE\r\nb NOOP\r\n", None)
def test_any_cutting_gives_the_same_events(stream: bytes, data: st.DataObject | None) -> None:
    whole, _ = drive([stream])
    assert drive([stream[at : at + 1] for at in range(len(stream))])[0] == whole
    if data is not None:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert drive(pieces)[0] == whole


@given(STREAMS)
def test_nothing_over_the_limits_comes_out(stream: bytes) -> None:
    for event in drive([stream])[0]:
        match event:
            case CommandFrame(line, literals):
                assert line.count(b"}\r\n") == len(literals) <= LIMITS.literals_max
                assert len(line) <= LIMITS.line_bytes_max + 2
                assert sum(map(len, literals)) <= LIMITS.command_bytes_max + LIMITS.append_bytes_max
                assert b"\n" not in line.replace(b"}\r\n", b"")
            case LiteralWanted(_, _, size_bytes, is_message):
                most = LIMITS.append_bytes_max if is_message else LIMITS.literal_bytes_max
                assert size_bytes <= most
            case ContinuationLine(line):
                assert len(line) <= LIMITS.line_bytes_max
            case FrameError():
                pass


@given(STREAMS)
def test_after_any_garbage_a_line_end_or_the_end(stream: bytes) -> None:
    """Unless it was closed, the receiver understands the next command after enough line ends."""
    # The largest literal that may be pending is filled up first.
    tail = b"\r\n" * 800 + b"z NOOP\r\n"
    events, closed = drive([stream, tail])
    assert closed or events[-1] == CommandFrame(b"z NOOP")
