"""Delivery into one mailbox: one transaction, idempotent for each (receipt, ordinal)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from staffetta.mailboxes.counters import FolderRow, Writing, look_up_folder, writing
from staffetta.mailboxes.files import MailboxFile
from staffetta.mailboxes.placing import (
    INSERT_ARRIVALS,
    INSERT_MESSAGES,
    NewContent,
    insert_contents,
    make_ready,
)
from staffetta.mailboxes.port import (
    INBOX,
    SPECIAL_FOLDERS,
    Delivery,
    MailboxRef,
    Outcome,
    Overfull,
    Placed,
)
from staffetta.runtime.disk import Database


def prepare_all(deliveries: Sequence[Delivery]) -> list[NewContent]:
    """What can be done before the file is touched."""
    return [make_ready(each.receipt, each.ordinal, each.content) for each in deliveries]


def deliver(
    file: MailboxFile,
    ref: MailboxRef,
    deliveries: Sequence[Delivery],
    contents: Sequence[NewContent],
) -> list[Outcome]:
    """Put the messages in. Not durable when it returns. Raises `MailboxIncomplete`,
    `VolumeFault`."""
    file.make_durable(False)
    with writing(file.database) as change:
        return _Delivering(change, ref).run(deliveries, contents)


class _Delivering:
    """One batch on its way into the tables."""

    def __init__(self, change: Writing, ref: MailboxRef) -> None:
        self._change = change
        self._database = change.database
        self._ref = ref
        self._folders: dict[str, FolderRow] = {}
        self._placed: dict[tuple[bytes, int], Placed] = {}
        self._contents: list[NewContent] = []
        self._newest = find_newest_receipt(self._database)
        self._messages: list[tuple[int, int, int, int, int, int, int | None, int]] = []
        self._arrivals: list[tuple[bytes, int, int, int, int, int]] = []

    def run(self, deliveries: Sequence[Delivery], contents: Sequence[NewContent]) -> list[Outcome]:
        first_content = self._change.content_next
        outcomes = [
            self._deliver_one(delivery, content)
            for delivery, content in zip(deliveries, contents, strict=True)
        ]
        if self._contents:
            insert_contents(self._database, first_content, self._contents)
            self._database.insert(INSERT_MESSAGES, self._messages)
            self._database.insert(INSERT_ARRIVALS, self._arrivals)
        return outcomes

    def _deliver_one(self, delivery: Delivery, content: NewContent) -> Outcome:
        key = delivery.receipt, delivery.ordinal
        before = self._placed.get(key)
        if before is not None:
            return replace(before, fresh=False)
        if delivery.receipt <= self._newest:
            before = find_arrival(self._database, *key)
            if before is not None:
                return before
        change = self._change
        size_bytes = len(delivery.content)
        quota_bytes = self._ref.quota_bytes
        if quota_bytes and change.used_bytes + size_bytes > quota_bytes:
            return Overfull(change.used_bytes, quota_bytes)
        folder = self._find_folder(delivery.folder)
        uid = self._choose_uid(folder, delivery.uid)
        modseq = change.take_modseqs(1)
        content_id = change.take_contents(1)
        change.used_bytes += size_bytes
        folder.highest_modseq = modseq
        folder.add_one(uid, delivery.flags, size_bytes)
        self._contents.append(content)
        self._messages.append(
            (
                folder.id,
                uid,
                content_id,
                delivery.flags,
                modseq,
                delivery.at_us,
                content.sent_day,
                size_bytes,
            )
        )
        self._arrivals.append((*key, folder.id, uid, content_id, modseq))
        placed = Placed(folder.name, uid, folder.uid_validity, modseq, True)
        self._placed[key] = placed
        return placed

    def _find_folder(self, name: str) -> FolderRow:
        found = self._folders.get(name)
        if found is None:
            found = self._change.adopt(choose_folder(self._database, name))
            self._folders[name] = found
        return found

    def _choose_uid(self, folder: FolderRow, wanted: int) -> int:
        """The UID that a rebuild knows, where it is still free; else the next one."""
        if 0 < wanted < folder.uid_next:
            if not self._is_taken(folder, wanted):
                self._change.note(folder, wanted, wanted)
                return wanted
            wanted = 0
        uid = wanted or folder.uid_next
        folder.uid_next = uid + 1
        return uid

    def _is_taken(self, folder: FolderRow, uid: int) -> bool:
        if any(message[:2] == (folder.id, uid) for message in self._messages):
            return True
        sql = "SELECT 1 FROM message WHERE folder=? AND uid=?"
        return self._database.row(sql, (folder.id, uid)) is not None


def choose_folder(database: Database, name: str) -> FolderRow:
    """The folder of that name, or the one that serves for it, or INBOX: mail is never refused
    for want of a folder."""
    found = look_up_folder(database, name)
    if found is not None and found.selectable:
        return found
    use = SPECIAL_FOLDERS.get(name)
    if use is not None:
        # Its owner gave the folder another name; it is still the one for that use.
        row = database.row("SELECT name FROM folder WHERE special_use=? AND selectable", (use,))
        found = None if row is None else look_up_folder(database, row[0])
        if found is not None:
            return found
    inbox = look_up_folder(database, INBOX)
    assert inbox is not None
    return inbox


def find_newest_receipt(database: Database) -> bytes:
    """The highest receipt that has arrived: as receipts sort by time, most that come are new."""
    row = database.row("SELECT receipt FROM arrival ORDER BY receipt DESC LIMIT 1")
    return b"" if row is None else bytes(row[0])


def find_arrival(database: Database, receipt: bytes, ordinal: int) -> Placed | None:
    """Where the message was first put, even if it is gone since; None where it never came."""
    row = database.row(
        "SELECT name,uid,uid_validity,modseq FROM arrival LEFT JOIN folder ON id=folder "
        "WHERE receipt=? AND ordinal=?",
        (receipt, ordinal),
    )
    if row is None:
        return None
    name, uid, uid_validity, modseq = row
    return Placed(name or INBOX, uid, uid_validity or 0, modseq, False)
