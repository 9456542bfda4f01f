"""The words of a message, for the full-text index and for SEARCH TEXT and BODY.

The index and the exact check that follows it must agree on what a letter is: both call `fold`.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from staffetta.formats.encoded import decode_charset, decode_text, decode_words, find_filename
from staffetta.formats.headers import split_fields, unfold
from staffetta.formats.mime import Part

HEADER_TEXT_CHARS_MAX: Final = 256 * 1024
"""Characters of header text of one message that can be found."""

BODY_TEXT_CHARS_MAX: Final = 1024 * 1024
"""Characters of body text of one message that can be found."""

ENCODED_BYTES_MAX: Final = 2 * 1024 * 1024
"""Stored bytes read of one text part."""

FOLDED_AT_ONCE_CHARS: Final = 512
"""Decomposition takes quadratic time over a long run of marks, so it gets short pieces."""

# The blocks of marks that writers put on or leave off: Latin, Greek and Cyrillic accents,
# Hebrew and Arabic points. Marks that make another letter (Indic, kana) stay.
_MARKS: Final = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a"
    "\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f\u00ad\u200b-\u200d]+"
)

# Each alternative that lacks its end takes the rest, so no input is read twice.
_HIDDEN: Final = re.compile(
    r"<(?:!--(?:.*?-->|.*+)|(script|style|template)(?=[\s/>])(?:.*?</\1[^>]*+>?|.*+))",
    re.IGNORECASE | re.DOTALL,
)
_INLINE_TAG: Final = re.compile(
    r"</?(?:a|abbr|b|big|code|em|font|i|mark|s|small|span|strong|sub|sup|u|wbr)(?=[\s/>])[^>]*+>?",
    re.IGNORECASE,
)
_TAG: Final = re.compile(r"<[a-zA-Z/!?][^>]*+>?")
_HUGE_REFERENCE: Final = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9A-Fa-f]{7,});?")


def fold(text: str) -> str:
    """Return `text` as it is compared in searches: no case, no accents, no width.

    Folding what is folded changes nothing.
    """
    if text.isascii():
        return text.lower()
    pieces = range(0, len(text), FOLDED_AT_ONCE_CHARS)
    return "".join([_fold_piece(text[start : start + FOLDED_AT_ONCE_CHARS]) for start in pieces])


def _fold_piece(text: str) -> str:
    # Marks go before decomposition, which sorts them, and after, which splits more of them off.
    text = unicodedata.normalize("NFKD", _MARKS.sub("", text))
    return _MARKS.sub("", text).casefold()


def strip_html(text: str) -> str:
    """Return the visible text of an HTML document, roughly: for searching, not for showing."""
    text = _HIDDEN.sub(" ", text)
    text = _INLINE_TAG.sub("", text)
    text = _TAG.sub(" ", text)
    return html.unescape(_HUGE_REFERENCE.sub("\ufffd", text))


def searchable(data: bytes, root: Part) -> tuple[str, str]:
    """Return the folded text of the header and of the body of the message `root` of `data`.

    The body is that of all text parts, the headers of the messages within, and the names of the
    files attached. Both are bounded by the limits of this module; what lies behind is not found.
    """
    header = fold(decode_header(data, root))[:HEADER_TEXT_CHARS_MAX]
    pieces = []
    chars_left = BODY_TEXT_CHARS_MAX
    for text in _list_texts(data, root):
        text = fold(text[:chars_left])[:chars_left]
        pieces.append(text)
        chars_left -= len(text)
        if chars_left <= 0:
            break
    return header, "\n".join(pieces)


def decode_header(data: bytes, message: Part) -> str:
    """Return the header of `message` decoded, one line for each field."""
    lines = []
    chars_left = HEADER_TEXT_CHARS_MAX
    for name, value in split_fields(data[message.header_start : message.body_start]):
        line = f"{decode_charset(name, None)}: {decode_words(unfold(value))}"
        lines.append(line)
        chars_left -= len(line)
        if chars_left <= 0:
            break
    return "\n".join(lines)


def _list_texts(data: bytes, part: Part) -> Iterator[str]:
    """Yield the decoded words of each part and nested header, in the order of the message."""
    if (filename := find_filename(part)) is not None:
        yield filename
    if part.type == b"text":
        text = decode_text(part, data, ENCODED_BYTES_MAX)
        yield strip_html(text) if part.subtype in (b"html", b"xhtml") else text
    elif part.message is not None:
        yield decode_header(data, part.message)
        yield from _list_texts(data, part.message)
    else:
        for child in part.children:
            yield from _list_texts(data, child)
