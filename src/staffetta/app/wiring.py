"""The one place that knows technologies: which implementation stands behind which port.

Nothing else imports a module named after a technology.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable

from staffetta.app.config import Config
from staffetta.app.roles.contract import RoleContext, Volumes
from staffetta.app.volumes import StorageVolumes
from staffetta.delivery.repair import find_deliveries, read_deliveries
from staffetta.directory.records import MailboxRecord
from staffetta.directory.store import open_directory
from staffetta.log.port import LogReader, LogWriter
from staffetta.log.sqlite import LogSettings, SqliteLogWriter
from staffetta.log.sqlite_reading import SqliteLogReader
from staffetta.mailboxes import checking, moving
from staffetta.mailboxes.files import FileSettings
from staffetta.mailboxes.port import Cell, CheckReport, MailboxIncomplete, MailboxRef
from staffetta.mailboxes.progress import Progress
from staffetta.mailboxes.rebuilding import Rebuilt, rebuild
from staffetta.mailboxes.roster import Standing, found_cell, path_of
from staffetta.mailboxes.sqlite import SqliteCell
from staffetta.runtime.clock import SystemClock
from staffetta.runtime.entropy import Entropy, SystemEntropy


def open_log_reader(config: Config, volumes: Volumes) -> LogReader:
    """A reader of all partitions of the log."""
    return SqliteLogReader(volumes.log, period_h=config.log.period_hours)


def open_log_writer(context: RoleContext) -> LogWriter:
    """The writer of this process's own partition. Raises `VolumeFault`."""
    settings = LogSettings(period_h=context.config.log.period_hours)
    return SqliteLogWriter(context.volumes.log, context.partition, settings)


def open_cell(context: RoleContext, name: str) -> Cell:
    """A cell of mailboxes, as this process uses it. Touches no disk."""
    config = context.config
    delivers = context.role == "deliver"
    open_max = (config.delivery if delivers else config.access).open_mailboxes_max
    settings = FileSettings(open_files_max=open_max)
    return SqliteCell(context.volumes.cell(name), context.clock, context.entropy, settings)


def open_cell_offline(config: Config, volumes: Volumes, name: str) -> Cell:
    """A cell as a command uses it, beside the service or without one. Touches no disk."""
    settings = FileSettings(open_files_max=config.access.open_mailboxes_max)
    return SqliteCell(volumes.cell(name), SystemClock(), SystemEntropy(), settings)


def check_mailbox(cell: Cell, ref: MailboxRef) -> Generator[Progress, None, CheckReport]:
    """Check a mailbox (see `mailboxes.checking`); one that was never used is healthy."""
    assert isinstance(cell, SqliteCell)
    is_new = cell.roster.standing(ref.mailbox) is Standing.UNKNOWN
    if is_new and not cell.volume.exists(path_of(ref.mailbox)):
        return CheckReport(ref.mailbox, 0, 0, [])
    return (yield from checking.check(cell.files, ref))


def found_cells(volumes: Volumes, names: Iterable[str], entropy: Entropy) -> None:
    """Make places for cells that the directory has just got. Raises `VolumeFault`."""
    for name in names:
        found_cell(volumes.cell(name), entropy)


def is_mailbox_damaged(cell: Cell, ref: MailboxRef) -> bool:
    """Has the mailbox to be made again? A cell that is broken as a whole raises `VolumeFault`."""
    assert isinstance(cell, SqliteCell)
    try:
        return bool(cell.check(ref).problems)
    except MailboxIncomplete:
        # A rebuild that did not come to its end; not a mailbox that is being moved.
        return cell.roster.standing(ref.mailbox) is Standing.INCOMPLETE


def rebuild_mailbox(
    cell: Cell, log: LogReader, ref: MailboxRef
) -> Generator[Progress, None, Rebuilt]:
    """Make a mailbox again from its old file and the log (see `mailboxes.rebuilding`)."""
    assert isinstance(cell, SqliteCell)
    known = find_deliveries(log, ref.mailbox)
    deliveries = read_deliveries(log, known)
    now_us = cell.clock.now_us()
    return (yield from rebuild(cell.files, ref, deliveries, now_us, len(known)))


class MailboxMove:
    """One mailbox on its way to another cell, by a command beside the running service."""

    def __init__(self, config: Config, owner: MailboxRecord, target: str) -> None:
        volumes = StorageVolumes(config)
        clock, entropy = SystemClock(), SystemEntropy()
        self._directory = open_directory(volumes.directory, clock, entropy)
        self._owner = owner
        self._ref = MailboxRef(owner.mailbox, owner.uid_validity)
        self._source = SqliteCell(volumes.cell(owner.cell), clock, entropy)
        self._target = SqliteCell(volumes.cell(target), clock, entropy)

    def copy(self) -> str:
        """Copy and compare; the digest of the file. Raises `MoveRefused`, `VolumeFault`."""
        return moving.begin(self._source, self._target, self._ref)

    def switch(self) -> str:
        """Lead everybody to the copy; where the old one lies. Raises `DirectoryRefusal`."""
        try:
            self._directory.accounts.move(self._owner.address, self._target.name)
        except Exception:
            self.abandon()
            raise
        return moving.complete(self._source, self._target, self._ref)

    def abandon(self) -> None:
        """The mailbox stays where it was."""
        moving.abandon(self._source, self._target, self._ref)
