"""Encoded words, parameters, charsets and transfer encodings."""

from __future__ import annotations

import encodings
from pathlib import Path

import pytest

from staffetta.formats.encoded import (
    decode_base64,
    decode_charset,
    decode_param,
    decode_text,
    decode_words,
    find_codec,
    find_filename,
)
from staffetta.formats.mime import scan

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?q?Perch=C3=A9?=", "Perché"),
        (b"=?UTF-8?B?UGVyY2jDqQ==?=", "Perché"),
        (b"=?iso-8859-1?Q?Citt=E0_bella?=", "Città bella"),
        (b"=?utf-8*it?q?=C3=A8?=", "è"),
        (b"a =?utf-8?q?b?= c", "a b c"),
        (b"=?utf-8?q?a?=  =?utf-8?q?b?=", "ab"),
        (b"=?utf-8?q?a?= - =?utf-8?q?b?=", "a - b"),
        (b"=?utf-8?b?w6g=?= =?utf-8?q?=C3?= =?utf-8?q?=A8?=", "èè"),
        (b"=?utf-8?q?=C3=A8?= =?iso-8859-1?q?=E8?=", "èè"),
        (b"=?utf-8?q?a=?=", "a="),
        (b"=?utf-8?q?a=XY?=", "a=XY"),
        (b"=?utf-8?b?%%%?=", ""),
        (b"=?utf-8?b?YWI?=", "ab"),
        (b"=?utf-8?b?YWJjZ?=", "abc"),
        (b"=?x-none?q?caff=E8?=", "caffè"),
        (b"=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        (b"=?utf-8?q?never closed", "=?utf-8?q?never closed"),
        ("già".encode(), "già"),
        ("già".encode("latin-1"), "già"),
        (b"=?iso-2022-jp?B?GyRCOzNFRBsoQg==?=", "山田"),
    ],
)
def test_words(raw: bytes, text: str) -> None:
    assert decode_words(raw) == text


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("UTF-8", "utf_8"),
        ("utf8", "utf_8"),
        (" 'utf-8' ", "utf_8"),
        ("iso-8859-1", "cp1252"),
        ("US-ASCII", "cp1252"),
        ("windows-1252", "cp1252"),
        ("ISO-8859-15", "iso8859_15"),
        ("gb2312", "gb18030"),
        ("ks_c_5601-1987", "cp949"),
        ("Shift_JIS", "cp932"),
        ("koi8-r", "koi8_r"),
        ("x-unknown", None),
        ("", None),
        ("zlib", None),
        ("rot13", None),
        ("hex", None),
        ("base64", None),
        ("idna", None),
        ("punycode", None),
        ("unicode_escape", None),
        ("undefined", None),
        ("../../x", None),
        ("a\0b", None),
    ],
)
def test_charsets(charset: str, codec: str | None) -> None:
    assert find_codec(charset) == codec


def test_unknown_charsets_leave_no_trace_in_the_interpreter() -> None:
    before = len(encodings._cache)
    for number in range(100):
        decode_charset(b"caff\xe8", f"x-made-up-{number}")
    assert len(encodings._cache) == before


@pytest.mark.parametrize("charset", ["utf-8", "utf-7", "utf-16", "iso-2022-kr", "hz", "big5", "x"])
def test_any_bytes_decode(charset: str) -> None:
    assert isinstance(decode_charset(bytes(range(256)) * 3, charset), str)


def test_text_that_lies_about_its_charset() -> None:
    assert decode_charset("città".encode(), "us-ascii") == "città"
    assert decode_charset("città".encode(), "iso-8859-1") == "città"
    assert decode_charset(b"\x93citt\xe0\x94", "iso-8859-1") == "“città”"
    assert decode_charset(b"citt\xe0", "utf-8") == "citt\ufffd"
    assert decode_charset(b"\x81", None) == "\ufffd"


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("quoted-printable", "Perché è ferragosto, e chi può è già al mare: la spiaggia"),
        ("latin1-8bit", "La Sua carta è pronta: può ritirarla già da lunedì, perché"),
        ("windows-quotes", "It’s €10 – “only today”."),
        ("iso-2022-jp", "会議は10時です。"),
        ("utf8-headers", "Grüße!"),
    ],
)
def test_text_of_samples(name: str, start: str) -> None:
    data = (SAMPLES / f"{name}.eml").read_bytes()
    assert decode_text(scan(data), data).startswith(start)


def test_names_of_files() -> None:
    invoice = scan((SAMPLES / "fattura.eml").read_bytes()).children[1]
    assert find_filename(invoice) == "Fattura attività.pdf"
    assert decode_param(invoice.params, b"name") == "Fattura attività.pdf"
    price_list = scan((SAMPLES / "immagini.eml").read_bytes()).children[1]
    assert find_filename(price_list) == 'listino "2025".xlsx'
    assert find_filename(scan(b"")) is None


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({b"name": b"a"}, "a"),
        ({b"name*": b"utf-8''%C3%A8"}, "è"),
        ({b"name*": b"iso-8859-1'it'%E8"}, "è"),
        ({b"name*": b"%41"}, "A"),
        ({b"name*": b"utf-8''%zz%"}, "%zz%"),
        ({b"name": b"old", b"name*": b"utf-8''n%C3%A9w"}, "néw"),
        ({b"other": b"a"}, None),
    ],
)
def test_params(params: dict[bytes, bytes], text: str | None) -> None:
    assert decode_param(tuple(params.items()), b"name") == text


def test_broken_base64() -> None:
    assert decode_base64(b"YW!!Jj\r\n**ZGVm") == b"abcdef"
    assert decode_base64(b"YWJjZA") == b"abcd"
    assert decode_base64(b"Y") == b""
    assert decode_base64(b"") == b""


def test_uuencoded_text() -> None:
    head = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n"
    data = head + b"begin 644 f.txt\r\n#86)C\r\n`\r\nend\r\n"
    assert decode_text(scan(data), data) == "abc"
    assert decode_text(scan(head + b"nothing"), head + b"nothing") == "nothing"
