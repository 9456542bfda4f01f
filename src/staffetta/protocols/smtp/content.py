"""Receiving the text of a message: where it ends, what is wrong with it, and no more of it in
memory than the limits allow.

Two framings lead here. DATA ends with `<CRLF>.<CRLF>` and nothing else (RFC 5321 §4.1.1.4), and its
lines that begin with a dot have one dot too many (§4.5.2); BDAT says its octets beforehand (RFC
3030 §2). The content rules are the same: CR and LF only together (§2.3.8), so that no server
further on can see an end of data that was not seen here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum
from types import MappingProxyType

from staffetta.protocols.lines import LineBuffer
from staffetta.protocols.smtp import replies
from staffetta.protocols.smtp.events import RefusalReason
from staffetta.protocols.smtp.replies import Reply
from staffetta.protocols.smtp.settings import SmtpLimits

_END_OF_DATA = b"\r\n.\r\n"
_DOTTED_LINE = b"\r\n."
_CRLF = b"\r\n"
# As numbers: asking bytes for bytes makes and drops an exception first.
_CR, _LF, _NUL = b"\r\n\0"
_SPLIT_BYTES_MAX = 16 * 1024


class Flaw(IntEnum):
    """Why a text is refused; of several flaws the smallest is told, wherever it stood."""

    BARE_NEWLINE = 1
    NUL = 2
    LONG_LINE = 3
    BIG_HEADER = 4
    TOO_BIG = 5


FLAW_REPLIES: Mapping[Flaw, tuple[Reply, RefusalReason]] = MappingProxyType(
    {
        Flaw.BARE_NEWLINE: (replies.BARE_NEWLINE, RefusalReason.BARE_NEWLINE),
        Flaw.NUL: (replies.NUL, RefusalReason.NUL),
        Flaw.LONG_LINE: (replies.TEXT_LINE_TOO_LONG, RefusalReason.LINE_TOO_LONG),
        Flaw.BIG_HEADER: (replies.HEADER_TOO_BIG, RefusalReason.HEADER_TOO_BIG),
        Flaw.TOO_BIG: (replies.MESSAGE_TOO_BIG, RefusalReason.MESSAGE_TOO_BIG),
    }
)


class Progress(Enum):
    """How far a text has come."""

    MORE = "more octets are needed"
    END = "the text is over"
    OVERRUN = "too much was read past to go on"


def begin_dotted(buffer: LineBuffer) -> None:
    """Set the buffer, whose last line was DATA, to where the text begins.

    The CRLF of the DATA line is part of the mark that ends an empty text (RFC 5321 §4.1.1.4).
    """
    buffer.at -= len(_CRLF)


def take_small_text(buffer: LineBuffer, bytes_max: int, *, nul_refused: bool) -> bytes | None:
    """The whole text after `begin_dotted`, if it is all there, flawless, and small; else None.

    This is the way of nearly every message, and the same answer as `TextReader` in fewer steps;
    when it is None, nothing was taken.
    """
    held, at = buffer.held, buffer.at
    end = held.find(_DOTTED_LINE, at)
    if end < 0:
        return None
    if held.startswith(_CRLF, end + 3):
        text = held[at + 2 : end + 2]
    else:
        end = held.find(_END_OF_DATA, end)
        if end < 0:
            return None
        text = held[at : end + 2].replace(_DOTTED_LINE, _CRLF)[2:]
    if len(text) > bytes_max:
        return None
    if _has_bare_newline(text) or (nul_refused and _NUL in text):
        return None
    buffer.at = end + 5
    return text


class TextReader:
    """One text, received piece by piece.

    What is kept stays under `body_memory_bytes_max`, plus one piece: beyond it `take_chunk` hands
    it out, and `was_chunked` says so. A text with a `flaw` is read to its end and kept no more.
    """

    __slots__ = (
        "_at_first_line",
        "_cr_pending",
        "_header_open",
        "_kept",
        "_limits",
        "_line_bytes",
        "_nul_refused",
        "_received_bytes",
        "_seam",
        "_size_bytes_max",
        "flaw",
        "size_bytes",
        "was_chunked",
    )

    def __init__(self, limits: SmtpLimits, size_bytes_max: int, *, nul_refused: bool) -> None:
        self.size_bytes = 0
        self.flaw: Flaw | None = None
        self.was_chunked = False
        self._limits = limits
        self._size_bytes_max = size_bytes_max
        self._nul_refused = nul_refused
        self._kept = bytearray()
        self._received_bytes = 0
        self._at_first_line = True
        self._cr_pending = False
        self._line_bytes = 0
        self._header_open = True
        self._seam = _CRLF

    def read_dotted(self, buffer: LineBuffer) -> Progress:
        """Take from the buffer, which begins as `begin_dotted` left it, what is certain."""
        held, at = buffer.held, buffer.at
        # One search finds both what ends the text and whether there are dots to take away.
        dotted = held.find(_DOTTED_LINE, at)
        end = held.find(_END_OF_DATA, dotted) if dotted >= 0 else -1
        if end >= 0:
            text = held[at : end + 2]
            buffer.at = end + 5
        else:
            # An end of line at the end, with its dot, may turn out to be the end of data.
            buffer.at = len(held) - _undecided_bytes(held, at)
            text = held[at : buffer.at]
        self._received_bytes += len(text)
        if text:
            if 0 <= dotted != end:
                text = text.replace(_DOTTED_LINE, _CRLF)
            if self._at_first_line:
                self._at_first_line = False
                text = text[2:]
            self._take(text)
        if self._received_bytes > overrun_bytes_max(self._limits, self._size_bytes_max):
            return Progress.OVERRUN
        return Progress.END if end >= 0 else Progress.MORE

    def read_counted(self, buffer: LineBuffer, count: int) -> None:
        """Take `count` octets, which the buffer has."""
        text = buffer.held[buffer.at : buffer.at + count]
        buffer.at += count
        if self._cr_pending:
            text = b"\r" + text
        # A chunk may end between CR and LF.
        self._cr_pending = text.endswith(b"\r")
        self._take(text[:-1] if self._cr_pending else text)

    def take_chunk(self, *, at_end: bool = False) -> bytes | None:
        """What must leave memory now, if anything; at the end of a chunked text all of it."""
        kept_bytes = len(self._kept)
        if not self.was_chunked:
            if kept_bytes <= self._limits.body_memory_bytes_max:
                return None
            self.was_chunked = True
        if kept_bytes >= self._limits.body_chunk_bytes or (at_end and kept_bytes):
            chunk = bytes(self._kept)
            self._kept.clear()
            return chunk
        return None

    def end_counted(self) -> None:
        """The last chunk is over."""
        if self._cr_pending:
            self._take(b"\r")

    def whole_text(self) -> bytes:
        """The text, if it was not chunked."""
        assert not self.was_chunked
        return bytes(self._kept)

    def _take(self, text: bytes) -> None:
        """Measure, check and keep a stretch that cuts no CRLF in two."""
        self.size_bytes += len(text)
        if self.size_bytes > self._size_bytes_max:
            self._note(Flaw.TOO_BIG)
        if _has_bare_newline(text):
            self._note(Flaw.BARE_NEWLINE)
        if self._nul_refused and _NUL in text:
            self._note(Flaw.NUL)
        self._measure_lines(text)
        if self._header_open:
            self._measure_header(text)
        if self.flaw is None:
            self._kept += text

    def _measure_lines(self, text: bytes) -> None:
        at, room = 0, self._limits.text_line_bytes_max - self._line_bytes
        while len(text) - at > room:
            # The last line end within reach: no line up to there is too long.
            end = text.rfind(b"\n", at, at + room)
            if end < 0:
                self._note(Flaw.LONG_LINE)
                return
            at, room = end + 1, self._limits.text_line_bytes_max
        end = text.rfind(b"\n", at)
        if end >= 0:
            self._line_bytes = len(text) - end - 1
        elif at:
            self._line_bytes = len(text) - at
        else:
            self._line_bytes += len(text)

    def _measure_header(self, text: bytes) -> None:
        probe = self._seam + text
        blank = probe.find(b"\r\n\r\n")
        bytes_max = self._limits.header_bytes_max
        if blank >= 0:
            self._header_open = False
            if self.size_bytes - len(probe) + blank + 2 > bytes_max:
                self._note(Flaw.BIG_HEADER)
            return
        self._seam = probe[-3:]
        if self.size_bytes >= bytes_max + 2:
            self._note(Flaw.BIG_HEADER)

    def _note(self, flaw: Flaw) -> None:
        if self.flaw is None or flaw < self.flaw:
            self.flaw = flaw
        self._kept.clear()


def overrun_bytes_max(limits: SmtpLimits, size_bytes_max: int) -> int:
    """How many octets of one message or chunk are read at all, before hanging up.

    Twice the size, as dots may double: no text within its limit is ever cut off by this.
    """
    return 2 * size_bytes_max + limits.overrun_bytes_max


def _undecided_bytes(held: bytes, at: int) -> int:
    """How many octets at the end of `held[at:]` may be the beginning of an end of data."""
    if at == len(held) or held[-1] not in _END_OF_DATA:
        return 0
    for length in range(len(_END_OF_DATA) - 1, 0, -1):
        if held.endswith(_END_OF_DATA[:length], at):
            return length
    return 0


def _has_bare_newline(text: bytes) -> bool:
    """Whether there is a CR or an LF that is not half of a CRLF (RFC 5321 §2.3.8).

    Taking the lines apart is the faster way, and for a small text also a modest one.
    """
    if len(text) <= _SPLIT_BYTES_MAX:
        lines = b"".join(text.split(_CRLF))
    else:
        lines = text.replace(_CRLF, b"")
    return _LF in lines or _CR in lines
