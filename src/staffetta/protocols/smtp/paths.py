"""Reverse-paths and forward-paths as MAIL and RCPT give them (RFC 5321 §4.1.2, RFC 6531 §3.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

LOCAL_PART_BYTES_MAX = 256
"""RFC 5321 §4.5.3.1.1 asks for 64; bounce addresses of lists and forwarders are often longer."""

DOMAIN_BYTES_MAX = 255
"""RFC 5321 §4.5.3.1.2."""


@dataclass(frozen=True, slots=True)
class Path:
    """An address of the envelope. `raw` is all that stood between the angle brackets.

    `local_part` has its quoting undone, so `"a.b"@x` and `a.b@x` are the same to whoever compares.
    `domain` is as written; a literal keeps its brackets; empty for `<Postmaster>`.
    """

    raw: str
    local_part: str
    domain: str

    @property
    def is_null(self) -> bool:
        """Whether this is `<>`, the sender of delivery reports (RFC 5321 §4.5.5)."""
        return not self.raw

    @property
    def mailbox(self) -> str:
        """`raw` without its source route (RFC 5321 appendix C: accept it, ignore it)."""
        return self.raw.partition(":")[2] if self.raw.startswith("@") else self.raw

    def __str__(self) -> str:
        return f"<{self.raw}>"


NULL_PATH = Path("", "", "")

# Everything from U+00A0 on is UTF8-non-ascii (RFC 6531 §3.3); C1 controls are let out. Underscores
# are no host name's, yet real senders' domains have them.
_BEYOND_ASCII = "\u00a0-\U0010ffff"
_ATOM = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~{_BEYOND_ASCII}-]+"
_ALNUM = rf"A-Za-z0-9_{_BEYOND_ASCII}"
_LABEL = rf"[{_ALNUM}](?:[{_ALNUM}-]*[{_ALNUM}])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_QUOTED = rf'"(?:[ !#-\[\]-~{_BEYOND_ASCII}]|\\[ -~])*"'

_ORDINARY_MAILBOX = (
    r"([A-Za-z0-9_+=-]+(?:\.[A-Za-z0-9_+=-]+)*)@((?:[A-Za-z0-9]+(?:\.|-+))*[A-Za-z0-9]+)"
)
ORDINARY_SENDER = re.compile(rf"FROM:<({_ORDINARY_MAILBOX})>(?= |\Z)")
ORDINARY_RECIPIENT = re.compile(rf"TO:<({_ORDINARY_MAILBOX})>(?= |\Z)")
_ORDINARY_CHARACTERS_MAX = 63
_COMPLETE = re.compile(
    rf"<((?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?"
    rf"({_ATOM}(?:\.{_ATOM})*|{_QUOTED})@({_DOMAIN}|\[[!-Z^-~]+\]))>"
)
_POSTMASTER = re.compile(r"<(postmaster)>", re.IGNORECASE)
_QUOTED_PAIR = re.compile(r"\\(.)")
_LABEL_BYTES_MAX = 63


def take_ordinary(expected: re.Pattern[str], argument: str) -> tuple[Path, int] | None:
    """The path of an `ORDINARY_SENDER` or `ORDINARY_RECIPIENT`, and where it ends.

    The way of nearly every command: what `take_path` would answer, sooner. None says only that one
    has to look closer.
    """
    found = expected.match(argument)
    if found is None:
        return None
    raw, local_part, domain = found.groups()
    if len(raw) > _ORDINARY_CHARACTERS_MAX:
        return None
    return Path(raw, local_part, domain), found.end()


def take_path(text: str, at: int) -> tuple[Path, int] | None:
    """The path that begins at `text[at]` with `<`, and where it ends; None if it is no path.

    `<>` and `<Postmaster>` are for the caller: see `take_reverse_path`, `take_forward_path`.
    """
    found = _COMPLETE.match(text, at)
    if found is None:
        return None
    raw, local_part, domain = found.groups()
    if len(local_part.encode()) > LOCAL_PART_BYTES_MAX:
        return None
    if not (_literal_is_sound(domain) if domain.startswith("[") else _domain_fits(domain)):
        return None
    if local_part.startswith('"'):
        local_part = _QUOTED_PAIR.sub(r"\1", local_part[1:-1])
    return Path(raw, local_part, domain), found.end()


def take_reverse_path(text: str, at: int) -> tuple[Path, int] | None:
    """As `take_path`, and `<>` too."""
    if text.startswith("<>", at):
        return NULL_PATH, at + 2
    return take_path(text, at)


def take_forward_path(text: str, at: int) -> tuple[Path, int] | None:
    """As `take_path`, and `<Postmaster>` without a domain too (RFC 5321 §4.1.1.3)."""
    taken = take_path(text, at)
    if taken is not None:
        return taken
    found = _POSTMASTER.match(text, at)
    return None if found is None else (Path(found[1], found[1], ""), found.end())


def _domain_fits(domain: str) -> bool:
    """Whether a domain and its labels are short enough to be looked up (RFC 1035 §2.3.4)."""
    if len(domain) <= _LABEL_BYTES_MAX and domain.isascii():
        return True
    if len(domain.encode()) > DOMAIN_BYTES_MAX:
        return False
    return all(len(label) <= _LABEL_BYTES_MAX for label in domain.split("."))


def _literal_is_sound(literal: str) -> bool:
    """RFC 5321 §4.1.3. No tag but IPv6 has been registered."""
    inside = literal[1:-1]
    try:
        if inside[:5].upper() == "IPV6:":
            return "%" not in IPv6Address(inside[5:]).exploded
        IPv4Address(inside)
    except AddressValueError:
        return False
    return True
