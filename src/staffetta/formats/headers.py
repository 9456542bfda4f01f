"""Header blocks: where they end, their fields, unfolding and selection (RFC 5322 section 2.2).

A *block* is the header of a message or part as stored, with or without the empty line that
ends it. A *field* is a `(name, value)` pair; its name is as written, its value raw, that is
still folded and undecoded. Lines end in LF, with or without CR before it; a CR alone is an
ordinary byte, as it is for the other mail stores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final

HEADER_BYTES_MAX: Final = 4 * 1024 * 1024
"""How far into one header block fields are looked for; what follows is stored but not read."""

FIELDS_MAX: Final = 100_000
"""Fields of one header block that `split_fields` returns."""

_BODY: Final = rb"[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)"
_FIELD: Final = re.compile(rb"(?m)^([!-9;-~\x80-\xff]++)" + _BODY)
# The look-ahead throws out most lines on their first byte, which halves the time.
_KNOWN_FIELD: Final = re.compile(
    rb"\n(?=[BbCcDdFfIiMmRrSsTt])"
    rb"((?i:date|subject|from|sender|reply-to|to|cc|bcc|in-reply-to|message-id|references|"
    rb"content-(?:type|transfer-encoding|disposition|id|description|language|location|md5)))"
    + _BODY
)
_LINE_END: Final = re.compile(rb"\r?\n")
_WHOLE_FIELD: Final = re.compile(rb"([!-9;-~\x80-\xff]++)[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+\n?")
_RECEIVED: Final = re.compile(rb"(?i)\nreceived[ \t]*+:")


def find_body(data: bytes, start: int, end: int) -> int:
    """Return the offset of the body of the message or part in `data[start:end]`.

    It lies behind the first empty line, or is `end` when there is none.
    """
    if data.startswith(b"\r\n", start, end):
        return start + 2
    if data.startswith(b"\n", start, end):
        return start + 1
    found = data.find(b"\n\r\n", start, end)
    # A bare-LF empty line counts only before the CRLF one, so the second search is short.
    bare = data.find(b"\n\n", start, found if found >= 0 else end)
    if bare >= 0:
        return bare + 2
    return found + 3 if found >= 0 else end


def select_known(data: bytes, start: int, end: int) -> list[tuple[bytes, bytes]]:
    """Return the fields of the block `data[start:end]` that ENVELOPE and MIME are made of.

    In order, with repetitions, values raw. Only the first `HEADER_BYTES_MAX` are read.
    """
    block = data[start : min(end, start + HEADER_BYTES_MAX)]
    return _KNOWN_FIELD.findall(b"\n" + block)


def split_fields(block: bytes) -> list[tuple[bytes, bytes]]:
    """Return the fields of `block` in order, values raw; lines that are no field are left out."""
    found = _FIELD.finditer(block[:HEADER_BYTES_MAX])
    return [match.group(1, 2) for match in islice(found, FIELDS_MAX)]  # type: ignore[misc]
