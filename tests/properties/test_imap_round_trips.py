"""What is written can be read back; what is read agrees with a simpler model."""

from __future__ import annotations

import re
from array import array
from itertools import chain, pairwise

from hypothesis import given
from hypothesis import strategies as st
from imapclient import imap_utf7  # type: ignore[import-untyped]
from imapclient.response_parser import parse_fetch_response  # type: ignore[import-untyped]

from staffetta.protocols.imap.attributes import FetchItem
from staffetta.protocols.imap.fetch_lines import FetchLayout, fetch_lines, literal_pieces
from staffetta.protocols.imap.mailbox_names import (
    ListPattern,
    NameFault,
    canonical_name,
    decode_name,
    encode_name,
)
from staffetta.protocols.imap.quoting import format_astring, format_string
from staffetta.protocols.imap.sequence import SequenceSet, format_numbers
from staffetta.protocols.imap.tokens import Scanner

# Sequence sets

NUMBERS = st.sets(st.integers(1, 60) | st.integers(1, 2**32 - 1), min_size=1).map(sorted)
ENDS = st.integers(0, 40)
SETS = st.lists(st.tuples(ENDS, ENDS), min_size=1, max_size=8).map(
    lambda ranges: SequenceSet(tuple(ranges))
)


def members(numbers: SequenceSet, largest: int) -> set[int]:
    """The set, spelled out."""
    spelled: set[int] = set()
    for low, high in numbers.ranges:
        low, high = low or largest, high or largest
        spelled.update(range(min(low, high), max(low, high) + 1))
    return spelled


@given(NUMBERS)
def test_written_numbers_are_read_back(numbers: list[int]) -> None:
    wire = format_numbers(numbers)
    assert format_numbers(array("Q", numbers)) == wire
    spans = SequenceSet.parse(wire).spans(0)
    assert sum(high - low + 1 for low, high in spans) == len(numbers)
    assert SequenceSet.parse(wire).locate_uids(numbers) == [range(len(numbers))]
    # Compact: no two neighbouring spans touch.
    assert all(low > before + 1 for (_, before), (low, _) in pairwise(spans))


@given(SETS)
def test_sets_are_written_as_read(numbers: SequenceSet) -> None:
    assert SequenceSet.parse(bytes(numbers)).spans(99) == numbers.spans(99)


@given(SETS, st.sets(st.integers(1, 45)).map(sorted))
def test_uids_are_found_as_by_looking_at_each(numbers: SequenceSet, uids: list[int]) -> None:
    largest = uids[-1] if uids else 0
    wanted = members(numbers, largest)
    found = numbers.locate_uids(uids)
    assert [uids[at] for at in chain.from_iterable(found)] == [u for u in uids if u in wanted]
    assert all(a.stop < b.start for a, b in pairwise(found))
    assert [u for u in uids if numbers.contains(u, largest)] == [u for u in uids if u in wanted]


@given(SETS, st.integers(0, 45))
def test_numbers_are_found_as_by_looking_at_each(numbers: SequenceSet, count: int) -> None:
    wanted = members(numbers, count)
    found = numbers.locate_numbers(count)
    expected = [number for number in range(1, count + 1) if number in wanted]
    assert [at + 1 for at in chain.from_iterable(found)] == expected
    if count:
        assert numbers.is_within(count) == (max(wanted) <= count)


# Mailbox names

TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]) | st.sampled_from("&-/*%,+"),
    max_size=40,
)


@given(TEXT)
def test_names_come_back(name: str) -> None:
    wire = encode_name(name)
    assert wire.isascii()
    assert decode_name(wire) == canonical_name(name)
    assert imap_utf7.encode(name) == wire
    assert imap_utf7.decode(wire) == name


@given(st.binary(max_size=30) | st.text("&-A,/Pw+ a", max_size=12).map(str.encode))
def test_any_octets_are_a_name_or_refused(wire: bytes) -> None:
    try:
        name = decode_name(wire)
    except NameFault:
        return
    assert decode_name(encode_name(name)) == name


PIECES = st.lists(st.sampled_from(["a", "b", "/", "*", "%", "INBOX"]), max_size=8).map("".join)


@given(PIECES, st.lists(st.sampled_from(["a", "b", "/", "INBOX"]), max_size=10).map("".join))
def test_patterns_match_as_expressions_do(pattern: str, name: str) -> None:
    expression = "".join(
        ".*" if char == "*" else "[^/]*" if char == "%" else re.escape(char)
        for char in re.sub(r"[*%]*\*[*%]*", "*", re.sub("%+", "%", pattern))
    )
    assert ListPattern(pattern).matches(name) is (re.fullmatch(expression, name) is not None)


# Strings

OCTETS = st.binary(max_size=40) | st.text('a"\\\r\n {}()é\0', max_size=12).map(str.encode)


@given(OCTETS)
def test_strings_come_back(value: bytes) -> None:
    for wire in (format_string(value), format_astring(value)):
        line, literals = wire, ()
        if wire.startswith(b"{"):
            head, _, octets = wire.partition(b"\r\n")
            line, literals = head + b"\r\n", (octets,)
        scanner = Scanner(line, literals)
        assert scanner.take_astring() == value.replace(b"\0", b"\x80")
        assert scanner.is_at_end()


# What a client makes of our FETCH lines

ROWS = st.lists(
    st.tuples(
        st.integers(1, 2**32 - 1),
        st.integers(1, 2**32 - 1),
        st.lists(st.sampled_from(["\\Seen", "\\Answered", "$Junk", "x-y"]), unique=True),
        st.binary(max_size=30),
    ),
    max_size=5,
    unique_by=lambda row: row[0],
)


def as_imaplib_gives_it(line: bytes) -> bytes:
    return line.removeprefix(b"* ").replace(b" FETCH ", b" ", 1)


@given(ROWS)
def test_a_client_reads_what_was_meant(rows: list[tuple[int, int, list[str], bytes]]) -> None:
    numbers = [row[0] for row in rows]
    uids = [row[1] for row in rows]
    flags = [b"(%b)" % " ".join(row[2]).encode() for row in rows]
    bodies = [row[3].replace(b"\0", b"\1") for row in rows]

    lines = fetch_lines(FetchLayout.of([FetchItem.UID, FetchItem.FLAGS]), numbers, uids, flags)
    answers = [as_imaplib_gives_it(line) for line in lines.split(b"\r\n")[:-1]]
    read = parse_fetch_response(answers, uid_is_key=False)
    assert {number: data[b"UID"] for number, data in read.items()} == dict(
        zip(numbers, uids, strict=True)
    )
    assert [list(data[b"FLAGS"]) for data in read.values()] == [
        [flag.encode() for flag in row[2]] for row in rows
    ]

    pieces = literal_pieces(b"BODY[]", numbers, uids, bodies)
    parts: list[bytes | tuple[bytes, bytes]] = []
    for at in range(0, len(pieces), 3):
        parts += [(as_imaplib_gives_it(pieces[at].rstrip()), pieces[at + 1]), b")"]
    read = parse_fetch_response(parts, uid_is_key=False)
    assert [data[b"BODY[]"] for data in read.values()] == bodies
