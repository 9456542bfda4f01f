"""The fields that each server adds on top of a message (RFC 5321 section 4.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from staffetta.formats.dates import format_rfc5322

TEXT_CHARS_MAX: Final = 255
"""Characters of any one word that a peer gave us and that goes into a trace field."""

_UNSAFE: Final = re.compile(r"[^!#-'*-;=?@A-\[\]-~\x80-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Hop:
    """What is known of the session in which a message came.

    `helo` is what the peer called itself, `peer_name` the host name its address resolves to (None
    when it resolves to none), `peer_address` its IP address as text. `by` is our own name,
    `protocol` the keyword of RFC 3848 (ESMTPS …), `receipt` the id in our answer. `recipient` is
    set only when there was exactly one, so that nobody learns of the others. `tls` says version
    and cipher.
    """

    helo: str
    peer_name: str | None
    peer_address: str
    by: str
    protocol: str
    receipt: str
    recipient: str | None = None
    tls: str | None = None


def format_received(hop: Hop, utc_s: int, offset_minutes: int = 0) -> bytes:
    """Return the Received field of `hop` at an instant, folded, with its CRLF."""
    session = _format_session(
        hop.helo, hop.peer_name, hop.peer_address, hop.tls, hop.by, hop.protocol
    )
    purpose = "" if hop.recipient is None else f"\r\n\tfor <{_clean_address(hop.recipient)}>"
    date = _format_date(utc_s, offset_minutes)
    return f"{session} id {_clean(hop.receipt)}{purpose};\r\n\t{date}\r\n".encode()


# A busy server writes the same session and the same second many times over.
@lru_cache(maxsize=2048)
def _format_session(
    helo: str, peer_name: str | None, address: str, tls: str | None, by: str, protocol: str
) -> str:
    literal = f"[IPv6:{_clean(address)}]" if ":" in address else f"[{_clean(address)}]"
    peer = f"{_clean(peer_name)} {literal}" if peer_name else literal
    using = f"\r\n\t(using {' '.join(_clean(word) for word in tls.split())})" if tls else ""
    return (
        f"Received: from {_clean(helo)} ({peer}){using}\r\n"
        f"\tby {_clean(by)} with {_clean(protocol)}"
    )


@lru_cache(maxsize=16)
def _format_date(utc_s: int, offset_minutes: int) -> str:
    return format_rfc5322(utc_s, offset_minutes)


def format_return_path(reverse_path: str) -> bytes:
    """Return the Return-Path field with its CRLF; an empty `reverse_path` is the null one."""
    return f"Return-Path: <{_clean_address(reverse_path)}>\r\n".encode()


def _clean(text: str | None) -> str:
    """Return a peer's word without what would end the field, a comment or a bracket."""
    return _UNSAFE.sub("?", (text or "")[:TEXT_CHARS_MAX]) or "?"


_ADDRESS_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f<>]")


def _clean_address(address: str) -> str:
    return _ADDRESS_UNSAFE.sub("?", address[: 4 * TEXT_CHARS_MAX])
