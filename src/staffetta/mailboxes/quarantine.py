"""Setting a damaged mailbox aside, so that nobody takes its remains for the whole of it."""

from __future__ import annotations

from staffetta.mailboxes.files import MailboxFiles
from staffetta.mailboxes.port import MailboxRef
from staffetta.mailboxes.roster import MARKER_PATH, SUFFIX, Standing, check_marker, path_of

DIRECTORY = "quarantine"


def set_aside(files: MailboxFiles, ref: MailboxRef, now_us: int) -> str:
    """Move the mailbox's file to the quarantine and return where it lies; durable.

    From here on the mailbox is incomplete, until a rebuild puts a new file in its place. Where
    there is no file (it is lost, or set aside already) the answer is where the newest one lies
    in quarantine, or empty. Raises `VolumeFault`.
    """
    volume = files.volume
    check_marker(volume)
    path = path_of(ref.mailbox)
    with files.closed(ref.mailbox):
        # First the standing: a crash in between must not leave room for an empty mailbox.
        files.roster.mark(ref.mailbox, Standing.INCOMPLETE)
        if not volume.exists(path):
            return find_newest(files, ref.mailbox)
        target = f"{DIRECTORY}/{ref.mailbox}-{now_us}{SUFFIX}"
        moved = [path, path + "-wal"] if volume.exists(path + "-wal") else [path]
        for name in moved:
            volume.rename(name, target + name.removeprefix(path))
        volume.remove(path + "-shm")
        volume.sync([target + name.removeprefix(path) for name in moved] + [MARKER_PATH])
        return target


def find_newest(files: MailboxFiles, mailbox: int) -> str:
    """Where the newest file of the mailbox lies in quarantine; empty where there is none."""
    prefix = f"{mailbox}-"
    found = [
        name
        for name in files.volume.names(DIRECTORY)
        if name.startswith(prefix) and name.endswith(SUFFIX)
    ]
    return f"{DIRECTORY}/{max(found)}" if found else ""


def discard(files: MailboxFiles, mailbox: int) -> int:
    """Delete what lies in quarantine of a mailbox; returns how many files that were."""
    prefix = f"{mailbox}-"
    found = [name for name in files.volume.names(DIRECTORY) if name.startswith(prefix)]
    for name in found:
        files.volume.remove(f"{DIRECTORY}/{name}")
    return len(found)
