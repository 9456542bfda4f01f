"""The words of a message, and how letters are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from staffetta.formats import text
from staffetta.formats.mime import scan
from staffetta.formats.text import fold, searchable, strip_html

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("CITTÀ", "citta"),
        ("citta\u0300", "citta"),
        ("Straße", "strasse"),
        ("ﬁnale", "finale"),
        ("ＡＢＣ", "abc"),
        ("İstanbul", "istanbul"),
        ("naïve café", "naive cafe"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("Ёлка", "елка"),
        ("soft\u00adhyphen", "softhyphen"),
    ],
)
def test_folding(written: str, folded: str) -> None:
    assert fold(written) == folded


def test_folding_a_long_run_of_marks_is_quick() -> None:
    assert fold("a" + "\u0315\u0300\u093c\u094d" * 100_000)[0] == "a"


@pytest.mark.parametrize(
    ("markup", "words"),
    [
        ("<p>one</p><p>two</p>", "one two"),
        ("cit<b>tà</b>", "città"),
        ("<style>hidden</style>seen<script>hidden</script>", "seen"),
        ("<SCRIPT>hidden</SCRIPT >seen", "seen"),
        ("a<!-- hidden -->b", "a b"),
        ("a<!-- never closed b", "a"),
        ("a<script>never closed", "a"),
        ("perch&eacute; &#232; &amp;", "perché è &"),
        ("2 < 3", "2 < 3"),
        ("<a href='x>y'>z", "y'>z"),
        ("&#99999999999999999999;", "\ufffd"),
        ("<scripture>seen", "seen"),
    ],
)
def test_html(markup: str, words: str) -> None:
    assert " ".join(strip_html(markup).split()) == words


def test_words_of_a_message() -> None:
    data = (SAMPLES / "alternativa.eml").read_bytes()
    header, body = searchable(data, scan(data))
    assert "subject: il suo prestito scade" in header
    assert body.count("la citta invisibile") == 2
    assert body.count("scade lunedi") == 2
    assert "nascosto" not in body
    assert "color" not in body


def test_words_of_what_is_inside() -> None:
    data = (SAMPLES / "inoltrato.eml").read_bytes()
    header, body = searchable(data, scan(data))
    assert "direzione" not in header
    assert "from: " + '"direzione, ufficio"' in body
    assert "la riunione e alle 10" in body
    data = (SAMPLES / "fattura.eml").read_bytes()
    assert "fattura attivita.pdf" in searchable(data, scan(data))[1]


def test_words_are_bounded() -> None:
    header = b"Subject: " + b"a" * (text.HEADER_TEXT_CHARS_MAX + 10) + b"\r\nTo: b\r\n\r\n"
    data = header + b"c" * (text.BODY_TEXT_CHARS_MAX + 10)
    found, body = searchable(data, scan(data))
    assert len(found) == text.HEADER_TEXT_CHARS_MAX
    assert len(body) == text.BODY_TEXT_CHARS_MAX
