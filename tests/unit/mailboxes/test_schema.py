"""New files, old files, and files of a later release."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from staffetta.mailboxes import files, schema
from staffetta.mailboxes.port import FOLDERS_MAX, Arrange, FolderRefused, MailboxDamaged
from staffetta.mailboxes.roster import path_of
from staffetta.mailboxes.schema import PAGE_SIZE_BYTES, Template
from staffetta.runtime.faults import FaultMode, VolumeFault
from tests.mailbox_rig import (
    REF,
    contents,
    fill,
    folder_names,
    mail,
    make_memory_cell,
    make_sqlite_cell,
)


def test_the_image_is_a_sound_database_with_the_numbers_of_its_mailbox(tmp_path: Path) -> None:
    file = tmp_path / "new.mbx"
    file.write_bytes(Template().make(4711, 1_600_000_000))

    with apsw.Connection(str(file)) as database:
        assert database.pragma("integrity_check") == "ok"
        assert database.pragma("journal_mode") == "wal"
        assert database.execute(
            "SELECT mailbox,uid_validity,uid_validity_last FROM mailbox"
        ).fetchall() == [(4711, 1_600_000_000, 1_600_000_000)]
        assert database.execute("SELECT DISTINCT uid_validity FROM folder").fetchall() == [
            (1_600_000_000,)
        ]
    database.close()


def test_pages_of_the_schema_are_the_same_in_a_used_file(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    fill(cell, [mail("x" * 500)] * 50)
    with cell.files.borrow(REF) as file:
        file.database.row("PRAGMA wal_checkpoint(TRUNCATE)")
    cell.close()
    raw = (tmp_path / "one" / path_of(REF.mailbox)).read_bytes()

    pages = Template().schema_pages()

    assert 1 in pages
    for page, wanted in pages.items():
        header = 100 if page == 1 else 0  # counters of the file's own
        found = raw[(page - 1) * PAGE_SIZE_BYTES : page * PAGE_SIZE_BYTES]
        assert found[header:] == wanted[header:]


def test_an_older_file_is_brought_up_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make_sqlite_cell(tmp_path)
    fill(cell, [mail()])
    cell.close()
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 2)
    monkeypatch.setattr(files, "VERSION", schema.VERSION)
    monkeypatch.setattr(
        schema,
        "_MIGRATIONS",
        ("CREATE TABLE one(n);\nINSERT INTO one VALUES(1)", "CREATE TABLE two(n)"),
    )

    for seed in (1, 2):
        later = make_sqlite_cell(tmp_path, seed=seed)
        assert len(contents(later.open(REF))) == 1
        with later.files.borrow(REF) as file:
            assert file.database.rows("SELECT version FROM mailbox") == [(schema.VERSION,)]
            assert file.database.rows("SELECT n FROM one") == [(1,)]
            assert file.database.rows("SELECT n FROM two") == []
        later.close()


def test_a_file_of_a_later_release_is_left_alone_and_not_called_damaged(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    fill(cell, [mail()])
    with cell.files.borrow(REF) as file:
        file.database.run("UPDATE mailbox SET version=version+1")
    cell.close()

    with pytest.raises(VolumeFault) as caught:
        cell.open(REF)

    assert caught.value.mode is FaultMode.ERROR


def test_the_file_of_another_mailbox_is_not_taken_for_this_one(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    fill(cell, [mail()])
    cell.close()
    path = tmp_path / "one" / path_of(REF.mailbox)
    path.rename(path.with_name(f"{REF.mailbox + 256}.mbx"))
    other = type(REF)(REF.mailbox + 256, 5)

    with pytest.raises(VolumeFault, match="file of mailbox 4711"):
        cell.open(other)


def test_a_database_of_something_else_is_damage(tmp_path: Path) -> None:
    cell = make_sqlite_cell(tmp_path)
    fill(cell, [mail()])
    cell.close()
    path = tmp_path / "one" / path_of(REF.mailbox)
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink()
    with apsw.Connection(str(path)) as database:
        database.execute("CREATE TABLE other(n)")
    database.close()

    with pytest.raises(MailboxDamaged, match="no such table"):
        cell.open(REF)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_mailbox_has_a_bounded_number_of_folders(tmp_path: Path, kind: str) -> None:
    cell = make_memory_cell() if kind == "memory" else make_sqlite_cell(tmp_path)
    mailbox = cell.open(REF)

    def make_many() -> None:
        for number in range(FOLDERS_MAX):
            levels = "/".join([f"{number}", *"abcdefghijklmnopqrstuvwxyz"])
            mailbox.arrange(Arrange("create", levels))

    with pytest.raises(FolderRefused, match="at most"):
        make_many()

    assert FOLDERS_MAX - 27 < len(folder_names(mailbox)) <= FOLDERS_MAX
