"""Strings on the wire: atoms, quoted strings, literals, lists of flags (RFC 3501 §4, §9).

What cannot go into a quoted string (8-bit octets, CR, LF, NUL, or great length) goes out as a
literal, which takes any octet but NUL; NUL has no place in IMAP4rev1 and becomes 0x80.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

QUOTED_BYTES_MAX = 1000
"""A longer string goes out as a literal, so that lines stay within what clients can hold."""

_PLAIN = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]*")
_QUOTABLE = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*")
_SPECIALS = re.compile(rb'(["\\])')
_ATOM = re.compile(rb"[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")


def format_string(value: bytes) -> bytes:
    """`value` as a `string`: quoted where it can be, else a literal."""
    if len(value) <= QUOTED_BYTES_MAX:
        if _PLAIN.fullmatch(value):
            return b'"%b"' % value
        if _QUOTABLE.fullmatch(value):
            return b'"%b"' % _SPECIALS.sub(rb"\\\1", value)
    return format_literal(value)


def format_literal(value: bytes) -> bytes:
    """`value` as a literal; NUL becomes 0x80."""
    if b"\0" in value:
        value = value.replace(b"\0", b"\x80")
    return b"{%d}\r\n%b" % (len(value), value)


def format_nstring(value: bytes | None) -> bytes:
    """`value` as a string, or NIL."""
    return b"NIL" if value is None else format_string(value)


def format_astring(value: bytes) -> bytes:
    """`value` as an atom where it is one (and not NIL), else as a string."""
    if _ATOM.fullmatch(value) and value.upper() != b"NIL":
        return value
    return format_string(value)


def format_flags(flags: Iterable[str]) -> bytes:
    """Flags and keywords in parentheses: `(\\\\Seen $Forwarded)`. The flags must be atoms."""
    return b"(%b)" % " ".join(flags).encode("ascii")
