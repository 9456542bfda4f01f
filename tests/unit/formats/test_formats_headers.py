"""Fields, unfolding and HEADER.FIELDS."""

from __future__ import annotations

import pytest

from staffetta.formats.headers import (
    count_received,
    find_values,
    prepare_selection,
    select_known,
    split_fields,
    unfold,
)

BLOCK = (
    b"Received: one\r\n\tby two\r\n"
    b"Received : three\r\n"
    b"SUBJECT: =?utf-8?q?=C3=A8?=\r\n"
    b" \r\n"
    b" and more\r\n"
    b"no field at all\r\n"
    b"X-Empty:\r\n"
    b"To:a@b\r\n"
    b"\r\n"
)


def test_fields_in_order_with_raw_values() -> None:
    assert split_fields(BLOCK) == [
        (b"Received", b" one\r\n\tby two\r"),
        (b"Received", b" three\r"),
        (b"SUBJECT", b" =?utf-8?q?=C3=A8?=\r\n \r\n and more\r"),
        (b"X-Empty", b"\r"),
        (b"To", b"a@b\r"),
    ]


def test_known_fields_only() -> None:
    known = select_known(BLOCK, 0, len(BLOCK))
    assert known == {b"subject": b" =?utf-8?q?=C3=A8?=\r\n \r\n and more\r", b"to": b"a@b\r"}


def test_the_last_of_repeated_fields_counts_but_addresses_add_up() -> None:
    block = b"To: a\r\nDate: 1\r\nTO: b\r\nDATE: 2\r\n\r\n"
    assert select_known(block, 0, len(block)) == {b"to": b" a\r, b\r", b"date": b" 2\r"}


def test_values_by_name_in_any_case() -> None:
    assert find_values(BLOCK, b"received") == [b" one\r\n\tby two\r", b" three\r"]
    assert find_values(BLOCK, b"receive") == []
    assert find_values(BLOCK, b"x-empty") == [b"\r"]
    assert find_values(b"A.B: 1\nAxB: 2\n", b"a.b") == [b" 1"]


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b" one\r", b"one"),
        (b" one\r\n two\r", b"one two"),
        (b" one\n\ttwo", b"one\ttwo"),
        (b"\r", b""),
        (b" a\rb\r", b"a\rb"),
    ],
)
def test_unfolding(raw: bytes, line: bytes) -> None:
    assert unfold(raw) == line


def test_selected_fields_come_as_stored_with_the_empty_line() -> None:
    selection = prepare_selection([b"TO", b"Subject", b"Missing"])
    assert selection.select(BLOCK) == (
        b"SUBJECT: =?utf-8?q?=C3=A8?=\r\n \r\n and more\r\nTo:a@b\r\n\r\n"
    )
    assert prepare_selection([b"Missing"]).select(BLOCK) == b"\r\n"
    assert prepare_selection([]).select(BLOCK) == b"\r\n"


def test_all_but_the_selected_fields() -> None:
    selection = prepare_selection([b"received", b"SUBJECT", b"to"], inverted=True)
    assert selection.select(BLOCK) == b"no field at all\r\nX-Empty:\r\n\r\n"
    assert prepare_selection([], inverted=True).select(BLOCK) == BLOCK
    assert prepare_selection([b"a"], inverted=True).select(b"A: 1\r\n") == b"\r\n"
    assert prepare_selection([b"x"], inverted=True).select(b"A: 1\r\n") == b"A: 1\r\n\r\n"


def test_the_last_line_may_lack_its_end() -> None:
    assert prepare_selection([b"a"]).select(b"A: 1") == b"A: 1\r\n\r\n"
    assert prepare_selection([b"b"], inverted=True).select(b"A: 1") == b"A: 1\r\n\r\n"


def test_hops() -> None:
    assert count_received(BLOCK) == 2
    assert count_received(b"X-Received: no\r\nSubject: a\r\n received: no\r\n") == 0
