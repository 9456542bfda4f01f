"""Addresses as the directory compares them: folded, without tag, domain in its A-label form.

Two spellings are the same address when they fold to the same text. Local parts are compared
without regard to case (RFC 5321 2.4 leaves that to the receiving host) and, for SMTPUTF8, in
Unicode's composed form (RFC 6530 10.1). Everything from the first `+` on is the owner's own tag
(RFC 5233 calls it the detail); no address of the directory contains one.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import idna

LOCAL_PART_BYTES_MAX = 64  # RFC 5321 4.5.3.1.1
DOMAIN_BYTES_MAX = 255  # RFC 5321 4.5.3.1.2
TAG_SEPARATOR = "+"

# RFC 5321 4.5.1 and RFC 2142 5: addresses that every domain answers.
ROLES = frozenset({"postmaster", "abuse"})

# RFC 5321 4.1.2 Dot-string, with RFC 6531 3.3's UTF8-non-ascii, and without the tag separator.
_CREATABLE_LOCAL = re.compile(
    r"[a-z0-9!#$%&'*/=?^_`{|}~\x80-\U0010ffff-]+(?:\.[a-z0-9!#$%&'*/=?^_`{|}~\x80-\U0010ffff-]+)*"
)
_DOMAIN = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+"
)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)


class BadAddress(ValueError):
    """The text is not an address that the directory could hold."""


@dataclass(frozen=True, slots=True)
class Address:
    """A folded address. `str()` of it is the key under which the directory stores it."""

    local_part: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}"


def fold_local_part(local_part: str) -> str:
    """The local part as it is compared: unquoted, case folded, composed; its tag kept."""
    if local_part.startswith('"') and local_part.endswith('"') and len(local_part) >= 2:
        local_part = _QUOTED_PAIR.sub(r"\1", local_part[1:-1])  # RFC 5321 4.1.2
    if local_part.isascii():
        return local_part.lower()
    return _compose(local_part)


def _compose(text: str) -> str:
    # Unicode 3.13 D145: canonical caseless matching decomposes before and after folding.
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFC", folded)


def fold_domain(domain: str) -> str | None:
    """The domain in lower-case A-labels (RFC 5890), or None where it is not a host name."""
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    domain = domain.lower()
    if len(domain) > DOMAIN_BYTES_MAX or _DOMAIN.fullmatch(domain) is None:
        return None
    return domain


def strip_tag(local_part: str) -> str:
    """The local part without the owner's tag (`anna+shop` is `anna`)."""
    base, _, _ = local_part.partition(TAG_SEPARATOR)
    return base


def parse_address(text: str) -> Address:
    """An address that may be created. Raises `BadAddress`, also for one with a tag."""
    local_part, at, domain = text.strip().rpartition("@")
    folded_domain = fold_domain(domain)
    if not at or folded_domain is None:
        raise BadAddress(f"{text!r} has no domain that could exist")
    folded = fold_local_part(local_part)
    if _CREATABLE_LOCAL.fullmatch(folded) is None or any(map(_is_invisible, folded)):
        raise BadAddress(f"{text!r} has a local part that cannot be created")
    if len(folded.encode()) > LOCAL_PART_BYTES_MAX:
        raise BadAddress(f"the local part of {text!r} exceeds {LOCAL_PART_BYTES_MAX} bytes")
    return Address(folded, folded_domain)


def _is_invisible(character: str) -> bool:
    # Controls, format characters, surrogates, unassigned and separators: nobody could type them.
    return unicodedata.category(character)[0] in "CZ"
