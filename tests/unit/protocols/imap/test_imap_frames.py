"""Where commands, literals and continuation lines end, and what happens to what is too large."""

from __future__ import annotations

import pytest

from staffetta.protocols.imap.frames import (
    BEFORE_LOGIN,
    CommandFrame,
    ContinuationLine,
    Event,
    FrameError,
    FrameLimits,
    ImapReceiver,
    LiteralWanted,
    limits_after_login,
)

SMALL = FrameLimits(
    line_bytes_max=300,
    literal_bytes_max=20,
    append_bytes_max=1000,
    command_bytes_max=340,
    literals_max=3,
    skip_bytes_max=5000,
)


def all_events(receiver: ImapReceiver, *pieces: bytes) -> list[Event]:
    events = []
    for piece in pieces:
        receiver.receive(piece)
        while (event := receiver.next_event()) is not None:
            events.append(event)
    return events


def frame(octets: bytes, limits: FrameLimits = SMALL) -> list[Event]:
    return all_events(ImapReceiver(limits), octets)


def test_a_command_is_a_line() -> None:
    assert frame(b"a NOOP\r\n") == [CommandFrame(b"a NOOP")]


def test_half_a_command_is_nothing_yet() -> None:
    receiver = ImapReceiver(SMALL)
    assert all_events(receiver, b"a NO") == []
    assert all_events(receiver, b"OP\r") == []
    assert all_events(receiver, b"\n") == [CommandFrame(b"a NOOP")]
    assert receiver.buffered_bytes == 0


def test_pipelined_commands_come_one_at_a_time() -> None:
    receiver = ImapReceiver(SMALL)
    receiver.receive(b"a NOOP\r\nb CHECK\r\nc LO")
    assert receiver.next_event() == CommandFrame(b"a NOOP")
    assert receiver.next_event() == CommandFrame(b"b CHECK")
    assert receiver.next_event() is None
    assert receiver.buffered_bytes == len(b"c LO")


def test_a_bare_line_feed_ends_a_line_too() -> None:
    assert frame(b"a LOGIN {2}\nme pw\n") == [
        LiteralWanted(b"a", b"a LOGIN ", 2, is_message=False),
        CommandFrame(b"a LOGIN {2}\r\n pw", (b"me",)),
    ]


def test_empty_lines_between_commands_are_skipped() -> None:
    assert frame(b"\r\n\r\na NOOP\r\n\n") == [CommandFrame(b"a NOOP")]


def test_a_synchronising_literal_is_asked_for() -> None:
    receiver = ImapReceiver(SMALL)
    assert all_events(receiver, b"a LOGIN {4}\r\n") == [
        LiteralWanted(b"a", b"a LOGIN ", 4, is_message=False)
    ]
    assert all_events(receiver, b"anna {3}\r\n") == [
        LiteralWanted(b"a", b"a LOGIN {4}\r\n ", 3, is_message=False)
    ]
    assert all_events(receiver, b"pw!\r\n") == [
        CommandFrame(b"a LOGIN {4}\r\n {3}\r\n", (b"anna", b"pw!"))
    ]


def test_a_non_synchronising_literal_is_not() -> None:
    assert frame(b"a LOGIN {4+}\r\nanna {0+}\r\n\r\nb NOOP\r\n") == [
        CommandFrame(b"a LOGIN {4+}\r\n {0+}\r\n", (b"anna", b"")),
        CommandFrame(b"b NOOP"),
    ]


def test_a_literal_may_hold_anything() -> None:
    assert frame(b"a X {9+}\r\n\r\nb{3}\r\n\0\r\n") == [
        CommandFrame(b"a X {9+}\r\n", (b"\r\nb{3}\r\n\0",))
    ]


def test_only_a_marker_at_the_end_of_a_line_is_a_literal() -> None:
    for line in (b'a X "{3}"', b"a X {3} y", b"a X {}", b"a X {x}", b"a X {-1}", b"a X 3}"):
        assert frame(line + b"\r\n") == [CommandFrame(line)]


def test_the_door_can_refuse_a_literal() -> None:
    receiver = ImapReceiver(SMALL)
    wanted = LiteralWanted(b"a", b"a APPEND INBOX ", 999, is_message=True)
    receiver.receive(b"a APPEND INBOX {999}\r\n")
    assert receiver.next_event() == wanted
    receiver.refuse_literal()
    assert all_events(receiver, b"b NOOP\r\n") == [CommandFrame(b"b NOOP")]


def test_a_literal_cannot_be_refused_when_nobody_waits() -> None:
    receiver = ImapReceiver(SMALL)
    receiver.receive(b"a LOGIN {4+}\r\n")
    assert receiver.next_event() is None
    with pytest.raises(AssertionError):
        receiver.refuse_literal()


# A message may be larger than other literals.


@pytest.mark.parametrize(
    "head",
    [
        b"a APPEND INBOX {1000+}\r\n",
        b"a append inbox (\\Seen) {1000+}\r\n",
        b'a APPEND "x y" " 1-Feb-2024 10:00:00 +0100" {1000+}\r\n',
    ],
)
def test_the_message_of_an_append_has_its_own_limit(head: bytes) -> None:
    message = b"m" * 1000
    assert frame(head + message + b"\r\n") == [CommandFrame(head, (message,))]


def test_the_name_in_an_append_has_not() -> None:
    assert frame(b"a APPEND {21+}\r\n" + b"n" * 21 + b" {3+}\r\nabc\r\n") == [
        FrameError(b"a", "Literal is too large", code=b"TOOBIG")
    ]
    head = b"a APPEND {5+}\r\n {900}\r\n"
    assert frame(b"a APPEND {5+}\r\nDraft {900}\r\n" + b"m" * 900 + b"\r\n") == [
        LiteralWanted(b"a", b"a APPEND {5+}\r\n ", 900, is_message=True),
        CommandFrame(head, (b"Draft", b"m" * 900)),
    ]


def test_an_append_has_one_message_only() -> None:
    octets = b"a APPEND x {100+}\r\n" + b"m" * 100 + b" {100+}\r\n" + b"m" * 100 + b"\r\n"
    assert frame(octets) == [FrameError(b"a", "Literal is too large", code=b"TOOBIG")]


def test_a_message_too_large_is_refused_before_it_is_sent() -> None:
    assert frame(b"a APPEND x {1001}\r\nb NOOP\r\n") == [
        FrameError(b"a", "Message is too large", "NO", b"TOOBIG"),
        CommandFrame(b"b NOOP"),
    ]


def test_a_message_sent_unasked_is_read_past() -> None:
    octets = b"a APPEND x {1001+}\r\n" + b"\nb X\n" * 200 + b"1" + b"\r\nb NOOP\r\n"
    assert frame(octets) == [
        FrameError(b"a", "Message is too large", "NO", b"TOOBIG"),
        CommandFrame(b"b NOOP"),
    ]


# Everything has a limit.


def test_a_line_of_the_greatest_length_passes() -> None:
    line = b"a " + b"x" * 298
    assert frame(line + b"\n") == [CommandFrame(line)]
    assert frame(line + b"\r\n") == [FrameError(b"a", "Command line is too long", code=b"TOOBIG")]


def test_a_line_too_long_is_read_past_and_the_next_command_obeyed() -> None:
    assert frame(b"a " + b"x" * 4000 + b"\r\nb NOOP\r\n") == [
        FrameError(b"a", "Command line is too long", code=b"TOOBIG"),
        CommandFrame(b"b NOOP"),
    ]


def test_what_a_line_too_long_announces_is_read_past_too() -> None:
    octets = b"a " + b"x" * 400 + b"{7+}\r\nb X\r\n\r\n more {2+}\r\nhi\r\nc NOOP\r\n"
    assert frame(octets) == [
        FrameError(b"a", "Command line is too long", code=b"TOOBIG"),
        CommandFrame(b"c NOOP"),
    ]


def test_a_client_that_waits_for_more_of_a_refused_command_hears_at_once() -> None:
    assert frame(b"a " + b"x" * 400 + b"{7}\r\n") == [
        FrameError(b"a", "Command line is too long", code=b"TOOBIG")
    ]


def test_a_text_in_many_pieces_is_one_line() -> None:
    octets = b"a X" + b"".join(b" " + b"y" * 140 + b" {1+}\r\nz" for _ in range(3)) + b"\r\n"
    assert frame(octets) == [FrameError(b"a", "Command line is too long", code=b"TOOBIG")]


def test_literals_add_up() -> None:
    octets = b"a X" + b" {18+}\r\n" + b"z" * 18 + b" " + b"y" * 260 + b" {20+}\r\n" + b"z" * 20
    assert frame(octets + b" {19+}\r\n" + b"z" * 19 + b"\r\n") == [
        FrameError(b"a", "Command is too large", code=b"TOOBIG")
    ]


def test_literals_are_counted() -> None:
    assert frame(b"a X" + b" {1+}\r\nz" * 4 + b"\r\n") == [
        FrameError(b"a", "Too many literals", code=b"TOOBIG")
    ]


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"a X {5001+}\r\n", id="a literal announced"),
        pytest.param(b"a X {99999999999999999999+}\r\n", id="an absurd literal announced"),
        pytest.param(b"a " + b"x" * 5000, id="a line without end"),
        pytest.param(b"a " + b"x" * 4990 + b" {1000+}\r\n", id="one after the other"),
    ],
)
def test_what_is_far_too_large_ends_the_connection(octets: bytes) -> None:
    receiver = ImapReceiver(SMALL)
    (error,) = all_events(receiver, octets)
    assert isinstance(error, FrameError)
    assert error.is_fatal
    assert all_events(receiver, b"b NOOP\r\n" * 100) == []
    assert receiver.buffered_bytes == 0


def test_reading_past_holds_nothing() -> None:
    receiver = ImapReceiver(SMALL)
    assert all_events(receiver, *[b"a APPEND x {4000+}\r\n", *[b"m" * 100] * 39]) == []
    assert receiver.buffered_bytes < 100


def test_strangers_get_less() -> None:
    octets = b"a LOGIN {5000+}\r\n" + b"x" * 5000 + b" pw\r\n"
    assert frame(octets, BEFORE_LOGIN) == [FrameError(b"a", "Literal is too large", code=b"TOOBIG")]
    assert isinstance(frame(octets, limits_after_login(0))[0], CommandFrame)


def test_strangers_cannot_append() -> None:
    assert frame(b"a APPEND INBOX {5}\r\nb NOOP\r\n", BEFORE_LOGIN) == [
        FrameError(b"a", "Messages are not taken in this state"),
        CommandFrame(b"b NOOP"),
    ]


def test_limits_can_be_changed_between_commands() -> None:
    receiver = ImapReceiver(BEFORE_LOGIN)
    receiver.receive(b"a LOGIN me pw\r\nb APPEND x {70000}\r\n")
    assert receiver.next_event() == CommandFrame(b"a LOGIN me pw")
    receiver.change_limits(limits_after_login(append_bytes_max=70_000))
    assert receiver.next_event() == LiteralWanted(b"b", b"b APPEND x ", 70_000, is_message=True)


def test_an_error_without_a_readable_tag_has_none() -> None:
    assert frame(b"*" * 400 + b"\r\n") == [
        FrameError(b"", "Command line is too long", code=b"TOOBIG")
    ]


def test_binary_literals_are_refused_and_read_past() -> None:
    refusal = FrameError(b"a", "Binary literals are not supported")
    assert frame(b"a APPEND x ~{5}\r\nb NOOP\r\n") == [refusal, CommandFrame(b"b NOOP")]
    assert frame(b"a APPEND x ~{5+}\r\n\0\0\r\n\0\r\nb NOOP\r\n") == [
        refusal,
        CommandFrame(b"b NOOP"),
    ]


# Lines that are no commands.


def test_a_client_may_send_its_next_commands_with_its_done() -> None:
    receiver = ImapReceiver(SMALL)
    receiver.receive(b"a IDLE\r\nDONE\r\nb NOOP\r\nc CHECK\r\n")
    assert receiver.next_event() == CommandFrame(b"a IDLE")
    receiver.expect_line()
    assert receiver.next_event() == ContinuationLine(b"DONE")
    assert receiver.next_event() == CommandFrame(b"b NOOP")
    assert receiver.next_event() == CommandFrame(b"c CHECK")


def test_a_continuation_line_may_be_empty_and_has_no_literals() -> None:
    receiver = ImapReceiver(SMALL)
    for line in (b"", b"abc{3}", b"abc{3+}"):
        receiver.expect_line()
        assert all_events(receiver, line + b"\r\n") == [ContinuationLine(line)]


def test_a_line_in_part_here_can_become_a_continuation_line() -> None:
    receiver = ImapReceiver(SMALL)
    assert all_events(receiver, b"a IDLE\r\nDON") == [CommandFrame(b"a IDLE")]
    receiver.expect_line()
    assert all_events(receiver, b"E\r\n") == [ContinuationLine(b"DONE")]


def test_a_continuation_line_too_long_is_read_past() -> None:
    receiver = ImapReceiver(SMALL)
    receiver.expect_line()
    assert all_events(receiver, b"x" * 400 + b"{9+}\r\nb NOOP\r\n") == [
        FrameError(b"", "Line is too long", code=b"TOOBIG"),
        CommandFrame(b"b NOOP"),
    ]


def test_a_line_cannot_be_expected_within_a_command() -> None:
    receiver = ImapReceiver(SMALL)
    receiver.receive(b"a X {3}\r\n")
    receiver.next_event()
    with pytest.raises(AssertionError):
        receiver.expect_line()


def test_what_came_before_the_handshake_is_dropped() -> None:
    receiver = ImapReceiver(SMALL)
    receiver.receive(b"a STARTTLS\r\nb LOGIN eve pw\r\nc LOG")
    assert receiver.next_event() == CommandFrame(b"a STARTTLS")
    assert receiver.discard() == len(b"b LOGIN eve pw\r\nc LOG")
    assert all_events(receiver, b"d NOOP\r\n") == [CommandFrame(b"d NOOP")]
    assert receiver.discard() == 0
