"""Commands of any state: CAPABILITY, NOOP, LOGOUT, ID."""

from __future__ import annotations

from staffetta.protocols.imap import commands
from staffetta.protocols.imap.tokens import Scanner, SyntaxFault

ID_PAIRS_MAX = 30
"""RFC 2971 §3.3."""


def parse_capability(scanner: Scanner, tag: bytes) -> commands.Capability:
    """RFC 3501 §6.1.1."""
    return commands.Capability(tag)


def parse_noop(scanner: Scanner, tag: bytes) -> commands.Noop:
    """RFC 3501 §6.1.2."""
    return commands.Noop(tag)


def parse_logout(scanner: Scanner, tag: bytes) -> commands.Logout:
    """RFC 3501 §6.1.3."""
    return commands.Logout(tag)


def parse_id(scanner: Scanner, tag: bytes) -> commands.Id:
    """RFC 2971 §3.1."""
    scanner.take_space()
    if scanner.peek() != b"(":
        if scanner.take_word() != b"NIL":
            raise SyntaxFault("List or NIL expected")
        return commands.Id(tag, ())
    words = scanner.take_list(scanner.take_nstring, may_be_empty=True)
    if len(words) % 2 or len(words) > 2 * ID_PAIRS_MAX:
        raise SyntaxFault("ID takes up to 30 pairs of field and value")
    texts = [None if word is None else word.decode("utf-8", "replace") for word in words]
    pairs = zip(texts[::2], texts[1::2], strict=True)
    return commands.Id(tag, tuple(((name or "").lower(), value) for name, value in pairs))
