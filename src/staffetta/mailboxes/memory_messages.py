"""A message in memory, and whether it matches a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from staffetta.formats.prepared import Prepared, prepare
from staffetta.mailboxes.keys import APPENDED_ORDINAL, parse_email_id
from staffetta.mailboxes.matching import field_contains, fold_needle, text_contains
from staffetta.mailboxes.port import SYSTEM_FLAGS, Query

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class MemoryMessage:
    """One message in a folder; `key` is its receipt or, with ordinal -1, a chance id."""

    uid: int
    flags: int
    modseq: int
    at_us: int
    key: bytes
    ordinal: int
    content: bytes
    ready: Prepared


def make_message(key: bytes, ordinal: int, content: bytes, flags: int, at_us: int) -> MemoryMessage:
    """A message that is in no folder yet."""
    return MemoryMessage(0, flags, 0, at_us, key, ordinal, content, prepare(content))


def matches(message: MemoryMessage, query: Query, keywords: Sequence[str]) -> bool:
    """Does the message match?"""
    match query.key:
        case "ALL":
            return True
        case "AND":
            return all(matches(message, part, keywords) for part in query.queries)
        case "OR":
            return any(matches(message, part, keywords) for part in query.queries)
        case "NOT":
            return not matches(message, query.queries[0], keywords)
        case "HAS":
            return message.flags & query.flags == query.flags
        case "LACKS":
            return not message.flags & query.flags
        case "KEYWORD":
            return _has_keyword(message, query.text, keywords)
        case "UNKEYWORD":
            return not _has_keyword(message, query.text, keywords)
        case "UID":
            return any(low <= message.uid <= high for low, high in query.ranges)
        case "MODSEQ":
            return message.modseq >= query.number
        case "LARGER":
            return len(message.content) > query.number
        case "SMALLER":
            return len(message.content) < query.number
        case "EMAILID":
            wanted = parse_email_id(query.text)
            return wanted == (message.key, message.ordinal == APPENDED_ORDINAL)
        case "HEADER":
            header = message.content[: message.ready.header_bytes]
            return field_contains(header, query.name, fold_needle(query.text))
        case "TEXT" | "BODY":
            needle = fold_needle(query.text)
            return text_contains(message.content, needle, body_only=query.key == "BODY")
        case _:
            return _matches_date(message, query)


def _has_keyword(message: MemoryMessage, name: str, keywords: Sequence[str]) -> bool:
    known = [keyword.lower() for keyword in keywords]
    if name.lower() not in known:
        return False
    return bool(message.flags >> len(SYSTEM_FLAGS) + known.index(name.lower()) & 1)


def _matches_date(message: MemoryMessage, query: Query) -> bool:
    is_sent = query.key.startswith("SENT")
    day = message.ready.sent_day if is_sent else message.at_us // _DAY_US
    if day is None:
        return False
    match query.key.removeprefix("SENT"):
        case "BEFORE":
            return day < query.number
        case "ON":
            return day == query.number
        case "SINCE":
            return day >= query.number
        case key:
            raise AssertionError(f"no such search key: {key}")
