"""`staffetta mailbox check`, `mailbox export` and `mailbox import`: beside a running service."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import click

from staffetta.app.invocation import Invocation, service_options

if TYPE_CHECKING:
    from rich.console import Console

    from staffetta.directory.records import MailboxRecord
    from staffetta.mailboxes.port import Cell, MailboxRef
    from staffetta.mailboxes.progress import Progress

T = TypeVar("T")

PROBLEMS_SHOWN_MAX = 20
FORMATS = ("mbox", "maildir", "eml")


@dataclass(frozen=True, slots=True)
class Checked:
    """One mailbox and what is wrong with it; nothing where it is healthy."""

    address: str
    mailbox: int
    cell: str
    messages: int
    size_bytes: int
    problems: list[str]


@click.command("check")
@service_options
@click.argument("addresses", nargs=-1)
@click.option("--all", "everybody", is_flag=True, help="All mailboxes.")
@click.option("--cell", default="", help="With --all: of this cell only.")
def check_mailboxes(
    call: Invocation, addresses: tuple[str, ...], everybody: bool, cell: str
) -> None:
    """Read everything in the mailboxes of ADDRESSES and compare it with itself.

    Changes nothing, and keeps nobody out meanwhile. Ends with 1 if anything is wrong; `staffetta
    mailbox rebuild` makes a damaged mailbox again.
    """
    if bool(addresses) == everybody or (cell and not everybody):
        raise click.UsageError("give addresses, or --all (with --cell if need be)")
    owners = _owners(call, addresses, cell)
    checked = []
    with _Cells(call) as cells, _bar(call, call.texts("mailbox.checking")) as show:
        for number, owner in enumerate(owners):
            for done in (steps := _Steps(cells.check(owner))):
                # Within one mailbox its own progress; among many, theirs.
                if len(owners) == 1:
                    show(done.done, done.total, owner.address)
            checked.append(steps.result)
            if len(owners) > 1:
                show(number + 1, len(owners), owner.address)
    damaged = [one for one in checked if one.problems]

    def for_people(console: Console) -> None:
        for one in damaged:
            head = call.texts("mailbox.damaged", address=one.address, count=len(one.problems))
            lines = [head, *(f"  {problem}" for problem in one.problems[:PROBLEMS_SHOWN_MAX])]
            console.print("\n".join(lines), markup=False)
        text = call.texts(
            "mailbox.checked",
            mailboxes=len(checked),
            damaged=len(damaged),
            messages=sum(one.messages for one in checked),
            size=_size(call, sum(one.size_bytes for one in checked)),
        )
        console.print(text, markup=False)

    call.answer(
        {"mailboxes": len(checked), "damaged": len(damaged), "reports": checked}, for_people
    )
    if damaged:
        raise SystemExit(1)


@click.command("export")
@service_options
@click.argument("address")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMATS), required=True)
@click.option("--folder", default="", help="This folder and those in it only.")
def export_mailbox(call: Invocation, address: str, directory: Path, form: str, folder: str) -> None:
    """Write the mailbox of ADDRESS to DIRECTORY, which must be new or empty.

    mbox: one file for each folder (mboxrd). maildir: a Maildir++. eml: one directory for each
    folder and one file for each message.
    """
    from staffetta.mailboxes import archive
    from staffetta.mailboxes.archive_formats import ArchiveFormat
    from staffetta.runtime.folders import OperatorFolder

    (owner,) = _owners(call, (address,))
    with _Cells(call) as cells, _faults_told(call):
        mailbox = cells.of(owner).open(_ref(call, owner))
        place = OperatorFolder(directory.absolute())
        steps = archive.export_mailbox(mailbox, place, ArchiveFormat(form), folder)
        report = follow(call, call.texts("mailbox.exporting", address=owner.address), steps)
    text = call.texts(
        "mailbox.exported",
        address=owner.address,
        folders=report.folders,
        messages=report.messages,
        size=_size(call, report.size_bytes),
        directory=directory,
    )
    lines = [text]
    if report.keywords_left_out:
        lines.append(call.texts("mailbox.keywords_left_out", count=report.keywords_left_out))
    content = {"address": owner.address, "directory": str(directory), **asdict(report)}
    call.answer(content, lambda console: console.print("\n".join(lines), markup=False))


@click.command("import")
@service_options
@click.argument("address")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(("auto", *FORMATS)), default="auto")
@click.option(
    "--folder", default="INBOX", show_default=True, help="For mail that lies in no folder."
)
def import_mailbox(call: Invocation, address: str, path: Path, form: str, folder: str) -> None:
    """Put the mail in PATH (a file or directory) into the mailbox of ADDRESS.

    Reads mbox files, Maildirs and .eml files, makes the folders they name, and keeps flags and
    dates. What cannot be taken is named, and the rest goes in; the command then ends with 1.
    With a --folder other than INBOX all of it goes in there.
    """
    from staffetta.mailboxes import archive
    from staffetta.mailboxes.archive_formats import EVERY_FORMAT, ArchiveFormat
    from staffetta.runtime.folders import place_of

    (owner,) = _owners(call, (address,))
    forms = EVERY_FORMAT if form == "auto" else frozenset((ArchiveFormat(form),))
    with _Cells(call) as cells, _faults_told(call), _announced(call, owner):
        place, file = place_of(path)
        mailbox = cells.of(owner).open(_ref(call, owner))
        steps = archive.import_mailbox(mailbox, place, file, forms, folder)
        report = follow(call, call.texts("mailbox.importing", address=owner.address), steps)
    lines = [
        call.texts(
            "mailbox.imported",
            address=owner.address,
            messages=report.messages,
            size=_size(call, report.size_bytes),
            folders=report.folders_made,
        )
    ]
    if report.keywords_left_out:
        lines.append(call.texts("mailbox.keywords_left_out", count=report.keywords_left_out))
    if report.left_out:
        text = call.texts(
            "mailbox.left_out",
            count=report.left_out,
            oversize=report.oversize,
            unreadable=report.unreadable,
            over_quota=report.over_quota,
        )
        lines.append(text)
    lines += [f"  {problem}" for problem in report.problems[:PROBLEMS_SHOWN_MAX]]
    content = {"address": owner.address, **asdict(report)}
    call.answer(content, lambda console: console.print("\n".join(lines), markup=False))
    if report.left_out:
        raise SystemExit(1)


def follow(call: Invocation, label: str, steps: Generator[Progress, None, T]) -> T:
    """Do the work to its end, with a bar on standard error where that is a terminal."""
    following = _Steps(steps)
    with _bar(call, label) as show:
        for step in following:
            show(step.done, step.total, step.what)
    return following.result


class _Steps(Generic[T]):
    """The steps of some work, to be gone through with `for`; its result is there afterwards."""

    result: T

    def __init__(self, steps: Generator[Progress, None, T]) -> None:
        self._steps = steps

    def __iter__(self) -> Iterator[Progress]:
        self.result = yield from self._steps


class _Cells:
    """The cells of the service's data, opened by this process when they are needed."""

    def __init__(self, call: Invocation) -> None:
        from staffetta.app.volumes import StorageVolumes

        self._config = call.load()
        self._volumes = StorageVolumes(self._config)
        self._volumes.watch()
        self._cells: dict[str, Cell] = {}

    def __enter__(self) -> _Cells:
        return self

    def __exit__(self, *_: object) -> None:
        for cell in self._cells.values():
            cell.close()

    def of(self, owner: MailboxRecord) -> Cell:
        """The cell in which the mailbox is."""
        from staffetta.app.wiring import open_cell_offline

        cell = self._cells.get(owner.cell)
        if cell is None:
            cell = open_cell_offline(self._config, self._volumes, owner.cell)
            self._cells[owner.cell] = cell
        return cell

    def check(self, owner: MailboxRecord) -> Generator[Progress, None, Checked]:
        """Check one mailbox; that it cannot be reached is a problem of it too."""
        from staffetta.app.wiring import check_mailbox
        from staffetta.mailboxes.port import CheckReport, MailboxIncomplete, MailboxRef
        from staffetta.runtime.faults import VolumeFault

        ref = MailboxRef(owner.mailbox, owner.uid_validity)
        try:
            report: CheckReport = yield from check_mailbox(self.of(owner), ref)
        except (MailboxIncomplete, VolumeFault) as error:
            report = CheckReport(owner.mailbox, 0, 0, [str(error)])
        return Checked(
            owner.address,
            owner.mailbox,
            owner.cell,
            report.messages,
            report.size_bytes,
            report.problems,
        )


def _owners(call: Invocation, addresses: Sequence[str], cell: str = "") -> list[MailboxRecord]:
    """The mailboxes of these addresses; without any, all (of that cell)."""
    from staffetta.app.commands.directory import opened
    from staffetta.directory.refusals import DirectoryRefusal, RefusalCode

    with opened(call) as directory:
        if addresses:
            return [directory.accounts.get(address) for address in dict.fromkeys(addresses)]
        if cell and cell not in directory.catalogue.read().cells:
            raise DirectoryRefusal(RefusalCode.CELL_UNKNOWN, cell=cell)
        return list(directory.accounts.each("", cell))


def _ref(call: Invocation, owner: MailboxRecord) -> MailboxRef:
    """The mailbox with the quota that it has now."""
    from staffetta.app.commands.directory import opened
    from staffetta.mailboxes.port import MailboxRef

    with opened(call) as directory:
        quota_bytes = directory.accounts.entitlement(owner).quota_bytes
    return MailboxRef(owner.mailbox, owner.uid_validity, quota_bytes)


def _size(call: Invocation, size_bytes: int) -> str:
    from staffetta.app.commands.directory import size_text

    return size_text(call.texts, size_bytes) if size_bytes else "0 B"


@contextmanager
def _faults_told(call: Invocation) -> Iterator[None]:
    """What keeps the work from being done ends the run and is said."""
    from staffetta.mailboxes.port import (
        FolderRefused,
        MailboxDamaged,
        MailboxIncomplete,
        NoSuchFolder,
    )
    from staffetta.runtime.faults import VolumeFault
    from staffetta.runtime.folders import FolderFault

    try:
        yield
    except NoSuchFolder as error:
        call.fail(call.texts("mailbox.no_folder", folder=error))
    except FolderRefused as error:
        call.fail(call.texts("mailbox.folder_refused", reason=error))
    except FolderFault as error:
        call.fail(str(error))
    except (MailboxDamaged, MailboxIncomplete, VolumeFault) as error:
        call.fail(call.texts("mailbox.unavailable", detail=error))


@contextmanager
def _announced(call: Invocation, owner: MailboxRecord) -> Iterator[None]:
    """However the block ends, those who have the mailbox open hear that it has changed."""
    from staffetta.runtime.clock import SystemClock
    from staffetta.runtime.notify import SocketNotifier

    try:
        yield
    finally:
        notifier = SocketNotifier(call.load().data.run, SystemClock())
        notifier.announce([owner.mailbox])
        notifier.close()


@contextmanager
def _bar(call: Invocation, label: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on standard error: to be told what is done, of how much (0: not known), and where."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    console = Console(stderr=True)
    is_hidden = call.as_json or not console.is_terminal
    with Progress(console=console, disable=is_hidden, transient=True) as progress:
        task = progress.add_task(escape(label), total=None)

        def show(done: int, total: int, what: str) -> None:
            where = escape(f"{label}: {what}" if what else label)
            progress.update(task, completed=done, total=total or None, description=where)

        yield show
