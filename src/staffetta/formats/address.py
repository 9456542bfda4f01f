"""Mailboxes as SMTP and the directory know them (RFC 5321 section 4.1.2, RFC 6531)."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

import idna

LOCAL_BYTES_MAX: Final = 256
"""RFC 5321 section 4.5.3.1.1 obliges us to take 64; variable envelope return paths are longer."""

DOMAIN_BYTES_MAX: Final = 255
"""RFC 5321 section 4.5.3.1.2, counted as A-labels."""

PATH_BYTES_MAX: Final = 1_024
"""A path with source route; longer ones are refused unread."""


class AddressError(ValueError):
    """Text that is no mailbox or path. `reason` is one lower-case clause for the client."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox: `local` without quotes, as given; `domain` in A-labels, lower-case.

    `domain` is an address literal with its brackets for those, and empty for the bare
    `Postmaster` of RFC 5321 section 4.5.1.
    """

    local: str
    domain: str

    def __str__(self) -> str:
        local = self.local
        if not _DOT_STRING.fullmatch(local):
            local = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def key(self) -> str:
        """Return the form that the directory looks up: all lower-case, NFC, quotes gone."""
        return f"{fold_local(self.local)}@{self.domain}"

    @property
    def unicode_domain(self) -> str:
        """Return the domain in U-labels, for people to read."""
        if "xn--" not in self.domain:
            return self.domain
        try:
            return idna.decode(self.domain)
        except idna.IDNAError:
            return self.domain

    @property
    def is_internationalised(self) -> bool:
        """Tell whether the mailbox can only be sent with SMTPUTF8 (RFC 6531)."""
        return not self.local.isascii()

    def split_subaddress(self, separator: str = "+") -> tuple[Address, str | None]:
        """Return the mailbox without its subaddress, and the subaddress (RFC 5233).

        A separator at the very start is part of the name.
        """
        user, found, detail = self.local.partition(separator)
        if not found or not user:
            return self, None
        return Address(user, self.domain), detail


def fold_local(local: str) -> str:
    """Return a local part as looked up: lower-case, NFC."""
    if local.isascii():
        return local.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", local).casefold())


_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\x80-\U0010ffff]"
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_ASCII_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*+")
_DOT_STRING: Final = re.compile(rf"{_ATEXT}++(?:\.{_ATEXT}++)*+")
_QUOTED_STRING: Final = re.compile(
    r"\"((?:[\x20\x21\x23-\x5b\x5d-\x7e\x80-\U0010ffff]++|\\[\x20-\x7e])*+)\""
)
_QUOTED_PAIR: Final = re.compile(r"\\(.)")
_LITERAL: Final = re.compile(r"\[(?:([0-9.]{7,15})|[Ii][Pp][Vv]6:([0-9A-Fa-f:.]{2,45}))\]")
_ROUTE: Final = re.compile(rf"@{_LABEL}(?:\.{_LABEL})*+(?:,@{_LABEL}(?:\.{_LABEL})*+)*+:")
_PATH: Final = re.compile(rb"<((?:[^\"<>]++|\"(?:[^\"\\]++|\\.)*+\")*+)>")


def parse_mailbox(text: str, *, smtputf8: bool = False) -> Address:
    """Return the mailbox `local@domain`; `AddressError` when it is none.

    Non-ASCII is let through in both halves only with `smtputf8` (RFC 6531 section 3.3).
    """
    if not smtputf8 and not text.isascii():
        raise AddressError("address needs SMTPUTF8")
    match = _QUOTED_STRING.match(text)
    if match is not None:
        local = _QUOTED_PAIR.sub(r"\1", match[1])
    else:
        match = _DOT_STRING.match(text)
        if match is None:
            raise AddressError("bad local part")
        local = match[0]
    if not text.startswith("@", match.end()):
        raise AddressError("no domain" if match.end() == len(text) else "bad local part")
    local_bytes = local.encode("utf-8", "surrogatepass")
    if not local or len(local_bytes) > LOCAL_BYTES_MAX:
        raise AddressError("local part too long" if local else "bad local part")
    return Address(local, parse_domain(text[match.end() + 1 :]))


def parse_domain(text: str) -> str:
    """Return a domain or address literal in its one form; `AddressError` when it is none.

    U-labels become A-labels (RFC 5890), everything lower-case.
    """
    if text.startswith("["):
        return _parse_literal(text)
    if not text.isascii():
        # Checked first, because what reads U-labels takes its time over long ones.
        if len(text) > DOMAIN_BYTES_MAX:
            raise AddressError("domain too long")
        try:
            text = idna.encode(text, uts46=True, std3_rules=True).decode()
        except (idna.IDNAError, UnicodeError):
            raise AddressError("bad domain") from None
    if len(text) > DOMAIN_BYTES_MAX:
        raise AddressError("domain too long")
    if not _ASCII_DOMAIN.fullmatch(text):
        raise AddressError("bad domain")
    return text.lower()


def _parse_literal(text: str) -> str:
    """Return an address literal in its one form (RFC 5321 section 4.1.3)."""
    match = _LITERAL.fullmatch(text)
    if match is None:
        raise AddressError("bad address literal")
    try:
        if match[1] is not None:
            return f"[{ipaddress.IPv4Address(match[1])}]"
        return f"[IPv6:{ipaddress.IPv6Address(match[2])}]"
    except ValueError:
        raise AddressError("bad address literal") from None


def split_path(argument: bytes) -> tuple[bytes, bytes]:
    """Split what follows `MAIL FROM:` or `RCPT TO:` into the path and its parameters.

    The path keeps its angle brackets; the parameters come without the space before them.
    """
    match = _PATH.match(argument)
    if match is None:
        raise AddressError("path must be in angle brackets")
    rest = argument[match.end() :]
    if rest and not rest.startswith(b" "):
        raise AddressError("no space after the path")
    return match[0], rest[1:]


def parse_reverse_path(path: bytes, *, smtputf8: bool = False) -> Address | None:
    """Return the mailbox in a reverse-path; None for the null one, `<>` (RFC 5321 4.5.5)."""
    return None if path == b"<>" else parse_path(path, smtputf8=smtputf8)


def parse_forward_path(path: bytes, *, smtputf8: bool = False) -> Address:
    """Return the mailbox in a forward-path; `<Postmaster>` needs no domain (RFC 5321 4.5.1)."""
    if path.lower() == b"<postmaster>":
        return Address("postmaster", "")
    return parse_path(path, smtputf8=smtputf8)


def parse_path(path: bytes, *, smtputf8: bool = False) -> Address:
    """Return the mailbox in a path with its angle brackets; a source route is ignored.

    RFC 5321 section 4.1.1.3 wants the route accepted and says that it should be ignored.
    """
    if len(path) > PATH_BYTES_MAX:
        raise AddressError("path too long")
    if not (path.startswith(b"<") and path.endswith(b">")):
        raise AddressError("path must be in angle brackets")
    try:
        text = path[1:-1].decode()
    except UnicodeDecodeError:
        raise AddressError("path is not UTF-8") from None
    if text.startswith("@"):
        route = _ROUTE.match(text)
        if route is None:
            raise AddressError("bad source route")
        text = text[route.end() :]
    return parse_mailbox(text, smtputf8=smtputf8)
