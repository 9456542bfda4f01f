"""FETCH answers in bulk, assembled from ready bytes (RFC 3501 §7.4.2).

    layout = FetchLayout.of([FetchItem.UID, FetchItem.FLAGS])
    fetch_lines(layout, numbers, uids, flags)       # * 1 FETCH (UID 7 FLAGS (\\Seen))\\r\\n* 2 ...

One column for each thing in the layout, all as long as `numbers`, the message sequence numbers.
Columns of UID, MODSEQ and RFC822.SIZE are ints; EMAILID and THREADID are the bare identifier;
INTERNALDATE, ENVELOPE, BODYSTRUCTURE, FLAGS and sections are bytes as they go on the wire, with
their quotes, parentheses or `{n}\\r\\n`. `FlagTable` keeps the bytes of FLAGS by distinct set.

Whole bodies are better not copied: `literal_pieces` gives a list for `writelines` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Generic, TypeVar

from staffetta.protocols.imap.attributes import BodySection, FetchItem
from staffetta.protocols.imap.quoting import format_flags

_Key = TypeVar("_Key")

FLAG_SETS_MAX = 4096
"""Distinct sets of flags whose bytes a `FlagTable` keeps."""

_DAY_S = 24 * 60 * 60
_EPOCH = date(1970, 1, 1).toordinal()
_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@dataclass(frozen=True, slots=True)
class FetchLayout:
    """What stands in each line of an answer: a template for the number and the columns."""

    template: bytes

    @classmethod
    def of(cls, wanted: Iterable[FetchItem | BodySection]) -> FetchLayout:
        """The layout with `wanted` in that order."""
        return cls(b"* %%d FETCH (%b)\r\n" % b" ".join(map(_column, wanted)))


def fetch_lines(
    layout: FetchLayout, numbers: Sequence[int], *columns: Iterable[int] | Iterable[bytes]
) -> bytes:
    """A FETCH line for each of `numbers`."""
    # One formatting call over everything is the quickest that plain Python has.
    rows = tuple(chain.from_iterable(zip(numbers, *columns, strict=True)))
    return (layout.template * len(numbers)) % rows


def fetch_line(number: int, items: Iterable[bytes]) -> bytes:
    """One FETCH line of ready `NAME value` items, in any mixture."""
    return b"* %d FETCH (%b)\r\n" % (number, b" ".join(items))


def literal_pieces(
    label: bytes, numbers: Sequence[int], uids: Sequence[int], bodies: Sequence[bytes]
) -> list[bytes]:
    """Lines `* n FETCH (UID u label {size}...)` as pieces to be written one after the other.

    The bodies are not copied, unless they hold NUL, which goes out as 0x80 (RFC 3501 §9 `CHAR8`).
    """
    head = b"* %%d FETCH (UID %%d %b {%%d}\r\n" % label.replace(b"%", b"%%")
    pieces = [b")\r\n"] * (3 * len(numbers))
    pieces[0::3] = map(head.__mod__, zip(numbers, uids, map(len, bodies), strict=True))
    pieces[1::3] = [body if b"\0" not in body else body.replace(b"\0", b"\x80") for body in bodies]
    return pieces


class FlagTable(dict[_Key, bytes], Generic[_Key]):
    """The wire form of flags, made once per distinct set: `table[key]` is `(\\Seen $Junk)`.

    The key is whatever the mailbox keeps flags as (a bit mask, a string); `names_of` spells it
    out. `map(table.__getitem__, keys)` is a column for `fetch_lines`.
    """

    __slots__ = ("_names_of",)

    def __init__(self, names_of: Callable[[_Key], Iterable[str]]) -> None:
        super().__init__()
        self._names_of = names_of

    def __missing__(self, key: _Key) -> bytes:
        if len(self) >= FLAG_SETS_MAX:
            self.clear()
        value = self[key] = format_flags(self._names_of(key))
        return value


def format_date_time(at_unix_s: int, offset_minutes: int = 0) -> bytes:
    """INTERNALDATE with its quotes, for a moment in Unix seconds, shown in a zone."""
    return format_date_times([at_unix_s], offset_minutes)[0]


def format_date_times(at_unix_s: Iterable[int], offset_minutes: int = 0) -> list[bytes]:
    """A column of INTERNALDATE: as `format_date_time`, and the calendar asked once a day."""
    zone = b"%c%02d%02d" % (b"-+"[offset_minutes >= 0], *divmod(abs(offset_minutes), 60))
    offset_s = 60 * offset_minutes
    days: dict[int, bytes] = {}
    column = []
    for at_s in at_unix_s:
        day, second = divmod(at_s + offset_s, _DAY_S)
        head = days.get(day)
        if head is None:
            at = date.fromordinal(_EPOCH + day)
            month = _MONTHS[at.month - 1]
            head = days[day] = b'"%2d-%b-%04d ' % (at.day, month, at.year)
        minute, second = divmod(second, 60)
        column.append(b'%b%02d:%02d:%02d %b"' % (head, minute // 60, minute % 60, second, zone))
    return column


def _column(wanted: FetchItem | BodySection) -> bytes:
    if isinstance(wanted, BodySection):
        return wanted.label.replace(b"%", b"%%") + b" %b"
    name: bytes = wanted.value
    match wanted:
        case FetchItem.UID | FetchItem.RFC822_SIZE:
            return name + b" %d"
        case FetchItem.MODSEQ:
            return name + b" (%d)"
        case FetchItem.EMAILID | FetchItem.THREADID:
            return name + b" (%b)"
        case _:
            return name + b" %b"
