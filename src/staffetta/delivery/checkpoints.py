"""How far each cell has read the log, and what it holds back.

One small database per cell, on the log's volume: a broken cell must not take the knowledge of
what it has with it. Checkpoint and held messages change in one transaction, so that a message
is always either beyond the checkpoint, or delivered, or held.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from staffetta.runtime.disk import FULL, Database, DatabaseSettings, Volume

SCHEMA = """
CREATE TABLE IF NOT EXISTS checkpoint (
    partition INTEGER PRIMARY KEY, position INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS held (
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    receipt BLOB NOT NULL,
    at_us INTEGER NOT NULL,
    mailbox INTEGER NOT NULL,
    address TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (partition, position, ordinal)
) STRICT;
CREATE INDEX IF NOT EXISTS held_mailbox ON held (mailbox, at_us);
"""

OVER_QUOTA = "over-quota"
UNVERIFIED = "unverified"
NO_SUCH_USER = "no-such-user"
MAILBOX_GONE = "mailbox-gone"
MAILBOX_DAMAGED = "mailbox-damaged"

# In place of an ordinal: what is held is something that a person did, and not a message.
ACTION = -1


@dataclass(frozen=True, slots=True)
class Item:
    """One message for one mailbox: the unit that has a fate.

    (`partition`, `position`) is the entry that accepted it, where its body is; or, with the
    ordinal `ACTION`, the entry of what a person did.
    """

    partition: int
    position: int
    ordinal: int
    receipt: bytes
    at_us: int
    mailbox: int
    address: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class HeldItem:
    """An item that waits, and what for."""

    item: Item
    reason: str


class Checkpoints:
    """The durable memory of one cell's reader. Used by that reader's thread only."""

    def __init__(self, volume: Volume, cell: str) -> None:
        self._database: Database = volume.database(f"{cell}.db", DatabaseSettings(synchronous=FULL))
        self._database.run(SCHEMA)

    def positions(self) -> dict[int, int]:
        """Partition → last position that is dealt with."""
        return dict(self._database.rows("SELECT partition, position FROM checkpoint"))

    def move(
        self,
        positions: dict[int, int],
        held: Sequence[HeldItem] = (),
        released: Iterable[Item] = (),
    ) -> None:
        """Record progress, newly held items and items no longer held, all or nothing."""
        with self._database.transaction():
            self._database.many(
                "INSERT INTO checkpoint VALUES (?,?)"
                " ON CONFLICT (partition) DO UPDATE SET position = excluded.position",
                list(positions.items()),
            )
            self._database.many(
                "INSERT INTO held VALUES (?,?,?,?,?,?,?,?,?)"
                " ON CONFLICT (partition, position, ordinal) DO UPDATE SET reason ="
                " excluded.reason, mailbox = excluded.mailbox",
                [_row(item) for item in held],
            )
            self._database.many(
                "DELETE FROM held WHERE partition = ? AND position = ? AND ordinal = ?",
                [(item.partition, item.position, item.ordinal) for item in released],
            )

    def held(self, limit: int, mailbox: int | None = None) -> list[HeldItem]:
        """Held items, oldest first, of one mailbox or of all."""
        where = "" if mailbox is None else " WHERE mailbox = ?"
        rows = self._database.rows(
            "SELECT partition, position, ordinal, receipt, at_us, mailbox, address, size_bytes,"
            f" reason FROM held{where} ORDER BY at_us, partition, position, ordinal LIMIT ?",
            (limit,) if mailbox is None else (mailbox, limit),
        )
        return [HeldItem(Item(*row[:8]), row[8]) for row in rows]

    def held_mailboxes(self) -> dict[int, int]:
        """Mailbox → number of its held items."""
        return dict(self._database.rows("SELECT mailbox, count(*) FROM held GROUP BY mailbox"))

    def oldest_held_position(self, partition: int) -> int | None:
        """The first position of a partition that retention must not delete."""
        row = self._database.row("SELECT min(position) FROM held WHERE partition = ?", (partition,))
        return None if row is None else row[0]

    def safe_position(self, partition: int) -> int:
        """Up to here nothing of the partition is needed by this cell any more."""
        oldest_held = self.oldest_held_position(partition)
        reached = self.positions().get(partition, 0)
        return reached if oldest_held is None else min(reached, oldest_held - 1)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()


def _row(held: HeldItem) -> tuple[object, ...]:
    item = held.item
    return (
        item.partition,
        item.position,
        item.ordinal,
        item.receipt,
        item.at_us,
        item.mailbox,
        item.address,
        item.size_bytes,
        held.reason,
    )
