"""The trace header that a message gets when it is accepted (RFC 5321 section 4.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_DAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # 1970-01-01 was a Thursday
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# What a peer says of itself goes into a header: nothing that could end the field or a comment.
_UNSAFE = re.compile(r"[^A-Za-z0-9.:\[\]_-]")
HELO_CHARACTERS_MAX = 255


@dataclass(frozen=True, slots=True)
class Trace:
    """What the trace header says. `recipient` only where there is a single one (privacy)."""

    reverse_path: str
    helo: str
    peer: str
    host_name: str
    protocol: str  # RFC 3848: ESMTP, ESMTPS, LMTP …
    receipt: str
    recipient: str
    at_us: int
    offset_s: int


def format_trace(trace: Trace) -> bytes:
    """Return-Path and Received, each ended by CRLF; UTF-8 where the addresses are (RFC 6531)."""
    helo = _UNSAFE.sub("?", trace.helo[:HELO_CHARACTERS_MAX]) or "unknown"
    purpose = f"\r\n\tfor <{trace.recipient}>" if trace.recipient else ""
    return (
        f"Return-Path: <{trace.reverse_path}>\r\n"
        f"Received: from {helo} ([{trace.peer}])\r\n"
        f"\tby {trace.host_name} (Staffetta) with {trace.protocol} id {trace.receipt}"
        f"{purpose};\r\n\t{_format_second(trace.at_us // 1_000_000, trace.offset_s)}\r\n"
    ).encode()


@lru_cache(maxsize=8)  # a server formats the same second thousands of times
def _format_second(at_s: int, offset_s: int) -> str:
    """RFC 5322 section 3.3 date-time of a moment, in the zone that far east of UTC."""
    days, second = divmod(at_s + offset_s, 86_400)
    year, month, day = _civil(days)
    sign, minutes = ("-", -offset_s // 60) if offset_s < 0 else ("+", offset_s // 60)
    return (
        f"{_DAYS[days % 7]}, {day} {_MONTHS[month - 1]} {year:04d}"
        f" {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        f" {sign}{minutes // 60:02d}{minutes % 60:02d}"
    )


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month, day of a day counted from 1970-01-01, in the Gregorian calendar."""
    era_day = days + 719_468  # counted from 0000-03-01, so that leap days come last
    era, day_of_era = divmod(era_day, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day
