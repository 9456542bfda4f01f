"""Moving one mailbox to another cell: copied, compared, put in place, and only then let go.

Between `begin` and `complete` the mailbox is incomplete on both sides, so nobody sees half of
it. The old copy is kept in the old cell's `moved` folder until somebody removes it. Whoever calls
this keeps deliveries to both cells from running meanwhile. A move that was broken off is begun
again, or undone with `abandon`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

from staffetta.mailboxes.checking import list_problems
from staffetta.mailboxes.port import MailboxDamaged, MailboxIncomplete, MailboxRef
from staffetta.mailboxes.rebuilding import remove_files
from staffetta.mailboxes.roster import MARKER_PATH, SUFFIX, Standing, check_marker, path_of
from staffetta.mailboxes.schema import MOVING, WHOLE
from staffetta.mailboxes.sqlite import SqliteCell
from staffetta.runtime.disk import Database, DatabaseSettings, Volume
from staffetta.runtime.faults import FaultMode, VolumeFault

DIRECTORY = "moved"
CHUNK_BYTES = 1024 * 1024

_COPY = DatabaseSettings(create=False, checkpoint_on_close=False)


class MoveRefused(Exception):
    """The mailbox cannot be moved now; it is where it was. The text says why."""


def begin(source: SqliteCell, target: SqliteCell, ref: MailboxRef) -> str:
    """Copy the mailbox and check the copy; returns the digest of its file.

    Both sides refuse to show it from here on: `complete` or `abandon` must follow. Raises
    `MoveRefused`, `MailboxDamaged`, `MailboxIncomplete`, `VolumeFault`.
    """
    check_marker(target.volume)
    _make_way(target, ref)
    if source.roster.standing(ref.mailbox) is Standing.INCOMPLETE:
        raise MailboxIncomplete(f"mailbox {ref.mailbox} is being rebuilt")
    try:
        # With a commit that is synced, whatever was delivered before is on the disk as well.
        _set_state(source, ref, MOVING)
        return _copy(source, target, ref)
    except Exception:
        abandon(source, target, ref)
        raise


def complete(source: SqliteCell, target: SqliteCell, ref: MailboxRef) -> str:
    """The directory leads to the target now: open it there. Returns where the old copy lies.

    May be repeated, if it was broken off.
    """
    path = path_of(ref.mailbox)
    _set_state(target, ref, WHOLE)
    target.volume.sync([path, MARKER_PATH])
    target.roster.mark(ref.mailbox, Standing.PRESENT)
    source.roster.mark(ref.mailbox, Standing.ELSEWHERE)
    old = f"{DIRECTORY}/{ref.mailbox}-{source.clock.now_us()}{SUFFIX}"
    with source.files.closed(ref.mailbox):
        if not source.volume.exists(path):
            return ""
        source.volume.rename(path, old)
        for end in ("-wal", "-shm"):
            source.volume.remove(path + end)
        source.volume.sync([old, MARKER_PATH])
    return old


def abandon(source: SqliteCell, target: SqliteCell, ref: MailboxRef) -> None:
    """Undo `begin`: the mailbox is where it was, even if the target cannot be cleaned now."""
    if source.volume.exists(path_of(ref.mailbox)):
        _set_state(source, ref, WHOLE)
    with target.files.closed(ref.mailbox):
        remove_files(target.volume, path_of(ref.mailbox))
    target.roster.mark(ref.mailbox, Standing.ELSEWHERE)


def _make_way(target: SqliteCell, ref: MailboxRef) -> None:
    """Remove what a move that was broken off has left in the target."""
    path = path_of(ref.mailbox)
    if not target.volume.exists(path):
        return
    if target.roster.standing(ref.mailbox) is Standing.PRESENT:
        raise MoveRefused(f"cell {target.name} has a file of mailbox {ref.mailbox} already")
    with target.files.closed(ref.mailbox):
        remove_files(target.volume, path)


def _set_state(cell: SqliteCell, ref: MailboxRef, state: int) -> None:
    with _opened(cell, ref) as database:
        database.run("UPDATE mailbox SET state=? WHERE mailbox=?", (state, ref.mailbox))


@contextmanager
def _opened(cell: SqliteCell, ref: MailboxRef) -> Iterator[Database]:
    """The file on a connection of its own, which does not ask for the state."""
    with cell.files.closed(ref.mailbox):
        try:
            database = cell.volume.database(path_of(ref.mailbox), _COPY)
            try:
                yield database
                row = database.row("PRAGMA wal_checkpoint(TRUNCATE)")
                if row is None or row[0]:
                    raise MoveRefused("somebody reads the mailbox all the time; try again")
            finally:
                database.close()
        except VolumeFault as fault:
            explained = cell.files.explain(ref, fault)
            if explained is fault:
                raise
            raise explained from fault


def _copy(source: SqliteCell, target: SqliteCell, ref: MailboxRef) -> str:
    path = path_of(ref.mailbox)
    target.roster.mark(ref.mailbox, Standing.INCOMPLETE)
    with source.files.closed(ref.mailbox):
        digest = hashlib.sha256()

        def read() -> Iterator[bytes]:
            for chunk in source.volume.chunks(path, CHUNK_BYTES):
                digest.update(chunk)
                yield chunk

        target.volume.write_durable(path, read())
    if _digest(target.volume, path) != digest.hexdigest():
        raise VolumeFault(target.name, FaultMode.CORRUPT, f"{path} is not what was written")
    with target.files.closed(ref.mailbox):
        database = target.volume.database(path, _COPY)
        try:
            problems = list_problems(database)
        finally:
            database.close()
    if problems:
        raise MailboxDamaged(ref.mailbox, problems[0])
    return digest.hexdigest()


def _digest(volume: Volume, path: str) -> str:
    digest = hashlib.sha256()
    for chunk in volume.chunks(path, CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()
