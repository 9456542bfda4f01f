"""Address lists of header fields (RFC 5322 sections 3.4 and 4.4), as ENVELOPE wants them.

Nothing is decoded: encoded words stay as sent, 8-bit bytes pass through. Nothing fails: what is
no address comes out as one without mailbox or host, which the caller may spell as it likes.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from staffetta.formats.lexical import drop_backslashes, find_comment_end

ADDRESSES_MAX: Final = 10_000
"""Addresses (and group marks) returned of one list."""

LIST_BYTES_MAX: Final = 1024 * 1024
"""How much of one list is read."""

TOKENS_MAX: Final = 50_000
"""Words, marks, gaps and comments read one by one; ordinary addresses do not count."""


class ListedAddress(NamedTuple):
    """One member of an address list, in the four fields of RFC 3501 section 7.4.2.

    `mailbox` and `host` both set: an address. `mailbox` only, with `is_group`: a group opens,
    `mailbox` is its name. All None with `is_group`: the group closes. Without `is_group` a
    missing `mailbox` or `host` means that the text was no whole address.
    """

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None
    is_group: bool = False


GROUP_END: Final = ListedAddress(None, None, None, None, is_group=True)

_ATOM: Final = rb"[^\x00-\x20\x7f()<>\[\]:;@\\,\"]"
_SPACE: Final = rb"[ \t\r\n]"
SIMPLE: Final = re.compile(
    # "Name" <a@b> or Name Name <a@b> or a@b, up to the comma or the end.
    rb"%(s)b*+(?:(?:\"([^\"\\\x00-\x1f\x7f]*+)\"|(%(a)b++(?:[ ]%(a)b++)*+)?)"
    rb"%(s)b*+<(%(a)b++)@(%(a)b++)>|(%(a)b++)@(%(a)b++))%(s)b*+(?:,|\Z)"
    % {b"s": _SPACE, b"a": _ATOM}
)
"""One ordinary address: quoted name, plain name, mailbox and host, bare mailbox and host."""

_TOKEN: Final = re.compile(
    rb"(?s)(%(s)b++)|\"((?:[^\"\\]++|\\.)*+)\"?|(\[[^\]]*+\]?)|(%(a)b++)|(.)"
    % {b"s": _SPACE, b"a": _ATOM}
)


# A word or mark, and whether white space or a comment stood before it.
_Piece = tuple[bytes, bool]


def parse_list(value: bytes, addresses_max: int = ADDRESSES_MAX) -> list[ListedAddress]:
    """Return the addresses of the raw field value `value`, at most `addresses_max`."""
    value = value[:LIST_BYTES_MAX]
    reader = _Reader(value)
    found = reader.found
    while reader.position < len(value) and len(found) < addresses_max:
        match = SIMPLE.match(value, reader.position)
        if match is None:
            reader.read_member()
            continue
        quoted, plain, mailbox, host, bare_mailbox, bare_host = match.groups()
        if bare_mailbox is not None:
            found.append(ListedAddress(None, None, bare_mailbox, bare_host))
        else:
            found.append(ListedAddress(quoted or plain or None, None, mailbox, host))
        reader.position = match.end()
    if reader.in_group:
        found.append(GROUP_END)
    return found


class _Reader:
    """Reads the members of a list that `SIMPLE` does not match, one at a time."""

    __slots__ = ("comment", "found", "in_group", "position", "tokens_left", "value")

    def __init__(self, value: bytes) -> None:
        self.value = value
        self.position = 0
        self.tokens_left = TOKENS_MAX
        self.found: list[ListedAddress] = []
        self.in_group = False
        self.comment: bytes | None = None

    def next_piece(self) -> tuple[bytes, bool, bool] | None:
        """Return the next word or mark, whether it is a mark, and whether it stands apart."""
        value = self.value
        apart = False
        while self.position < len(value):
            self.tokens_left -= 1
            if self.tokens_left < 0:
                self.position = len(value)
                break
            match = _TOKEN.match(value, self.position)
            assert match is not None
            space, quoted, literal, atom, mark = match.groups()
            if mark == b"(":
                end = find_comment_end(value, self.position)
                self.comment = _clean_comment(value[self.position + 1 : end])
                self.position = end
                apart = True
                continue
            self.position = match.end()
            if space is not None:
                apart = True
            elif mark is not None:
                return mark, True, apart
            elif quoted is not None:
                return drop_backslashes(quoted), False, apart
            else:
                return literal or atom, False, apart
        return None

    def read_member(self) -> None:
        """Read up to the next comma, group opening or group end, and note what was found."""
        self.comment = None
        pieces: list[_Piece] = []
        at = -1
        angle: ListedAddress | None = None
        closes = False
        while (piece := self.next_piece()) is not None:
            text, is_mark, apart = piece
            if not is_mark:
                pieces.append((text, apart))
            elif text == b",":
                break
            elif text == b";":
                closes = True
                break
            elif text == b"<" and angle is None:
                angle = self.read_angle()
                name = _join_phrase(pieces)
            elif text == b":" and at < 0 and angle is None and not self.in_group:
                # NIL would close a group, so one without a name has an empty one.
                name = _join_phrase(pieces) or b""
                self.found.append(ListedAddress(None, None, name, None, True))
                self.in_group = True
                return
            elif text != b">":
                if text == b"@" and at < 0:
                    at = len(pieces)
                pieces.append((text, apart))
        if angle is not None:
            self.found.append(angle._replace(name=name or self.comment))
        elif pieces:
            self.found.append(_make_bare(pieces, at, self.comment))
        if closes and self.in_group:
            self.found.append(GROUP_END)
            self.in_group = False

    def read_angle(self) -> ListedAddress:
        """Read `[route] mailbox@host>`; the `<` has been read."""
        pieces: list[_Piece] = []
        at = -1
        route: bytes | None = None
        while (piece := self.next_piece()) is not None:
            text, is_mark, apart = piece
            if is_mark and text == b">":
                break
            if is_mark and text == b":" and pieces and pieces[0][0] == b"@" and route is None:
                # RFC 5322 section 4.4: obs-route, kept for the address list's second field.
                route = b"".join([word for word, _ in pieces])
                pieces = []
                at = -1
                continue
            if is_mark and text == b"@" and at < 0:
                at = len(pieces)
            pieces.append((text, apart))
        return _make_bare(pieces, at, None)._replace(route=route)


def _make_bare(pieces: list[_Piece], at: int, name: bytes | None) -> ListedAddress:
    """Return the address whose mailbox is before `pieces[at]` and whose host behind it."""
    if at < 0:
        return ListedAddress(name, None, _join_phrase(pieces), None)
    mailbox = b"".join([text for text, _ in pieces[:at]])
    host = b"".join([text for text, _ in pieces[at + 1 :]])
    if b"@" in host:
        # Two readers could take it for two addresses, so it is none.
        return ListedAddress(name, None, mailbox + b"@" + host, None)
    return ListedAddress(name, None, mailbox or None, host or None)


def _join_phrase(pieces: list[_Piece]) -> bytes | None:
    """Return the words of a phrase with one space wherever there was white space."""
    joined = b"".join([b" " + text if apart else text for text, apart in pieces])
    return joined.replace(b"\r\n", b"").strip() or None


def _clean_comment(text: bytes) -> bytes | None:
    """Return the inside of a comment as a name."""
    text = text[:-1] if text.endswith(b")") else text
    return b" ".join(drop_backslashes(text).split()) or None
