"""What a SEARCH may ask for: a small tree of keys (RFC 3501 §6.4.4 and extensions).

The parser folds the wire's many words into few classes: SEEN, UNSEEN, KEYWORD x and UNKEYWORD x
are all `FlagIs`; BCC, CC, FROM, SUBJECT, TO and HEADER are all `HeaderContains`; NEW and OLD are
spelled out with `AllOf` and `FlagIs`. Strings are already decoded from the command's CHARSET.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from staffetta.protocols.imap.sequence import SequenceSet


class DateRelation(Enum):
    """How a message's date stands to the date asked for; `SINCE` includes that day."""

    BEFORE = "before"
    ON = "on"
    SINCE = "since"


@dataclass(frozen=True, slots=True)
class AllMessages:
    """ALL."""


@dataclass(frozen=True, slots=True)
class FlagIs:
    """A flag or keyword is there (`is_set`) or is not: `FlagIs("\\Seen", False)` is UNSEEN."""

    flag: str
    is_set: bool


@dataclass(frozen=True, slots=True)
class HeaderContains:
    """A header field contains a string; "" asks only that the field be there."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class BodyContains:
    """BODY: the body, without the header, contains a string."""

    text: str


@dataclass(frozen=True, slots=True)
class TextContains:
    """TEXT: header or body contains a string."""

    text: str


@dataclass(frozen=True, slots=True)
class InternalDateIs:
    """BEFORE, ON, SINCE: INTERNALDATE, without time and zone."""

    relation: DateRelation
    day: date


@dataclass(frozen=True, slots=True)
class SentDateIs:
    """SENTBEFORE, SENTON, SENTSINCE: the Date field, without time and zone."""

    relation: DateRelation
    day: date


@dataclass(frozen=True, slots=True)
class LargerThan:
    """LARGER."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class SmallerThan:
    """SMALLER."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class NumberIn:
    """A sequence set: message sequence numbers."""

    numbers: SequenceSet


@dataclass(frozen=True, slots=True)
class UidIn:
    """UID with a sequence set."""

    uids: SequenceSet


@dataclass(frozen=True, slots=True)
class ModseqAtLeast:
    """MODSEQ (RFC 7162 §3.1.5); an entry name, if one was given, is left out of account."""

    modseq: int


@dataclass(frozen=True, slots=True)
class EmailIdIs:
    """EMAILID (RFC 8474 §6)."""

    email_id: str


@dataclass(frozen=True, slots=True)
class ThreadIdIs:
    """THREADID (RFC 8474 §6)."""

    thread_id: str


@dataclass(frozen=True, slots=True)
class YoungerThan:
    """YOUNGER (RFC 5032): INTERNALDATE within the last `interval_s` seconds."""

    interval_s: int


@dataclass(frozen=True, slots=True)
class OlderThan:
    """OLDER (RFC 5032): INTERNALDATE more than `interval_s` seconds ago."""

    interval_s: int


@dataclass(frozen=True, slots=True)
class Not:
    """NOT."""

    key: SearchKey


@dataclass(frozen=True, slots=True)
class AnyOf:
    """OR; a chain of ORs is one `AnyOf` with all of its terms."""

    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """Keys side by side, with or without parentheses."""

    keys: tuple[SearchKey, ...]


SearchKey = (
    AllMessages
    | FlagIs
    | HeaderContains
    | BodyContains
    | TextContains
    | InternalDateIs
    | SentDateIs
    | LargerThan
    | SmallerThan
    | NumberIn
    | UidIn
    | ModseqAtLeast
    | EmailIdIs
    | ThreadIdIs
    | YoungerThan
    | OlderThan
    | Not
    | AnyOf
    | AllOf
)


class SearchReturn(Enum):
    """RETURN options of ESEARCH (RFC 4731 §3.1)."""

    MIN = b"MIN"
    MAX = b"MAX"
    ALL = b"ALL"
    COUNT = b"COUNT"

    # As in `FetchItem`.
    __hash__ = object.__hash__
