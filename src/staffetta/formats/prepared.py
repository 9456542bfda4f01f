"""What is kept ready beside each stored message, made in one pass when it is delivered."""

from __future__ import annotations

from typing import NamedTuple

from staffetta.formats import imapdata
from staffetta.formats.dates import parse_date
from staffetta.formats.headers import unfold
from staffetta.formats.mime import Part, scan_with_fields


class Prepared(NamedTuple):
    """The answers to the questions that clients ask of every message.

    `envelope` and `bodystructure` go on the wire as they are. `subject`, `message_id`,
    `in_reply_to` and `references` are raw field values, unfolded and undecoded. `sent_s` is the
    Date field in seconds UTC, `sent_day` the calendar day it names in its own zone, in days
    since 1970-01-01; None when the message has no readable date. `header_bytes` is the size of
    the header with its empty line.
    """

    size_bytes: int
    header_bytes: int
    envelope: bytes
    bodystructure: bytes
    subject: bytes | None
    message_id: bytes | None
    in_reply_to: bytes | None
    references: bytes | None
    sent_s: int | None
    sent_day: int | None
    root: Part


def prepare(data: bytes) -> Prepared:
    """Return what is kept ready of the message `data`; any bytes will do."""
    root, fields = scan_with_fields(data)
    date = fields.get(b"date")
    sent = None if date is None else parse_date(date)
    return Prepared(
        size_bytes=len(data),
        header_bytes=root.body_start,
        envelope=imapdata.format_envelope(fields),
        bodystructure=imapdata.bodystructure(data, root),
        subject=_unfold_or_none(fields.get(b"subject")),
        message_id=_unfold_or_none(fields.get(b"message-id")),
        in_reply_to=_unfold_or_none(fields.get(b"in-reply-to")),
        references=_unfold_or_none(fields.get(b"references")),
        sent_s=None if sent is None else sent.utc_s,
        sent_day=None if sent is None else sent.day,
        root=root,
    )


def _unfold_or_none(value: bytes | None) -> bytes | None:
    return None if value is None else unfold(value)
