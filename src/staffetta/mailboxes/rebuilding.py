"""Making a mailbox whole again, from the log and from what is left of its file.

The log has every message that was accepted, and the facts say under which UIDs they were
delivered. The damaged file may still have what the log has not: flags, folders, keywords, what
people put in themselves, what they deleted. Both go into a new file under another name, which
takes the mailbox's place in one step when it is complete. The UIDs are the same, and the next
ones are above all that were ever given.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterable
from dataclasses import dataclass

from staffetta.mailboxes.checking import list_problems
from staffetta.mailboxes.files import MailboxFiles
from staffetta.mailboxes.port import Delivery, MailboxDamaged, MailboxRef
from staffetta.mailboxes.progress import Progress
from staffetta.mailboxes.quarantine import set_aside
from staffetta.mailboxes.restoring import Restoring
from staffetta.mailboxes.roster import MARKER_PATH, SUFFIX, Standing, check_marker, path_of
from staffetta.mailboxes.salvaging import Wreck
from staffetta.mailboxes.schema import PAGE_SIZE_BYTES, Template
from staffetta.runtime.disk import NORMAL, Database, DatabaseSettings, Volume

DIRECTORY = "rebuild"
STEP_MESSAGES = 200

_SETTINGS = DatabaseSettings(
    synchronous=NORMAL, page_size_bytes=PAGE_SIZE_BYTES, checkpoint_on_close=False, create=False
)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did. `lost`: messages whose place is known and whose bytes are nowhere."""

    messages: int
    salvaged: int
    from_log: int
    lost: int
    quarantined: str


def rebuild(
    files: MailboxFiles,
    ref: MailboxRef,
    deliveries: Iterable[Delivery],
    now_us: int,
    total: int = 0,
) -> Generator[Progress, None, Rebuilt]:
    """Build the mailbox anew; whole and in its place when the generator ends.

    `deliveries` is what the log has delivered into it, in log order, with the UIDs of the facts;
    `total` is how many, where that is known. A file that is still in its place is set aside
    first. Until the end the mailbox is incomplete; if the work is broken off it stays so, and
    can be begun again. Raises `VolumeFault`, `MailboxDamaged` if the result does not hold.
    """
    volume = files.volume
    check_marker(volume)
    aside = set_aside(files, ref, now_us)
    path = f"{DIRECTORY}/{ref.mailbox}{SUFFIX}"
    remove_files(volume, path)
    volume.write_lazily(path, Template().make(ref.mailbox, ref.uid_validity))
    wreck = Wreck(volume, ref.mailbox, aside, f"{DIRECTORY}/{ref.mailbox}-wreck{SUFFIX}")
    database: Database | None = None
    try:
        database = volume.database(path, _SETTINGS)
        yield Progress(0, total, "reading what is left")
        restoring = Restoring(database, wreck.read_tables())
        salvaged = yield from _salvage_contents(restoring, wreck)
        from_log = yield from _replay(restoring, deliveries, total)
        with database.transaction():
            lost = restoring.finish(now_us)
        yield Progress(total, total, "checking")
        problems = list_problems(database)
        if problems:
            raise MailboxDamaged(ref.mailbox, f"its rebuild does not hold: {problems[0]}")
        row = database.row("SELECT count(*) FROM message")
        assert row is not None
        messages = int(row[0])
        close_complete(database)
        database = None
    finally:
        wreck.close()
        if database is not None:
            database.close()
    put_in_place(files, ref.mailbox, path)
    return Rebuilt(messages, salvaged, from_log, lost, aside)


def close_complete(database: Database) -> None:
    """Close a file that is complete, so that all of it stands under one name."""
    database.run("UPDATE mailbox SET settled=1")
    database.row("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def put_in_place(files: MailboxFiles, mailbox: int, path: str) -> None:
    """Give a complete file the mailbox's name, durably; from here on it is the mailbox."""
    volume = files.volume
    target = path_of(mailbox)
    volume.sync([path])
    with files.closed(mailbox):
        for name in (path, target):
            volume.remove(name + "-wal")
            volume.remove(name + "-shm")
        volume.rename(path, target)
        volume.sync([target, MARKER_PATH])
        files.roster.mark(mailbox, Standing.PRESENT)


def remove_files(volume: Volume, path: str) -> None:
    """Delete a database file with what belongs to it."""
    for end in ("", "-wal", "-shm"):
        volume.remove(path + end)


def _salvage_contents(restoring: Restoring, wreck: Wreck) -> Generator[Progress, None, int]:
    """Take over every message whose bytes are still what was written."""
    ids = sorted(restoring.wanted | restoring.known_contents)
    salvaged = 0
    for start in range(0, len(ids), STEP_MESSAGES):
        with restoring.database.transaction():
            for row in wreck.contents(ids[start : start + STEP_MESSAGES]):
                checksum, header, text = row[3], row[6], row[7]
                if zlib.crc32(text, zlib.crc32(header)) == checksum:
                    restoring.add_content(row)
                    salvaged += 1
        yield Progress(min(start + STEP_MESSAGES, len(ids)), len(ids), "salvaging messages")
    return salvaged


def _replay(
    restoring: Restoring, deliveries: Iterable[Delivery], total: int
) -> Generator[Progress, None, int]:
    """Put in from the log what the file has no more."""
    done = restored = 0
    batch: list[Delivery] = []
    for delivery in deliveries:
        batch.append(delivery)
        if len(batch) == STEP_MESSAGES:
            restored += _replay_some(restoring, batch)
            done += len(batch)
            batch.clear()
            yield Progress(done, total, "reading the log")
    restored += _replay_some(restoring, batch)
    yield Progress(done + len(batch), total, "reading the log")
    return restored


def _replay_some(restoring: Restoring, deliveries: list[Delivery]) -> int:
    with restoring.database.transaction():
        return sum(restoring.replay(delivery) for delivery in deliveries)
