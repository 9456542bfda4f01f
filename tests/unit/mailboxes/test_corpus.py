"""Real, odd and hostile mail goes in and comes out with the same bytes, and is found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from staffetta.formats.mime import scan
from staffetta.formats.text import searchable
from staffetta.mailboxes.port import INBOX, Column, Query
from tests.mailbox_rig import EVERYTHING, REF, fill, make_sqlite_cell, read

ROOT = Path(__file__).parents[3]
CORPUS = Path(os.environ.get("STAFFETTA_CORPUS", ROOT.parent / "shared/corpora/given"))
SAMPLES = ROOT / "tests/samples"
FOLDERS = ("hostile", "italian-synthetic", "mime/cpython", "mime/mime4j")
BATCH = 100
NEEDLES = ("perché", "a", "mario@", "=?", "boundary", "zzqxjw", "content-type: text")


def find_mail() -> list[Path]:
    if CORPUS.is_dir():
        found = [path for name in FOLDERS for path in sorted((CORPUS / name).rglob("*"))]
    else:
        found = sorted(SAMPLES.glob("*.eml"))
    return [path for path in found if path.is_file()]


@pytest.mark.corpus
def test_all_mail_comes_out_as_it_went_in_and_is_found(tmp_path: Path) -> None:
    contents = [path.read_bytes() for path in find_mail()]
    cell = make_sqlite_cell(tmp_path)
    for start in range(0, len(contents), BATCH):
        fill(cell, contents[start : start + BATCH], first=start + 1)
    mailbox = cell.open(REF)

    assert list(read(mailbox, Column.CONTENT).values()) == contents
    assert list(read(mailbox, Column.SIZE).values()) == [len(content) for content in contents]
    texts = [searchable(content, scan(content)) for content in contents]
    for needle in NEEDLES:
        folded = "perche" if needle == "perché" else needle
        wanted = [uid for uid, (head, body) in enumerate(texts, 1) if folded in head + "\n" + body]
        assert mailbox.search(INBOX, EVERYTHING, Query("TEXT", text=needle)) == wanted
    assert cell.check(REF).problems == []
