"""Ready-made bytes of FETCH data items: ENVELOPE, BODY, BODYSTRUCTURE (RFC 3501 section 7.4.2).

They are made once, at delivery, and sent as they are: strings are quoted where they are short
7-bit text and literals where not, which every client must read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, Literal

from staffetta.formats.address_list import SIMPLE, ListedAddress, parse_list
from staffetta.formats.headers import FieldSelection, KnownFields, select_known, unfold
from staffetta.formats.mime import Parameters, Part

QUOTED_BYTES_MAX: Final = 1_000
"""A longer string goes as a literal, because clients bound the length of a line."""

ENVELOPES_BYTES_MAX: Final = 256 * 1024
"""Field values that go into the envelopes of nested messages; later ones are all NIL."""

MISSING_MAILBOX: Final = b'"MISSING_MAILBOX"'
MISSING_DOMAIN: Final = b'"MISSING_DOMAIN"'
"""What stands for what is not there; NIL would mean a group. Clients know these two words."""

_PLAIN: Final = re.compile(rb"[\x20!#-\[\]-~\t]{0,1000}").fullmatch
_ESCAPABLE: Final = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]{0,1000}").fullmatch
_WORDS: Final = (
    b"text plain html multipart mixed alternative related application octet-stream pdf image "
    b"jpeg png message rfc822 7bit 8bit base64 quoted-printable charset us-ascii utf-8 UTF-8 "
    b"iso-8859-1 ISO-8859-1 boundary name filename format flowed"
)
# Most strings in a structure are one of these, and looking one up is cheaper than quoting it.
_READY: Final = MappingProxyType({word: b'"%b"' % word for word in _WORDS.split()})
_EMPTY_ENVELOPE: Final = b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"


def format_string(value: bytes) -> bytes:
    """Return `value` as an IMAP quoted string, or as a literal where quoting cannot carry it."""
    if _PLAIN(value):
        return b'"%b"' % value
    if _ESCAPABLE(value):
        return b'"%b"' % value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    # RFC 3501 section 9: CHAR8 leaves out NUL.
    value = value.replace(b"\0", b"?")
    return b"{%d}\r\n%b" % (len(value), value)


def format_nstring(value: bytes | None) -> bytes:
    """Return `value` as an IMAP string, NIL for None."""
    return b"NIL" if value is None else format_string(value)


def envelope(data: bytes, root: Part) -> bytes:
    """Return the ENVELOPE of the message `root` of `data`."""
    return format_envelope(select_known(data, root.header_start, root.body_start))


def format_envelope(fields: KnownFields) -> bytes:
    """Return the ENVELOPE of a header whose known fields are `fields`."""
    get = fields.get
    sender_default = _format_addresses(get(b"from"))
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _format_text(get(b"date")),
        _format_text(get(b"subject")),
        sender_default,
        # RFC 3501 section 7.4.2: the server fills these two in.
        _format_addresses(get(b"sender"), sender_default),
        _format_addresses(get(b"reply-to"), sender_default),
        _format_addresses(get(b"to")),
        _format_addresses(get(b"cc")),
        _format_addresses(get(b"bcc")),
        _format_text(get(b"in-reply-to")),
        _format_text(get(b"message-id")),
    )


def _format_text(value: bytes | None) -> bytes:
    return b"NIL" if value is None else format_string(unfold(value))


def _format_addresses(value: bytes | None, default: bytes = b"NIL") -> bytes:
    if value is None:
        return default
    if len(value) <= QUOTED_BYTES_MAX and value.isascii():
        quick = _format_simple(value)
        if quick is not None:
            return quick
    addresses = parse_list(value)
    if not addresses:
        return default
    return b"(%b)" % b"".join([_format_address(address) for address in addresses])


def _format_simple(value: bytes) -> bytes | None:
    """Return the addresses of a short ASCII list of ordinary ones; None when one is not.

    What the expression lets through holds nothing that would have to be escaped.
    """
    formatted = []
    position = 0
    while position < len(value):
        match = SIMPLE.match(value, position)
        if match is None:
            return None
        quoted, plain, mailbox, host, bare_mailbox, bare_host = match.groups()
        if bare_mailbox is not None:
            formatted.append(b'(NIL NIL "%b" "%b")' % (bare_mailbox, bare_host))
        elif name := quoted or plain:
            formatted.append(b'("%b" NIL "%b" "%b")' % (name, mailbox, host))
        else:
            formatted.append(b'(NIL NIL "%b" "%b")' % (mailbox, host))
        position = match.end()
    return b"(%b)" % b"".join(formatted) if formatted else None


def _format_address(address: ListedAddress) -> bytes:
    name, route, mailbox, host, is_group = address
    if is_group:
        return b"(NIL NIL %b NIL)" % format_nstring(mailbox)
    return b"(%b %b %b %b)" % (
        format_nstring(name),
        format_nstring(route),
        MISSING_MAILBOX if mailbox is None else format_string(mailbox),
        MISSING_DOMAIN if host is None else format_string(host),
    )


def bodystructure(data: bytes, root: Part) -> bytes:
    """Return the BODYSTRUCTURE of the message `root` of `data`: with the extension data."""
    return _StructureWriter(data, extended=True).format_part(root)


def body(data: bytes, root: Part) -> bytes:
    """Return the BODY of the message `root` of `data`: the structure without extension data."""
    return _StructureWriter(data, extended=False).format_part(root)


class _StructureWriter:
    """Writes one structure; keeps what may still be read for the envelopes in it."""

    __slots__ = ("data", "envelope_bytes_left", "extended")

    def __init__(self, data: bytes, *, extended: bool) -> None:
        self.data = data
        self.extended = extended
        self.envelope_bytes_left = ENVELOPES_BYTES_MAX

    def format_part(self, part: Part) -> bytes:
        """Return the body structure of `part`."""
        if part.children:
            return self.format_multipart(part)
        fields = [
            b"(%b %b %b %b %b %b %d"
            % (
                _READY.get(part.type) or format_string(part.type),
                _READY.get(part.subtype) or format_string(part.subtype),
                _format_params(part.params),
                format_nstring(part.id),
                format_nstring(part.description),
                _READY.get(part.encoding) or format_string(part.encoding),
                part.body_end - part.body_start,
            )
        ]
        if part.message is not None:
            fields.append(self.format_envelope(part.message))
            fields.append(self.format_part(part.message))
            fields.append(b"%d" % part.lines)
        elif part.type == b"text":
            fields.append(b"%d" % part.lines)
        if self.extended:
            fields.append(format_nstring(part.md5))
            fields.append(_format_extension(part))
        return b" ".join(fields) + b")"

    def format_multipart(self, part: Part) -> bytes:
        """Return the body structure of a multipart: its parts, then its subtype."""
        children = b"".join([self.format_part(child) for child in part.children])
        subtype = format_string(part.subtype)
        if not self.extended:
            return b"(%b %b)" % (children, subtype)
        params = _format_params(part.params)
        return b"(%b %b %b %b)" % (children, subtype, params, _format_extension(part))

    def format_envelope(self, message: Part) -> bytes:
        """Return the envelope of a nested message."""
        fields = select_known(self.data, message.header_start, message.body_start)
        self.envelope_bytes_left -= sum(map(len, fields.values()))
        if self.envelope_bytes_left < 0:
            return _EMPTY_ENVELOPE
        return format_envelope(fields)


def _format_params(params: Parameters) -> bytes:
    if not params:
        return b"NIL"
    strings = [_READY.get(text) or format_string(text) for pair in params for text in pair]
    return b"(%b)" % b" ".join(strings)


def _format_extension(part: Part) -> bytes:
    """Return disposition, language and location: the extension data all parts share."""
    if part.disposition is None and not part.languages and part.location is None:
        return b"NIL NIL NIL"
    disposition = b"NIL"
    if part.disposition is not None:
        disposition = b"(%b %b)" % (
            format_string(part.disposition),
            _format_params(part.disposition_params),
        )
    languages = b"NIL"
    if len(part.languages) == 1:
        languages = format_string(part.languages[0])
    elif part.languages:
        languages = b"(%b)" % b" ".join([format_string(tag) for tag in part.languages])
    return b"%b %b %b" % (disposition, languages, format_nstring(part.location))


Specifier = Literal["", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"]
"""What of a part a section means; "" is the part itself."""

Span = tuple[int, int]
"""Offsets from and to into the bytes of the message."""


def section(
    data: bytes,
    root: Part,
    path: Sequence[int],
    specifier: Specifier,
    selection: FieldSelection | None = None,
) -> Span | bytes | None:
    """Return what BODY[`path`.`specifier`] means of the message `root` of `data`.

    A span of the stored bytes wherever it is one, so that the caller may slice before it copies;
    bytes for the two that need `selection`; None when there is no such part or it has no such
    thing (RFC 3501 section 6.4.5).
    """
    part = find_part(root, path)
    if part is None:
        return None
    if specifier == "MIME":
        return (part.header_start, part.body_start) if path else None
    if specifier == "":
        return (part.body_start, part.body_end) if path else (part.header_start, part.body_end)
    # The other specifiers are about a message: the whole one, or one that a part holds.
    message = part.message if path else root
    if message is None:
        return None
    if specifier == "TEXT":
        return message.body_start, message.body_end
    if specifier == "HEADER":
        return message.header_start, message.body_start
    assert selection is not None
    return selection.select(data[message.header_start : message.body_start])


def find_part(root: Part, path: Sequence[int]) -> Part | None:
    """Return the part with the numbers `path`; None when there is none, `root` for no numbers.

    Numbers count the parts of a multipart; a message that is none has itself as part 1.
    """
    message: Part | None = root
    part = root
    for number in path:
        parts = part.children
        if message is not None:
            parts = message.children or (message,)
        if not 1 <= number <= len(parts):
            return None
        part = parts[number - 1]
        # A single-part message is its own part 1; what it holds in turn starts a new numbering.
        message = part.message
    return part
