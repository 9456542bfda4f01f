"""A message as a person reads it in the emergency inbox: text only, nothing is fetched or run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from staffetta.formats.encoded import decode_text, decode_words, find_filename
from staffetta.formats.headers import find_values, unfold
from staffetta.formats.mime import Part, scan
from staffetta.formats.text import strip_html

TEXT_CHARACTERS_MAX = 500_000
SHOWN_HEADERS = ("From", "To", "Cc", "Date", "Subject", "Message-ID")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is not the text. `name` is the sender's word, without control characters."""

    name: str
    media_type: str
    size_bytes: int  # as stored, transfer encoding included


@dataclass(frozen=True, slots=True)
class Shown:
    """What there is to read. `html_only`: the text was made from HTML, roughly."""

    headers: dict[str, str]
    text: str
    html_only: bool
    truncated: bool
    attachments: list[Attachment]


def show(content: bytes) -> Shown:
    """Take a message apart for reading; any bytes at all give something."""
    root = scan(content)
    block = content[root.header_start : root.body_start]
    headers = {}
    for name in SHOWN_HEADERS:
        values = find_values(block, name.encode())
        if values:
            headers[name] = decode_words(unfold(values[0]))
    plain, rich = [], []
    attachments: list[Attachment] = []
    for part in _leaves(root):
        is_text = part.type == b"text" and part.disposition != b"attachment"
        if is_text and part.subtype == b"plain":
            plain.append(decode_text(part, content))
        elif is_text and part.subtype == b"html":
            rich.append(strip_html(decode_text(part, content)))
        else:
            attachments.append(_attachment(part))
    text = "\n".join(plain or rich)
    return Shown(
        headers,
        text[:TEXT_CHARACTERS_MAX],
        not plain and bool(rich),
        len(text) > TEXT_CHARACTERS_MAX,
        attachments,
    )


def _attachment(part: Part) -> Attachment:
    name = find_filename(part) or ""
    media_type = f"{part.type.decode('latin-1')}/{part.subtype.decode('latin-1')}"
    printable = "".join(character for character in name if character.isprintable())
    return Attachment(printable, media_type, part.size_bytes)


def _leaves(part: Part) -> Iterator[Part]:
    """The parts to show, in order; a message within a message counts as one attachment."""
    if part.children:
        for child in part.children:
            yield from _leaves(child)
    else:
        yield part
