"""Commands before login: STARTTLS, AUTHENTICATE, LOGIN."""

from __future__ import annotations

from base64 import b64decode

from staffetta.protocols.imap import commands
from staffetta.protocols.imap.tokens import Scanner, SyntaxFault


def parse_starttls(scanner: Scanner, tag: bytes) -> commands.StartTls:
    """RFC 3501 §6.2.1."""
    return commands.StartTls(tag)


def parse_authenticate(scanner: Scanner, tag: bytes) -> commands.Authenticate:
    """RFC 3501 §6.2.2, with SASL-IR (RFC 4959 §3)."""
    scanner.take_space()
    mechanism = scanner.take_word().decode("ascii")
    if scanner.is_at_end():
        return commands.Authenticate(tag, mechanism)
    scanner.take_space()
    encoded = scanner.take_astring()
    if encoded == b"=":
        return commands.Authenticate(tag, mechanism, b"")
    try:
        return commands.Authenticate(tag, mechanism, b64decode(encoded, validate=True))
    except ValueError:
        raise SyntaxFault("Initial response is not base64") from None


def parse_login(scanner: Scanner, tag: bytes) -> commands.Login:
    """RFC 3501 §6.2.3."""
    scanner.take_space()
    user = scanner.take_astring()
    scanner.take_space()
    return commands.Login(tag, user.decode("utf-8", "replace"), scanner.take_astring())
