"""What SEARCH's text keys mean: a folded string within the folded, decoded text (RFC 3501
section 6.4.4). The index finds candidates; this decides."""

from __future__ import annotations

from collections.abc import Collection

from staffetta.formats.encoded import decode_words
from staffetta.formats.headers import find_values, split_fields, unfold
from staffetta.formats.mime import scan
from staffetta.formats.text import fold, searchable

FIELD_CHARS_MAX = 64 * 1024
"""How much of one field's value can be found with the key HEADER and its kin."""

# What separates values in the index must not occur in them.
_MARKS = {0: " ", 1: " ", 10: " ", 13: " "}


def fold_needle(text: str) -> str:
    """What is looked for, in the form in which texts are compared."""
    return fold(text)


def text_contains(content: bytes, needle: str, *, body_only: bool) -> bool:
    """TEXT and BODY: does header or body (or the body alone) contain the folded string?"""
    header, body = searchable(content, scan(content))
    return needle in body or (not body_only and needle in header)


def list_fields(header: bytes, names: Collection[str]) -> dict[str, list[str]]:
    """The folded values of the fields called `names` (lower-case), in one pass."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for name, value in split_fields(header):
        values = found.get(name.lower().decode("latin-1"))
        if values is not None:
            values.append(_fold_value(value))
    return found


def field_contains(header: bytes, name: str, needle: str) -> bool:
    """HEADER, FROM, SUBJECT …: the empty string asks only whether the field is there."""
    values = find_values(header, name.encode("utf-8", "surrogateescape"))
    return any(needle in _fold_value(value) for value in values)


def _fold_value(value: bytes) -> str:
    return fold(decode_words(unfold(value))[:FIELD_CHARS_MAX].translate(_MARKS))
