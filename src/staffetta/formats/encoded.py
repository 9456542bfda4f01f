"""Encoded text of mail: charsets, encoded words, encoded parameters and bodies.

RFC 2047, RFC 2231, RFC 2045 section 6. Senders get charsets wrong all the time, so nothing here
fails: what cannot be read comes out as the nearest readable thing, with U+FFFD in the worst case.
"""

from __future__ import annotations

import binascii
import codecs
import re
from itertools import islice
from typing import Final
from urllib.parse import unquote_to_bytes

from staffetta.formats.mime import Parameters, Part

WORDS_MAX: Final = 10_000
"""Encoded words decoded in one value; later ones stay as they are."""

FALLBACK_CHARSET: Final = "cp1252"
"""What text in no known charset is most often: WHATWG's choice too."""

_ALIASES: Final = {
    # WHATWG: what calls itself Latin-1 or ASCII is nearly always windows-1252.
    "ascii": "cp1252",
    "us-ascii": "cp1252",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "ansi_x3.4-1968": "cp1252",
    "x-ansi": "cp1252",
    "cp-850": "cp850",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "euc-cn": "gb18030",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "big5": "big5hkscs",
    "windows-874": "cp874",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "iso-8859-9": "cp1254",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-6-i": "iso8859-6",
    "macintosh": "mac_roman",
    "x-mac-roman": "mac_roman",
    "unicode-1-1-utf-7": "utf-7",
    "unicode-1-1-utf-8": "utf-8",
    "x-utf-8": "utf-8",
    "utf-8-mac": "utf-8",
    "unicode": "utf-16",
    "ucs-2": "utf-16",
}
# Codecs that do more than read a charset (compress, rotate, resolve escapes) or read it in
# quadratic time must not be reachable by a name in a message, hence a list of those that may.
_READABLE: Final = frozenset(
    "utf-8 utf-7 utf-16 utf-16-be utf-16-le utf-32 utf-32-be utf-32-le big5hkscs cp437 cp737 "
    "cp775 cp850 cp852 cp855 cp857 cp858 cp860 cp861 cp862 cp863 cp864 cp865 cp866 cp869 cp874 "
    "cp932 cp949 cp1006 cp1125 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 "
    "euc_jp euc_jis_2004 euc_jisx0213 gb18030 hz iso2022_jp iso2022_jp_1 iso2022_jp_2 "
    "iso2022_jp_2004 iso2022_jp_3 iso2022_jp_ext iso2022_kr iso8859-2 iso8859-3 iso8859-4 "
    "iso8859-5 iso8859-6 iso8859-7 iso8859-8 iso8859-10 iso8859-13 iso8859-14 iso8859-15 "
    "iso8859-16 johab koi8-r koi8-t koi8-u kz1048 mac-cyrillic mac-greek mac-iceland mac-latin2 "
    "mac-roman mac-turkish ptcp154 cp037 cp500 cp1140 cp273".split()
)
_CHARSET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._:+-]{0,39}")
_ENCODED_WORD: Final = re.compile(
    rb"=\?([^?\s*]{1,75})(?:\*[^?\s]{0,75})?\?([BbQq])\?([^?\r\n]*+)\?="
)
_Q_ESCAPE: Final = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]+")


def find_codec(charset: str) -> str | None:
    """Return the Python codec that reads `charset`; None when there is none that may."""
    name = charset.strip().strip("'\"").lower()
    if not _CHARSET_NAME.fullmatch(name):
        return None
    name = _ALIASES.get(name, name)
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return None
    return found if found in _READABLE or found == FALLBACK_CHARSET else None


def decode_charset(data: bytes, charset: str | None) -> str:
    """Return `data` as text, by `charset` if it is a known one and by guessing if not.

    The guess is UTF-8 where that fits, else windows-1252. ASCII bytes need no charset at all,
    and UTF-8 that calls itself ASCII or Latin-1 is read as what it is.
    """
    codec = None if charset is None else find_codec(charset)
    if codec is None or codec == FALLBACK_CHARSET:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data.decode(FALLBACK_CHARSET, "replace")
    try:
        return data.decode(codec, "replace")
    except (UnicodeError, ValueError):
        return data.decode("latin-1")


def decode_words(value: bytes) -> str:
    """Return an unfolded field value with its encoded words decoded (RFC 2047).

    White space between two adjacent words goes. Adjacent words in one charset are decoded
    together, because many senders cut characters in half. Raw 8-bit bytes are taken for UTF-8
    (RFC 6532) where they are, else for windows-1252.
    """
    if b"=?" not in value:
        return value.decode("ascii") if value.isascii() else decode_charset(value, None)
    pieces: list[str] = []
    pending: list[bytes] = []
    pending_charset = ""
    position = 0
    for match in islice(_ENCODED_WORD.finditer(value), WORDS_MAX):
        charset = match[1].decode("ascii", "replace").lower()
        between = value[position : match.start()]
        joins = bool(pending) and not between.strip()
        if pending and not (joins and charset == pending_charset):
            pieces.append(decode_charset(b"".join(pending), pending_charset))
            pending.clear()
        if not joins:
            pieces.append(decode_charset(between, None))
        pending_charset = charset
        pending.append(_decode_word(match[2], match[3]))
        position = match.end()
    if pending:
        pieces.append(decode_charset(b"".join(pending), pending_charset))
    pieces.append(decode_charset(value[position:], None))
    return "".join(pieces)


def _decode_word(encoding: bytes, text: bytes) -> bytes:
    if encoding in b"Bb":
        return decode_base64(text)
    return _decode_escapes(text.replace(b"_", b" "))


def _decode_escapes(text: bytes) -> bytes:
    return _Q_ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), text)


def decode_base64(data: bytes) -> bytes:
    """Return what base64 `data` encodes, skipping what is none, up to where it breaks off."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        digits = _NOT_BASE64.sub(b"", data)
        # One digit too many carries only six bits, so it is dropped; missing padding is added.
        digits = digits[: len(digits) - (len(digits) % 4 == 1)]
        return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def decode_body(part: Part, data: bytes, encoded_bytes_max: int | None = None) -> bytes:
    """Return the body of the leaf `part` of `data`, its transfer encoding undone.

    Reads at most `encoded_bytes_max` of the stored bytes; an unknown encoding leaves them as
    they are.
    """
    end = part.body_end
    if encoded_bytes_max is not None:
        end = min(end, part.body_start + encoded_bytes_max)
    body = data[part.body_start : end]
    match part.encoding:
        case b"base64":
            return decode_base64(body)
        case b"quoted-printable":
            return binascii.a2b_qp(body)
        case b"x-uuencode" | b"uuencode" | b"x-uue":
            return _decode_uu(body)
        case _:
            return body


def _decode_uu(body: bytes) -> bytes:
    """Return what the lines between `begin` and `end` encode; lines that are broken are skipped."""
    lines = body.splitlines()
    start = next((n + 1 for n, line in enumerate(lines) if line.startswith(b"begin ")), None)
    if start is None:
        return body
    decoded = []
    for line in lines[start:]:
        if line == b"end":
            break
        try:
            decoded.append(binascii.a2b_uu(line))
        except binascii.Error:
            continue
    return b"".join(decoded)


def decode_text(part: Part, data: bytes, encoded_bytes_max: int | None = None) -> str:
    """Return the text of the leaf `part` of `data`, by its transfer encoding and charset."""
    charset = part.find_param(b"charset")
    body = decode_body(part, data, encoded_bytes_max)
    return decode_charset(body, None if charset is None else charset.decode("latin-1"))


def decode_param(params: Parameters, name: bytes) -> str | None:
    """Return the parameter `name` as text; None when it is not there.

    RFC 2231 encoding (`name*`) wins over the plain form. Encoded words are decoded too: they
    are forbidden here (RFC 2047 section 5) and sent all the same.
    """
    plain: bytes | None = None
    for key, value in params:
        if key == name + b"*":
            return _decode_extended(value)
        if key == name and plain is None:
            plain = value
    return None if plain is None else decode_words(plain)


def _decode_extended(value: bytes) -> str:
    """Return `charset'language'percent-encoded` as text (RFC 2231 section 4)."""
    pieces = value.split(b"'", 2)
    if len(pieces) < 3:
        return decode_charset(unquote_to_bytes(value), None)
    charset = pieces[0].decode("latin-1") or None
    return decode_charset(unquote_to_bytes(pieces[2]), charset)


def find_filename(part: Part) -> str | None:
    """Return the file name that a part suggests; None when it suggests none.

    It is the sender's word: path separators and control characters are still in it.
    """
    name = decode_param(part.disposition_params, b"filename")
    return decode_param(part.params, b"name") if name is None else name
