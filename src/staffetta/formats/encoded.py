"""Encoded text of mail: charsets, encoded words, encoded parameters and bodies.

RFC 2047, RFC 2231, RFC 2045 section 6. Senders get charsets wrong all the time, so nothing here
fails: what cannot be read comes out as the nearest readable thing, with U+FFFD in the worst case.
"""

from __future__ import annotations

import binascii
import re
from encodings.aliases import aliases
from itertools import islice
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote_to_bytes

from staffetta.formats.mime import Parameters, Part

WORDS_MAX: Final = 10_000
"""Encoded words decoded in one value; later ones stay as they are."""

FALLBACK_CHARSET: Final = "cp1252"
"""What text in no known charset is most often: WHATWG's choice too."""

# Codecs that do more than read a charset (compress, rotate, resolve escapes) or read it in
# quadratic time must not be reachable by a name in a message, hence a list of those that may.
_READABLE_NAMES: Final = (
    "ascii big5 big5hkscs cp437 cp737 cp775 cp850 cp852 cp855 cp857 cp858 cp860 cp861 cp862 "
    "cp863 cp864 cp865 cp866 cp869 cp874 cp932 cp949 cp1006 cp1125 cp1250 cp1251 cp1252 cp1253 "
    "cp1254 cp1255 cp1256 cp1257 cp1258 euc_jp euc_jis_2004 euc_jisx0213 euc_kr gb18030 gb2312 "
    "gbk hz iso2022_jp iso2022_jp_1 iso2022_jp_2 iso2022_jp_2004 iso2022_jp_3 iso2022_jp_ext "
    "iso2022_kr iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 "
    "iso8859_10 iso8859_11 iso8859_13 iso8859_14 iso8859_15 iso8859_16 johab koi8_r koi8_t "
    "koi8_u kz1048 latin_1 mac_cyrillic mac_greek mac_iceland mac_latin2 mac_roman mac_turkish "
    "ptcp154 shift_jis shift_jis_2004 shift_jisx0213 tis_620 utf_7 utf_8 utf_16 utf_16_be "
    "utf_16_le utf_32 utf_32_be utf_32_le"
)
_READABLE: Final = frozenset(_READABLE_NAMES.split())
# WHATWG's lesson: what calls itself the smaller charset is nearly always the larger one.
_WIDER: Final = {
    "ascii": FALLBACK_CHARSET,
    "latin_1": FALLBACK_CHARSET,
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "big5": "big5hkscs",
}
_OTHER_NAMES: Final = {
    "cp-850": "cp850",
    "iso-8859-6-i": "iso8859_6",
    "iso-8859-8-i": "iso8859_8",
    "ks-c-5601": "cp949",
    "macintosh": "mac_roman",
    "ucs-2": "utf_16",
    "unicode": "utf_16",
    "unicode-1-1-utf-7": "utf_7",
    "unicode-1-1-utf-8": "utf_8",
    "windows-874": "cp874",
    "x-ansi": FALLBACK_CHARSET,
    "x-gbk": "gb18030",
    "x-mac-roman": "mac_roman",
    "x-sjis": "cp932",
    "x-utf-8": "utf_8",
}


def _list_codecs() -> dict[str, str]:
    """Return the codec for each charset name, in lower case with hyphens.

    A table of our own, because the interpreter remembers every name it was ever asked for, and
    the names here come from strangers.
    """
    names = {codec: codec for codec in _READABLE}
    names |= {alias: codec for alias, codec in aliases.items() if codec in _READABLE}
    table = {name.replace("_", "-"): _WIDER.get(codec, codec) for name, codec in names.items()}
    return table | _OTHER_NAMES


_CODECS: Final = MappingProxyType(_list_codecs())
_ENCODED_WORD: Final = re.compile(
    rb"=\?([^?\s*]{1,75})(?:\*[^?\s]{0,75})?\?([BbQq])\?([^?\r\n]*+)\?="
)
_Q_ESCAPE: Final = re.compile(rb"=([0-9A-Fa-f]{2})")
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]+")


def find_codec(charset: str) -> str | None:
    """Return the Python codec that reads `charset`; None when there is none that may."""
    return _CODECS.get(charset.strip(" \t'\"").lower().replace("_", "-"))


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
