"""Sequence sets: which messages a command means (RFC 3501 §9 `sequence-set`).

    wanted = SequenceSet.parse(b"1:5,7,90:*")
    wanted.locate_uids(uids)        # [range(0, 3), range(17, 40)]: positions in the sorted `uids`
    wanted.locate_numbers(count)    # the same for message sequence numbers: position = number - 1
    wanted.spans(largest)           # [(1, 5), (7, 7), (90, 120)]: inclusive, sorted, for SQL
    format_numbers([1, 2, 3, 7])    # b"1:3,7"

Positions are 0-based; lists of ranges are sorted, disjoint and merged where they touch, so
`chain.from_iterable(...)` gives each message once, in order, and `len` is `count_in(...)`.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

STAR = 0
"""`*`, the largest number in use; 0 is never a number on the wire."""

NUMBER_MAX = 0xFFFFFFFF
"""nz-number is an unsigned 32-bit integer (RFC 3501 §9)."""

_SET = re.compile(rb"(?:[1-9][0-9]{0,9}|\*)(?::(?:[1-9][0-9]{0,9}|\*))?"
                  rb"(?:,(?:[1-9][0-9]{0,9}|\*)(?::(?:[1-9][0-9]{0,9}|\*))?)*")


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """A set of message numbers or UIDs as the client wrote it; `*` stands as `STAR`."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: bytes) -> SequenceSet:
        """The set in `text`; ValueError where it is not one."""
        if _SET.fullmatch(text) is None:
            raise ValueError("not a sequence set")
        if text.isdigit():
            number = int(text)
            ranges: tuple[tuple[int, int], ...] = ((number, number),)
        else:
            ranges = tuple(map(_parse_range, text.replace(b"*", b"0").split(b",")))
        if max(map(max, ranges)) > NUMBER_MAX:
            raise ValueError("number over 32 bits")
        return cls(ranges)

    @property
    def has_star(self) -> bool:
        """Whether `*` is in it."""
        return any(low == STAR or high == STAR for low, high in self.ranges)

    @property
    def largest(self) -> int:
        """The largest number written; `STAR` (0) where there is none but `*`."""
        return max(map(max, self.ranges))

    def spans(self, largest: int) -> list[tuple[int, int]]:
        """The set as inclusive (low, high), sorted and merged; `*` means `largest`.

        `largest` is the highest number in use (0 in an empty mailbox). Numbers beyond it stay in:
        a UID that is not there is no error, the caller's look-up will not find it.
        """
        spans = []
        for low, high in self.ranges:
            low, high = low or largest, high or largest
            spans.append((low, high) if low <= high else (high, low))
        return _merge_spans(spans)

    def locate_uids(self, uids: Sequence[int]) -> list[range]:
        """Where the set's UIDs are in the ascending `uids`."""
        if not uids:
            return []
        found: list[range] = []
        position = 0
        for low, high in self.spans(uids[-1]):
            position = bisect_left(uids, low, position)
            end = bisect_right(uids, high, position) if high > low else position
            if high == low and position < len(uids) and uids[position] == low:
                end = position + 1
            if end > position:
                _add_range(found, position, end)
                position = end
        return found

    def locate_numbers(self, count: int) -> list[range]:
        """Positions (number - 1) of the set's sequence numbers in a mailbox of `count` messages.

        Numbers beyond `count` are left out; `is_within` tells whether there are any, which a
        server may answer BAD (RFC 3501 §9 `seq-number`).
        """
        if count == 0:
            return []
        found: list[range] = []
        for low, high in self.spans(count):
            if low > count:
                break
            _add_range(found, low - 1, min(high, count))
        return found

    def is_within(self, count: int) -> bool:
        """Whether every sequence number written is at most `count`.

        `*` is within any mailbox, an empty one too: `1:*` there asks for nothing.
        """
        return all(
            (low <= count and high <= count) or (count == 0 and STAR in (low, high))
            for low, high in self.ranges
        )

    def contains(self, number: int, largest: int) -> bool:
        """Whether `number` is in the set when `*` means `largest`."""
        for low, high in self.ranges:
            low, high = low or largest, high or largest
            if low <= number <= high or high <= number <= low:
                return True
        return False

    def __bytes__(self) -> bytes:
        """The set in wire form, as it was written."""
        return b",".join(
            _format_end(low) if low == high else b"%b:%b" % (_format_end(low), _format_end(high))
            for low, high in self.ranges
        )


def count_in(ranges: Iterable[range]) -> int:
    """How many positions `ranges` hold."""
    return sum(map(len, ranges))


def pick[T](values: Sequence[T], ranges: Iterable[range]) -> list[T]:
    """The values at the positions in `ranges`, by slices."""
    return list(chain.from_iterable(values[at.start : at.stop] for at in ranges))
