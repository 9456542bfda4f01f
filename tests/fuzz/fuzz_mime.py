"""Throws damaged messages at the formats: `python -m tests.fuzz.fuzz_mime --seconds 60`.

Whatever the bytes, nothing may be raised, offsets must be consistent, and the ready-made IMAP
values must be well formed. What breaks that is kept in the corpus, where it is tried for ever
after.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
from pathlib import Path

from staffetta.formats import imapdata
from staffetta.formats.address_list import parse_list
from staffetta.formats.dates import parse_date
from staffetta.formats.encoded import decode_body, decode_words, find_filename
from staffetta.formats.headers import count_received, prepare_selection, split_fields, unfold
from staffetta.formats.mime import DEPTH_MAX, PARTS_MAX, Part
from staffetta.formats.prepared import prepare
from staffetta.formats.text import searchable
from tests.oracle.imap_values import check_envelope, check_structure, read_value

CORPUS = Path(__file__).parent / "corpus" / "mime"
SAMPLES = Path(__file__).parents[1] / "samples"
NAMES = [b"to", b"Subject", b"content-type"]


def check_message(data: bytes) -> None:
    """Raises, as a rule AssertionError, if the message brings the formats down."""
    prepared = prepare(data)
    root = prepared.root
    assert (root.header_start, root.body_end) == (0, len(data))
    assert check_part(data, root, 0) <= PARTS_MAX + 2 * DEPTH_MAX
    check_envelope(read_value(prepared.envelope))
    check_structure(read_value(prepared.bodystructure))
    check_structure(read_value(imapdata.body(data, root)), extended=False)
    assert prepared.sent_s is None or abs(prepared.sent_s) < 1 << 40
    for text in searchable(data, root):
        text.encode("utf-8", "surrogatepass")
    header = data[: root.body_start]
    selected = prepare_selection(NAMES).select(header)
    rest = prepare_selection(NAMES, inverted=True).select(header)
    assert sorted(_fields(selected) + _fields(rest)) == sorted(_fields(header))
    assert count_received(header) <= header.lower().count(b"received")
    for _, value in split_fields(header):
        decode_words(unfold(value))
        parse_list(value)
        parse_date(value)
    _check_sections(data, root, [], root)


def check_part(data: bytes, part: Part, depth: int) -> int:
    """How many parts there are; AssertionError if one does not lie within the other."""
    assert depth <= DEPTH_MAX
    assert part.header_start <= part.body_start <= part.body_end
    assert not (part.children and part.message)
    assert bool(part.children) == (part.type == b"multipart")
    find_filename(part)
    count = 1
    position = part.body_start
    for child in part.children:
        assert position <= child.header_start
        assert child.body_end <= part.body_end
        count += check_part(data, child, depth + 1)
        position = child.body_end
    if part.message is not None:
        inner = part.message
        assert (inner.header_start, inner.body_end) == (part.body_start, part.body_end)
        count += check_part(data, inner, depth + 1)
    if part.type == b"text" or part.message is not None:
        assert part.lines == data.count(b"\n", part.body_start, part.body_end)
    if part.type == b"text":
        decode_body(part, data)
    return count


def _check_sections(data: bytes, root: Part, path: list[int], message: Part) -> None:
    """Sections by number are where the parts are; header and text make up the whole message."""
    header = imapdata.section(data, root, path, "HEADER")
    text = imapdata.section(data, root, path, "TEXT")
    assert isinstance(header, tuple)
    assert isinstance(text, tuple)
    assert header[1] == text[0]
    assert imapdata.section(data, root, path, "") == (header[0], text[1])
    parts = message.children or (message,)
    for number, part in enumerate(parts[:20], 1):
        mime = imapdata.section(data, root, [*path, number], "MIME")
        whole = imapdata.section(data, root, [*path, number], "")
        assert mime == (part.header_start, part.body_start)
        assert whole == (part.body_start, part.body_end)
        if part.message is not None and len(path) < 10:
            _check_sections(data, root, [*path, number], part.message)
    assert imapdata.section(data, root, [*path, len(parts) + 1], "") is None


def _fields(block: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, unfold(value)) for name, value in split_fields(block)]


def read_corpus() -> list[bytes]:
    """The messages that are kept, and the sample mail, in a steady order."""
    paths = [*sorted(CORPUS.glob("*.eml")), *sorted(SAMPLES.glob("*.eml"))]
    return [path.read_bytes() for path in paths]


SNIPPETS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\r\n\r\n",
    b"\r\n--",
    b"--",
    b"\r\n--z\r\n",
    b"\r\n--z--\r\n",
    b"Content-Type: multipart/mixed; boundary=z\r\n",
    b'Content-Type: multipart/digest; boundary=""\r\n',
    b"Content-Type: message/rfc822\r\n",
    b"Content-Type: text/html; charset=utf-7\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"Content-Transfer-Encoding: x-uuencode\r\n",
    b"Content-Disposition: attachment; filename*0*=utf-8''a; filename*1=b\r\n",
    b'To: g: a@b, "c" <d@e>;\r\n',
    b"Date: Mon, 3 Mar 2025 10:22:11 +0100\r\n",
    b"=?utf-8?q?=C3?= =?utf-8?b?qA==?=",
    b'"',
    b"\\",
    b"(",
    b")",
    b"<",
    b">",
    b";",
    b":",
    b"@",
    b"*0*=",
    b"\xc3\xa8",
    b"<!--",
    b"<script>",
    b"&#x110000;",
]


def damage(messages: list[bytes], chance: random.Random) -> bytes:
    """A message made of kept ones, with a few things wrong in it."""
    octets = bytearray(chance.choice(messages))
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(octets) + 1)
        match chance.randrange(6):
            case 0:
                octets[at : at + chance.randint(1, 30)] = b""
            case 1:
                octets[at:at] = chance.randbytes(chance.randint(1, 4))
            case 2 | 3:
                octets[at:at] = chance.choice(SNIPPETS) * chance.choice([1, 1, 1, 2, 300])
            case 4:
                other = chance.choice(messages)
                start = chance.randrange(len(other) + 1)
                octets[at:at] = other[start : start + chance.randint(1, 400)]
            case _:
                octets[at : at + 1] = bytes([chance.randrange(256)])
    return bytes(octets)


def main() -> None:
    """Run for a while; exit status 1 and a new file in the corpus if something broke."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=30.0)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    chance = random.Random(chosen.seed)
    messages = read_corpus()
    until_s = time.monotonic() + chosen.seconds
    tried = 0
    while time.monotonic() < until_s:
        octets = damage(messages, chance)
        tried += 1
        try:
            check_message(octets)
        except Exception as error:
            name = hashlib.sha256(octets).hexdigest()[:12]
            kept = CORPUS / f"found-{name}.eml"
            kept.write_bytes(octets)
            print(f"{kept}: {error!r}")
            sys.exit(1)
    print(f"{tried} messages, none broke the formats (seed {chosen.seed})")


if __name__ == "__main__":
    main()
