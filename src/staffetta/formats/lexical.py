"""Quoted pairs and comments, which all structured fields share (RFC 5322 section 3.2)."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

COMMENTS_MAX: Final = 20
"""Comments taken out of one field; more of them stay in."""

COMMENT_MARKS_MAX: Final = 50
"""Brackets and quoted pairs inside one comment; with more it counts as never closed."""

_QUOTED_PAIR: Final = re.compile(rb"(?s)\\(.)")
_COMMENT_MARK: Final = re.compile(rb"(?s)[()]|\\.")
_OUTSIDE: Final = re.compile(rb"(?s)(?:[^\"(\\]++|\\.|\"(?:[^\"\\]++|\\.)*+(?:\"|\\?\Z)|\\\Z)*+")


def drop_backslashes(text: bytes) -> bytes:
    """Return `text` with each quoted pair replaced by the byte it quotes."""
    return _QUOTED_PAIR.sub(rb"\1", text)


def find_comment_end(value: bytes, start: int) -> int:
    """Return the offset behind the comment that opens at `start`; the end when it stays open."""
    depth = 0
    for mark in islice(_COMMENT_MARK.finditer(value, start), COMMENT_MARKS_MAX):
        match mark[0]:
            case b"(":
                depth += 1
            case b")":
                depth -= 1
                if depth == 0:
                    return mark.end()
    return len(value)


def drop_comments(value: bytes) -> bytes:
    """Return `value` with a space for each comment outside quoted strings."""
    if b"(" not in value:
        return value
    kept = []
    position = 0
    comments = 0
    while position < len(value) and comments < COMMENTS_MAX:
        outside = _OUTSIDE.match(value, position)
        assert outside is not None
        kept.append(outside[0])
        position = outside.end()
        if position < len(value):
            comments += 1
            kept.append(b" ")
            position = find_comment_end(value, position)
    kept.append(value[position:])
    return b"".join(kept)
