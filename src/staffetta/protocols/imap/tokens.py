"""The small words of the grammar: a scanner over one frame (RFC 3501 §9).

Each `take_...` reads one thing at the present position, moves past it and returns it; where that
thing is not there it raises `SyntaxFault`, which `parser.parse_command` turns into a `BadCommand`.
Nothing else is raised, whatever the octets.

Tolerated beyond the grammar, because clients do it and nothing can be misread by it: several
spaces for one, spaces at the end of a command, 8-bit octets in quoted strings (passwords).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Literal, TypeVar

from staffetta.protocols.imap import codes
from staffetta.protocols.imap.mailbox_names import NameFault, decode_name
from staffetta.protocols.imap.sequence import SequenceSet

_Thing = TypeVar("_Thing")

NUMBER64_MAX = (1 << 63) - 1
"""mod-sequence-value (RFC 7162 §7) and number64 (RFC 9051 §9)."""
NUMBER_MAX = (1 << 32) - 1
"""number, nz-number (RFC 3501 §9)."""
FLAG_BYTES_MAX = 255
"""A longer keyword is refused."""

_TAG_CHARS = rb"[!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]++"
_ATOM = rb"[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]++"
_QUOTED = rb'"([^"\\\r\n\0]*(?:\\["\\][^"\\\r\n\0]*)*)"'
_LITERAL = rb"(\{[0-9]+\+?\}\r\n)"

_TAG = re.compile(_TAG_CHARS)
_HEAD = re.compile(rb"(" + _TAG_CHARS + rb") +(?:(UID) +)?(" + _ATOM + rb")", re.I)
_PLAIN_LIST = re.compile(rb"\( *(" + _ATOM + rb"(?: +" + _ATOM + rb")*) *\)")
_WORD = re.compile(_ATOM)
_SPACE = re.compile(rb" +")
_END = re.compile(rb" *\Z")
_ASTRING = re.compile(rb"([!#$&'+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+)|" + _QUOTED + rb"|" + _LITERAL)
_LIST_MAILBOX = re.compile(
    rb"([!#$%&'*+,\-./0-9:;<=>?@A-Z\[\]^_`a-z|}~]+)|" + _QUOTED + rb"|" + _LITERAL
)
_STRING = re.compile(rb"(?!)()|" + _QUOTED + rb"|" + _LITERAL)
_LITERAL_ONLY = re.compile(_LITERAL)
_ESCAPE = re.compile(rb'\\(["\\])')
_NUMBER = re.compile(rb"[0-9]{1,19}(?![0-9])")
_SEQUENCE_SET = re.compile(rb"[0-9*][0-9*:,]*")
_FLAG = re.compile(rb"\\?" + _ATOM)
_FLAG_LIST = re.compile(rb"\( *((?:\\?" + _ATOM + rb"(?: +\\?" + _ATOM + rb")*)?) *\)")
_DATE = re.compile(rb'("?)([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\1')
_DATE_TIME = re.compile(
    rb'"( ?[0-9]{1,2})-([A-Za-z]{3})-([0-9]{4}) '
    rb'([0-9]{2}):([0-9]{2}):([0-9]{2}) ([+-])([0-9]{2})([0-9]{2})"'
)
_MONTHS = {
    name: number
    for number, name in enumerate(b"JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(), 1)
}
_SYSTEM_FLAGS = {
    flag.upper().encode("ascii"): flag
    for flag in ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "\\Recent")
}


class SyntaxFault(Exception):
    """The command cannot be understood; the arguments are those of `BadCommand`."""

    def __init__(
        self, text: str, status: Literal["BAD", "NO"] = "BAD", code: bytes | None = None
    ) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.code = code


class Scanner:
    """A position in one command."""

    __slots__ = ("_literal", "at", "line", "literals")

    def __init__(self, line: bytes, literals: tuple[bytes, ...] = ()) -> None:
        self.line = line
        self.literals = literals
        self.at = 0
        self._literal = 0

    def take_tag(self) -> bytes:
        """The tag."""
        return self._take(_TAG, "Tag expected")

    def take_head(self) -> tuple[bytes, bool, bytes] | None:
        """Tag, whether UID comes before the name, and the name in upper case.

        None, and no move, where the command does not begin like that.
        """
        found = _HEAD.match(self.line)
        if found is None:
            return None
        self.at = found.end()
        return found[1], found[2] is not None, found[3].upper()

    def take_space(self) -> None:
        """One space, or several."""
        line, at = self.line, self.at
        if line[at : at + 1] != b" ":
            raise SyntaxFault("Argument expected" if at >= len(line) else "Space expected")
        at += 1
        if line[at : at + 1] == b" ":
            found = _SPACE.match(line, at)
            at = found.end() if found else at
        self.at = at

    def take_end(self) -> None:
        """The end of the command."""
        if self.at != len(self.line) and _END.match(self.line, self.at) is None:
            raise SyntaxFault("Too many arguments, or something that does not belong here")

    def is_at_end(self) -> bool:
        """Whether nothing but spaces is left."""
        return self.at == len(self.line) or _END.match(self.line, self.at) is not None

    def peek(self) -> bytes:
        """The next octet; b"" at the end."""
        return self.line[self.at : self.at + 1]

    def peek_word(self) -> bytes:
        """The next atom in upper case without moving; b"" where there is none."""
        found = _WORD.match(self.line, self.at)
        return found[0].upper() if found else b""

    def skip(self, octets: bytes) -> bool:
        """Move past `octets` if they are next, and say whether they were."""
        if self.line.startswith(octets, self.at):
            self.at += len(octets)
            return True
        return False

    def take(self, octets: bytes) -> None:
        """Exactly `octets`."""
        if not self.skip(octets):
            raise SyntaxFault(f"{octets.decode('ascii')!r} expected")

    def take_word(self) -> bytes:
        """An atom, in upper case."""
        return self._take(_WORD, "Word expected").upper()

    def take_plain_list(self) -> list[bytes] | None:
        """A parenthesised list if it is of atoms only, as most are; None, and no move, if not."""
        found = _PLAIN_LIST.match(self.line, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found[1].split()

    def take_matching(self, pattern: re.Pattern[bytes], text: str) -> re.Match[bytes]:
        """What `pattern` matches here; `text` says what was expected where it does not."""
        found = pattern.match(self.line, self.at)
        if found is None:
            raise SyntaxFault(text)
        self.at = found.end()
        return found

    def take_astring(self) -> bytes:
        """An atom (`]` allowed) or a string."""
        return self._take_string(_ASTRING)

    def take_string(self) -> bytes:
        """A quoted string or a literal."""
        return self._take_string(_STRING)

    def take_nstring(self) -> bytes | None:
        """A string or NIL; an atom is tolerated as a string."""
        if self.peek_word() == b"NIL":
            self.take_word()
            return None
        return self._take_string(_ASTRING)

    def take_message(self) -> bytes:
        """A literal as it is, NUL and all."""
        self.take_matching(_LITERAL_ONLY, "Literal expected")
        return self._next_literal()

    def take_mailbox(self) -> str:
        """A mailbox name, decoded; INBOX canonical."""
        return _decode_mailbox(self._take_string(_ASTRING))

    def take_list_mailbox(self) -> str:
        """A mailbox name or pattern of LIST, decoded."""
        return _decode_mailbox(self._take_string(_LIST_MAILBOX))

    def take_number(self, least: int = 0, most: int = NUMBER_MAX) -> int:
        """A number from `least` to `most`."""
        number = int(self._take(_NUMBER, "Number expected"))
        if not least <= number <= most:
            raise SyntaxFault("Number out of range")
        return number

    def take_sequence_set(self) -> SequenceSet:
        """A sequence set."""
        text = self._take(_SEQUENCE_SET, "Sequence set expected")
        try:
            return SequenceSet.parse(text)
        except ValueError:
            raise SyntaxFault("Not a valid sequence set") from None

    def take_keyword(self) -> str:
        """A flag-keyword: an atom."""
        keyword = self._take(_WORD, "Keyword expected")
        if len(keyword) > FLAG_BYTES_MAX:
            raise SyntaxFault("Keyword is too long", "NO", codes.LIMIT)
        return keyword.decode("ascii")

    def take_flags(self) -> tuple[str, ...]:
        """A flag-list in parentheses, or flags without them to the end of the command."""
        if self.peek() == b"(":
            return self.take_flag_list()
        words = [self._take(_FLAG, "Flag expected")]
        while not self.is_at_end():
            self.take_space()
            words.append(self._take(_FLAG, "Flag expected"))
        return _canonical_flags(words)

    def take_flag_list(self) -> tuple[str, ...]:
        """A flag-list, each flag once; \\Recent, which no client can set, is dropped."""
        return _canonical_flags(self.take_matching(_FLAG_LIST, "Flags expected")[1].split())

    def take_date(self) -> date:
        """A date, quoted or not."""
        _, day, month, year = self.take_matching(_DATE, "Date expected").groups()
        try:
            return date(int(year), _MONTHS[month.upper()], int(day))
        except (KeyError, ValueError):
            raise SyntaxFault("No such date") from None

    def take_date_time(self) -> datetime:
        """A date-time in its quotes, with its zone."""
        found = self.take_matching(_DATE_TIME, "Date and time expected")
        day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = found.groups()
        try:
            offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
            at = datetime(
                int(year),
                _MONTHS[month.upper()],
                int(day),
                int(hour),
                int(minute),
                # A leap second is 60 on the wire and nothing in datetime.
                min(int(second), 59) if int(second) <= 60 else 99,
                tzinfo=timezone(-offset if sign == b"-" else offset),
            )
            at.astimezone(UTC)
        except (KeyError, ValueError, OverflowError):
            raise SyntaxFault("No such date and time") from None
        return at

    def take_list(self, take_one: Callable[[], _Thing], *, may_be_empty: bool) -> list[_Thing]:
        """A parenthesised list, its things separated by spaces; one before the end is tolerated."""
        self.take(b"(")
        things: list[_Thing] = []
        if may_be_empty and self.skip(b")"):
            return things
        while True:
            things.append(take_one())
            if self.skip(b")"):
                return things
            self.take_space()
            if self.skip(b")"):
                return things

    def _take(self, pattern: re.Pattern[bytes], text: str) -> bytes:
        found = pattern.match(self.line, self.at)
        if found is None:
            raise SyntaxFault(text)
        self.at = found.end()
        return found[0]

    def _take_string(self, pattern: re.Pattern[bytes]) -> bytes:
        found = pattern.match(self.line, self.at)
        if found is None:
            raise SyntaxFault("String expected")
        self.at = found.end()
        atom, quoted, literal = found.groups()
        if atom is not None:
            return atom
        if literal is None:
            return _ESCAPE.sub(rb"\1", quoted) if b"\\" in quoted else quoted
        octets = self._next_literal()
        if b"\0" in octets:
            # CHAR8 is any octet but NUL (RFC 3501 §9).
            raise SyntaxFault("NUL in a literal")
        return octets

    def _next_literal(self) -> bytes:
        if self._literal >= len(self.literals):
            raise SyntaxFault("Literal expected")
        self._literal += 1
        return self.literals[self._literal - 1]


def _decode_mailbox(wire: bytes) -> str:
    try:
        return decode_name(wire)
    except NameFault as fault:
        raise SyntaxFault(f"Not a mailbox name: {fault}", "NO", codes.CANNOT) from None


def _canonical_flags(words: list[bytes]) -> tuple[str, ...]:
    flags: dict[bytes, str] = {}
    for word in words:
        key = word.upper()
        if word.startswith(b"\\"):
            if key not in _SYSTEM_FLAGS:
                raise SyntaxFault("No such system flag")
            if key != b"\\RECENT":
                flags[key] = _SYSTEM_FLAGS[key]
        elif len(word) > FLAG_BYTES_MAX:
            raise SyntaxFault("Keyword is too long", "NO", codes.LIMIT)
        else:
            flags.setdefault(key, word.decode("ascii"))
    return tuple(flags.values())
