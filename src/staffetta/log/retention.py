"""Forgetting: whole period files go when everything in them is old and dealt with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from staffetta.log.receipts import BadReceipt, from_text, time_us_of
from staffetta.runtime.disk import DatabaseSettings, Volume

DAY_US = 86_400_000_000
# A large body without an entry: its message was refused after all, or its process died.
ORPHAN_AGE_US = DAY_US


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    last: int
    newest_us: int
    spooled: tuple[str, ...]


def retire(
    volume: Volume, now_us: int, days: int, safe_position: Callable[[int], int]
) -> list[str]:
    """Delete what may be forgotten; returns the paths, in the order in which they went.

    A file goes when its newest entry is older than `days`, a younger file of its partition
    exists, and its last position is not beyond `safe_position(partition)`: an undelivered or
    held message is never dropped, however old. Raises `VolumeFault`.
    """
    gone: list[str] = []
    cutoff_us = now_us - days * DAY_US
    for name in volume.names(""):
        if not name.isdigit():
            continue
        partition = int(name)
        periods = [n for n in volume.names(name) if n.endswith(".db")]
        for period in periods[:-1]:
            file = _examine(volume, f"{partition}/{period}")
            if file.newest_us >= cutoff_us or file.last > safe_position(partition):
                break  # later files are younger still
            for path in (*file.spooled, file.path, f"{file.path}-wal", f"{file.path}-shm"):
                volume.remove(path)
            gone += [*file.spooled, file.path]
    return gone + _sweep_orphans(volume, now_us)


def _examine(volume: Volume, path: str) -> _File:
    database = volume.database(path, DatabaseSettings(read_only=True))
    try:
        row = database.row("SELECT coalesce(max(position), 0), coalesce(max(at_us), 0) FROM entry")
        spooled = database.rows("SELECT spool FROM entry WHERE spool IS NOT NULL")
        assert row is not None
        return _File(path, row[0], row[1], tuple(text for (text,) in spooled))
    finally:
        database.close()


def _sweep_orphans(volume: Volume, now_us: int) -> list[str]:
    """Unfinished files only: a finished one without an entry is rare and goes with its period."""
    gone = []
    for partition in volume.names("spool"):
        for name in volume.names(f"spool/{partition}"):
            if not name.endswith(".partial"):
                continue
            try:
                made_us = time_us_of(from_text(name.removesuffix(".partial")))
            except BadReceipt:
                continue
            if made_us < now_us - ORPHAN_AGE_US:
                path = f"spool/{partition}/{name}"
                volume.remove(path)
                gone.append(path)
    return gone
