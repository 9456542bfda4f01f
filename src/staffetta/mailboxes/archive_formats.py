"""How folders, flags and times are written in mbox files, Maildirs and folders of .eml files.

Names: a character that a file system or the format itself could take for something else is
written as `%` and two hexadecimal digits for each of its bytes; `%` is in no folder's name.
Flags: the letters of Maildir's info, keywords as `a` to `z` by the list in `KEYWORDS_FILE`, as
Dovecot has it; in mbox files the fields Status, X-Status and X-Keywords.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from staffetta.formats.dates import DAY_S, count_days, parse_date, split_days
from staffetta.formats.headers import find_body, find_values
from staffetta.mailboxes.port import (
    ANSWERED,
    DELETED,
    DRAFT,
    FLAGGED,
    SEEN,
    SEPARATOR,
    SYSTEM_FLAGS,
)
from staffetta.protocols.imap.mailbox_names import NameFault, decode_name, encode_name

FILE_NAME_BYTES_MAX: Final = 200
"""A longer one is cut and ends in a checksum; file systems take 255 bytes."""

KEYWORDS_FILE: Final = "dovecot-keywords"
KEYWORD_BYTES_MAX: Final = 128
KEYWORD_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
SENDER_CHARS_MAX: Final = 320
US: Final = 1_000_000
TIME_S_MAX: Final = 253_402_300_799
"""The last second of the year 9999."""


class ArchiveFormat(StrEnum):
    """How mail lies in files."""

    MBOX = "mbox"
    MAILDIR = "maildir"
    EML = "eml"


EVERY_FORMAT: Final = frozenset(ArchiveFormat)


@dataclass(frozen=True, slots=True)
class Marks:
    """The flags of one message: system flags as bits, keywords by name."""

    flags: int = 0
    keywords: tuple[str, ...] = ()


def marks_of(flags: int, keywords: tuple[str, ...]) -> Marks:
    """The marks that a mailbox's bits mean, where `keywords` are the mailbox's own in order."""
    rest = flags >> len(SYSTEM_FLAGS)
    named = tuple(name for place, name in enumerate(keywords) if rest >> place & 1)
    return Marks(flags & (1 << len(SYSTEM_FLAGS)) - 1, named)


# --- names of folders ---------------------------------------------------------------------

# What a file system, a shell of another system or this module's own reading takes for its own.
_UNSAFE: Final = re.compile(
    r'(?i)^\.|[\\/:"<>|?*%\x00-\x1f\x7f]|[. ]$|\.(?=(?:mbox|eml|sbd)$)'
    r"|^[cntmd](?=(?:ur|ew|mp|box|ovecot-keywords)$)"
)
_UNSAFE_IN_MAILDIR: Final = re.compile(r"[./%\x00]")
_ESCAPED: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def file_path(folder: str) -> str:
    """Where a folder of that name lies in an archive of mbox or .eml files, without suffix."""
    return "/".join(_shorten(_escape(_UNSAFE, level)) for level in folder.split(SEPARATOR))


def read_file_name(name: str) -> str:
    """The level of a folder's name that the name of a file or directory stands for."""
    return _ESCAPED.sub(_unescape, name)


def maildir_path(folder: str) -> str:
    """The directory of a folder within its Maildir++: `.Folder.Sub` in modified UTF-7."""
    levels = (_escape(_UNSAFE_IN_MAILDIR, level) for level in folder.split(SEPARATOR))
    return "." + _shorten(encode_name(".".join(levels)).decode("ascii"))


def read_maildir_name(name: str) -> str:
    """The name of the folder in a directory of a Maildir++; what is no UTF-7 stays as it is."""
    name = name.removeprefix(".")
    with suppress(NameFault):
        name = decode_name(name.encode("utf-8", "surrogateescape"))
    return SEPARATOR.join(_ESCAPED.sub(_unescape, level) for level in name.split("."))


def make_acceptable(folder: str) -> str:
    """The name with what no folder's name may have written as `_`."""
    levels = (level for level in folder.split(SEPARATOR) if level)
    return SEPARATOR.join("".join(map(_accept, level)) for level in levels)


def _accept(character: str) -> str:
    bad = character in "*%" or unicodedata.category(character) in ("Cc", "Cs")
    return "_" if bad else character


def _escape(unsafe: re.Pattern[str], level: str) -> str:
    return unsafe.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), level)


def _unescape(found: re.Match[str]) -> str:
    text = bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "replace")
    return text.replace(SEPARATOR, "_")


def _shorten(name: str) -> str:
    encoded = name.encode("utf-8")
    if len(encoded) <= FILE_NAME_BYTES_MAX:
        return name
    kept = encoded[: FILE_NAME_BYTES_MAX - 9].decode("utf-8", "ignore")
    return f"{kept}~{zlib.crc32(encoded):08x}"


# --- flags --------------------------------------------------------------------------------

_INFO_BITS: Final = {"D": DRAFT, "F": FLAGGED, "R": ANSWERED, "S": SEEN, "T": DELETED}
_PASSED: Final = "$Forwarded"  # what Maildir calls passed
# RFC 3501 section 9: flag-keyword is an atom; resp-specials are as common as they are wrong.
_KEYWORD: Final = re.compile(r"[!#$&'+,\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")


def is_keyword(name: str) -> bool:
    """Whether the text can be a keyword."""
    return len(name) <= KEYWORD_BYTES_MAX and _KEYWORD.fullmatch(name) is not None


@dataclass(slots=True)
class KeywordLetters:
    """The letters of one folder's keywords, given in the order in which they are needed."""

    letters: dict[str, str] = field(default_factory=dict)
    left_out: int = 0

    def spell(self, marks: Marks) -> str:
        """The letters of Maildir's info, sorted; counts keywords for which there is none."""
        found = {letter for letter, bit in _INFO_BITS.items() if marks.flags & bit}
        for keyword in marks.keywords:
            if keyword == _PASSED:
                found.add("P")
                continue
            if keyword not in self.letters and len(self.letters) < len(KEYWORD_LETTERS):
                self.letters[keyword] = KEYWORD_LETTERS[len(self.letters)]
            letter = self.letters.get(keyword)
            if letter is None:
                self.left_out += 1
            else:
                found.add(letter)
        return "".join(sorted(found))

    def file(self) -> bytes:
        """The content of `KEYWORDS_FILE`."""
        lines = (f"{number} {name}\n" for number, name in enumerate(self.letters))
        return "".join(lines).encode()


def read_keywords_file(content: bytes) -> dict[str, str]:
    """The keywords by letter that a `KEYWORDS_FILE` names; lines that are wrong do not count."""
    found = {}
    for line in content.decode("utf-8", "replace").splitlines():
        number, _, name = line.partition(" ")
        place = int(number) if number.isascii() and number.isdigit() and len(number) < 3 else -1
        if 0 <= place < len(KEYWORD_LETTERS) and is_keyword(name):
            found[KEYWORD_LETTERS[place]] = name
    return found


def read_info(letters: str, keywords: Mapping[str, str]) -> Marks:
    """The marks that the letters of an info mean; unknown ones mean nothing."""
    flags = 0
    for letter, bit in _INFO_BITS.items():
        if letter in letters:
            flags |= bit
    named = [keywords[letter] for letter in sorted(set(letters)) if letter in keywords]
    return Marks(flags, tuple([_PASSED, *named] if "P" in letters else named))


_STATUS_FIELDS: Final = tuple(
    re.compile(rb"\n(?i:%b)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)(?=\n)" % name)
    for name in (b"Status", b"X-Status", b"X-Keywords")
)
_OWN_STATUS: Final = re.compile(
    rb"Status: (R?O)\r\nX-Status: ([AFTD]*+)\r\nX-Keywords: ([^\r\n]*+)\r\n"
)
_STATUS_BITS: Final = ({"R": SEEN}, {"A": ANSWERED, "F": FLAGGED, "T": DRAFT, "D": DELETED})


def add_status(content: bytes, marks: Marks) -> bytes:
    """The message with its marks in fields, before all others so that they are found first."""
    status = "RO" if marks.flags & SEEN else "O"
    more = "".join(letter for letter, bit in _STATUS_BITS[1].items() if marks.flags & bit)
    fields = f"Status: {status}\r\nX-Status: {more}\r\nX-Keywords: {' '.join(marks.keywords)}\r\n"
    return fields.encode() + content


def take_status(content: bytes) -> tuple[bytes, Marks]:
    """The message without the first Status, X-Status and X-Keywords, and what they say."""
    own = _OWN_STATUS.match(content)
    if own is not None:  # line by line: a message may begin with what looks like a folded line
        values = [value.decode("ascii", "replace") for value in own.groups()]
        return content[own.end() :], _read_marks(values)
    end = find_body(content, 0, len(content))
    # A line end before the first field makes all fields look alike.
    header = b"\n" + content[:end]
    values = []
    for pattern in _STATUS_FIELDS:
        found = pattern.search(header)
        values.append(found[1].decode("ascii", "replace") if found else "")
        if found is not None:
            header = header[: found.start()] + header[found.end() :]
    return header[1:] + content[end:], _read_marks(values)


def _read_marks(values: Sequence[str]) -> Marks:
    """What Status, X-Status and X-Keywords say."""
    flags = 0
    for value, bits in zip(values, _STATUS_BITS, strict=False):
        for letter, bit in bits.items():
            if letter in value:
                flags |= bit
    keywords = dict.fromkeys(word for word in values[2].split() if is_keyword(word))
    return Marks(flags, tuple(keywords))


# --- names of files, and times ------------------------------------------------------------

_MAILDIR_TIME: Final = re.compile(r"(\d{1,12})\.(?:[^.:;!,]*?M(\d{1,6})(?!\d))?")
_MAILDIR_INFO: Final = re.compile(r"[:;!]2,([A-Za-z]*)$")
_EML_NAME: Final = re.compile(
    r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.(\d{6})Z-\d+(?:-([A-Za-z]+))?\.eml"
)


def maildir_file_name(at_us: int, uid: int, size_bytes: int, info: str) -> str:
    """The name of a message's file in a Maildir: time, what makes it unique, size, flags."""
    seconds, micros = divmod(max(at_us, 0), US)
    return f"{seconds}.M{micros:06}U{uid:010}.staffetta,S={size_bytes}:2,{info}"


def read_maildir_file_name(name: str) -> tuple[int | None, str]:
    """The time in a Maildir file's name, if it has one, and the letters of its info."""
    time, info = _MAILDIR_TIME.match(name), _MAILDIR_INFO.search(name)
    at_us = None if time is None else _checked_us(int(time[1]), int(time[2] or 0))
    return at_us, info[1] if info else ""


def eml_file_name(at_us: int, uid: int, info: str) -> str:
    """The name of a message's .eml file: `20231114T221320.000001Z-0000000007-FS.eml`."""
    seconds, micros = divmod(min(max(at_us, 0), TIME_S_MAX * US + US - 1), US)
    days, time = divmod(seconds, DAY_S)
    year, month, day = split_days(days)
    clock = f"{time // 3600:02}{time // 60 % 60:02}{time % 60:02}.{micros:06}"
    flags = f"-{info}" if info else ""
    return f"{year:04}{month:02}{day:02}T{clock}Z-{uid:010}{flags}.eml"


def read_eml_file_name(name: str) -> tuple[int, str] | None:
    """Time and letters of the info in a name that `eml_file_name` made; None for others."""
    found = _EML_NAME.fullmatch(name)
    if found is None:
        return None
    year, month, day, hour, minute, second, micros = map(int, found.groups()[:7])
    seconds = count_days(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second
    at_us = _checked_us(seconds, micros)
    return None if at_us is None else (at_us, found[8] or "")


def date_us(content: bytes) -> int | None:
    """The time in the message's Date field, if it has a usable one."""
    values = find_values(content[: find_body(content, 0, len(content))], b"date")
    date = parse_date(values[-1]) if values else None
    return None if date is None else _checked_us(date.utc_s, 0)


def sender_of(content: bytes) -> str:
    """The reverse-path in the message's Return-Path, for the separator line of an mbox."""
    values = find_values(content[: find_body(content, 0, len(content))], b"return-path")
    text = values[0].decode("utf-8", "replace").strip().strip("<>") if values else ""
    return text[:SENDER_CHARS_MAX]


def _checked_us(seconds: int, micros: int) -> int | None:
    return seconds * US + micros if 0 <= seconds <= TIME_S_MAX else None
