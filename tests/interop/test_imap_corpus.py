"""Hostile and odd mail in, by delivery; out by IMAP with equal bytes, readable answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from imapclient import IMAPClient

from tests.imap_live import serve
from tests.imap_rig import PASSWORD, Rig

ROOT = Path(__file__).parent.parent.parent
CORPUS = Path(os.environ.get("STAFFETTA_CORPUS", ROOT.parent / "shared/corpora/given"))
SAMPLES = Path(__file__).parent.parent / "samples"
SUFFIXES = (".eml", ".msg", ".txt", ".out", ".bin")
AT_ONCE = 50

ITEMS = (
    ["BODY.PEEK[]", "RFC822.SIZE"],
    ["ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE"],
    ["BODY", "EMAILID"],
    ["BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]"],
    ["BODY.PEEK[1]", "BODY.PEEK[1.MIME]", "BODY.PEEK[2.1]", "BODY.PEEK[]<100.50>"],
)


def read_mails() -> list[bytes]:
    """The hostile and the odd mail; the samples where the corpus is absent."""
    folders = [CORPUS / "hostile", CORPUS / "mime"] if CORPUS.is_dir() else [SAMPLES]
    paths = (path for folder in folders for path in sorted(folder.rglob("*")))
    found = [path.read_bytes() for path in paths if path.suffix in SUFFIXES and path.is_file()]
    return [mail for mail in found if mail]


def batches(numbers: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), AT_ONCE):
        yield numbers[start : start + AT_ONCE]


@pytest.mark.corpus
def test_whatever_was_delivered_is_read_as_it_was(tmp_path: Path) -> None:
    mails = read_mails()
    assert len(mails) > 10

    async def deliver(rig: Rig) -> None:
        for start in range(0, len(mails), AT_ONCE):
            await rig.deliver(*mails[start : start + AT_ONCE])

    with serve(tmp_path) as door, IMAPClient("localhost", door.port, ssl=False) as client:
        door.run(deliver)
        client.login("anna@libero.example", PASSWORD)
        assert client.select_folder("INBOX")[b"EXISTS"] == len(mails)
        for uids in batches(client.search()):
            got = [client.fetch(uids, items) for items in ITEMS]
            for uid in uids:
                mail = mails[uid - 1]
                shown = mail.replace(b"\0", b"\x80")  # RFC 3501 9: a literal holds no NUL
                assert got[0][uid][b"BODY[]"] == shown
                assert got[0][uid][b"RFC822.SIZE"] == len(mail)
                assert got[3][uid][b"BODY[HEADER]"] + got[3][uid][b"BODY[TEXT]"] == shown
                assert got[4][uid][b"BODY[]<100>"] == shown[100:150]
                assert all(uid in answer for answer in got)
