"""The bytes that FETCH sends."""

from __future__ import annotations

from pathlib import Path

import pytest

from staffetta.formats import imapdata
from staffetta.formats.headers import prepare_selection
from staffetta.formats.imapdata import format_string, section
from staffetta.formats.mime import scan
from staffetta.formats.prepared import prepare
from tests.oracle.imap_values import check_envelope, check_structure, read_value

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        (b"", b'""'),
        (b"plain text", b'"plain text"'),
        (b'say "hi" \\', b'"say \\"hi\\" \\\\"'),
        (b"caff\xc3\xa8", b"{6}\r\ncaff\xc3\xa8"),
        (b"a\rb", b"{3}\r\na\rb"),
        (b"a\nb", b"{3}\r\na\nb"),
        (b"a\0b", b"{3}\r\na?b"),
        (b"x" * 1001, b"{1001}\r\n" + b"x" * 1001),
        (b"\x01", b'"\x01"'),
    ],
)
def test_strings(text: bytes, wire: bytes) -> None:
    assert format_string(text) == wire


def test_an_ordinary_envelope() -> None:
    data = (SAMPLES / "plain-english.eml").read_bytes()
    hart = b'(("Hart, Emily" NIL "emily.hart" "example.org"))'
    assert imapdata.envelope(data, scan(data)) == (
        b'("Fri, 14 Feb 2025 17:03:44 -0500 (EST)" "Re: Order 4711" '
        + hart
        + b" "
        + hart
        + b" "
        + hart
        + b' ((NIL NIL "support" "virgilio.example"))'
        b' (("Tom Baker" NIL "tom" "example.org")(NIL NIL "ann" "example.org")) NIL'
        b' "<order-4711@shop.example>" "<CA+7f=4711@mail.example.org>")'
    )


def test_an_envelope_of_every_odd_address() -> None:
    data = (SAMPLES / "gruppo.eml").read_bytes()
    _, _, sender, real_sender, reply_to, to, cc, bcc, _, _ = read_value(
        imapdata.envelope(data, scan(data))
    )
    assert sender == [[b"Pete", None, b"pete", b"silly.test"]]
    assert real_sender == [[b'Joe Q. "Public"', None, b"john.q.public", b"example.com"]]
    assert reply_to == [[None, b"@relay.example,@gate.example", b"joe", b"where.test"]]
    assert to == [
        [None, None, b"Famiglia", None],
        [b"Anna", None, b"anna", b"example.it"],
        [b"B, C", None, b"bc", b"example.it"],
        [b"Zio", None, b"zio", b"example.it"],
        [None, None, None, None],
        [None, None, b"Undisclosed recipients", None],
        [None, None, None, None],
        [None, None, b"root", b"MISSING_DOMAIN"],
        [None, None, b"con spazi", b"example.it"],
    ]
    assert cc == [[None, None, b"luca", b"[192.0.2.7]"]]
    assert bcc is None


def test_repeated_fields() -> None:
    data = b"To: a@b\r\nSubject: 1\r\nTo: c@d\r\nSubject: 2\r\n\r\n"
    value = read_value(imapdata.envelope(data, scan(data)))
    assert value[1] == b"2"
    assert value[5] == [[None, None, b"a", b"b"], [None, None, b"c", b"d"]]


def test_structures() -> None:
    data = (SAMPLES / "alternativa.eml").read_bytes()
    root = scan(data)
    text = b'("text" "plain" ("charset" "utf-8") NIL NIL "8bit" 50 1'
    page = b'("text" "html" ("charset" "utf-8") NIL NIL "8bit" 184 3'
    boundary = b'("boundary" "----=_Parte_1") NIL NIL NIL)'
    extra = b" NIL NIL NIL NIL)"
    assert imapdata.body(data, root) == b"(" + text + b")" + page + b') "alternative")'
    assert imapdata.bodystructure(data, root) == (
        b"(" + text + extra + page + extra + b' "alternative" ' + boundary
    )


def test_structure_of_a_message_within() -> None:
    data = (SAMPLES / "inoltrato.eml").read_bytes()
    value = read_value(imapdata.bodystructure(data, scan(data)))
    attached = value[1]
    assert attached[:2] == [b"message", b"rfc822"]
    assert attached[7][1] == b"Riunione"
    assert attached[8][2] == b"alternative"
    assert attached[9] == 17
    assert attached[11] == [b"inline", None]


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.eml")), ids=lambda path: path.stem)
def test_samples_are_well_formed(path: Path) -> None:
    data = path.read_bytes()
    prepared = prepare(data)
    check_envelope(read_value(prepared.envelope))
    check_structure(read_value(prepared.bodystructure))
    check_structure(read_value(imapdata.body(data, prepared.root)), extended=False)


def fetch(name: str, path: list[int], specifier: imapdata.Specifier) -> bytes | None:
    data = (SAMPLES / f"{name}.eml").read_bytes()
    found = section(data, scan(data), path, specifier, prepare_selection([b"Subject"]))
    return data[found[0] : found[1]] if isinstance(found, tuple) else found


def test_sections_of_a_plain_message() -> None:
    data = (SAMPLES / "semplice.eml").read_bytes()
    header, empty, body = data.partition(b"\r\n\r\n")
    assert fetch("semplice", [], "") == data
    assert fetch("semplice", [], "HEADER") == header + empty
    assert fetch("semplice", [], "TEXT") == body
    assert fetch("semplice", [1], "") == body
    assert fetch("semplice", [1], "MIME") == header + empty
    assert fetch("semplice", [], "HEADER.FIELDS") == b"Subject: Pranzo di domenica\r\n\r\n"
    assert fetch("semplice", [], "MIME") is None
    for missing in ([0], [2], [1, 1]):
        assert fetch("semplice", missing, "") is None
    assert fetch("semplice", [1], "HEADER") is None
    assert fetch("semplice", [1], "TEXT") is None


def test_sections_of_a_nested_message() -> None:
    assert fetch("inoltrato", [1], "") == b"Guarda qui sotto."
    assert fetch("inoltrato", [1], "MIME") == b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
    assert fetch("inoltrato", [2], "MIME") == (
        b"Content-Type: message/rfc822\r\nContent-Disposition: inline\r\n\r\n"
    )
    header = fetch("inoltrato", [2], "HEADER")
    text = fetch("inoltrato", [2], "TEXT")
    assert header is not None
    assert text is not None
    assert header.startswith(b'From: "Direzione')
    assert header.endswith(b"boundary=interno\r\n\r\n")
    assert text.startswith(b"--interno\r\n")
    assert fetch("inoltrato", [2], "") == header + text
    assert fetch("inoltrato", [2], "HEADER.FIELDS") == b"Subject: Riunione\r\n\r\n"
    assert fetch("inoltrato", [2, 1], "") == b"La riunione e' alle 10."
    assert fetch("inoltrato", [2, 2], "MIME") == (
        b"Content-Type: text/html; charset=us-ascii\r\n\r\n"
    )
    assert fetch("inoltrato", [2, 3], "") is None
    assert fetch("inoltrato", [2, 1], "HEADER") is None


def test_sections_of_a_message_that_is_only_another() -> None:
    inner = fetch("forwarded-single", [1], "")
    assert inner is not None
    assert inner.startswith(b"From: reader@example.net")
    assert fetch("forwarded-single", [1], "TEXT") == (
        b"Dear desk, your clock is five minutes slow.\r\n"
    )
    assert fetch("forwarded-single", [1, 1], "") == fetch("forwarded-single", [1], "TEXT")
    assert fetch("forwarded-single", [1, 1, 1], "") is None


def test_sections_deep_down() -> None:
    assert fetch("immagini", [1, 1, 1], "") == (b"Parti a maggio: Cefal=C3=B9, 300 =E2=82=AC.")
    assert fetch("immagini", [1, 3], "") is None
    assert fetch("digest", [2, 1], "") == b"Then we go over the hill.\r\n"


def test_what_is_kept_ready() -> None:
    data = (SAMPLES / "plain-english.eml").read_bytes()
    prepared = prepare(data)
    assert prepared.size_bytes == len(data)
    assert data[prepared.header_bytes :].startswith(b"The parcel")
    assert prepared.subject == b"Re: Order 4711"
    assert prepared.message_id == b"<CA+7f=4711@mail.example.org>"
    assert prepared.in_reply_to == b"<order-4711@shop.example>"
    assert prepared.references == b"<order-4710@shop.example> <order-4711@shop.example>"
    assert prepared.sent_s == 1_739_570_624
    assert prepared.sent_day == 20_133
    assert prepare(b"").sent_s is None
    assert prepare(b"").subject is None
