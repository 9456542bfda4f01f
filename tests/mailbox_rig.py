"""What the tests of the mailbox store share: cells of both kinds, and mail to put into them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from staffetta.mailboxes.files import FileSettings
from staffetta.mailboxes.memory import MemoryCell
from staffetta.mailboxes.port import (
    INBOX,
    Cell,
    Column,
    Delivery,
    Mailbox,
    MailboxBatch,
    MailboxRef,
    Outcome,
    Placed,
)
from staffetta.mailboxes.roster import found_cell
from staffetta.mailboxes.sqlite import SqliteCell
from staffetta.runtime.disk import DirectoryVolume

EVERYTHING = [(1, 0xFFFFFFFF)]
NOON_US = 1_700_000_000_000_000
DAY_US = 86_400_000_000
REF = MailboxRef(4711, 1_600_000_000)


class SeededEntropy:
    """Chance that repeats itself."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def token(self, size_bytes: int) -> bytes:
        return self._random.randbytes(size_bytes)


class StillClock:
    """A clock that a test moves."""

    def __init__(self, at_us: int = NOON_US) -> None:
        self.at_us = at_us

    def now_us(self) -> int:
        return self.at_us

    def monotonic_s(self) -> float:
        return self.at_us / 1_000_000

    def utc_offset_s(self, at_us: int) -> int:
        return 0


def make_volume(root: Path, name: str = "one") -> DirectoryVolume:
    """The volume of a cell in a directory of its own, made a cell if it is new."""
    (root / name).mkdir(exist_ok=True)
    volume = DirectoryVolume(name, root / name)
    found_cell(volume, SeededEntropy())
    return volume


def make_sqlite_cell(
    root: Path, name: str = "one", settings: FileSettings | None = None, seed: int = 1
) -> SqliteCell:
    """One process's view of a cell; several of them on one directory are several processes."""
    return SqliteCell(make_volume(root, name), StillClock(), SeededEntropy(seed), settings)


def make_memory_cell(seed: int = 1) -> MemoryCell:
    return MemoryCell("one", SeededEntropy(seed))


def receipt(number: int) -> bytes:
    return number.to_bytes(10, "big")


def mail(subject: str = "Ciao", body: str = "Buongiorno.", **fields: str) -> bytes:
    """A small message; further fields by name, with `_` for `-`."""
    lines = [f"Subject: {subject}", "Date: Mon, 02 Jan 2023 10:00:00 +0100"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if not subject.isascii() or not body.isascii():
        lines += ["MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8"]
        lines += ["Content-Transfer-Encoding: 8bit"]
    return "\r\n".join([*lines, "", body, ""]).encode()


def delivery(number: int, content: bytes | None = None, **more: object) -> Delivery:
    content = mail(f"Message {number}") if content is None else content
    return Delivery(receipt(number), 0, NOON_US + number, content, **more)  # type: ignore[arg-type]


def deliver(cell: Cell, deliveries: Iterable[Delivery], ref: MailboxRef = REF) -> list[Outcome]:
    """Deliver to one mailbox and make it durable."""
    (outcomes,) = cell.deliver([MailboxBatch(ref, list(deliveries))])
    cell.sync()
    return outcomes


def fill(cell: Cell, contents: Sequence[bytes], ref: MailboxRef = REF, first: int = 1) -> list[int]:
    """Deliver these messages to INBOX; returns their UIDs."""
    placed = deliver(cell, [delivery(n, c) for n, c in enumerate(contents, first)], ref)
    assert all(isinstance(each, Placed) for each in placed)
    return [each.uid for each in placed if isinstance(each, Placed)]


def read(
    mailbox: Mailbox,
    column: Column,
    folder: str = INBOX,
    uids: Sequence[tuple[int, int]] = EVERYTHING,
) -> dict[int, object]:
    """One column of a folder's messages, by UID."""
    return {
        row[0]: row[3]  # type: ignore[misc]
        for chunk in mailbox.fetch(folder, uids, [column])
        for row in chunk
    }


def contents(mailbox: Mailbox, folder: str = INBOX) -> dict[int, object]:
    """The messages of a folder, whole, by UID."""
    return read(mailbox, Column.CONTENT, folder)


def flags(mailbox: Mailbox, folder: str = INBOX) -> dict[int, int]:
    """The flags of a folder's messages, by UID."""
    return {uid: bits for uid, bits, _ in mailbox.snapshot(folder).rows}


def folder_names(mailbox: Mailbox) -> list[str]:
    return [folder.name for folder in mailbox.overview().folders]
