"""Finding mail in the operator's files: what lies where, and which folder it belongs to.

One walk knows all formats, because archives mix them: a directory with `cur` or `new` is a
Maildir, what ends in .eml is a message, and a file that begins with `From ` is an mbox.
Directories within are folders within, whether as Maildir++ writes them (`.Folder.Sub`), as
programs with plain directories do, or as Thunderbird does (`Folder` beside `Folder.sbd`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from staffetta.mailboxes.archive_formats import (
    KEYWORDS_FILE,
    ArchiveFormat,
    read_file_name,
    read_maildir_name,
)
from staffetta.mailboxes.names import LEVELS_MAX
from staffetta.mailboxes.port import SEPARATOR
from staffetta.runtime.folders import FolderEntry, FolderFault, OperatorFolder

MBOX_BEGINNING = b"From "
MBOX_SUFFIX = ".mbox"
EML_SUFFIX = ".eml"
_THUNDERBIRD_SUFFIX = ".sbd"
_MAILDIR_PARTS = ("cur", "new", "tmp")


@dataclass(frozen=True, slots=True)
class FoundFolder:
    """A directory that is a folder. `name` "" is the archive's own, for mail in no folder."""

    name: str
    path: str
    has_keywords: bool  # there is a `KEYWORDS_FILE`


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file with one message or, in an mbox, many; in the folder of that name."""

    form: ArchiveFormat
    folder: str
    path: str
    name: str
    size_bytes: int
    changed_us: int


@dataclass(frozen=True, slots=True)
class FoundProblem:
    """Something that cannot be read, and why."""

    path: str
    reason: str


Found = FoundFolder | FoundFile | FoundProblem


def find_mail(
    place: OperatorFolder, path: str, forms: Collection[ArchiveFormat]
) -> Iterator[Found]:
    """What lies in `place`, or the one file `path` of it, in those formats; folders first."""
    finder = _Finder(place, forms)
    if path:
        return finder.find_file(path)
    return finder.walk("", "", 0)


class _Finder:
    """One walk."""

    def __init__(self, place: OperatorFolder, forms: Collection[ArchiveFormat]) -> None:
        self._place = place
        self._forms = forms

    def find_file(self, path: str) -> Iterator[Found]:
        """The one file of that name: an mbox or a message."""
        for entry in self._place.entries():
            if entry.name != path:
                continue
            if ArchiveFormat.MBOX in self._forms and self._is_mbox(path):
                yield _describe(ArchiveFormat.MBOX, "", "", entry)
            elif ArchiveFormat.EML in self._forms:
                yield _describe(ArchiveFormat.EML, "", "", entry)
            else:
                yield FoundProblem(path, "not in this format")

    def walk(self, path: str, folder: str, depth: int) -> Iterator[Found]:
        """A directory and all those in it."""
        if depth > LEVELS_MAX:
            yield FoundProblem(path, f"more than {LEVELS_MAX} levels deep")
            return
        try:
            entries = self._place.entries(path)
        except FolderFault as fault:
            yield FoundProblem(path, str(fault))
            return
        parts = {entry.name for entry in entries if entry.is_folder} & {"cur", "new"}
        is_maildir = bool(parts) and ArchiveFormat.MAILDIR in self._forms
        if not is_maildir and path.rpartition("/")[2].startswith("."):
            return  # a hidden directory of somebody else's
        if is_maildir or (folder and ArchiveFormat.EML in self._forms):
            has_keywords = any(one.name == KEYWORDS_FILE and one.is_file for one in entries)
            yield FoundFolder(folder, path, has_keywords)
        if is_maildir:
            yield from self._find_messages(path, folder, sorted(parts))
        for entry in entries:
            if not entry.is_folder and not is_maildir:
                yield from self._look_at(path, folder, entry)
        for entry in entries:
            if entry.is_folder and not (is_maildir and entry.name in _MAILDIR_PARTS):
                inside = _inside(folder, _folder_name(entry.name))
                yield from self.walk(_join(path, entry.name), inside, depth + 1)

    def _find_messages(self, path: str, folder: str, parts: Collection[str]) -> Iterator[Found]:
        """The messages of a Maildir by name, which begins with their time."""
        found: list[tuple[FolderEntry, str]] = []
        for part in parts:
            place = _join(path, part)
            try:
                entries = self._place.entries(place)
            except FolderFault as fault:
                yield FoundProblem(place, str(fault))
                continue
            found += [(entry, place) for entry in entries if not entry.name.startswith(".")]
        for entry, place in sorted(found, key=lambda pair: pair[0].name):
            if entry.is_file:
                yield _describe(ArchiveFormat.MAILDIR, folder, place, entry)
            else:
                yield FoundProblem(_join(place, entry.name), "not a plain file")

    def _look_at(self, path: str, folder: str, entry: FolderEntry) -> Iterator[Found]:
        """A file outside of Maildirs."""
        whole = _join(path, entry.name)
        lower = entry.name.lower()
        is_eml = lower.endswith(EML_SUFFIX)
        if entry.name.startswith(".") or entry.name == KEYWORDS_FILE:
            return
        if not entry.is_file:
            yield FoundProblem(whole, "not a plain file")
        elif is_eml and ArchiveFormat.EML in self._forms:
            yield _describe(ArchiveFormat.EML, folder, path, entry)
        elif not is_eml and ArchiveFormat.MBOX in self._forms:
            named_so = lower.endswith(MBOX_SUFFIX)
            stem = entry.name[: -len(MBOX_SUFFIX)] if named_so else entry.name
            # Apple Mail keeps the folder `X` as `X.mbox/mbox`.
            name = folder if lower == "mbox" else _inside(folder, read_file_name(stem))
            try:
                is_mbox = self._is_mbox(whole)
            except FolderFault as fault:
                yield FoundProblem(whole, str(fault))
                return
            if is_mbox or (named_so and entry.size_bytes == 0):
                yield _describe(ArchiveFormat.MBOX, name, path, entry)
            elif named_so:
                yield FoundProblem(whole, "does not begin as an mbox does")

    def _is_mbox(self, path: str) -> bool:
        return self._place.read(path, len(MBOX_BEGINNING)) == MBOX_BEGINNING


def _describe(form: ArchiveFormat, folder: str, path: str, entry: FolderEntry) -> FoundFile:
    whole = _join(path, entry.name)
    return FoundFile(form, folder, whole, entry.name, entry.size_bytes, entry.changed_us)


def _folder_name(name: str) -> str:
    """What a directory of that name is called as a folder."""
    if name.startswith("."):
        return read_maildir_name(name)
    lower = name.lower()
    for suffix in (_THUNDERBIRD_SUFFIX, MBOX_SUFFIX):
        if lower.endswith(suffix):
            name = name[: -len(suffix)]
            break
    return read_file_name(name)


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _inside(folder: str, name: str) -> str:
    return f"{folder}{SEPARATOR}{name}" if folder else name
