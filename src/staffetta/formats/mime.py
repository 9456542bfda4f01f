"""Byte-offset scanner of a whole message (RFC 2045, RFC 2046, RFC 5322).

`scan` never copies a body and never fails: it returns a tree of `Part`s whose offsets point
into the message as stored. Where Dovecot and Cyrus agree on a malformed message, so does it:
the last of repeated Content- fields counts, a boundary counts at the start of a line whatever
white space or garbage follows it, and a multipart without parts has one empty part, because
IMAP's grammar wants one. They part ways in one thing: the line end between an inner closing
delimiter and an outer delimiter belongs to the outer one, as RFC 2046 section 5.1.1 has it, or
the hash over a signed multipart would be wrong.

Speed comes from staying in C: `bytes.find` for boundaries, one compiled expression per header.
Each level of nesting searches its own bytes again, hence the budgets.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final, NamedTuple

from staffetta.formats.headers import KnownFields, find_body, select_known, unfold
from staffetta.formats.lexical import drop_backslashes, drop_comments

DEPTH_MAX: Final = 100
"""Levels of multipart and message/rfc822 inside each other; deeper ones are opaque leaves."""

PARTS_MAX: Final = 5_000
"""Parts of one message; the last one takes in whatever follows."""

PARAMETERS_MAX: Final = 100
"""Parameters kept of one Content-Type or Content-Disposition."""

PARAMETERS_OF_MESSAGE_MAX: Final = 20_000
"""Parameters kept of all parts of one message."""

FIELD_BYTES_MAX: Final = 1024 * 1024
"""How much of one Content- field is looked at."""

HEADERS_BYTES_MAX: Final = 8 * 1024 * 1024
"""Headers read of one message, all parts together; later parts are what a missing header says."""

BOUNDARY_BYTES_MAX: Final = 2_000
"""A longer boundary (RFC 2046 allows 70) is no boundary."""

BOUNDARY_CANDIDATES_MAX: Final = 200_000
"""Places in one message that look like a delimiter; behind them none is recognised."""

SEARCH_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bytes searched for boundaries, all levels of nesting together; an honest message of 50 MB
with its attachments at the first level takes less than half of it."""

Parameters = tuple[tuple[bytes, bytes], ...]
"""Pairs of lower-case name and value, in order; RFC 2231 continuations are joined, undecoded."""


class Part(NamedTuple):
    """One node of a message: offsets into its bytes, and what its Content- fields say.

    A named tuple, because making one costs an eighth of a frozen data class and delivery makes
    some for each message. Values are unfolded bytes as sent, tokens lower-case. The header is
    `data[header_start:body_start]` (with its empty line), the body `data[body_start:body_end]`.
    `lines` is counted for text and message/rfc822 only. A message/rfc822 has its `message`, a
    multipart its `children`, never both.
    """

    header_start: int
    body_start: int
    body_end: int
    type: bytes
    subtype: bytes
    params: Parameters
    encoding: bytes
    id: bytes | None
    description: bytes | None
    disposition: bytes | None
    disposition_params: Parameters
    languages: tuple[bytes, ...]
    location: bytes | None
    md5: bytes | None
    lines: int
    children: tuple[Part, ...]
    message: Part | None

    @property
    def size_bytes(self) -> int:
        """Return the size of the body as stored."""
        return self.body_end - self.body_start

    def find_param(self, name: bytes) -> bytes | None:
        """Return the Content-Type parameter `name` (lower-case) as sent."""
        for key, value in self.params:
            if key == name:
                return value
        return None


_TOKEN: Final = rb"[^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=]"
_TYPE: Final = re.compile(rb"\s*+(%b++)\s*+/\s*+(%b++)" % (_TOKEN, _TOKEN))
# Nearly all there are: one parameter at most, no comment, no continuation, on one line.
_COMMON_TYPE: Final = re.compile(
    rb"[ \t]*+(%b++)/(%b++)(?:;\s*+([^\x00-\x20\x7f()<>@,;:\\\"/\[\]?=*]++)="
    rb"(?:\"([^\"\\\r\n(]*+)\"|([^;\s\"(]++)))?+[ \t\r]*+" % (_TOKEN, _TOKEN)
).fullmatch
_WORD: Final = re.compile(rb"\s*+(%b++)" % _TOKEN)
_PARAMETER: Final = re.compile(
    rb";\s*+(%b++)\s*+=\s*+(?s:\"((?:[^\"\\]++|\\.)*+)\"|([^;\s\"]++))" % _TOKEN
)
_CONTINUATION: Final = re.compile(rb"(.+)\*(0|[1-9][0-9]{0,3})(\*?)")

_TEXT: Final = (b"text", b"plain", ((b"charset", b"us-ascii"),))
_DIGEST: Final = (b"message", b"rfc822", ())
_OPAQUE: Final = (b"application", b"octet-stream", ())


def scan(data: bytes) -> Part:
    """Return the tree of the message `data`; any bytes will do."""
    return scan_with_fields(data)[0]


def scan_with_fields(data: bytes) -> tuple[Part, KnownFields]:
    """Return the tree of `data` and the known fields of its header, found on the way."""
    scanner = _Scanner(data)
    body_start, fields = scanner.read_header(0, len(data))
    return scanner.read_part(0, body_start, len(data), fields, _TEXT, 0), fields


class _Scanner:
    """The budgets of one scan; what is left of them decides where it stops looking."""

    __slots__ = (
        "candidates_left",
        "data",
        "header_bytes_left",
        "params_left",
        "parts_left",
        "search_bytes_left",
    )

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.parts_left = PARTS_MAX
        self.candidates_left = BOUNDARY_CANDIDATES_MAX
        self.search_bytes_left = SEARCH_BYTES_MAX
        self.header_bytes_left = HEADERS_BYTES_MAX
        self.params_left = PARAMETERS_OF_MESSAGE_MAX

    def read_header(self, start: int, end: int) -> tuple[int, KnownFields]:
        """Return where the body of the part in `data[start:end]` starts, and its known fields."""
        body_start = find_body(self.data, start, end)
        if body_start - start > self.header_bytes_left:
            return body_start, {}
        self.header_bytes_left -= body_start - start
        return body_start, select_known(self.data, start, body_start)

    def read_part(
        self,
        header_start: int,
        body_start: int,
        end: int,
        fields: KnownFields,
        default: tuple[bytes, bytes, Parameters],
        depth: int,
    ) -> Part:
        """Return the part whose header has been read into `fields` and whose body ends at `end`."""
        get = fields.get
        content_type = get(b"content-type")
        if content_type is None:
            media, subtype, params = default
        else:
            media, subtype, params = parse_content_type(
                content_type, self.take_params(content_type)
            )
        encoding = get(b"content-transfer-encoding")
        disposition = get(b"content-disposition")
        kind: bytes | None = None
        disposition_params: Parameters = ()
        if disposition is not None:
            kind, disposition_params = parse_disposition(disposition, self.take_params(disposition))
        lines = 0
        children: tuple[Part, ...] = ()
        message: Part | None = None
        if media == b"text":
            lines = self.data.count(b"\n", body_start, end)
        elif media == b"multipart" or (media == b"message" and subtype == b"rfc822"):
            if depth >= DEPTH_MAX or not self.take(end - body_start):
                media, subtype, params = _OPAQUE
            elif media == b"message":
                message = self.read_message(body_start, end, depth + 1)
                lines = self.count_lines(message)
            else:
                children = self.read_children(body_start, end, subtype, params, depth + 1)
        language = get(b"content-language")
        return Part(
            header_start,
            body_start,
            end,
            media,
            subtype,
            params,
            b"7bit" if encoding is None else parse_encoding(encoding),
            _unfold_or_none(get(b"content-id")),
            _unfold_or_none(get(b"content-description")),
            kind,
            disposition_params,
            () if language is None else parse_languages(language),
            _unfold_or_none(get(b"content-location")),
            _unfold_or_none(get(b"content-md5")),
            lines,
            children,
            message,
        )

    def take_params(self, value: bytes) -> int:
        """Return how many parameters of the raw field `value` may be read."""
        count_max = min(PARAMETERS_MAX, self.params_left)
        self.params_left = max(0, self.params_left - value.count(b";"))
        return count_max

    def take(self, size_bytes: int) -> bool:
        """Take `size_bytes` from the search budget; False when it was not enough."""
        self.search_bytes_left -= size_bytes
        return self.search_bytes_left >= 0

    def read_message(self, start: int, end: int, depth: int) -> Part:
        """Return the whole message in `data[start:end]`: the body of a message/rfc822 part."""
        body_start, fields = self.read_header(start, end)
        return self.read_part(start, body_start, end, fields, _TEXT, depth)

    def read_children(
        self, start: int, end: int, subtype: bytes, params: Parameters, depth: int
    ) -> tuple[Part, ...]:
        """Return the parts of the multipart body `data[start:end]`; at least one."""
        # RFC 2046 section 5.1.5: in a digest the default is another message.
        default = _DIGEST if subtype == b"digest" else _TEXT
        children = []
        for child_start, child_end in self.split(start, end, params):
            body_start, fields = self.read_header(child_start, child_end)
            children.append(
                self.read_part(child_start, body_start, child_end, fields, default, depth)
            )
        if not children:
            children.append(self.read_part(end, end, end, {}, _TEXT, depth))
        return tuple(children)

    def split(self, start: int, end: int, params: Parameters) -> list[tuple[int, int]]:
        """Return where the parts lie that the boundary in `params` separates.

        RFC 2046 section 5.1.1: the line end before a delimiter belongs to the delimiter.
        """
        boundary = next((value for name, value in params if name == b"boundary"), None)
        if boundary is None or len(boundary) > BOUNDARY_BYTES_MAX:
            return []
        data = self.data
        needle = b"\n--" + boundary
        spans: list[tuple[int, int]] = []
        part_start = -1
        # The empty line before the body gives the first delimiter its line end.
        position = data.find(needle, start - 1, end)
        while position >= 0 and self.candidates_left > 0:
            self.candidates_left -= 1
            after = position + len(needle)
            # A longer word is another boundary: only "--", white space or nothing may follow.
            closing = data.startswith(b"--", after, end)
            if not closing and after < end and data[after] not in b" \t\r\n":
                position = data.find(needle, after, end)
                continue
            if part_start >= 0:
                stop = position - 1 if data[position - 1] == 13 else position
                spans.append((part_start, max(part_start, stop)))
            part_start = -1
            if closing:
                break
            line_end = data.find(b"\n", after, end)
            part_start = line_end + 1 if line_end >= 0 else end
            self.parts_left -= 1
            if self.parts_left <= 0:
                break
            position = data.find(needle, part_start - 1, end)
        if part_start >= 0:
            spans.append((part_start, end))
        return spans

    def count_lines(self, part: Part) -> int:
        """Return the line ends in header and body of `part`, each byte of a message counted once.

        A message/rfc822 knows its own count, so nesting does not multiply the work.
        """
        data = self.data
        lines = data.count(b"\n", part.header_start, part.body_start)
        if part.type == b"text" or part.message is not None:
            return lines + part.lines
        position = part.body_start
        for child in part.children:
            lines += data.count(b"\n", position, child.header_start) + self.count_lines(child)
            position = child.body_end
        return lines + data.count(b"\n", position, part.body_end)


def parse_content_type(
    value: bytes, params_max: int = PARAMETERS_MAX
) -> tuple[bytes, bytes, Parameters]:
    """Return type, subtype and parameters of a raw Content-Type value.

    RFC 2045 section 5.2: what cannot be read as one is text/plain.
    """
    common = _COMMON_TYPE(value)
    if common is not None and params_max > 0:
        media, subtype, name, quoted, plain = common.groups()
        params = () if name is None else ((name.lower(), plain if quoted is None else quoted),)
        return media.lower(), subtype.lower(), params
    value = drop_comments(value[:FIELD_BYTES_MAX])
    match = _TYPE.match(value)
    if match is None:
        return _TEXT
    return match[1].lower(), match[2].lower(), _parse_params(value, match.end(), params_max)


def parse_disposition(
    value: bytes, params_max: int = PARAMETERS_MAX
) -> tuple[bytes | None, Parameters]:
    """Return the disposition and its parameters of a raw Content-Disposition value (RFC 2183)."""
    value = drop_comments(value[:FIELD_BYTES_MAX])
    match = _WORD.match(value)
    if match is None:
        return None, ()
    return match[1].lower(), _parse_params(value, match.end(), params_max)


def parse_encoding(value: bytes) -> bytes:
    """Return the lower-case mechanism of a raw Content-Transfer-Encoding value, or b"7bit"."""
    value = drop_comments(value[:FIELD_BYTES_MAX])
    match = _WORD.fullmatch(unfold(value))
    return b"7bit" if match is None else match[1].lower()


def parse_languages(value: bytes) -> tuple[bytes, ...]:
    """Return the tags of a raw Content-Language value (RFC 3282)."""
    value = unfold(drop_comments(value[:FIELD_BYTES_MAX]))
    tags = [tag.strip() for tag in value.split(b",", PARAMETERS_MAX)[:PARAMETERS_MAX]]
    return tuple(tag for tag in tags if tag)


def _unfold_or_none(value: bytes | None) -> bytes | None:
    return None if value is None else unfold(value)


def _parse_params(value: bytes, start: int, params_max: int) -> Parameters:
    if value.find(b"=", start) < 0:
        return ()
    params: list[tuple[bytes, bytes]] = []
    continued = False
    for match in islice(_PARAMETER.finditer(value, start), params_max):
        name, quoted, plain = match.groups()
        name = name.lower()
        if quoted is not None:
            if b"\\" in quoted:
                quoted = drop_backslashes(quoted)
            plain = quoted.replace(b"\r\n", b"").replace(b"\n", b"")
        continued = continued or b"*" in name
        params.append((name, plain))
    return _join_continuations(params) if continued else tuple(params)


def _join_continuations(params: list[tuple[bytes, bytes]]) -> Parameters:
    """Join `name*0`, `name*1`, … into `name`, or `name*` when any is percent-encoded.

    RFC 2231 section 3; in whatever order they come, up to the first number that is missing.
    """
    pieces: dict[bytes, dict[int, tuple[bytes, bool]]] = {}
    joined: list[tuple[bytes, bytes]] = []
    for name, value in params:
        match = _CONTINUATION.fullmatch(name)
        if match is None:
            joined.append((name, value))
        else:
            of_name = pieces.setdefault(match[1], {})
            of_name.setdefault(int(match[2]), (value, bool(match[3])))
    for name, of_name in pieces.items():
        values: list[bytes] = []
        encoded = False
        while len(values) in of_name:
            value, piece_encoded = of_name[len(values)]
            encoded = encoded or piece_encoded
            values.append(value)
        if values:
            joined.append((name + b"*" if encoded else name, b"".join(values)))
    return tuple(joined)
