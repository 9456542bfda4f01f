"""The one place that knows technologies: which implementation stands behind which port.

Nothing else imports a module named after a technology.
"""

from __future__ import annotations

from collections.abc import Iterable

from staffetta.app.config import Config
from staffetta.app.roles.contract import RoleContext, Volumes
from staffetta.log.port import LogReader, LogWriter
from staffetta.log.sqlite import LogSettings, SqliteLogWriter
from staffetta.log.sqlite_reading import SqliteLogReader
from staffetta.mailboxes.files import FileSettings
from staffetta.mailboxes.port import Cell
from staffetta.mailboxes.roster import found_cell
from staffetta.mailboxes.sqlite import SqliteCell
from staffetta.runtime.entropy import Entropy


def open_log_reader(config: Config, volumes: Volumes) -> LogReader:
    """A reader of all partitions of the log."""
    return SqliteLogReader(volumes.log, period_h=config.log.period_hours)


def open_log_writer(context: RoleContext) -> LogWriter:
    """The writer of this process's own partition. Raises `VolumeFault`."""
    settings = LogSettings(period_h=context.config.log.period_hours)
    return SqliteLogWriter(context.volumes.log, context.partition, settings)


def open_cell(context: RoleContext, name: str) -> Cell:
    """A cell of mailboxes, as this process uses it. Touches no disk."""
    settings = FileSettings(open_files_max=context.config.access.open_mailboxes_max)
    return SqliteCell(context.volumes.cell(name), context.clock, context.entropy, settings)


def found_cells(volumes: Volumes, names: Iterable[str], entropy: Entropy) -> None:
    """Make places for cells that the directory has just got. Raises `VolumeFault`."""
    for name in names:
        found_cell(volumes.cell(name), entropy)
