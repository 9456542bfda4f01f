"""What a FETCH may ask for (RFC 3501 §6.4.5, RFC 7162 §3.1.4, RFC 8474 §5).

`FetchItem` names what a mailbox has ready; `BodySection` names a part of the message's bytes.
RFC822, RFC822.HEADER and RFC822.TEXT are `BodySection`s too, under their own `label`, so that
whoever answers a FETCH has one way to hand out bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class FetchItem(Enum):
    """A data item that is not a section of the body; the value is its name on the wire."""

    UID = b"UID"
    FLAGS = b"FLAGS"
    MODSEQ = b"MODSEQ"
    INTERNALDATE = b"INTERNALDATE"
    RFC822_SIZE = b"RFC822.SIZE"
    ENVELOPE = b"ENVELOPE"
    BODYSTRUCTURE = b"BODYSTRUCTURE"
    BODY = b"BODY"
    """The structure without extension data: plain `BODY`, no brackets."""
    EMAILID = b"EMAILID"
    THREADID = b"THREADID"

    # Members are single objects; Enum's own hash is a slow one of their names.
    __hash__ = object.__hash__


class SectionText(Enum):
    """What of a part is wanted; `ALL` is the part itself (`BODY[]`, `BODY[1.2]`)."""

    ALL = b""
    HEADER = b"HEADER"
    HEADER_FIELDS = b"HEADER.FIELDS"
    HEADER_FIELDS_NOT = b"HEADER.FIELDS.NOT"
    TEXT = b"TEXT"
    MIME = b"MIME"


@dataclass(frozen=True, slots=True)
class BodySection:
    """A stretch of message bytes.

    `part` is the part number ((1, 2) for `BODY[1.2]`, () for the whole message); `fields` are the
    header names of HEADER.FIELDS(.NOT) as the client spelled them; `partial` is (first octet,
    count of octets), count >= 1. `peek` says whether \\Seen stays as it is. `label` is what the
    answer repeats, ready to write: `BODY[HEADER.FIELDS (DATE FROM)]<0>`.
    """

    label: bytes
    part: tuple[int, ...] = ()
    text: SectionText = SectionText.ALL
    fields: tuple[bytes, ...] = ()
    partial: tuple[int, int] | None = None
    peek: bool = False
