"""Dates in and out."""

from __future__ import annotations

import datetime

import pytest

from staffetta.formats import dates
from staffetta.formats.dates import parse_date


def when(text: str) -> str | None:
    found = parse_date(text.encode())
    if found is None:
        return None
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days=found.day)
    instant = datetime.datetime.fromtimestamp(found.utc_s, datetime.UTC)
    return f"{day} {instant:%Y-%m-%dT%H:%M:%S} {found.offset_minutes:+}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (" Mon, 3 Mar 2025 10:22:11 +0100\r", "2025-03-03 2025-03-03T09:22:11 +60"),
        ("3 Mar 2025 10:22 -0530", "2025-03-03 2025-03-03T15:52:00 -330"),
        ("Mon, 3 Mar 2025 00:10:00 +0200 (CEST)", "2025-03-03 2025-03-02T22:10:00 +120"),
        ("Fri, 20 Apr 2001 20:18:00 EDT", "2001-04-20 2001-04-21T00:18:00 -240"),
        ("Mon, 03 Mar 25 10:22:11 GMT", "2025-03-03 2025-03-03T10:22:11 +0"),
        ("Mon, 3 Mar 97 8:5 EST", "1997-03-03 1997-03-03T13:05:00 -300"),
        ("3 March 2025", "2025-03-03 2025-03-03T00:00:00 +0"),
        ("Monday, 3-Mar-25 10:22:11 UT", "2025-03-03 2025-03-03T10:22:11 +0"),
        ("Mon Mar  3 10:22:11 2025", "2025-03-03 2025-03-03T10:22:11 +0"),
        ("Mon Mar  3 10:22:11 EST 2025", "2025-03-03 2025-03-03T15:22:11 -300"),
        ("2025-03-03T10:22:11+01:00", "2025-03-03 2025-03-03T09:22:11 +60"),
        ("2025-03-03 10:22", "2025-03-03 2025-03-03T10:22:00 +0"),
        ("Mon,3 Mar 2025 10:22:11 +0100", "2025-03-03 2025-03-03T09:22:11 +60"),
        ("Thu, 31 Dec 1998 23:59:60 +0000", "1998-12-31 1998-12-31T23:59:59 +0"),
        ("1 Jan 101 00:00:00 +0000", "2001-01-01 2001-01-01T00:00:00 +0"),
        ("Mon, 3 Mar 2025 10:22:11 GMT+0200", "2025-03-03 2025-03-03T08:22:11 +120"),
        ("Mon, 3 Mar 2025 10:22:11 +9999", "2025-03-03 2025-03-03T10:22:11 +0"),
        ("Mon, 3 Mar 2025 10:22:11 XYZ", "2025-03-03 2025-03-03T10:22:11 +0"),
        ("", None),
        ("yesterday", None),
        ("3 Foo 2025 10:22:11 +0000", None),
        ("32 Mar 2025", None),
        ("30 Feb 2025 10:22:11 +0000", None),
        ("3 Mar 2025 25:00:00 +0000", None),
        ("0 Mar 2025", None),
        ("3 Mar 1492", None),
        ("1" * 500, None),
    ],
)
def test_dates_of_mail(text: str, wanted: str | None) -> None:
    assert when(text) == wanted


def test_formats() -> None:
    utc_s = 1_740_993_731
    assert dates.format_rfc5322(utc_s, 60) == "Mon, 3 Mar 2025 10:22:11 +0100"
    assert dates.format_rfc5322(utc_s, -210) == "Mon, 3 Mar 2025 05:52:11 -0330"
    assert dates.format_internaldate(utc_s, 60) == b'" 3-Mar-2025 10:22:11 +0100"'
    assert dates.format_ctime(utc_s) == "Mon Mar  3 09:22:11 2025"


def test_internaldates_are_read_back() -> None:
    for utc_s in (0, 1_740_993_731, 4_102_444_799):
        text = dates.format_internaldate(utc_s, -90)[1:-1]
        found = dates.parse_internaldate(text)
        assert found is not None
        assert (found.utc_s, found.offset_minutes) == (utc_s, -90)
    for wrong in (b"3-Mar-2025 10:22:11 +0100", b"31-Feb-2025 10:22:11 +0100", b""):
        assert dates.parse_internaldate(wrong) is None


def test_days_of_searches() -> None:
    assert dates.parse_imap_day(b"1-Jan-1970") == 0
    assert dates.parse_imap_day(b"03-mar-2025") == 20_150
    for wrong in (b"31-Feb-2025", b"1-Foo-2025", b"1-Jan-70", b""):
        assert dates.parse_imap_day(wrong) is None
