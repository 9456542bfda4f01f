"""Messages in files: line ends of .eml files, and the mbox formats, without holding a whole file.

mboxrd is what is written: each line that begins with any number of `>` and `From ` gets one more
`>`, so reading it back loses nothing. mboxo, its ancestor, quotes only `From ` itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from staffetta.formats.dates import SentDate, format_ctime, parse_date

MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
"""The largest message that a reader puts together unless told otherwise."""

FROM_LINE_BYTES_MAX: Final = 2_000
"""A longer line that begins with `From ` separates nothing."""


def normalise_line_ends(data: bytes) -> bytes:
    """Return `data` with CRLF for each LF that lacks its CR; a CR alone stays."""
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class LineEnds:
    """`normalise_line_ends` for data that comes in pieces."""

    __slots__ = ("_after_cr",)

    def __init__(self) -> None:
        self._after_cr = False

    def feed(self, chunk: bytes) -> bytes:
        """Return the next piece with its line ends made CRLF."""
        if not chunk:
            return b""
        normalised = normalise_line_ends(chunk)
        if self._after_cr and chunk.startswith(b"\n"):
            # The CR went out with the piece before.
            normalised = normalised[1:]
        self._after_cr = chunk.endswith(b"\r")
        return normalised


class MboxStyle(Enum):
    """How the lines that look like separators were quoted."""

    MBOXRD = "mboxrd"
    MBOXO = "mboxo"


@dataclass(frozen=True, slots=True)
class MboxMessage:
    """One message of an mbox: the line before it, without its end, and its bytes with CRLF."""

    from_line: bytes
    content: bytes

    @property
    def sender(self) -> bytes:
        """Return the reverse-path in the separator line."""
        words = self.from_line.split(b" ", 2)
        return words[1] if len(words) > 1 else b""

    @property
    def received(self) -> SentDate | None:
        """Return the date in the separator line, taken for UTC; None when it has none."""
        words = self.from_line.split(b" ", 2)
        return parse_date(words[2]) if len(words) > 2 else None


@dataclass(frozen=True, slots=True)
class MboxOversize:
    """A message that was left out because it is larger than allowed."""

    from_line: bytes


_SEPARATOR: Final = re.compile(rb"\n\r?\n(From [^\n]*)\n")
_QUOTED: Final = {
    MboxStyle.MBOXRD: re.compile(rb"(?m)^>(>*From )"),
    MboxStyle.MBOXO: re.compile(rb"(?m)^>(From )"),
}
_TO_QUOTE: Final = re.compile(rb"(?m)^(>*From )")


class MboxReader:
    """Takes an mbox in pieces and gives its messages; holds at most one message and one piece.

    What stands before the first separator line belongs to no message and is dropped.
    """

    __slots__ = ("_buffer", "_from_line", "_message_bytes_max", "_oversize", "_quoted", "_searched")

    def __init__(
        self,
        style: MboxStyle = MboxStyle.MBOXRD,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        # An empty line in front makes the first separator look like all others.
        self._buffer = bytearray(b"\n\n")
        self._searched = 0
        self._from_line: bytes | None = None
        self._oversize = False
        self._quoted = _QUOTED[style]
        self._message_bytes_max = message_bytes_max

    def feed(self, chunk: bytes) -> list[MboxMessage | MboxOversize]:
        """Take the next piece and return the messages that it completes."""
        self._buffer += chunk
        found: list[MboxMessage | MboxOversize] = []
        while (separator := _SEPARATOR.search(self._buffer, self._searched)) is not None:
            from_line = separator[1].rstrip(b"\r")
            if len(from_line) > FROM_LINE_BYTES_MAX:
                self._searched = separator.end(1)
                continue
            # The line end before the empty line is still the message's own.
            found += self._finish(bytes(self._buffer[: separator.start() + 1]))
            self._from_line = from_line
            # The separator's own line end stays, so that an empty message is seen to end.
            del self._buffer[: separator.end() - 1]
            self._searched = 0
        # What may be the beginning of a separator is looked at again with the next piece.
        tail = len(self._buffer) - FROM_LINE_BYTES_MAX - len("\n\r\n")
        self._searched = max(self._searched, tail)
        self._drop_oversize()
        return found

    def close(self) -> list[MboxMessage | MboxOversize]:
        """Return the last message, if there is one; the reader is done."""
        content = bytes(self._buffer)
        self._buffer.clear()
        if content.endswith(b"\n\n"):
            content = content[:-1]
        elif content.endswith(b"\n\r\n"):
            content = content[:-2]
        return self._finish(content)

    def _drop_oversize(self) -> None:
        """Forget a message that grew too large, or what stands before the first one."""
        too_large = len(self._buffer) > self._message_bytes_max + FROM_LINE_BYTES_MAX
        if self._from_line is None or too_large:
            self._oversize = self._oversize or self._from_line is not None
            del self._buffer[: self._searched]
            self._searched = 0

    def _finish(self, content: bytes) -> list[MboxMessage | MboxOversize]:
        from_line, oversize = self._from_line, self._oversize
        self._from_line, self._oversize = None, False
        if from_line is None:
            return []
        # The first byte is the end of the separator line.
        content = normalise_line_ends(self._quoted.sub(rb"\1", content[1:]))
        if oversize or len(content) > self._message_bytes_max:
            return [MboxOversize(from_line)]
        return [MboxMessage(from_line, content)]


def format_mbox(content: bytes, sender: str, received_utc_s: int) -> bytes:
    """Return the message `content` as it stands in an mboxrd file, with LF line ends.

    `sender` is the reverse-path, empty for the null one.
    """
    name = "".join(sender.split()) or "MAILER-DAEMON"
    text = _TO_QUOTE.sub(rb">\1", content.replace(b"\r\n", b"\n"))
    end = b"" if not text or text.endswith(b"\n") else b"\n"
    return b"From %b %b\n%b%b\n" % (name.encode(), format_ctime(received_utc_s).encode(), text, end)
