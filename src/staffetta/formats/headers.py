"""Header blocks: where they end, their fields, unfolding and selection (RFC 5322 section 2.2).

A *block* is the header of a message or part as stored, with or without the empty line that
ends it. A *field* is a `(name, value)` pair; its name is as written, its value raw, that is
still folded and undecoded. Lines end in LF, with or without CR before it; a CR alone is an
ordinary byte, as it is for the other mail stores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

HEADER_BYTES_MAX: Final = 2 * 1024 * 1024
"""How far into one header block fields are looked for; what follows is stored but not read."""

FIELDS_MAX: Final = 100_000
"""Fields of one header block that `split_fields` returns."""

KnownFields = dict[bytes, bytes]
"""Raw values by lower-case name. Of repeated fields the last counts, as it does for Dovecot and
Cyrus, but addresses add up: hiding one would be the worse lie."""

_ADDRESS_FIELDS: Final = frozenset((b"from", b"sender", b"reply-to", b"to", b"cc", b"bcc"))

_BODY: Final = rb"[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)"
_FIELD: Final = re.compile(rb"(?m)^([!-9;-~\x80-\xff]++)" + _BODY)
# The look-ahead throws out most lines on their first byte, which halves the time.
_KNOWN_FIELD: Final = re.compile(
    rb"\n(?=[BbCcDdFfIiMmRrSsTt])"
    rb"((?i:date|subject|from|sender|reply-to|to|cc|bcc|in-reply-to|message-id|references|"
    rb"content-(?:type|transfer-encoding|disposition|id|description|language|location|md5)))"
    + _BODY
)
_EMPTY_LINE: Final = re.compile(rb"\n\r?\n")
_RECEIVED: Final = re.compile(rb"(?i)\nreceived[ \t]*+:")


def find_body(data: bytes, start: int, end: int) -> int:
    """Return the offset of the body of the message or part in `data[start:end]`.

    It lies behind the first empty line, or is `end` when there is none.
    """
    if data.startswith(b"\r\n", start, end):
        return start + 2
    if data.startswith(b"\n", start, end):
        return start + 1
    empty_line = _EMPTY_LINE.search(data, start, end)
    return end if empty_line is None else empty_line.end()


def select_known(data: bytes, start: int, end: int) -> KnownFields:
    """Return the fields of the block `data[start:end]` that ENVELOPE and MIME are made of.

    Only the first `HEADER_BYTES_MAX` are read.
    """
    block = data[start : min(end, start + HEADER_BYTES_MAX)]
    found = _KNOWN_FIELD.findall(b"\n" + block)
    fields = {name.lower(): value for name, value in found}
    return fields if len(fields) == len(found) else fields | _join_addresses(found)


def _join_addresses(found: list[tuple[bytes, bytes]]) -> KnownFields:
    """Return the address fields, each with the values of all its repetitions."""
    lists: dict[bytes, list[bytes]] = {}
    for name, value in found:
        name = name.lower()
        if name in _ADDRESS_FIELDS:
            lists.setdefault(name, []).append(value)
    return {name: b",".join(values) for name, values in lists.items()}


def split_fields(block: bytes) -> list[tuple[bytes, bytes]]:
    """Return the fields of `block` in order, values raw; lines that are no field are left out."""
    found = _FIELD.finditer(block[:HEADER_BYTES_MAX])
    return [(match[1], match[2]) for match in islice(found, FIELDS_MAX)]


def find_values(block: bytes, name: bytes) -> list[bytes]:
    """Return the raw values of every field of `block` called `name`, in any case."""
    pattern = re.compile(rb"\n(?i:" + re.escape(name) + rb")" + _BODY)
    return pattern.findall(b"\n" + block[:HEADER_BYTES_MAX])


def unfold(value: bytes) -> bytes:
    """Return a raw field value as one line without white space around it.

    RFC 5322 section 2.2.3: line ends go, the white space behind them stays.
    """
    if b"\n" in value:
        value = value.replace(b"\r\n", b"").replace(b"\n", b"")
    return value.strip(b" \t\r")


@dataclass(frozen=True, slots=True)
class FieldSelection:
    """HEADER.FIELDS or, with `inverted`, HEADER.FIELDS.NOT of a list of names.

    RFC 3501 section 6.4.5. Made once for a whole FETCH, applied to each header block.
    """

    inverted: bool
    _pattern: re.Pattern[bytes]

    def select(self, block: bytes) -> bytes:
        """Return the selected fields as stored, and the empty line behind them."""
        block = b"\n" + block
        if not self.inverted:
            found = self._pattern.findall(block)
            # A field at the very end, or one stored with bare LF, gets the CR that it lacks.
            lines = [field[1:] + (b"\n" if field.endswith(b"\r") else b"\r\n") for field in found]
            return b"".join(lines) + b"\r\n"
        rest = self._pattern.sub(b"", block)[1:]
        if rest == b"\r\n" or rest.endswith((b"\n\r\n", b"\n\n")):
            return rest
        return rest + (b"\r\n" if rest.endswith(b"\n") or not rest else b"\r\n\r\n")


def prepare_selection(names: Iterable[bytes], *, inverted: bool = False) -> FieldSelection:
    """Return the selection of the fields called one of `names`, in any case."""
    alternatives = b"|".join(re.escape(name) for name in dict.fromkeys(names)) or rb"(?!)"
    pattern = rb"\n(?i:" + alternatives + rb")[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+"
    return FieldSelection(inverted, re.compile(pattern))


def count_received(block: bytes) -> int:
    """Return how many Received fields `block` has: the hops so far (RFC 5321 section 6.3)."""
    return len(_RECEIVED.findall(b"\n" + block[:HEADER_BYTES_MAX]))
