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
from typing import TypeVar

STAR = 0
"""`*`, the largest number in use; 0 is never a number on the wire."""

NUMBER_MAX = 0xFFFFFFFF
"""nz-number is an unsigned 32-bit integer (RFC 3501 §9)."""

_Value = TypeVar("_Value")

_SINGLE = re.compile(rb"([1-9][0-9]{0,9}|\*)(?::([1-9][0-9]{0,9}|\*))?")
_RANGE = re.compile(rb"([0-9]+)(?::([0-9]+))?")
_SET = re.compile(
    rb"(?:[1-9][0-9]{0,9}|\*)(?::(?:[1-9][0-9]{0,9}|\*))?"
    rb"(?:,(?:[1-9][0-9]{0,9}|\*)(?::(?:[1-9][0-9]{0,9}|\*))?)*"
)


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """A set of message numbers or UIDs as the client wrote it; `*` stands as `STAR`."""

    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: bytes) -> SequenceSet:
        """The set in `text`; ValueError where it is not one."""
        # Most sets are one number or one range.
        single = _SINGLE.fullmatch(text)
        if single is not None:
            low_text, high_text = single.groups()
            low = STAR if low_text == b"*" else int(low_text)
            high = low if high_text is None else STAR if high_text == b"*" else int(high_text)
            if low <= NUMBER_MAX >= high:
                return cls(((low, high),))
            raise ValueError("number over 32 bits")
        if _SET.fullmatch(text) is None:
            raise ValueError("not a sequence set")
        ends = _RANGE.findall(text.replace(b"*", b"0"))
        ranges = [(int(low), int(high)) if high else (int(low), int(low)) for low, high in ends]
        if max(map(max, ranges)) > NUMBER_MAX:
            raise ValueError("number over 32 bits")
        return cls(tuple(ranges))

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
        spans = [(low or largest, high or largest) for low, high in self.ranges]
        return _merge_spans([span if span[0] <= span[1] else span[::-1] for span in spans])

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


def pick(values: Sequence[_Value], ranges: Iterable[range]) -> list[_Value]:
    """The values at the positions in `ranges`, by slices."""
    return list(chain.from_iterable(values[at.start : at.stop] for at in ranges))


def format_numbers(numbers: Sequence[int]) -> bytes:
    """Ascending distinct numbers as a sequence set: [1, 2, 3, 7] is `1:3,7`.

    The cost grows with the number of runs, not of numbers: each run's end is found by galloping.
    Empty in, empty out: the caller decides what no set at all looks like.
    """
    parts: list[str] = []
    add = parts.append
    count = len(numbers)
    at = 0
    while at < count:
        first = numbers[at]
        end = at + 1
        if end < count and numbers[end] == first + 1:
            end = _find_run_end(numbers, at, count)
            add(f"{first}:{first + end - at - 1}")
        else:
            add(f"{first}")
        at = end
    return ",".join(parts).encode("ascii")


def format_spans(spans: Iterable[tuple[int, int]]) -> bytes:
    """Inclusive (low, high) pairs in wire form, in the order given."""
    text = ",".join([f"{low}:{high}" if low != high else f"{low}" for low, high in spans])
    return text.encode("ascii")


def _find_run_end(numbers: Sequence[int], start: int, count: int) -> int:
    """The end of the run of consecutive numbers that begins at `start` (with at least two)."""
    offset = numbers[start] - start
    inside, step = start + 1, 2
    while inside + step < count and numbers[inside + step] - inside - step == offset:
        inside += step
        step *= 2
    outside = min(inside + step, count)
    while outside - inside > 1:
        middle = (inside + outside) // 2
        if numbers[middle] - middle == offset:
            inside = middle
        else:
            outside = middle
    return outside


def _merge_spans(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    if len(spans) == 1:
        return spans
    spans.sort()
    merged: list[tuple[int, int]] = []
    last_low, last_high = spans[0]
    for low, high in spans:
        if low <= last_high + 1:
            last_high = max(last_high, high)
        else:
            merged.append((last_low, last_high))
            last_low, last_high = low, high
    merged.append((last_low, last_high))
    return merged


def _add_range(ranges: list[range], start: int, stop: int) -> None:
    if ranges and ranges[-1].stop == start:
        ranges[-1] = range(ranges[-1].start, stop)
    else:
        ranges.append(range(start, stop))


def _format_end(number: int) -> bytes:
    return b"%d" % number if number != STAR else b"*"
