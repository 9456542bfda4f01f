"""A bounded receive buffer for protocols whose commands are lines ended by CRLF, and nothing else.

    buffer = LineBuffer(drop_bytes_max=131_072)
    buffer.feed(octets)                          # whatever came, however cut
    while (line := buffer.take_line(4096)) is not None:
        match line:
            case bytes(): ...                    # without its CRLF
            case LineFault.TOO_LONG: ...         # read past and forgotten; the next line is sound
            case LineFault.BARE_NEWLINE: ...     # the line is over, but by CR or LF alone
            case LineFault.ENDLESS: ...          # nothing more can be understood: hang up

A machine that must read something other than lines (a message, a counted chunk) takes it from
`held`, starting at `at`, and moves `at` over what it used. How the octets are cut into `feed` calls
never changes what `take_line` answers.
"""

from __future__ import annotations

from enum import Enum

_CR = 0x0D


class LineFault(Enum):
    """Why what was received is no line."""

    TOO_LONG = "line too long"
    BARE_NEWLINE = "bare CR or LF"
    ENDLESS = "line without end"


class LineBuffer:
    """What was received and not yet used: `held[at:]`.

    `drop_bytes_max` is how many octets of one overlong line are read past before it is ENDLESS.
    """

    __slots__ = ("_drop_bytes_max", "_dropped_bytes", "at", "held")

    def __init__(self, drop_bytes_max: int) -> None:
        self.held = b""
        self.at = 0
        self._drop_bytes_max = drop_bytes_max
        self._dropped_bytes = 0

    def __len__(self) -> int:
        return len(self.held) - self.at

    def feed(self, octets: bytes) -> None:
        if self.at == len(self.held):
            self.held = octets
        else:
            self.held = self.held[self.at :] + octets
        self.at = 0

    def release(self) -> None:
        """Keep nothing of what was used, once all of it was: a connection may wait for long."""
        assert self.at == len(self.held)
        self.held = b""
        self.at = 0

    def clear(self) -> None:
        """Forget everything that is held."""
        self.held = b""
        self.at = 0
        self._dropped_bytes = 0

    def take_line(self, bytes_max: int) -> bytes | LineFault | None:
        """The next line without its CRLF, or what is wrong with it; None while it is not whole.

        `bytes_max` counts the CRLF, as the limits of RFC 5321 §4.5.3.1.4 do.
        """
        held, at = self.held, self.at
        end = held.find(b"\n", at)
        if end < 0 or self._dropped_bytes or end - at >= bytes_max:
            return self._take_long_line(end, bytes_max)
        self.at = end + 1
        # RFC 5321 §2.3.8: CR and LF only ever together, and nothing else ends a line.
        if end == at or held[end - 1] != _CR:
            return LineFault.BARE_NEWLINE
        line = held[at : end - 1]
        return LineFault.BARE_NEWLINE if _CR in line else line

    def _take_long_line(self, end: int, bytes_max: int) -> LineFault | None:
        """Go on with a line that is not whole, or has outgrown `bytes_max`."""
        here = end + 1 if end >= 0 else len(self.held)
        line_bytes = self._dropped_bytes + here - self.at
        if line_bytes > self._drop_bytes_max:
            self.clear()
            return LineFault.ENDLESS
        if end < 0:
            if line_bytes > bytes_max:
                # The last octet stays: it may be the CR of the line's end.
                self._dropped_bytes = line_bytes - 1
                self.at = len(self.held) - 1
            return None
        ended_well = end > self.at and self.held[end - 1] == _CR
        self.at = end + 1
        self._dropped_bytes = 0
        return LineFault.TOO_LONG if ended_well else LineFault.BARE_NEWLINE
