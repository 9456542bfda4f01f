"""Mailboxes to files and back: nothing is lost, and hostile files do no harm."""

from __future__ import annotations

import mailbox as mailbox_files
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staffetta.mailboxes.archive import (
    ExportReport,
    ImportReport,
    export_mailbox,
    import_mailbox,
)
from staffetta.mailboxes.archive_formats import (
    EVERY_FORMAT,
    ArchiveFormat,
    Marks,
    add_status,
    eml_file_name,
    file_path,
    maildir_path,
    read_eml_file_name,
    read_file_name,
    read_info,
    read_maildir_name,
    take_status,
)
from staffetta.mailboxes.port import (
    ANSWERED,
    DELETED,
    DRAFT,
    FLAGGED,
    INBOX,
    SEEN,
    Arrange,
    Cell,
    Column,
    Mailbox,
    NoSuchFolder,
)
from staffetta.mailboxes.progress import Progress, finish
from staffetta.runtime.folders import FolderFault, OperatorFolder, place_of
from tests.mailbox_rig import EVERYTHING, NOON_US, REF, mail, make_memory_cell, make_sqlite_cell

OTHER = replace(REF, mailbox=4712)
QUOTED = b"Subject: q\r\n\r\nFrom here\r\n>From there\r\n\r\nFrom a@b Mon Mar  3 10:22:11 2025\r\n"
OWN_STATUS = b"Status: RO\r\nX-Status: D\r\nX-Keywords: evil\r\nSubject: s\r\n\r\nx\r\n"
SAMPLES = Path(__file__).parents[2] / "samples"
FORMATS = pytest.mark.parametrize("form", list(ArchiveFormat))


@pytest.fixture(params=["memory", "sqlite"])
def cell(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cell]:
    made: Cell
    if request.param == "memory":
        made = make_memory_cell()
    else:
        made = make_sqlite_cell(tmp_path_factory.mktemp("cells"))
    yield made
    for ref in (REF, OTHER):
        assert made.check(ref).problems == []
    made.close()


@pytest.fixture
def box(cell: Cell) -> Mailbox:
    return cell.open(REF)


@pytest.fixture
def target(tmp_path: Path) -> OperatorFolder:
    return OperatorFolder(tmp_path / "archive")


def export(
    box: Mailbox, place: OperatorFolder, form: ArchiveFormat, folder: str = ""
) -> ExportReport:
    return finish(export_mailbox(box, place, form, folder))


def bring_in(box: Mailbox, place: OperatorFolder, path: str = "", **more: object) -> ImportReport:
    return finish(import_mailbox(box, place, path, **more))  # type: ignore[arg-type]


def everything(box: Mailbox, in_seconds: bool = False) -> dict[str, list[tuple[object, ...]]]:
    """All folders with all messages: flags, keywords, time, content."""
    found: dict[str, list[tuple[object, ...]]] = {}
    for folder in box.overview().folders:
        names = box.snapshot(folder.name).keywords
        rows = found[folder.name] = []
        for chunk in box.fetch(folder.name, EVERYTHING, [Column.AT_US, Column.CONTENT]):
            for _, flags, _, at_us, content in chunk:
                assert isinstance(at_us, int)
                keywords = {name for place, name in enumerate(names) if flags >> 5 + place & 1}  # type: ignore[operator]
                at = at_us // 1_000_000 if in_seconds else at_us
                rows.append((flags & 31, keywords, at, content))  # type: ignore[operator]
        rows.sort(key=lambda row: (row[2], row[3]))  # files are read in the order of their times
    return found


def fill(box: Mailbox) -> None:
    for name in ("Archive/2023/Città & co.", "Empty", "..", "../.hidden/x.mbox", "a:b\\c", "cur"):
        box.arrange(Arrange("create", name))
    box.append(INBOX, QUOTED, SEEN | FLAGGED, [], NOON_US + 1)
    box.append(INBOX, OWN_STATUS, 0, ["$Forwarded", "Lavoro"], NOON_US + 2)
    box.append(INBOX, mail(Return_Path="<anna@libero.example>"), ANSWERED, ["Lavoro"], NOON_US)
    box.append("Archive/2023/Città & co.", mail("Più", "è già"), DRAFT | DELETED, [], NOON_US + 3)
    box.append("../.hidden/x.mbox", b"Date: Mon, 3 Mar 2025\r\n\r\n", SEEN, ["$Junk"], 0)
    box.append("cur", b"\r\nno header\r\n", 0, [], NOON_US + 5_000_000)
    for number, sample in enumerate(sorted(SAMPLES.glob("*.eml"))):
        content = sample.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        content += b"" if content.endswith(b"\r\n") else b"\r\n"
        box.append("Sent", content, number % 32, [], NOON_US + number * 1_000_003)


@FORMATS
def test_what_goes_out_comes_in_again(
    cell: Cell, box: Mailbox, target: OperatorFolder, form: ArchiveFormat
) -> None:
    fill(box)
    exported = export(box, target, form)
    overview = box.overview()
    assert (exported.messages, exported.size_bytes) == (overview.messages, overview.used_bytes)
    assert (exported.folders, exported.keywords_left_out) == (len(overview.folders), 0)
    for forms in (frozenset([form]), EVERY_FORMAT):
        ref = OTHER if len(forms) == 1 else replace(REF, mailbox=4713)
        other = cell.open(ref)
        report = bring_in(other, target, forms=forms)
        assert (report.problems, report.left_out) == ([], 0)
        assert (report.messages, report.size_bytes) == (exported.messages, exported.size_bytes)
        in_seconds = form is ArchiveFormat.MBOX
        assert everything(other, in_seconds) == everything(box, in_seconds)
        assert all(one.subscribed for one in other.overview().folders if one.name == "Empty")


@FORMATS
def test_nothing_is_written_outside_or_over(
    box: Mailbox, target: OperatorFolder, tmp_path: Path, form: ArchiveFormat
) -> None:
    fill(box)
    before = set(os.listdir(tmp_path))
    export(box, target, form)
    assert set(os.listdir(tmp_path)) == before | {"archive"}
    with pytest.raises(FolderFault, match="not empty"):
        export(box, target, form)


def test_one_folder_and_those_in_it(box: Mailbox, target: OperatorFolder) -> None:
    fill(box)
    assert export(box, target, ArchiveFormat.EML, "archive/2023".title()).messages == 1
    assert [entry.name for entry in target.entries()] == ["Archive"]
    with pytest.raises(NoSuchFolder):
        export(box, OperatorFolder(target.root / "more"), ArchiveFormat.EML, "Archivio")


def test_other_programs_read_it(box: Mailbox, target: OperatorFolder) -> None:
    fill(box)
    export(box, target, ArchiveFormat.MAILDIR)
    read = mailbox_files.Maildir(str(target.root), create=False)
    assert sorted(one.get_flags() for one in read) == ["FS", "Pa", "Ra"]
    assert "Archive.2023.Citt&AOA- &- co%2E" in read.list_folders()
    mbox = OperatorFolder(target.root.with_name("mbox"))
    export(box, mbox, ArchiveFormat.MBOX)
    found = mailbox_files.mbox(mbox.root / "INBOX.mbox", create=False)
    assert [one.get_flags() for one in found] == ["ROF", "O", "OA"]
    assert [one.get_from().split()[0] for one in found][2] == "anna@libero.example"
    found.close()


def test_progress_goes_forward_and_to_the_end(box: Mailbox, target: OperatorFolder) -> None:
    fill(box)
    steps: list[Progress] = list(export_mailbox(box, target, ArchiveFormat.EML))
    assert [one.done for one in steps] == sorted(one.done for one in steps)
    assert steps[-1].total == box.overview().messages
    steps = list(import_mailbox(box, target))
    assert [one.done for one in steps] == sorted(one.done for one in steps)
    assert steps[-1].done == steps[-1].total > 0


# --- foreign archives ---------------------------------------------------------------------


def test_dates_come_from_the_best_that_there_is(box: Mailbox, tmp_path: Path) -> None:
    (tmp_path / "m" / "new").mkdir(parents=True)
    dated, undated = mail(), b"Subject: x\r\n\r\n"
    for name, content in (("1600000000.V1I2M34P5.host", dated), ("a", dated), ("b", undated)):
        (tmp_path / "m" / "new" / name).write_bytes(content)
        os.utime(tmp_path / "m" / "new" / name, (1_500_000_000, 1_500_000_000))
    assert bring_in(box, OperatorFolder(tmp_path / "m")).messages == 3
    times = [at for _, _, at, _ in everything(box)[INBOX]]
    assert times == [1_500_000_000_000_000, 1_600_000_000_000_034, 1_672_650_000_000_000]
    mbox = b"From - Mon Mar  3 10:22:11 2025\nSubject: 1\n\n\nFrom nowhere\nSubject: 2\n\n"
    (tmp_path / "x.mbox").write_bytes(mbox)
    os.utime(tmp_path / "x.mbox", (1_400_000_000, 1_400_000_000))
    place, path = place_of(tmp_path / "x.mbox")
    bring_in(box, place, path, folder="Sent")
    times = [at for _, _, at, _ in everything(box)["Sent"]]
    assert times == [1_400_000_000_000_000, 1_740_997_331_000_000]


def test_status_fields_and_line_ends(box: Mailbox, tmp_path: Path) -> None:
    text = b"From x@y Mon Mar  3 10:22:11 2025\nSubject: 1\nStatus: RO\nX-Status: AF\n\nbody\n\n"
    (tmp_path / "Inbox").write_bytes(text)
    (tmp_path / "Inbox.msf").write_bytes(b"// not mail")
    (tmp_path / "Inbox.sbd").mkdir()
    (tmp_path / "Inbox.sbd" / "Sub").write_bytes(text)
    (tmp_path / "one.eml").write_bytes(b"Status: R\nSubject: 2\n\nx\n")
    assert bring_in(box, OperatorFolder(tmp_path)).problems == []
    found = everything(box)
    first = (SEEN | ANSWERED | FLAGGED, set(), 1_740_997_331_000_000, b"Subject: 1\r\n\r\nbody\r\n")
    assert first in found[INBOX]
    assert found["INBOX/Sub"] == [first]
    assert [row[0] for row in found[INBOX] if row != first] == [SEEN]


def test_another_target_takes_everything_in(box: Mailbox, tmp_path: Path) -> None:
    for name in ("INBOX", "Old/Older", "Bad*%name\x01"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.eml").write_bytes(mail(name))
    report = bring_in(box, OperatorFolder(tmp_path), folder="From home")
    assert (report.messages, report.folders_made) == (3, 4)
    found = everything(box)
    wanted = ("From home", "From home/Old/Older", "From home/Bad__name_")
    assert [len(found[name]) for name in wanted] == [1, 1, 1]


def test_what_cannot_be_read_is_named_and_the_rest_goes_in(box: Mailbox, tmp_path: Path) -> None:
    root = tmp_path / "in"
    (root / "Good").mkdir(parents=True)
    (root / "Good" / "1.eml").write_bytes(mail())
    (root / "large.eml").write_bytes(mail(body="x" * 5_000))
    (root / "nul.eml").write_bytes(b"Subject: \0\n\n")
    (root / "empty.eml").write_bytes(b"")
    (root / "no.mbox").write_bytes(b"Subject: x\n\n")
    secret = tmp_path / "secret"
    secret.write_bytes(mail("secret"))
    (root / "link.eml").symlink_to(secret)
    (root / "loop").symlink_to(root, target_is_directory=True)
    os.mkfifo(root / "pipe.eml")
    (root / os.fsdecode(b"\xff\xfe.eml")).write_bytes(mail("odd name"))
    (root / os.fsdecode(b"odd\xff")).mkdir()
    mixed = b"From a Mon Mar  3 10:22:11 2025\n\n" + b"y" * 9_000 + b"\n\nFrom b x\nSubject: z\n\n"
    (root / "mixed.mbox").write_bytes(mixed)
    report = bring_in(box, OperatorFolder(root), message_bytes_max=4_000)
    assert (report.messages, report.oversize, report.unreadable) == (3, 2, 6)
    assert len(report.problems) == report.left_out == 8
    assert not any(b"secret" in row[3] for rows in everything(box).values() for row in rows)  # type: ignore[operator]
    assert all(problem.encode() for problem in report.problems)


def test_folders_that_cannot_be_made_leave_their_mail_in_the_target(
    box: Mailbox, tmp_path: Path
) -> None:
    deep = tmp_path
    for _ in range(6):
        deep = deep / ("x" * 200)
        deep.mkdir()
    (deep / "1.eml").write_bytes(mail("deep"))
    report = bring_in(box, OperatorFolder(tmp_path))
    assert report.messages == 1
    assert len(report.problems) == 1
    assert len(everything(box)[INBOX]) == 1


def test_too_much_for_the_quota_is_counted(cell: Cell, tmp_path: Path) -> None:
    box = cell.open(replace(REF, mailbox=9, quota_bytes=1_500))
    for number, size in enumerate((1_000, 1_000, 100)):
        (tmp_path / f"{number}.eml").write_bytes(mail(body="x" * size))
    report = bring_in(box, OperatorFolder(tmp_path))
    assert (report.messages, report.over_quota, report.left_out) == (2, 1, 1)


def test_keywords_beyond_the_letters_are_counted(box: Mailbox, target: OperatorFolder) -> None:
    keywords = [f"k{number:02}" for number in range(30)]
    box.append(INBOX, mail(), 0, keywords, NOON_US)
    assert export(box, target, ArchiveFormat.MAILDIR).keywords_left_out == 4
    export(box, OperatorFolder(target.root.with_name("m")), ArchiveFormat.MBOX)


def test_a_long_return_path_cannot_hide_the_separator(
    cell: Cell, box: Mailbox, target: OperatorFolder
) -> None:
    for _ in range(2):
        box.append(INBOX, mail(Return_Path=f"<{'x' * 5_000}@y>"), 0, [], NOON_US)
    export(box, target, ArchiveFormat.MBOX)
    assert bring_in(cell.open(OTHER), target).messages == 2


def test_a_missing_or_unreadable_place_is_said(box: Mailbox, tmp_path: Path) -> None:
    with pytest.raises(FolderFault, match="No such file"):
        place_of(tmp_path / "none")
    with pytest.raises(FolderFault, match="No such file"):
        bring_in(box, OperatorFolder(tmp_path / "none"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FolderFault):
        export(box, OperatorFolder(tmp_path / "file"), ArchiveFormat.MBOX)


# --- names and fields ---------------------------------------------------------------------

LEVELS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/*%"),
    min_size=1,
    max_size=15,
)


@given(st.lists(LEVELS, min_size=1, max_size=4))
def test_names_come_back(levels: list[str]) -> None:
    name = "/".join(levels)
    path = file_path(name)
    assert "/".join(read_file_name(level) for level in path.split("/")) == name
    assert not any(level in ("", ".", "..") or level.startswith(".") for level in path.split("/"))
    directory = maildir_path(name)
    assert "/" not in directory
    assert directory.isascii()
    if len(directory) < 190 and not name.lower().startswith("inbox"):
        assert read_maildir_name(directory) == name


def test_long_names_are_cut_and_stay_apart() -> None:
    paths = {file_path("é" * 400 + end) for end in "ab"} | {maildir_path("é" * 400)}
    assert len(paths) == 3
    assert all(len(path.encode()) <= 201 for path in paths)


@given(st.binary(max_size=200), st.integers(0, 31))
def test_fields_of_status_come_off_as_they_went_on(content: bytes, flags: int) -> None:
    marks = Marks(flags, ("$Junk", "a"))
    assert take_status(add_status(content, marks)) == (content, marks)


@given(st.integers(0, 253_402_300_799_999_999), st.integers(1, 1 << 32))
def test_times_in_file_names_come_back(at_us: int, uid: int) -> None:
    assert read_eml_file_name(eml_file_name(at_us, uid, "FS")) == (at_us, "FS")


@given(st.text(max_size=60))
def test_foreign_names_do_no_harm(text: str) -> None:
    read_file_name(text)
    read_maildir_name(text)
    read_info(text, {"a": "x"})
    read_eml_file_name(text)
