"""Mail made to bring a parser down: no crash, and bounded time and memory.

Time is the processor's, so that a busy machine does not fail the test.
"""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest

from staffetta.formats.eml import normalise_line_ends
from staffetta.formats.prepared import prepare
from staffetta.formats.text import searchable
from tests.fuzz.fuzz_mime import check_message

CHECKOUT = Path(__file__).resolve().parents[2]
CORPUS = Path(os.environ.get("STAFFETTA_CORPUS", CHECKOUT.parent / "shared/corpora/given"))

TIME_S_MAX = 2.0
MEMORY_BYTES_MAX = 96 * 1024 * 1024
LARGE_BYTES = 8 * 1024 * 1024

MULTIPART = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
DIGEST = b"Content-Type: multipart/digest; boundary=b\r\n\r\n"
HTML = b"Content-Type: text/html\r\n\r\n"
UTF8 = b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
NESTED = b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(100)
)
FORWARDED = b"Content-Type: message/rfc822\r\n\r\n" * 99

# What a message begins with, and what is repeated until it is large.
LARGE = {
    "line-ends": (b"", b"\n"),
    "hyphens": (MULTIPART, b"\n--"),
    "delimiters": (MULTIPART, b"\n--b"),
    "nearly-delimiters": (MULTIPART, b"\n--bx"),
    "nested-line-ends": (NESTED, b"\n"),
    "nested-delimiters": (NESTED, b"\n--b"),
    "forwarded": (FORWARDED, b"To: a@b\n"),
    "digest": (DIGEST, b"--b\r\n\r\nTo: g: (x) a@b, (y) c@d;\r\n\r\n"),
    "digest-of-lists": (DIGEST, b"--b\r\n\r\nTo: " + b"(x)a@b," * 20_000 + b"\r\n\r\n"),
    "comments": (MULTIPART, b"--b\r\nContent-Type: a/b" + b" ()" * 20_000 + b"\r\n\r\n"),
    "parameters": (MULTIPART, b"--b\r\nContent-Type: a/b" + b";c*0=d" * 300 + b"\r\n\r\n"),
    "fields": (b"", b"To:\n"),
    "folds": (b"Subject: ", b"\n a"),
    "words": (b"Subject: ", b"=?a?q?"),
    "scripts": (HTML, b"<script>"),
    "markup-comments": (HTML, b"<!--"),
    "references": (HTML, b"&#x"),
    "marks": (UTF8, "\u0315\u0300".encode()),
    "ligatures": (UTF8, "\ufdfa".encode()),
}
# One header field of nearly all that is read of a header.
FIELDS = [b"To: ", b"Date: ", b"Subject: ", b"Content-Type: a/b;", b"Content-Disposition: a;"]
UNITS = [b"a@b,", b"(x)a@b,", b"(", b"()", b'"', b"a:;", b";", b"<", b"a@", b"\\", b" ", b",", b"["]


def _work_through(data: bytes) -> None:
    started_s = time.process_time()
    prepared = prepare(data)
    searchable(data, prepared.root)
    assert time.process_time() - started_s < TIME_S_MAX


@pytest.mark.parametrize("name", LARGE)
def test_large_messages(name: str) -> None:
    start, unit = LARGE[name]
    _work_through((start + unit * (LARGE_BYTES // len(unit) + 1))[:LARGE_BYTES])


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.decode())
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.decode())
def test_large_fields(field: bytes, unit: bytes) -> None:
    _work_through(field + unit * (1_500_000 // len(unit)) + b"\r\n\r\n")


def test_many_address_fields() -> None:
    _work_through(b"To: a@b\r\n" * 150_000 + b"\r\n")


def _list_files(pattern: str) -> list[Path]:
    return [path for path in sorted(CORPUS.glob(pattern)) if path.suffix != ".json"]


@pytest.mark.corpus
def test_hostile_corpus() -> None:
    paths = _list_files("hostile/*.eml")
    if not paths:
        pytest.skip(f"no corpus at {CORPUS} (set STAFFETTA_CORPUS)")
    for path in paths:
        raw = path.read_bytes()
        for data in {raw, normalise_line_ends(raw)}:
            _work_through(data)
            if len(data) < 100_000:
                check_message(data)


@pytest.mark.corpus
def test_hostile_corpus_in_little_memory() -> None:
    paths = _list_files("hostile/*.eml")
    if not paths:
        pytest.skip(f"no corpus at {CORPUS} (set STAFFETTA_CORPUS)")
    paths.sort(key=lambda path: path.stat().st_size)
    tracemalloc.start()
    try:
        for path in paths[-12:]:
            data = path.read_bytes()
            tracemalloc.reset_peak()
            searchable(data, prepare(data).root)
            assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES_MAX, path
    finally:
        tracemalloc.stop()


@pytest.mark.corpus
def test_other_corpora() -> None:
    paths = _list_files("mime/*/*") + _list_files("real/*/*/*")[::40]
    paths = [path for path in paths if path.is_file() and path.stat().st_size < 100_000]
    if not paths:
        pytest.skip(f"no corpus at {CORPUS} (set STAFFETTA_CORPUS)")
    for path in paths:
        check_message(normalise_line_ends(path.read_bytes()))
