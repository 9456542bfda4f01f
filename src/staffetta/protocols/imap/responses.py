"""Replies to bytes: tagged and untagged status lines, and the short untagged data (RFC 3501 §7).

Each builder gives complete lines with CRLF, to be written as they are. `text` is for people: it is
brought to one line of ASCII whatever is put in. `code` is from `codes`.

    ok(b"a1", "SELECT completed", codes.READ_WRITE)   # a1 OK [READ-WRITE] SELECT completed
    no(b"a2", "Mailbox is not available now", codes.UNAVAILABLE)
    untagged_ok("Highest", codes.highest_modseq(7))   # * OK [HIGHESTMODSEQ 7] Highest
    refusal(bad_command)                              # what BadCommand and FrameError say

LIST, STATUS, quota and the like are in `listings`; FETCH is in `fetch_lines`.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence

from staffetta.protocols.imap.commands import BadCommand
from staffetta.protocols.imap.criteria import SearchReturn
from staffetta.protocols.imap.frames import FrameError
from staffetta.protocols.imap.quoting import format_flags, format_string
from staffetta.protocols.imap.sequence import format_numbers

_NOT_TEXT = re.compile(r"[^\x20-\x7e]+")

GO_AHEAD = b"+ OK\r\n"
"""The answer to `LiteralWanted`."""

IDLING = b"+ idling\r\n"
"""The answer to IDLE."""


def ok(tag: bytes, text: str, code: bytes | None = None) -> bytes:
    """Tagged OK."""
    return _status(tag, b"OK", text, code)


def no(tag: bytes, text: str, code: bytes | None = None) -> bytes:
    """Tagged NO: could not be done."""
    return _status(tag, b"NO", text, code)


def bad(tag: bytes, text: str, code: bytes | None = None) -> bytes:
    """Tagged BAD: was not understood, or not allowed now."""
    return _status(tag, b"BAD", text, code)


def refusal(refused: BadCommand | FrameError) -> bytes:
    """The line that a `BadCommand` or `FrameError` is answered with; BYE where it is fatal."""
    if isinstance(refused, FrameError) and refused.is_fatal:
        return _status(b"*", b"BYE", refused.text, refused.code)
    return _status(refused.tag or b"*", refused.status.encode("ascii"), refused.text, refused.code)


def untagged_ok(text: str, code: bytes | None = None) -> bytes:
    """Untagged OK: greeting, still-here during long work, response codes of SELECT."""
    return _status(b"*", b"OK", text, code)


def untagged_no(text: str, code: bytes | None = None) -> bytes:
    """Untagged NO: a warning."""
    return _status(b"*", b"NO", text, code)


def untagged_bad(text: str, code: bytes | None = None) -> bytes:
    """Untagged BAD: what cannot be blamed on one command."""
    return _status(b"*", b"BAD", text, code)


def preauth(text: str, code: bytes | None = None) -> bytes:
    """The greeting of a connection that is signed in already."""
    return _status(b"*", b"PREAUTH", text, code)


def bye(text: str, code: bytes | None = None) -> bytes:
    """BYE: the connection is about to be closed."""
    return _status(b"*", b"BYE", text, code)


def challenge(octets: bytes) -> bytes:
    """A SASL challenge in base64; b"" gives `+ ` with nothing after the space."""
    return b"+ %b\r\n" % b64encode(octets)


def capability(capabilities: Iterable[bytes]) -> bytes:
    """* CAPABILITY; IMAP4rev1 must be among them."""
    return b"* CAPABILITY %b\r\n" % b" ".join(capabilities)


def enabled(capabilities: Iterable[bytes]) -> bytes:
    """* ENABLED (RFC 5161): what has just been switched on; may be nothing."""
    return b" ".join((b"* ENABLED", *capabilities)) + b"\r\n"


def exists(count: int) -> bytes:
    """* n EXISTS."""
    return b"* %d EXISTS\r\n" % count


def recent(count: int) -> bytes:
    """* n RECENT."""
    return b"* %d RECENT\r\n" % count


def flags(names: Iterable[str]) -> bytes:
    """* FLAGS (...)."""
    return b"* FLAGS %b\r\n" % format_flags(names)


def expunge(number: int) -> bytes:
    """* n EXPUNGE; all higher numbers fall by one."""
    return b"* %d EXPUNGE\r\n" % number


def expunges(positions: Sequence[range]) -> bytes:
    """An EXPUNGE for each position, highest first, so that each number stands as the client knows.

    `positions` are sorted ranges of 0-based positions, as `SequenceSet.locate_uids` gives them.
    """
    return b"".join(
        b"* %d EXPUNGE\r\n" % (position + 1)
        for block in reversed(positions)
        for position in reversed(block)
    )


def vanished(uids: Sequence[int], earlier: bool = False) -> bytes:
    """* VANISHED (RFC 7162 §3.2.10) for ascending UIDs."""
    return b"* VANISHED %b%b\r\n" % (b"(EARLIER) " if earlier else b"", format_numbers(uids))


def search(numbers: Iterable[int], modseq: int | None = None) -> bytes:
    """* SEARCH: numbers or UIDs in any order; `modseq` where MODSEQ was searched and found."""
    found = "".join([f" {number}" for number in numbers]).encode("ascii")
    if modseq is not None and found:
        return b"* SEARCH%b (MODSEQ %d)\r\n" % (found, modseq)
    return b"* SEARCH%b\r\n" % found


def esearch(
    tag: bytes,
    numbers: Sequence[int],
    returns: frozenset[SearchReturn],
    *,
    by_uid: bool,
    modseq: int | None = None,
) -> bytes:
    """* ESEARCH (RFC 4731 §3.1) for ascending numbers or UIDs.

    MIN, MAX and ALL are left out when nothing was found; COUNT never is. `modseq` is the highest
    of the messages that the answer names, where MODSEQ was searched.
    """
    parts = [b"* ESEARCH (TAG %b)" % format_string(tag)]
    if by_uid:
        parts.append(b"UID")
    if numbers and SearchReturn.MIN in returns:
        parts.append(b"MIN %d" % numbers[0])
    if numbers and SearchReturn.MAX in returns:
        parts.append(b"MAX %d" % numbers[-1])
    if SearchReturn.COUNT in returns:
        parts.append(b"COUNT %d" % len(numbers))
    if numbers and SearchReturn.ALL in returns:
        parts.append(b"ALL %b" % format_numbers(numbers))
    if numbers and modseq is not None:
        parts.append(b"MODSEQ %d" % modseq)
    return b" ".join(parts) + b"\r\n"


def _status(tag: bytes, status: bytes, text: str, code: bytes | None) -> bytes:
    words = _NOT_TEXT.sub(" ", text).strip().encode("ascii") or b"-"
    if code is not None:
        return b"%b %b [%b] %b\r\n" % (tag, status, code, words)
    # A text that begins with a bracket would be read as a response code.
    return b"%b %b %b\r\n" % (tag, status, words.lstrip(b"[") or b"-")
