"""What is written can be read back; what is read does not depend on how it came."""

from __future__ import annotations

import email.header
import email.utils
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from staffetta.formats import dates
from staffetta.formats.address import Address, AddressError, parse_mailbox, parse_path, split_path
from staffetta.formats.address_list import parse_list
from staffetta.formats.eml import (
    LineEnds,
    MboxMessage,
    MboxOversize,
    MboxReader,
    format_mbox,
    normalise_line_ends,
)
from staffetta.formats.encoded import decode_charset, decode_words
from staffetta.formats.imapdata import format_string
from staffetta.formats.text import fold, strip_html
from tests.oracle.imap_values import read_value

# From 1900 to 2199: what four digits of year and every zone can say.
INSTANTS = st.integers(-2_208_902_400, 7_258_032_000)
OFFSETS = st.integers(-23 * 60, 23 * 60)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(
    lambda label: not label.startswith("xn--")
)
DOMAINS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
LOCALS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20)
CUTS = st.lists(st.integers(1, 40), max_size=30)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(INSTANTS, OFFSETS)
def test_dates_of_mail(utc_s: int, offset_minutes: int) -> None:
    text = dates.format_rfc5322(utc_s, offset_minutes)
    found = dates.parse_date(text.encode())
    assert found == (utc_s, offset_minutes, (utc_s + offset_minutes * 60) // dates.DAY_S)
    assert email.utils.parsedate_to_datetime(text).timestamp() == utc_s


@given(INSTANTS, OFFSETS)
def test_internaldates(utc_s: int, offset_minutes: int) -> None:
    text = dates.format_internaldate(utc_s, offset_minutes)
    found = dates.parse_internaldate(text[1:-1])
    assert found is not None
    assert (found.utc_s, found.offset_minutes) == (utc_s, offset_minutes)


@given(st.integers(-1_000_000, 5_000_000))
def test_days(days: int) -> None:
    assert dates.count_days(*dates.split_days(days)) == days


@given(
    st.binary(max_size=60) | st.text("0123456789 :+-,./()JanMrGTEZ", max_size=60).map(str.encode)
)
def test_any_bytes_are_a_date_or_none(value: bytes) -> None:
    found = dates.parse_date(value)
    if found is not None:
        assert found.utc_s + found.offset_minutes * 60 - found.day * dates.DAY_S in range(86_400)


@given(LOCALS, DOMAINS)
def test_mailboxes(local: str, domain: str) -> None:
    address = Address(local, domain)
    assert parse_mailbox(str(address)) == address
    path = f"<{address}>".encode()
    assert parse_path(path) == address
    assert split_path(path + b" SIZE=1") == (path, b"SIZE=1")


@given(LOCALS, DOMAINS, st.text(max_size=20))
def test_mailboxes_in_lists(local: str, domain: str, name: str) -> None:
    name = " ".join("".join(c for c in name if c.isprintable()).split())
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    listed = parse_list(f'"{quoted}" <{Address(local, domain)}>, x@y'.encode())
    assert [member[2:4] for member in listed] == [(local.encode(), domain.encode()), (b"x", b"y")]
    assert (listed[0].name or b"").decode() == name


@given(st.text(max_size=40))
def test_any_text_is_a_mailbox_or_refused(text: str) -> None:
    try:
        address = parse_mailbox(text, smtputf8=True)
    except AddressError:
        return
    assert parse_mailbox(str(address), smtputf8=True) == address
    address.unicode_domain.encode()
    assert address.key == Address(address.key.rpartition("@")[0], address.domain).key


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=60))
def test_encoded_words(text: str) -> None:
    text = " ".join(text.split())
    encoded = email.header.Header(text, "utf-8", maxlinelen=60).encode(linesep="")
    assert decode_words(encoded.encode()) == text


@given(st.binary(max_size=200), st.sampled_from([None, "utf-8", "utf-16", "hz", "x-none", "utf-7"]))
def test_any_bytes_are_text(data: bytes, charset: str | None) -> None:
    decode_charset(data, charset)
    decode_words(data)


@given(st.binary(max_size=100))
def test_strings_on_the_wire(text: bytes) -> None:
    assert read_value(format_string(text)) == text.replace(b"\0", b"?")


@given(st.text(max_size=60))
def test_folding(text: str) -> None:
    folded = fold(text)
    assert fold(folded) == folded
    assert fold(text.upper().lower()) == fold(text.lower().upper().lower())
    assert fold(unicodedata.normalize("NFC", text)) == fold(unicodedata.normalize("NFD", text))


@given(st.text("<>!-/&#;abscriptyle'\" =x9\n", max_size=80))
def test_any_markup_has_words(markup: str) -> None:
    assert len(strip_html(markup)) <= len(markup) + 8


@given(st.binary(max_size=200), CUTS)
def test_line_ends_in_pieces(data: bytes, sizes: list[int]) -> None:
    data = data.replace(b"a", b"\n").replace(b"b", b"\r")
    ends = LineEnds()
    assert b"".join(map(ends.feed, cut(data, sizes))) == normalise_line_ends(data)


CONTENTS = st.lists(
    st.sampled_from([b"", b"From x", b">From y", b">>From", b"Subject: a", b"te\rxt"]),
    max_size=8,
).map(lambda lines: b"".join(line + b"\r\n" for line in lines))


@given(st.lists(CONTENTS, max_size=4), CUTS)
def test_mbox(contents: list[bytes], sizes: list[int]) -> None:
    mbox = b"".join(format_mbox(content, "a@b", 0) for content in contents)
    reader = MboxReader()
    found: list[MboxMessage | MboxOversize] = []
    for piece in cut(mbox, sizes):
        found += reader.feed(piece)
    found += reader.close()
    assert [m.content for m in found if isinstance(m, MboxMessage)] == contents
