"""Modified UTF-7, INBOX, and the patterns of LIST."""

from __future__ import annotations

import pytest

from staffetta.protocols.imap.mailbox_names import (
    ListPattern,
    NameFault,
    canonical_name,
    decode_name,
    encode_name,
    parent_names,
)


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("Posta inviata", b"Posta inviata"),
        ("Prüfung", b"Pr&APw-fung"),
        ("Ricevute & Fatture", b"Ricevute &- Fatture"),
        ("più&meno", b"pi&APk-&-meno"),
        ("台北/日本語", b"&U,BTFw-/&ZeVnLIqe-"),
        ("😀", b"&2D3eAA-"),
        ("", b""),
    ],
)
def test_names_both_ways(name: str, wire: bytes) -> None:
    assert encode_name(name) == wire
    assert decode_name(wire) == name


@pytest.mark.parametrize(
    "wire",
    [
        b"a&b",
        b"a&",
        b"&APw",
        b"&A-",
        b"&AP-",
        b"&APx-",
        b"&2D0-",
        b"&3gA-",
        b"caff\xc3\xa8",
        b"a\x00b",
        b"a\tb",
        b"a\x7f",
        b"&AAA-",
        b"&AA0ACg-",
        b"&AP/-",
        b"x" * 2000,
        b"&" + b"AOk" * 9000 + b"-",
    ],
)
def test_what_is_no_name(wire: bytes) -> None:
    with pytest.raises(NameFault):
        decode_name(wire)


def test_two_spellings_of_a_name_are_one_name() -> None:
    assert decode_name(b"&AGEAYg-") == decode_name(b"ab") == "ab"
    assert decode_name(b"&APwA,A-") == decode_name(b"&APw-&APw-") == "üü"


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("inbox", "INBOX"),
        ("InBox/Figli", "INBOX/Figli"),
        ("Inboxes", "Inboxes"),
        ("Lavoro/Inbox", "Lavoro/Inbox"),
    ],
)
def test_inbox_is_spelled_one_way(name: str, canonical: str) -> None:
    assert canonical_name(name) == canonical
    assert decode_name(name.encode()) == canonical


def test_parents_come_from_the_top() -> None:
    assert parent_names("a/b/c") == ["a", "a/b"]
    assert parent_names("a") == []


NAMES = ["INBOX", "INBOX/Da fare", "Sent", "Lavoro", "Lavoro/2024", "Lavoro/2024/Marzo", "Più"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", NAMES),
        ("%", ["INBOX", "Sent", "Lavoro", "Più"]),
        ("", []),
        ("inbox", ["INBOX"]),
        ("InB%", ["INBOX"]),
        ("inbox/*", ["INBOX/Da fare"]),
        ("*box*", ["INBOX"]),
        ("Lavoro", ["Lavoro"]),
        ("lavoro", []),
        ("Lavoro/%", ["Lavoro/2024"]),
        ("Lavoro/*", ["Lavoro/2024", "Lavoro/2024/Marzo"]),
        ("%/%", ["INBOX/Da fare", "Lavoro/2024"]),
        ("%/%/%", ["Lavoro/2024/Marzo"]),
        ("*%", NAMES),
        ("%*", NAMES),
        ("*o", ["Lavoro", "Lavoro/2024/Marzo"]),
        ("%o", ["Lavoro"]),
        ("*/2024*", ["Lavoro/2024", "Lavoro/2024/Marzo"]),
        ("P%ù", ["Più"]),
    ],
)
def test_patterns(pattern: str, found: list[str]) -> None:
    assert [name for name in NAMES if ListPattern(pattern).matches(name)] == found


def test_a_vicious_pattern_takes_one_pass() -> None:
    assert not ListPattern("*a" * 500 + "b").matches("a" * 1000)
    assert ListPattern("%*" * 500).matches("a/" * 500)
