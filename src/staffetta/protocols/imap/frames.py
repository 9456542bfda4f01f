"""A bounded receive buffer that finds where commands, literals and continuation lines end.

    receiver = ImapReceiver(BEFORE_LOGIN)
    receiver.receive(octets)                        # whatever came, however cut
    while (event := receiver.next_event()) is not None:
        match event:
            case CommandFrame(): command = parse_command(event)
            case LiteralWanted(): write(responses.GO_AHEAD), or refuse: receiver.refuse_literal()
            case ContinuationLine(line): ...        # only after expect_line()
            case FrameError(): write(responses.refusal(event)); close if event.is_fatal

Events are taken one at a time because what the next octets mean can depend on what the last event
led to: after IDLE and AUTHENTICATE the door calls `expect_line()`, and the next line, be it already
here, comes as a `ContinuationLine`. Whatever follows it stays in the buffer and is framed as
commands again (iOS sends its next commands in the packet of its DONE). Read from the network only
once `next_event` has said None: then the buffer never holds more than one unfinished command and
one read. How the octets are cut into `receive` calls never changes the events.

Lines end in CRLF; a bare LF is taken too. Empty lines between commands are skipped, as old clients
send one after an APPEND.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from staffetta.protocols.imap.codes import TOOBIG

_KIB = 1024

TAG_BYTES_MAX = 256
"""An error about a line names its tag if the tag is no longer than this."""

_TAG = re.compile(rb"([!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]{1,%d}) " % TAG_BYTES_MAX)
_LITERAL = re.compile(rb"(~?)\{([0-9]{1,20})(\+?)\}\r?\Z")
_LITERAL_TAIL_BYTES = 32
_BEFORE_MESSAGE = re.compile(rb"[^ ]+ +APPEND +[^ ]", re.IGNORECASE)
"""What comes before the message of an APPEND, and not before its mailbox name."""


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """What one command may take, in octets (and literals, in number)."""

    line_bytes_max: int
    """All text of a command outside its literals."""
    literal_bytes_max: int
    """One literal, unless it is the message of an APPEND."""
    append_bytes_max: int
    """The message of an APPEND."""
    command_bytes_max: int
    """Text and literals together, the message of an APPEND aside."""
    literals_max: int = 256
    """Literals in one command."""
    skip_bytes_max: int = 256 * 1024 * _KIB
    """What is read past, to keep a connection whose command was too large, before closing it."""


BEFORE_LOGIN = FrameLimits(
    line_bytes_max=16 * _KIB,
    literal_bytes_max=4 * _KIB,
    append_bytes_max=0,
    command_bytes_max=24 * _KIB,
    literals_max=4,
    skip_bytes_max=64 * _KIB,
)
"""Strangers get little; an OAuth token in an initial response still fits."""


def limits_after_login(append_bytes_max: int) -> FrameLimits:
    """The limits of a signed-in session whose messages may have `append_bytes_max` octets."""
    return FrameLimits(
        line_bytes_max=64 * _KIB,
        literal_bytes_max=64 * _KIB,
        append_bytes_max=append_bytes_max,
        command_bytes_max=256 * _KIB,
        skip_bytes_max=max(256 * 1024 * _KIB, 4 * append_bytes_max),
    )


@dataclass(frozen=True, slots=True)
class CommandFrame:
    """One whole command.

    `line` is its text without the final CRLF; where a literal was, its `{n}` or `{n+}` stands,
    then CRLF. `literals` are the literals' octets in that order.
    """

    line: bytes
    literals: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class LiteralWanted:
    """The client waits for `+ OK` before it sends a literal of `size_bytes`.

    It is within the limits. `line` is the text so far: enough to see that the state or the quota
    forbids it, and then to call `ImapReceiver.refuse_literal` and answer with a tagged NO or BAD.
    """

    tag: bytes
    line: bytes
    size_bytes: int
    is_message: bool
    """Whether it is the message of an APPEND."""


@dataclass(frozen=True, slots=True)
class ContinuationLine:
    """The line asked for with `expect_line`, without its line end."""

    line: bytes


@dataclass(frozen=True, slots=True)
class FrameError:
    """A command that was too large, read past and forgotten; answer with `responses.refusal`.

    `tag` is empty where it could not be read, or where a continuation line was at fault. When
    `is_fatal`, the receiver takes nothing any more: say BYE and close.
    """

    tag: bytes
    text: str
    status: Literal["BAD", "NO"] = "BAD"
    code: bytes | None = None
    is_fatal: bool = False


Event = CommandFrame | LiteralWanted | ContinuationLine | FrameError


class _Phase(Enum):
    LINE = "reading the text of a command"
    LITERAL = "reading a literal"
    SKIP_LINE = "reading past text of a command that is refused"
    SKIP_LITERAL = "reading past a literal of a command that is refused"
    CLOSED = "taking nothing any more"


class _Step(Enum):
    """What a phase may say instead of an event."""

    WAIT = "needs more octets"
    GO_ON = "the next phase can do something"


class ImapReceiver:
    """The buffer. See the module's words for how it is driven."""

    __slots__ = (
        "_buffer",
        "_command_bytes",
        "_error",
        "_expects_line",
        "_has_message",
        "_limits",
        "_line_bytes",
        "_literal_bytes",
        "_literals",
        "_may_refuse",
        "_phase",
        "_searched",
        "_skipped_bytes",
        "_text",
    )

    _phase: _Phase
    _text: list[bytes]
    _literals: list[bytes]
    _line_bytes: int
    _command_bytes: int
    _literal_bytes: int
    _searched: int
    _skipped_bytes: int
    _has_message: bool
    _may_refuse: bool
    _error: FrameError | None

    def __init__(self, limits: FrameLimits = BEFORE_LOGIN) -> None:
        self._buffer = bytearray()
        self._expects_line = False
        self.change_limits(limits)
        self._reset()

    def receive(self, octets: bytes | bytearray | memoryview) -> None:
        """Take what came from the client."""
        if self._phase is not _Phase.CLOSED:
            self._buffer += octets

    def next_event(self) -> Event | None:
        """The next event, or None when more octets are needed."""
        self._may_refuse = False
        while True:
            match self._phase:
                case _Phase.LINE:
                    outcome = self._read_continuation() if self._expects_line else self._read_line()
                case _Phase.LITERAL:
                    outcome = self._read_literal()
                case _Phase.SKIP_LINE:
                    outcome = self._skip_line()
                case _Phase.SKIP_LITERAL:
                    outcome = self._skip_literal()
                case _Phase.CLOSED:
                    return None
            if outcome is _Step.WAIT:
                return None
            if not isinstance(outcome, _Step):
                return outcome

    def expect_line(self) -> None:
        """Give the next line as a `ContinuationLine`: for IDLE, and each turn of AUTHENTICATE."""
        assert self._phase is _Phase.LINE, "in the middle of a command"
        assert not self._text, "in the middle of a command"
        self._expects_line = True

    def refuse_literal(self) -> None:
        """Forget the command whose `LiteralWanted` has just been given; its client gets no `+`."""
        assert self._may_refuse, "no client is waiting to send a literal"
        self._reset()

    def change_limits(self, limits: FrameLimits) -> None:
        """Use other limits from the next command on: after login."""
        assert limits.line_bytes_max > TAG_BYTES_MAX
        self._limits = limits

    def discard(self) -> int:
        """Drop what is buffered, and say how many octets that was.

        After STARTTLS: what came before the handshake came in clear and may be somebody else's
        (RFC 3501 §6.2.1, CVE-2011-0411). More than none is a reason to close.
        """
        count = len(self._buffer)
        self._buffer.clear()
        self._expects_line = False
        self._reset()
        return count

    @property
    def buffered_bytes(self) -> int:
        """How many octets are held that no event has given away."""
        return len(self._buffer) + self._line_bytes + sum(map(len, self._literals))

    def _read_line(self) -> Event | _Step:
        line = self._take_line(self._limits.line_bytes_max - self._line_bytes)
        if line is None:
            return _Step.WAIT
        if isinstance(line, _Step):
            return self._begin_skip("Command line is too long", TOOBIG)
        if line.endswith(b"}"):
            marker = _LITERAL.search(line, max(0, len(line) - _LITERAL_TAIL_BYTES))
            if marker is not None:
                return self._begin_literal(line, marker)
        if not self._literals:
            return CommandFrame(line) if line else _Step.GO_ON
        frame = CommandFrame(b"".join([*self._text, line]), tuple(self._literals))
        self._reset()
        return frame

    def _read_continuation(self) -> Event | _Step:
        line = self._take_line(self._limits.line_bytes_max)
        if line is None:
            return _Step.WAIT
        if isinstance(line, _Step):
            return self._begin_skip("Line is too long", TOOBIG)
        self._expects_line = False
        return ContinuationLine(line)

    def _take_line(self, room_bytes: int) -> bytes | _Step | None:
        """A line without its end; None while it is not whole; GO_ON where it is over the limit."""
        buffer = self._buffer
        end = buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(buffer)
            return _Step.GO_ON if len(buffer) > room_bytes else None
        if end > room_bytes:
            return _Step.GO_ON
        line = bytes(buffer[: end - 1] if buffer[end - 1 : end] == b"\r" else buffer[:end])
        del buffer[: end + 1]
        self._searched = 0
        return line

    def _begin_literal(self, line: bytes, marker: re.Match[bytes]) -> Event | _Step:
        size_bytes = int(marker[2])
        waits = not marker[3]
        so_far = b"".join([*self._text, line[: marker.start()]])
        is_message = not self._has_message and _BEFORE_MESSAGE.match(so_far) is not None
        self._text.append(line[: marker.end()] + b"\r\n")
        self._line_bytes += len(line) + 2
        self._literal_bytes = size_bytes

        problem = self._refuse_size(size_bytes, is_message)
        if marker[1]:
            # literal8 belongs to BINARY (RFC 3516), which is not offered.
            problem = self._error_now("Binary literals are not supported")
        if problem is not None:
            self._error = problem
            if waits:
                return self._end_skip()
            return self._begin_skip_literal()

        self._has_message = self._has_message or is_message
        if not is_message:
            self._command_bytes += size_bytes
        self._phase = _Phase.LITERAL
        if not waits:
            return _Step.GO_ON
        self._may_refuse = True
        tag = _TAG.match(so_far)
        return LiteralWanted(tag[1] if tag else b"", so_far, size_bytes, is_message)

    def _refuse_size(self, size_bytes: int, is_message: bool) -> FrameError | None:
        limits = self._limits
        if is_message:
            if size_bytes and not limits.append_bytes_max:
                return self._error_now("Messages are not taken in this state")
            if size_bytes > limits.append_bytes_max:
                return self._error_now("Message is too large", TOOBIG, "NO")
        elif size_bytes > limits.literal_bytes_max:
            return self._error_now("Literal is too large", TOOBIG)
        elif self._line_bytes + self._command_bytes + size_bytes > limits.command_bytes_max:
            return self._error_now("Command is too large", TOOBIG)
        if len(self._literals) >= limits.literals_max:
            return self._error_now("Too many literals", TOOBIG)
        return None

    def _read_literal(self) -> _Step:
        size_bytes = self._literal_bytes
        if len(self._buffer) < size_bytes:
            return _Step.WAIT
        with memoryview(self._buffer) as view:
            self._literals.append(bytes(view[:size_bytes]))
        del self._buffer[:size_bytes]
        self._phase = _Phase.LINE
        return _Step.GO_ON

    def _begin_skip(self, text: str, code: bytes) -> _Step:
        self._error = self._error_now(text, code)
        self._searched = 0
        self._phase = _Phase.SKIP_LINE
        return _Step.GO_ON

    def _skip_line(self) -> Event | _Step:
        buffer = self._buffer
        end = buffer.find(b"\n")
        length = end if end >= 0 else len(buffer)
        if self._skipped_bytes + length > self._limits.skip_bytes_max:
            return self._close()
        if end < 0:
            # What may be the beginning of a literal's marker stays.
            passed = max(0, length - _LITERAL_TAIL_BYTES)
            self._skipped_bytes += passed
            del buffer[:passed]
            return _Step.WAIT
        tail = bytes(buffer[max(0, end - _LITERAL_TAIL_BYTES) : end])
        self._skipped_bytes += end
        del buffer[: end + 1]
        marker = None if self._expects_line else _LITERAL.search(tail)
        if marker is None or not marker[3]:
            return self._end_skip()
        self._literal_bytes = int(marker[2])
        return self._begin_skip_literal()

    def _begin_skip_literal(self) -> Event | _Step:
        if self._skipped_bytes + self._literal_bytes > self._limits.skip_bytes_max:
            return self._close()
        self._skipped_bytes += self._literal_bytes
        self._phase = _Phase.SKIP_LITERAL
        return _Step.GO_ON

    def _skip_literal(self) -> _Step:
        passed = min(len(self._buffer), self._literal_bytes)
        del self._buffer[:passed]
        self._literal_bytes -= passed
        if self._literal_bytes:
            return _Step.WAIT
        self._phase = _Phase.SKIP_LINE
        return _Step.GO_ON

    def _end_skip(self) -> FrameError:
        error = self._error
        assert error is not None
        self._expects_line = False
        self._reset()
        return error

    def _close(self) -> FrameError:
        error = self._end_skip()
        self._buffer.clear()
        self._phase = _Phase.CLOSED
        return replace(error, is_fatal=True)

    def _error_now(
        self, text: str, code: bytes | None = None, status: Literal["BAD", "NO"] = "BAD"
    ) -> FrameError:
        if self._expects_line:
            return FrameError(b"", text, status, code)
        start = self._text[0] if self._text else bytes(self._buffer[: TAG_BYTES_MAX + 1])
        tag = _TAG.match(start)
        return FrameError(tag[1] if tag else b"", text, status, code)

    def _reset(self) -> None:
        """Stand at the beginning of a command."""
        self._phase = _Phase.LINE
        self._text = []
        self._literals = []
        self._line_bytes = self._command_bytes = self._literal_bytes = 0
        self._searched = self._skipped_bytes = 0
        self._has_message = self._may_refuse = False
        self._error = None
