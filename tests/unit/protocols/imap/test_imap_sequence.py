"""Sequence sets: reading, finding in a mailbox, writing."""

from __future__ import annotations

from array import array
from itertools import chain

import pytest

from staffetta.protocols.imap.sequence import (
    SequenceSet,
    count_in,
    format_numbers,
    format_spans,
    pick,
)


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        (b"7", ((7, 7),)),
        (b"*", ((0, 0),)),
        (b"2:4", ((2, 4),)),
        (b"5:*", ((5, 0),)),
        (b"*:5", ((0, 5),)),
        (b"1,3:2,*", ((1, 1), (3, 2), (0, 0))),
        (b"4294967295", ((4294967295, 4294967295),)),
    ],
)
def test_sets_are_read_as_written(text: bytes, ranges: tuple[tuple[int, int], ...]) -> None:
    assert SequenceSet.parse(text).ranges == ranges
    assert bytes(SequenceSet.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    b"|0|01|1,|,1|1,,2|1:|:2|1:2:3|1:0|-1|a|1 2|4294967296|1,4294967296|99999999999|**|$|1\n".split(
        b"|"
    ),
)
def test_what_is_no_set(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"set|32 bits"):
        SequenceSet.parse(text)


def test_spans_are_sorted_and_merged() -> None:
    assert SequenceSet.parse(b"9,5:3,4:7,1:2,20:*").spans(22) == [(1, 7), (9, 9), (20, 22)]


def test_star_is_the_largest_even_below_the_other_end() -> None:
    """UID FETCH 900:* in a mailbox whose last UID is 500 means message 500 (RFC 3501 §9)."""
    assert SequenceSet.parse(b"900:*").spans(500) == [(500, 900)]
    assert SequenceSet.parse(b"900:*").locate_uids([100, 500]) == [range(1, 2)]


def test_uids_are_found_where_they_are() -> None:
    uids = [3, 5, 6, 7, 20, 21, 40]
    assert SequenceSet.parse(b"5:7,21:*").locate_uids(uids) == [range(1, 4), range(5, 7)]
    assert SequenceSet.parse(b"4,8:19,41").locate_uids(uids) == []
    assert SequenceSet.parse(b"40,3,5").locate_uids(uids) == [range(2), range(6, 7)]
    assert SequenceSet.parse(b"1:4294967295").locate_uids(array("I", uids)) == [range(7)]
    assert SequenceSet.parse(b"1:*").locate_uids([]) == []


def test_numbers_are_positions_plus_one() -> None:
    assert SequenceSet.parse(b"1:3,5").locate_numbers(5) == [range(3), range(4, 5)]
    assert SequenceSet.parse(b"*").locate_numbers(5) == [range(4, 5)]
    assert SequenceSet.parse(b"4:9,12").locate_numbers(5) == [range(3, 5)]
    assert SequenceSet.parse(b"1:*").locate_numbers(0) == []


@pytest.mark.parametrize(
    ("text", "count", "is_within"),
    [
        (b"1:5", 5, True),
        (b"6", 5, False),
        (b"1:6", 5, False),
        (b"*", 5, True),
        (b"6:*", 5, False),
        (b"1:*", 0, True),
        (b"*", 0, True),
        (b"1", 0, False),
    ],
)
def test_numbers_beyond_the_mailbox_are_noticed(text: bytes, count: int, is_within: bool) -> None:
    assert SequenceSet.parse(text).is_within(count) is is_within


def test_membership() -> None:
    numbers = SequenceSet.parse(b"2:4,9:*")
    assert [n for n in range(1, 13) if numbers.contains(n, 10)] == [2, 3, 4, 9, 10]
    assert numbers.has_star
    assert numbers.largest == 9


def test_picking_takes_slices() -> None:
    assert pick("abcdefg", [range(2), range(4, 6)]) == ["a", "b", "e", "f"]
    assert count_in([range(2), range(4, 6)]) == 4


def test_numbers_are_written_compactly() -> None:
    assert format_numbers([]) == b""
    assert format_numbers([4]) == b"4"
    assert format_numbers([1, 2, 3, 4, 5, 7]) == b"1:5,7"
    assert format_numbers([1, 3, 5, 6]) == b"1,3,5:6"
    for length in range(2, 70):
        run = list(range(5, 5 + length))
        assert format_numbers(run) == b"5:%d" % run[-1]
        assert format_numbers([1, *run, 99]) == b"1,5:%d,99" % run[-1]
    assert format_numbers(array("I", chain(range(10, 5000), range(6000, 6003)))) == (
        b"10:4999,6000:6002"
    )
    assert format_spans([(1, 5), (7, 7)]) == b"1:5,7"
