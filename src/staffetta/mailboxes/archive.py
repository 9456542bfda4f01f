"""Mailboxes to and from files that other programs read: mbox, Maildir++, folders of .eml files.

Both ways go through the port alone, so they work with any cell, and while the mailbox is in use.
An export keeps folders, flags, keywords, dates to the microsecond (mbox: to the second) and
bytes; an mbox or a Maildir has LF as its line end, so there CRs before CRLF are lost. An import
takes what it can: what is too large or cannot be read is counted and named, and the rest goes
on. It is no synchronisation: the same archive imported twice is there twice.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass, field
from typing import cast

from staffetta.formats.eml import (
    MESSAGE_BYTES_MAX,
    MboxMessage,
    MboxOversize,
    MboxReader,
    format_mbox,
    normalise_line_ends,
)
from staffetta.mailboxes.archive_formats import (
    EVERY_FORMAT,
    KEYWORDS_FILE,
    TIME_S_MAX,
    US,
    ArchiveFormat,
    KeywordLetters,
    Marks,
    add_status,
    date_us,
    eml_file_name,
    file_path,
    maildir_file_name,
    maildir_path,
    make_acceptable,
    marks_of,
    read_eml_file_name,
    read_info,
    read_keywords_file,
    read_maildir_file_name,
    sender_of,
    take_status,
)
from staffetta.mailboxes.archive_sources import (
    MBOX_SUFFIX,
    FoundFile,
    FoundFolder,
    FoundProblem,
    find_mail,
)
from staffetta.mailboxes.names import canonical_name, clean_name, inferiors
from staffetta.mailboxes.port import (
    INBOX,
    SEPARATOR,
    Arrange,
    Column,
    Folder,
    FolderExists,
    FolderRefused,
    Mailbox,
    NoSuchFolder,
    OverQuota,
    TooManyKeywords,
)
from staffetta.mailboxes.progress import Progress
from staffetta.runtime.folders import FolderFault, OperatorFolder, shown

CHUNK_BYTES = 1 << 20
KEYWORDS_FILE_BYTES_MAX = 64 * 1024
PROBLEMS_MAX = 1_000
"""So many problems are named; all are counted."""

_EVERYTHING = [(1, 0xFFFFFFFF)]


@dataclass(slots=True)
class ExportReport:
    """What was written. `keywords_left_out`: a folder has 26 letters for its keywords."""

    folders: int = 0
    messages: int = 0
    size_bytes: int = 0
    keywords_left_out: int = 0


@dataclass(slots=True)
class ImportReport:
    """What became of everything that was found.

    `messages` went in; `oversize`, `unreadable` and `over_quota` did not. `problems` says which
    and why. `keywords_left_out`: on messages that went in without them, for want of room.
    """

    folders_made: int = 0
    messages: int = 0
    size_bytes: int = 0
    oversize: int = 0
    unreadable: int = 0
    over_quota: int = 0
    keywords_left_out: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def left_out(self) -> int:
        """How many messages or files did not go in."""
        return self.oversize + self.unreadable + self.over_quota

    def note(self, where: str, reason: str) -> None:
        """Name one problem."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(f"{shown(where)}: {reason}")


# --- export -------------------------------------------------------------------------------


def export_mailbox(
    mailbox: Mailbox, place: OperatorFolder, form: ArchiveFormat, folder: str = ""
) -> Generator[Progress, None, ExportReport]:
    """Write a mailbox, or one folder and those in it, to an empty or new directory.

    Raises `FolderFault` where it cannot be written or is not empty, `NoSuchFolder`, and what
    reading the mailbox raises.
    """
    overview = mailbox.overview()
    chosen = _choose(overview.folders, folder)
    place.make()
    if place.entries():
        raise FolderFault(f"{shown(str(place.root))}: not empty")
    total = sum(one.messages for one in chosen)
    exporting = _Exporting(mailbox, place)
    if form is ArchiveFormat.MAILDIR:
        exporting.make_maildir("")  # Maildir++ has its folders in that of INBOX
    for one in chosen:
        yield Progress(exporting.report.messages, total, one.name)
        try:
            # Nothing has changed since; only the keywords' names are wanted.
            keywords = mailbox.snapshot(one.name, overview.modseq).keywords
            for _ in exporting.write(one.name, keywords, form):
                yield Progress(exporting.report.messages, total, one.name)
        except NoSuchFolder:
            continue  # its owner has just deleted it
    place.sync()
    return exporting.report


def _choose(folders: list[Folder], folder: str) -> list[Folder]:
    selectable = [one for one in folders if one.selectable]
    if not folder:
        return selectable
    name = canonical_name(folder)
    names = {name, *inferiors(name, (one.name for one in selectable))}
    chosen = [one for one in selectable if one.name in names]
    if not chosen:
        raise NoSuchFolder(folder)
    return chosen


class _Exporting:
    """One export on its way."""

    def __init__(self, mailbox: Mailbox, place: OperatorFolder) -> None:
        self._mailbox = mailbox
        self._place = place
        self.report = ExportReport()

    def write(self, folder: str, keywords: tuple[str, ...], form: ArchiveFormat) -> Iterator[None]:
        """Write one folder, giving way after each chunk of messages."""
        self.report.folders += 1
        match form:
            case ArchiveFormat.MBOX:
                yield from self._write_mbox(folder, keywords)
            case ArchiveFormat.MAILDIR:
                path = "" if folder == INBOX else maildir_path(folder)
                self.make_maildir(path)
                yield from self._write_files(path, folder, keywords, as_maildir=True)
            case ArchiveFormat.EML:
                path = file_path(folder)
                self._place.make(path)
                yield from self._write_files(path, folder, keywords, as_maildir=False)

    def make_maildir(self, path: str) -> None:
        """Make the directories of a Maildir."""
        for part in ("cur", "new", "tmp"):
            self._place.make(_join(path, part))

    def _messages(self, folder: str) -> Iterator[list[tuple[int, int, int, bytes]]]:
        """Chunks of (uid, flags, time, content)."""
        for rows in self._mailbox.fetch(folder, _EVERYTHING, (Column.AT_US, Column.CONTENT)):
            chunk = cast("list[tuple[int, int, int, int, bytes]]", rows)
            yield [(uid, flags, at_us, content) for uid, flags, _, at_us, content in chunk]
            self.report.messages += len(chunk)
            self.report.size_bytes += sum(len(row[4]) for row in chunk)

    def _write_mbox(self, folder: str, keywords: tuple[str, ...]) -> Iterator[None]:
        path = file_path(folder) + MBOX_SUFFIX
        self._place.make(path.rpartition("/")[0])
        with self._place.writing(path) as write:
            for chunk in self._messages(folder):
                for _, flags, at_us, content in chunk:
                    marked = add_status(content, marks_of(flags, keywords))
                    seconds = min(max(at_us // US, 0), TIME_S_MAX)
                    write(format_mbox(marked, sender_of(content), seconds))
                yield

    def _write_files(
        self, path: str, folder: str, keywords: tuple[str, ...], as_maildir: bool
    ) -> Iterator[None]:
        letters = KeywordLetters()
        for chunk in self._messages(folder):
            for uid, flags, at_us, content in chunk:
                info = letters.spell(marks_of(flags, keywords))
                if as_maildir:
                    content = content.replace(b"\r\n", b"\n")
                    name = "cur/" + maildir_file_name(at_us, uid, len(content), info)
                else:
                    name = eml_file_name(at_us, uid, info)
                self._place.write(_join(path, name), content, max(at_us, 0))
            yield
        self.report.keywords_left_out += letters.left_out
        if letters.letters:
            with self._place.writing(_join(path, KEYWORDS_FILE)) as write:
                write(letters.file())


# --- import -------------------------------------------------------------------------------


def import_mailbox(
    mailbox: Mailbox,
    place: OperatorFolder,
    path: str = "",
    forms: Collection[ArchiveFormat] = EVERY_FORMAT,
    folder: str = INBOX,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
) -> Generator[Progress, None, ImportReport]:
    """Put what lies in `place`, or in one file `path` of it, into the mailbox.

    What lies in no folder goes to `folder`; where that is not INBOX, the archive's INBOX goes
    there too and its other folders into it. Raises `FolderRefused` where `folder` cannot be
    made, `FolderFault` where the place itself cannot be read, and what writing to the mailbox
    raises (but for `OverQuota`, which is counted).
    """
    place.entries()  # nothing but the archive as a whole being unreadable is fatal
    importing = _Importing(mailbox, place, clean_name(folder), message_bytes_max)
    yield Progress(0, 0, "")
    found = find_mail(place, path, forms)
    total = sum(one.size_bytes for one in found if isinstance(one, FoundFile))
    done = 0
    for one in find_mail(place, path, forms):
        match one:
            case FoundProblem():
                importing.report.unreadable += 1
                importing.report.note(one.path, one.reason)
            case FoundFolder():
                importing.enter(one)
            case FoundFile():
                for read_bytes in importing.take(one):
                    done += read_bytes
                    yield Progress(min(done, total), total, shown(one.folder) or folder)
    yield Progress(total, total, "")
    return importing.report


class _Importing:
    """One import on its way."""

    def __init__(
        self, mailbox: Mailbox, place: OperatorFolder, target: str, message_bytes_max: int
    ) -> None:
        self._mailbox = mailbox
        self._place = place
        self._target = target
        self._message_bytes_max = message_bytes_max
        self._names: dict[str, str] = {}
        self._keywords: dict[str, dict[str, str]] = {}
        self.report = ImportReport()
        self._make(target)

    def enter(self, found: FoundFolder) -> None:
        """Make the folder; read the names of its keywords."""
        self._name_of(found.name)
        self._keywords.pop(found.name, None)
        if found.has_keywords:
            try:
                content = self._place.read(
                    _join(found.path, KEYWORDS_FILE), KEYWORDS_FILE_BYTES_MAX
                )
            except FolderFault as fault:
                self.report.note(found.path, str(fault))
            else:
                self._keywords[found.name] = read_keywords_file(content)

    def take(self, found: FoundFile) -> Iterator[int]:
        """Put in what the file holds; gives the bytes read, bit by bit."""
        try:
            if found.form is ArchiveFormat.MBOX:
                yield from self._take_mbox(found)
            else:
                self._take_message(found)
                yield found.size_bytes
        except FolderFault as fault:
            self.report.unreadable += 1
            self.report.note(found.path, str(fault))
            yield 0

    def _take_mbox(self, found: FoundFile) -> Iterator[int]:
        folder = self._name_of(found.folder)
        reader = MboxReader(message_bytes_max=self._message_bytes_max)
        count = 0
        for chunk in self._place.chunks(found.path, CHUNK_BYTES):
            for message in reader.feed(chunk):
                count += 1
                self._take_of_mbox(found, folder, message, count)
            yield len(chunk)
        for message in reader.close():
            count += 1
            self._take_of_mbox(found, folder, message, count)

    def _take_of_mbox(
        self, found: FoundFile, folder: str, message: MboxMessage | MboxOversize, count: int
    ) -> None:
        where = f"{found.path}, message {count}"
        if isinstance(message, MboxOversize):
            self._leave_oversize(where)
            return
        content, marks = take_status(message.content)
        received = message.received
        at_us = received.utc_s * US if received and 0 <= received.utc_s <= TIME_S_MAX else None
        self._put(folder, content, marks, at_us, found.changed_us, where)

    def _take_message(self, found: FoundFile) -> None:
        # With LF for CRLF a file may be smaller than its message, never larger.
        if found.size_bytes > self._message_bytes_max:
            self._leave_oversize(found.path)
            return
        content = self._place.read(found.path, self._message_bytes_max + 1)
        content = normalise_line_ends(content)
        keywords = self._keywords.get(found.folder, {})
        at_us: int | None
        if found.form is ArchiveFormat.MAILDIR:
            at_us, info = read_maildir_file_name(found.name)
            marks = read_info(info, keywords)
        elif (own := read_eml_file_name(found.name)) is not None:
            at_us, marks = own[0], read_info(own[1], keywords)
        else:
            at_us, marks = None, take_status(content)[1]
        folder = self._name_of(found.folder)
        self._put(folder, content, marks, at_us, found.changed_us, found.path)

    def _put(
        self,
        folder: str,
        content: bytes,
        marks: Marks,
        at_us: int | None,
        changed_us: int,
        where: str,
    ) -> None:
        if len(content) > self._message_bytes_max:
            self._leave_oversize(where)
            return
        if not content or b"\0" in content:
            # RFC 3501 section 9 `CHAR8`: what holds a NUL could not be given back as it is.
            self.report.unreadable += 1
            self.report.note(where, "holds a NUL" if content else "empty")
            return
        if at_us is None:
            at_us = date_us(content)
        if at_us is None:
            at_us = max(changed_us, 0)
        try:
            self._append(folder, content, marks, at_us)
        except (OverQuota, NoSuchFolder) as error:
            over_quota = isinstance(error, OverQuota)
            self.report.over_quota += over_quota
            self.report.unreadable += not over_quota
            self.report.note(where, str(error) if over_quota else f"folder {folder} has gone")
            return
        self.report.messages += 1
        self.report.size_bytes += len(content)

    def _append(self, folder: str, content: bytes, marks: Marks, at_us: int) -> None:
        try:
            self._mailbox.append(folder, content, marks.flags, marks.keywords, at_us)
        except TooManyKeywords:
            self._mailbox.append(folder, content, marks.flags, (), at_us)
            self.report.keywords_left_out += len(marks.keywords)

    def _leave_oversize(self, where: str) -> None:
        self.report.oversize += 1
        self.report.note(where, f"larger than {self._message_bytes_max} bytes")

    def _name_of(self, found: str) -> str:
        """The mailbox's folder for the archive's, made if need be."""
        name = self._names.get(found)
        if name is None:
            name = self._names[found] = self._find_name(found)
        return name

    def _find_name(self, found: str) -> str:
        wanted = canonical_name(make_acceptable(found))
        if not wanted or (wanted == INBOX and self._target != INBOX):
            return self._target
        if self._target != INBOX:
            wanted = self._target + SEPARATOR + wanted
        try:
            return self._make(wanted)
        except FolderRefused as refusal:
            self.report.note(found, f"{refusal}; its messages go to {self._target}")
            return self._target

    def _make(self, name: str) -> str:
        name = clean_name(name)
        try:
            self._mailbox.arrange(Arrange("create", name))
        except FolderExists:
            return name
        # A folder that its owner's programs do not show would look like lost mail.
        self._mailbox.arrange(Arrange("subscribe", name))
        self.report.folders_made += 1
        return name


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
