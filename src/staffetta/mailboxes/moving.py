"""Moving one mailbox to another cell: copied, compared, put in place, and only then let go.

Between `begin` and `complete` the mailbox is incomplete on both sides, so nobody sees half of
it. The old copy is kept in the old cell's `moved` folder until somebody removes it. Whoever calls
this keeps deliveries to both cells from running meanwhile.
"""

from __future__ import annotations

import hashlib

from staffetta.mailboxes.checking import list_problems
from staffetta.mailboxes.port import MailboxRef
from staffetta.mailboxes.roster import MARKER_PATH, Standing, path_of
from staffetta.mailboxes.schema import MOVING, WHOLE
from staffetta.mailboxes.sqlite import SqliteCell
from staffetta.runtime.disk import DatabaseSettings
from staffetta.runtime.faults import FaultMode, VolumeFault

DIRECTORY = "moved"

_COPY = DatabaseSettings(create=False, checkpoint_on_close=False)


class MoveRefused(Exception):
    """The mailbox cannot be moved now; it is where it was. The text says why."""


def begin(source: SqliteCell, target: SqliteCell, ref: MailboxRef) -> str:
    """Copy the mailbox and check the copy; returns the digest of its file.

    Both sides refuse to show it from here on: `complete` or `abandon` must follow. Raises
    `MoveRefused`, `MailboxDamaged`, `MailboxIncomplete`, `VolumeFault`.
    """
    path = path_of(ref.mailbox)
    if target.volume.exists(path):
        raise MoveRefused(f"cell {target.name} has a file of mailbox {ref.mailbox} already")
    with source.files.borrow(ref) as file:
        file.make_durable(True)
        file.database.run("UPDATE mailbox SET state=?", (MOVING,))
    try:
        return _copy(source, target, ref)
    except Exception:
        abandon(source, target, ref)
        raise


def _copy(source: SqliteCell, target: SqliteCell, ref: MailboxRef) -> str:
    path = path_of(ref.mailbox)
    with source.files.closed(ref.mailbox):
        database = source.volume.database(path, _COPY)
        try:
            row = database.row("PRAGMA wal_checkpoint(TRUNCATE)")
            if row is None or row[0]:
                raise MoveRefused("somebody reads the mailbox all the time; try again")
        finally:
            database.close()
        content = source.volume.read(path)
    target.roster.mark(ref.mailbox, Standing.INCOMPLETE)
    target.volume.write_durable(path, [content])
    digest = hashlib.sha256(content).hexdigest()
    if hashlib.sha256(target.volume.read(path)).hexdigest() != digest:
        raise VolumeFault(target.name, FaultMode.CORRUPT, f"{path} is not what was written")
    database = target.volume.database(path, _COPY)
    try:
        problems = list_problems(database)
    finally:
        database.close()
    if problems:
        raise MoveRefused(f"the copy does not hold together: {problems[0]}")
    return digest


def complete(source: SqliteCell, target: SqliteCell, ref: MailboxRef) -> str:
    """The directory leads to the target now: open it there. Returns where the old copy lies."""
    path = path_of(ref.mailbox)
    database = target.volume.database(path, _COPY)
    try:
        database.run("UPDATE mailbox SET state=?", (WHOLE,))
        database.row("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        database.close()
    target.volume.sync([path, MARKER_PATH])
    target.roster.mark(ref.mailbox, Standing.PRESENT)
    source.roster.mark(ref.mailbox, Standing.ELSEWHERE)
    old = f"{DIRECTORY}/{ref.mailbox}-{source.clock.now_us()}.mbx"
    with source.files.closed(ref.mailbox):
        source.volume.rename(path, old)
        for end in ("-wal", "-shm"):
            source.volume.remove(path + end)
        source.volume.sync([old, MARKER_PATH])
    return old


def abandon(source: SqliteCell, target: SqliteCell, ref: MailboxRef) -> None:
    """Undo `begin`: the mailbox is where it was."""
    path = path_of(ref.mailbox)
    for end in ("", "-wal", "-shm"):
        target.volume.remove(path + end)
    target.roster.mark(ref.mailbox, Standing.ELSEWHERE)
    with source.files.closed(ref.mailbox):
        database = source.volume.database(path, _COPY)
        try:
            database.run("UPDATE mailbox SET state=?", (WHOLE,))
        finally:
            database.close()
