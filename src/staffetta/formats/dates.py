"""Dates of header fields and of IMAP, from and to numbers (RFC 5322 sections 3.3 and 4.3).

Instants are integers: seconds or microseconds since 1970-01-01 00:00 UTC, without leap seconds.
Days are integers too, since 1970-01-01. Nothing here knows what time it is.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

DAY_S: Final = 86_400

DATE_BYTES_MAX: Final = 200
"""How much of a date field is read."""

OFFSET_MINUTES_MAX: Final = 24 * 60 - 1
"""A larger distance from UTC counts as none."""


class SentDate(NamedTuple):
    """When a message says it was sent.

    `day` is the calendar day that the sender wrote, whatever the zone, because SENTON and its
    kin disregard time and zone (RFC 3501 section 6.4.4).
    """

    utc_s: int
    offset_minutes: int
    day: int


_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
_MONTH_NUMBERS: Final = {name.lower().encode(): n for n, name in enumerate(_MONTHS, 1)}
_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_DAYS_MAX: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

# RFC 5322 section 4.3: the zone names whose meaning is known; all others mean UTC.
_ZONE_MINUTES: Final = {
    b"edt": -240,
    b"est": -300,
    b"cdt": -300,
    b"cst": -360,
    b"mdt": -360,
    b"mst": -420,
    b"pdt": -420,
    b"pst": -480,
}

_SEPARATOR: Final = rb"[\s,./-]*+"
_TIME: Final = rb"(\d{1,2})[:.](\d{1,2})(?:[:.](\d{1,2})(?:[.,]\d*+)?)?"
_ZONE: Final = rb"\s*+(?:GMT|UTC?)?\s*+([+-]\d{1,2}:?\d{0,2}|[A-Za-z]{1,5})?"
_DAY_FIRST: Final = re.compile(
    rb"\s*+(?:[A-Za-z]{2,9}[\s,.]++)?(\d{1,2})"
    + _SEPARATOR
    + rb"([A-Za-z]{3})[a-z]*+"
    + _SEPARATOR
    + rb"(\d{2,4})(?:[\s,]++(?:at\s++)?"
    + _TIME
    + _ZONE
    + rb")?"
)
# What RFC 5322 asks for, and nearly everybody sends.
_USUAL: Final = re.compile(
    rb" ?(?:[A-Z][a-z]{2}, ?)? ?(\d{1,2}) ([A-Za-z]{3}) (\d{4}) "
    rb"(\d\d):(\d\d):(\d\d) ([+-]\d{4})(?!\d)"
)
# The C library's ctime order, which old software puts in: Mon Mar  3 10:22:11 [CET] 2025
_CTIME: Final = re.compile(
    rb"\s*+(?:[A-Za-z]{2,9}[\s,.]++)?([A-Za-z]{3})[a-z]*+\s++(\d{1,2})\s++"
    + _TIME
    + rb"(?:\s++([A-Za-z]{1,5}|[+-]\d{4}))?\s++(\d{4})"
)
_ISO: Final = re.compile(
    rb"\s*+(\d{4})-(\d{1,2})-(\d{1,2})(?:[T\s]\s*+" + _TIME + rb"\s*+(Z|[+-]\d{1,2}:?\d{0,2})?)?"
)


def parse_date(value: bytes) -> SentDate | None:
    """Return the date in a raw Date field value; None when there is none to be found.

    Takes what mail has had since 1982: two-digit years, zone names, missing seconds or zone
    (then UTC), comments, C library order, ISO 8601. Numbers out of range make it no date.
    """
    usual = _USUAL.match(value)
    if usual is not None:
        day, month_name, year, hour, minute, second, zone = usual.groups()
        offset_minutes = int(zone[:3]) * 60 + int(zone[0:1] + zone[3:])
        if -OFFSET_MINUTES_MAX <= offset_minutes <= OFFSET_MINUTES_MAX:
            month = _MONTH_NUMBERS.get(month_name.lower(), 0)
            time = (int(hour), int(minute), int(second))
            return _make_date(int(year), month, int(day), time, offset_minutes)
    value = value[:DATE_BYTES_MAX]
    if b"(" in value:
        value = value[: value.index(b"(")]
    if (match := _DAY_FIRST.match(value)) is not None:
        day, month_name, year, hour, minute, second, zone = match.groups()
        month = _MONTH_NUMBERS.get(month_name.lower(), 0)
    elif (match := _CTIME.match(value)) is not None:
        month_name, day, hour, minute, second, zone, year = match.groups()
        month = _MONTH_NUMBERS.get(month_name.lower(), 0)
    elif (match := _ISO.match(value)) is not None:
        year, month_digits, day, hour, minute, second, zone = match.groups()
        month = int(month_digits)
    else:
        return None
    return _make_date(
        _widen_year(year),
        month,
        int(day),
        (int(hour or 0), int(minute or 0), int(second or 0)),
        _parse_zone(zone),
    )


def _widen_year(digits: bytes) -> int:
    """Return the year that two or three digits mean (RFC 5322 section 4.3)."""
    year = int(digits)
    if len(digits) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(digits) == 3 else year


def _parse_zone(zone: bytes | None) -> int:
    """Return the minutes east of UTC."""
    if zone is None:
        return 0
    if zone[0] not in b"+-":
        return _ZONE_MINUTES.get(zone.lower(), 0)
    digits = zone[1:].replace(b":", b"")
    hours, minutes = (int(digits[:-2]), int(digits[-2:])) if len(digits) > 2 else (int(digits), 0)
    total = hours * 60 + minutes
    if total > OFFSET_MINUTES_MAX:
        return 0
    return -total if zone.startswith(b"-") else total


def _make_date(
    year: int, month: int, day: int, time: tuple[int, int, int], offset_minutes: int
) -> SentDate | None:
    hour, minute, second = time
    if not (1 <= month <= 12 and 1 <= day <= _MONTH_DAYS_MAX[month - 1]):
        return None
    # 60 is a leap second (RFC 5322 section 3.3); the count of days has no place for it.
    if year < 1900 or hour > 23 or minute > 59 or second > 60:
        return None
    number = count_days(year, month, day)
    seconds = number * DAY_S + hour * 3600 + minute * 60 + min(second, 59)
    return SentDate(seconds - offset_minutes * 60, offset_minutes, number)


def count_days(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a day of the Gregorian calendar."""
    # Years begin in March here, so that the leap day comes last and months follow one formula.
    year -= month <= 2
    month_from_march = (month + 9) % 12
    in_year = (153 * month_from_march + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + in_year - 719_468


def split_days(days: int) -> tuple[int, int, int]:
    """Return year, month and day of the day `days` after 1970-01-01: `count_days` undone."""
    days += 719_468
    era, in_era = divmod(days, 146_097)
    year_in_era = (in_era - in_era // 1460 + in_era // 36_524 - in_era // 146_096) // 365
    in_year = in_era - (365 * year_in_era + year_in_era // 4 - year_in_era // 100)
    month_from_march = (5 * in_year + 2) // 153
    day = in_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return era * 400 + year_in_era + (month <= 2), month, day


def format_rfc5322(utc_s: int, offset_minutes: int = 0) -> str:
    """Return an instant as in `Mon, 3 Mar 2025 10:22:11 +0100` (RFC 5322 section 3.3)."""
    days, time = divmod(utc_s + offset_minutes * 60, DAY_S)
    year, month, day = split_days(days)
    weekday = _WEEKDAYS[(days + 3) % 7]
    clock = _format_clock(time)
    return f"{weekday}, {day} {_MONTHS[month - 1]} {year:04} {clock} {format_zone(offset_minutes)}"


def format_internaldate(utc_s: int, offset_minutes: int = 0) -> bytes:
    """Return an instant as IMAP's date-time with its quotes (RFC 3501 section 9)."""
    days, time = divmod(utc_s + offset_minutes * 60, DAY_S)
    year, month, day = split_days(days)
    clock = _format_clock(time)
    zone = format_zone(offset_minutes)
    return f'"{day:2}-{_MONTHS[month - 1]}-{year:04} {clock} {zone}"'.encode()


def format_ctime(utc_s: int) -> str:
    """Return an instant in the C library's order, as mbox has it: `Mon Mar  3 09:22:11 2025`."""
    days, time = divmod(utc_s, DAY_S)
    year, month, day = split_days(days)
    weekday = _WEEKDAYS[(days + 3) % 7]
    return f"{weekday} {_MONTHS[month - 1]} {day:2} {_format_clock(time)} {year:04}"


def parse_internaldate(text: bytes) -> SentDate | None:
    """Return the instant in IMAP's date-time, without its quotes; None when it is not one."""
    match = _INTERNALDATE.fullmatch(text)
    if match is None:
        return None
    day, month_name, year, hour, minute, second, zone = match.groups()
    month = _MONTH_NUMBERS.get(month_name.lower(), 0)
    time = (int(hour), int(minute), int(second))
    return _make_date(int(year), month, int(day), time, _parse_zone(zone))


_INTERNALDATE: Final = re.compile(
    rb"([ \d]\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d{4})"
)


def parse_imap_day(text: bytes) -> int | None:
    """Return the day number of IMAP's date, `3-Mar-2025`, as SEARCH has it; None if it is none."""
    match = _IMAP_DAY.fullmatch(text)
    if match is None:
        return None
    month = _MONTH_NUMBERS.get(match[2].lower(), 0)
    date = _make_date(int(match[3]), month, int(match[1]), (0, 0, 0), 0)
    return None if date is None else date.day


_IMAP_DAY: Final = re.compile(rb"(\d{1,2})-([A-Za-z]{3})-(\d{4})")


def format_zone(offset_minutes: int) -> str:
    """Return minutes east of UTC as `+hhmm` or `-hhmm`."""
    hours, minutes = divmod(abs(offset_minutes), 60)
    return f"{'-' if offset_minutes < 0 else '+'}{hours:02}{minutes:02}"


def _format_clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
