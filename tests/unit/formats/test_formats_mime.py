"""The scanner on sample mail and on the malformed things that mail is full of."""

from __future__ import annotations

from pathlib import Path

import pytest

from staffetta.formats import mime
from staffetta.formats.mime import Part, scan

SAMPLES = Path(__file__).resolve().parents[2] / "samples"

OUTLINES = {
    "alternativa": "multipart/alternative(text/plain:50 text/html:184)",
    "delivery-status": "multipart/report(text/plain:36 message/delivery-status:115 "
    "text/rfc822-headers:66)",
    "digest": "multipart/digest(message/rfc822[text/plain:20] message/rfc822[text/plain:27])",
    "fattura": "multipart/mixed(text/plain:32 application/pdf:106)",
    "firmato": "multipart/signed(multipart/mixed(text/plain:22 text/csv:24) "
    "application/pgp-signature:84)",
    "forwarded-single": "message/rfc822[text/plain:45]",
    "gruppo": "text/plain:3",
    "headers-only": "text/plain:0",
    "immagini": "multipart/mixed(multipart/related(multipart/alternative(text/plain:43 "
    "text/html:89) image/png:98) application/octet-stream:352)",
    "inoltrato": "multipart/mixed(text/plain:17 "
    "message/rfc822[multipart/alternative(text/plain:23 text/html:43)])",
    "invito": "text/calendar:231",
    "iso-2022-jp": "text/plain:30",
    "latin1-8bit": "text/plain:70",
    "lunga-intestazione": "text/plain:12",
    "mailing-list": "text/plain:106",
    "plain-english": "text/plain:99",
    "quoted-printable": "text/plain:136",
    "semplice": "text/plain:67",
    "senza-parti": "multipart/mixed(text/plain:0)",
    "spezzato": "multipart/mixed(text/plain:13 image/jpeg:18)",
    "utf8-headers": "text/plain:10",
    "windows-quotes": "text/plain:26",
}


def outline(part: Part) -> str:
    name = f"{part.type.decode('latin-1')}/{part.subtype.decode('latin-1')}"
    if part.children:
        return f"{name}({' '.join(map(outline, part.children))})"
    if part.message is not None:
        return f"{name}[{outline(part.message)}]"
    return f"{name}:{part.size_bytes}"


def make(content_type: str, *lines: str) -> bytes:
    return "\r\n".join([f"Content-Type: {content_type}", "", *lines]).encode("latin-1")


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.eml")), ids=lambda path: path.stem)
def test_sample_outlines(path: Path) -> None:
    assert outline(scan(path.read_bytes())) == OUTLINES[path.stem]


def test_every_field_of_an_attachment() -> None:
    data = (SAMPLES / "fattura.eml").read_bytes()
    part = scan(data).children[1]
    assert data[part.header_start :].startswith(b"Content-Type: application/pdf")
    assert data[part.body_start :].startswith(b"JVBERi0")
    assert data[part.body_end :].startswith(b"\r\n--fattura--")
    assert part.params == ((b"name", b"=?utf-8?Q?Fattura_attivit=C3=A0.pdf?="),)
    assert part.encoding == b"base64"
    assert part.id == b"<fattura-12-pdf@fornitore.example>"
    assert part.description == b"Fattura di marzo"
    assert part.disposition == b"attachment"
    assert part.disposition_params == (
        (b"size", b"77"),
        (b"filename*", b"utf-8'it'Fattura%20attivit%C3%A0.pdf"),
    )
    assert part.languages == (b"it", b"en")
    assert part.location == b"fatture/12.pdf"
    assert part.md5 == b"Q2hlY2sgSW50ZWdyaXR5IQ=="


def test_lines_are_counted_for_text_and_messages() -> None:
    root = scan((SAMPLES / "inoltrato.eml").read_bytes())
    text, attached = root.children
    assert text.lines == 0, "the last line end belongs to the delimiter"
    assert attached.message is not None
    body = (SAMPLES / "inoltrato.eml").read_bytes()[attached.body_start : attached.body_end]
    assert attached.lines == body.count(b"\n") == 17


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"", b""),
        (b"\r\n", b""),
        (b"\r\nbody", b"body"),
        (b"\nbody", b"body"),
        (b"A: b\r\n\r\nbody", b"body"),
        (b"A: b\n\nbody", b"body"),
        (b"A: b\r\n\nbody", b"body"),
        (b"A: b\n\r\nbody", b"body"),
        (b"A: b\n\nbody\r\n\r\nmore", b"body\r\n\r\nmore"),
        (b"A: b\r\n", b""),
        (b"A: b", b""),
        (b"A: b\r\r\nbody", b""),
    ],
)
def test_where_the_body_starts(data: bytes, body: bytes) -> None:
    root = scan(data)
    assert data[root.body_start : root.body_end] == body


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("text/html", "text/html"),
        ("TEXT/HTML; CHARSET=UTF-8", "text/html charset=UTF-8"),
        ("text/html;charset=utf-8", "text/html charset=utf-8"),
        ('text/html; charset = "utf-8" ; format=flowed', "text/html charset=utf-8 format=flowed"),
        ('text/html (a (nested) comment); charset="utf-8"', "text/html charset=utf-8"),
        ('text/html; charset="a(b"', "text/html charset=a(b"),
        (r'a/b; name="say \"hi\" \\"', 'a/b name=say "hi" \\'),
        ('a/b; name="two\r\n lines"', "a/b name=two lines"),
        ("text/html;;;; charset=x", "text/html charset=x"),
        ("text/html; charset", "text/html"),
        ("text", "text/plain charset=us-ascii"),
        ("/", "text/plain charset=us-ascii"),
        ("", "text/plain charset=us-ascii"),
        ('a/b; name="never closed', "a/b"),
        ("a/b; name*1=b; name*0=a", "a/b name=ab"),
        ("a/b; name*0=a; name*2=c", "a/b name=a"),
        ("a/b; name*0*=utf-8''a%20; name*1=b", "a/b name*=utf-8''a%20b"),
        ("a/b; name*-1=a; x=y", "a/b name*-1=a x=y"),
    ],
)
def test_content_types(value: str, wanted: str) -> None:
    media, subtype, params = mime.parse_content_type(value.encode())
    pairs = [f"{name.decode()}={text.decode()}" for name, text in params]
    assert " ".join([f"{media.decode()}/{subtype.decode()}", *pairs]) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b" BASE64", b"base64"),
        (b" base64 (comment)", b"base64"),
        (b' "base64"', b"7bit"),
        (b" base64;", b"7bit"),
        (b"", b"7bit"),
        (b" x-foo", b"x-foo"),
    ],
)
def test_transfer_encodings(value: bytes, wanted: bytes) -> None:
    assert mime.parse_encoding(value) == wanted


def test_the_last_of_repeated_fields_counts() -> None:
    data = b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n"
    assert outline(scan(data)) == "text/html:0"


def test_a_boundary_may_be_followed_by_white_space_but_not_by_more_boundary() -> None:
    inner = "multipart/mixed; boundary=abc"
    data = make(
        "multipart/mixed; boundary=ab",
        "--ab \t",
        f"Content-Type: {inner}",
        "",
        "--abc",
        "",
        "one",
        "--abc--",
        "--ab--trailing",
        "--ab",
        "never a part",
    )
    assert outline(scan(data)) == "multipart/mixed(multipart/mixed(text/plain:3))"


def test_an_outer_boundary_ends_inner_parts() -> None:
    data = make(
        "multipart/mixed; boundary=a",
        "--a",
        "Content-Type: multipart/mixed; boundary=b",
        "",
        "--b",
        "",
        "cut short",
        "--a",
        "",
        "next",
        "--a--",
    )
    assert outline(scan(data)) == "multipart/mixed(multipart/mixed(text/plain:9) text/plain:4)"


def test_the_line_end_between_two_delimiters_is_the_outer_one_s() -> None:
    # RFC 2046 section 5.1.1: what a signature covers must not depend on the nesting.
    data = make(
        "multipart/signed; boundary=s",
        "--s",
        "Content-Type: multipart/mixed; boundary=m",
        "",
        "--m",
        "",
        "x",
        "--m--",
        "--s--",
    )
    signed = scan(data).children[0]
    assert data[signed.header_start : signed.body_end].endswith(b"--m--")


def test_parts_without_anything_between_their_delimiters() -> None:
    data = make("multipart/mixed; boundary=z", "--z", "--z", "", "--z--")
    spans = [(part.body_start, part.body_end) for part in scan(data).children]
    assert len(spans) == 2
    assert all(data[start:end] == b"" for start, end in spans)


def test_bare_line_feeds() -> None:
    data = (SAMPLES / "immagini.eml").read_bytes()
    root = scan(data.replace(b"\r\n", b"\n"))
    shape = "multipart/mixed(multipart/related(multipart/alternative(text/plain:43 text/html:88) "
    assert outline(root).startswith(shape)


def test_depth_is_bounded() -> None:
    levels = mime.DEPTH_MAX + 50
    nested = "".join(
        f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(levels)
    )
    part = scan(nested.encode())
    depth = 0
    while part.children:
        part = part.children[0]
        depth += 1
    assert depth == mime.DEPTH_MAX
    assert outline(part).startswith("application/octet-stream:")


def test_parts_are_bounded_and_the_last_takes_the_rest() -> None:
    count = mime.PARTS_MAX + 10
    data = make("multipart/mixed; boundary=z") + b"\r\n--z\r\n\r\nx" * count
    root = scan(data)
    assert len(root.children) == mime.PARTS_MAX
    assert root.children[-1].body_end == len(data)


def test_parameters_are_bounded() -> None:
    value = b"a/b" + b"; x=y" * 1000
    assert len(mime.parse_content_type(value)[2]) == mime.PARAMETERS_MAX


def test_headers_beyond_the_budget_are_not_read() -> None:
    part = b"--z\r\nContent-Type: text/html\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n\r\n"
    data = make("multipart/mixed; boundary=z", "") + part * 10
    subtypes = [part.subtype for part in scan(data).children]
    assert subtypes[0] == b"html"
    assert subtypes[-1] == b"plain"
    assert len(subtypes) == 10
