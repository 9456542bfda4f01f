"""Names of mailboxes: modified UTF-7, INBOX, and the patterns of LIST (RFC 3501 §5.1, §6.3.8).

Inside the house a mailbox name is text. On the wire it is modified UTF-7:

    decode_name(b"Posta &- avvisi/&AMA-")   # "Posta & avvisi/À"; NameFault where it is no name
    encode_name("Posta & avvisi/À")         # b"Posta &- avvisi/&AMA-"
    canonical_name("inBox/Bar")             # "INBOX/Bar"
    ListPattern("Posta/%").matches("Posta/Altro")
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass

SEPARATOR = "/"
"""Between the levels of a name."""

NAME_CHARS_MAX = 1024
"""A decoded name longer than this is refused."""

_ASCII_NAME = re.compile(rb"[\x20-\x25\x27-\x7e]*")
_SHIFTED = re.compile(rb"&([A-Za-z0-9+,]*)-")
_TO_ENCODE = re.compile(r"&|[^\x20-\x7e]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class NameFault(ValueError):
    """The octets are no mailbox name."""


def decode_name(wire: bytes) -> str:
    """The name that modified UTF-7 `wire` spells, INBOX canonical; NameFault where it spells none.

    8-bit octets, stray `&`, bits left over, lone surrogates and control characters are no names
    (RFC 3501 §5.1.3; RFC 5198 for the controls). A superfluous encoding of a printable character
    is tolerated: both spellings are the same text, so no two mailboxes can look alike by it.
    """
    if len(wire) > 4 * NAME_CHARS_MAX:
        raise NameFault("mailbox name too long")
    name = wire.decode("ascii") if _ASCII_NAME.fullmatch(wire) else _decode_shifted(wire)
    if len(name) > NAME_CHARS_MAX:
        raise NameFault("mailbox name too long")
    return canonical_name(name)


def encode_name(name: str) -> bytes:
    """`name` in modified UTF-7; any text without lone surrogates can be encoded."""
    if name.isascii() and name.isprintable() and "&" not in name:
        return name.encode("ascii")
    return _TO_ENCODE.sub(_shift, name).encode("ascii")


def canonical_name(name: str) -> str:
    """INBOX, in whatever case and at the head of whatever path, spelled INBOX."""
    if name[:5].upper() != "INBOX" or name[5:6] not in ("", SEPARATOR):
        return name
    return "INBOX" + name[5:]


def parent_names(name: str) -> list[str]:
    """The names above `name`, the topmost first: "a/b/c" has "a" and "a/b"."""
    parts = name.split(SEPARATOR)
    return [SEPARATOR.join(parts[:depth]) for depth in range(1, len(parts))]


class ListPattern:
    """A LIST pattern: `*` stands for anything, `%` for anything within one level.

    Reference and pattern are simply written one after the other (RFC 3501 §6.3.8).
    """

    __slots__ = ("_as_written", "_in_capitals", "text")

    def __init__(self, reference_and_pattern: str) -> None:
        self.text = canonical_name(reference_and_pattern)
        self._as_written = _compile(self.text)
        self._in_capitals = _compile(self.text.upper())

    def matches(self, name: str) -> bool:
        """Whether `name` fits; INBOX fits in any case (RFC 3501 §5.1)."""
        automaton = self._in_capitals if name == "INBOX" else self._as_written
        return automaton.accepts(name)


@dataclass(frozen=True, slots=True)
class _Automaton:
    """A pattern as bits: bit n stands for "n characters of the pattern are matched".

    All ways to match are followed at once in one integer, so a name takes one pass whatever the
    wildcards are: there is no backtracking to exploit.
    """

    advance: Mapping[str, int]
    """For each character, the bits from which it leads on to the next."""
    stay: int
    """The bits that outlast any character but the separator."""
    stay_on_separator: int
    final: int

    def accepts(self, name: str) -> bool:
        state = 1
        advance = self.advance
        for char in name:
            stay = self.stay_on_separator if char == SEPARATOR else self.stay
            state = (state & advance.get(char, 0)) << 1 | (state & stay)
            if not state:
                return False
        return state & self.final != 0


def _compile(pattern: str) -> _Automaton:
    advance: dict[str, int] = {}
    stay = stay_on_separator = 0
    bit = 1
    for char in pattern:
        if char in "*%":
            stay |= bit
            if char == "*":
                stay_on_separator |= bit
        else:
            advance[char] = advance.get(char, 0) | bit
            bit <<= 1
    return _Automaton(advance, stay, stay_on_separator, final=bit)


def _decode_shifted(wire: bytes) -> str:
    parts: list[str] = []
    at = 0
    while at < len(wire):
        plain = _ASCII_NAME.match(wire, at)
        assert plain is not None
        if plain.end() > at:
            parts.append(plain[0].decode("ascii"))
            at = plain.end()
            continue
        shifted = _SHIFTED.match(wire, at)
        if shifted is None:
            raise NameFault("not modified UTF-7")
        parts.append(_decode_base64(shifted[1]) if shifted[1] else "&")
        at = shifted.end()
    return "".join(parts)


def _decode_base64(encoded: bytes) -> str:
    try:
        octets = b64decode(encoded.replace(b",", b"/") + b"=" * (-len(encoded) % 4), validate=True)
        text = octets.decode("utf-16-be")
    except (Base64Error, UnicodeDecodeError) as error:
        raise NameFault("not modified UTF-7") from error
    if _encode_base64(text) != encoded:
        raise NameFault("not modified UTF-7: bits left over")
    if _CONTROL.search(text):
        raise NameFault("control character in a mailbox name")
    return text


def _encode_base64(text: str) -> bytes:
    return b64encode(text.encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")


def _shift(found: re.Match[str]) -> str:
    return "&-" if found[0] == "&" else f"&{_encode_base64(found[0]).decode('ascii')}-"
