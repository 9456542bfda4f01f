"""The recipient table of one process, kept up with the directory for as long as it lives."""

from __future__ import annotations

from staffetta.app.roles.contract import DirectoryState, RoleContext
from staffetta.directory.authority import DatabaseFeed
from staffetta.directory.replica import RecipientTable, TableSettings
from staffetta.runtime.processes import repeat_on_thread

CATCH_UP_INTERVAL_S = 0.5
CHANGES_PER_STEP = 2_000


def open_recipients(context: RoleContext, *, with_credentials: bool = False) -> RecipientTable:
    """This process's table, as up to date as the authority can be read now.

    Blocks: some seconds the first time with millions of addresses. Raises `VolumeFault` when
    the copy cannot be made.
    """
    table = RecipientTable(
        context.volumes.replica,
        f"{context.role}-{context.index}.db",
        DatabaseFeed(context.volumes.directory),
        context.clock,
        TableSettings(with_credentials=with_credentials),
    )
    _catch_up(table)
    repeat_on_thread(lambda: _catch_up(table), CATCH_UP_INTERVAL_S, "recipients")
    return table


def _catch_up(table: RecipientTable) -> None:
    while table.catch_up(CHANGES_PER_STEP) >= CHANGES_PER_STEP:
        continue


def directory_state(table: RecipientTable) -> DirectoryState:
    """For status: which version, and whether it may say no."""
    health = table.health()
    return DirectoryState(
        version=health.version,
        fresh=health.doubt is None,
        mailboxes=health.addresses,
        age_s=health.age_s,
    )
