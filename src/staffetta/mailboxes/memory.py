"""The mailbox store in memory: what the port means, in the plainest words.

The contract suite and the model tests hold it against the real one; simulations use it where a
disk would be too slow. Safe for any number of threads; nothing survives the process.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from staffetta.formats.imapdata import body
from staffetta.formats.mime import scan
from staffetta.mailboxes.keys import APPENDED_ORDINAL, format_email_id, make_key
from staffetta.mailboxes.memory_folders import MemoryFolder, MemoryFolders
from staffetta.mailboxes.memory_messages import MemoryMessage, make_message, matches
from staffetta.mailboxes.port import (
    DELETED,
    INBOX,
    KEYWORDS_MAX,
    SPECIAL_FOLDERS,
    SYSTEM_FLAGS,
    Appended,
    Arrange,
    Change,
    Changed,
    CheckReport,
    Column,
    Copy,
    Damaged,
    Delivery,
    Expunge,
    FlagChange,
    Mailbox,
    MailboxBatch,
    MailboxIncomplete,
    MailboxRef,
    Outcome,
    Overfull,
    OverQuota,
    Overview,
    Placed,
    Query,
    SetFlags,
    Snapshot,
    TooManyKeywords,
)
from staffetta.runtime.entropy import Entropy

Ranges = Sequence[tuple[int, int]]


@dataclass(slots=True)
class _Box:
    """One mailbox."""

    folders: MemoryFolders
    lock: threading.RLock = field(default_factory=threading.RLock)
    keywords: list[str] = field(default_factory=list)
    arrivals: dict[tuple[bytes, int], tuple[str, Placed]] = field(default_factory=dict)


class MemoryCell:
    """A cell whose mailboxes are objects."""

    def __init__(self, name: str, entropy: Entropy) -> None:
        self.name = name
        self._entropy = entropy
        self._lock = threading.Lock()
        self._boxes: dict[int, _Box] = {}
        self._aside: set[int] = set()

    def deliver(self, batches: Sequence[MailboxBatch]) -> list[list[Outcome]]:
        """See `port.Cell.deliver`."""
        return [self._deliver_batch(batch) for batch in batches]

    def _deliver_batch(self, batch: MailboxBatch) -> list[Outcome]:
        try:
            box = self._find(batch.ref)
        except MailboxIncomplete as error:
            return [Damaged(str(error), incomplete=True)] * len(batch.deliveries)
        with box.lock:
            return [_deliver(box, batch.ref, delivery) for delivery in batch.deliveries]

    def sync(self) -> None:
        """See `port.Cell.sync`: there is nothing to be done."""

    def open(self, ref: MailboxRef) -> Mailbox:
        """See `port.Cell.open`."""
        return MemoryMailbox(self._find(ref), ref, self._entropy)

    def probe(self) -> None:
        """See `port.Cell.probe`: memory is never out of order."""

    def check(self, ref: MailboxRef) -> CheckReport:
        """See `port.Cell.check`."""
        overview = MemoryMailbox(self._find(ref), ref, self._entropy).overview()
        return CheckReport(ref.mailbox, overview.messages, overview.used_bytes, [])

    def quarantine(self, ref: MailboxRef) -> str:
        """See `port.Cell.quarantine`."""
        with self._lock:
            self._boxes.pop(ref.mailbox, None)
            self._aside.add(ref.mailbox)
        return f"memory/{ref.mailbox}"

    def index_pending(self, limit: int) -> int:
        """Nothing is indexed here."""
        return 0

    def close(self) -> None:
        """See `port.Cell.close`."""

    def _find(self, ref: MailboxRef) -> _Box:
        with self._lock:
            if ref.mailbox in self._aside:
                raise MailboxIncomplete(f"mailbox {ref.mailbox} is being rebuilt")
            box = self._boxes.get(ref.mailbox)
            if box is None:
                box = self._boxes[ref.mailbox] = _Box(MemoryFolders(ref.uid_validity))
            return box


@dataclass(slots=True)
class MemoryMailbox:
    """One mailbox, for one caller."""

    _box: _Box
    _ref: MailboxRef
    _entropy: Entropy
    abandoned: threading.Event | None = None

    def overview(self) -> Overview:
        """See `port.Mailbox.overview`."""
        with self._box.lock:
            folders = self._box.folders
            shown = [folder.to_port() for folder in folders.sorted()]
            messages = sum(folder.messages for folder in shown)
            return Overview(shown, folders.used_bytes(), messages, folders.modseq)

    def snapshot(self, folder: str, since_modseq: int = 0, claim_recent: bool = False) -> Snapshot:
        """See `port.Mailbox.snapshot`."""
        with self._box.lock:
            found = self._box.folders.find(folder)
            rows = [
                (message.uid, message.flags, message.modseq)
                for message in found.messages.values()
                if message.modseq > since_modseq
            ]
            gone = found.vanished.items() if since_modseq > 0 else ()
            vanished = sorted(uid for uid, modseq in gone if modseq > since_modseq)
            shown = found.to_port()
            recent_from = found.recent_from
            if claim_recent:
                found.recent_from = found.uid_next
            keywords = tuple(self._box.keywords)
            modseq = self._box.folders.modseq
            return Snapshot(shown, sorted(rows), vanished, keywords, modseq, recent_from)

    def fetch(
        self, folder: str, uids: Ranges, columns: Sequence[Column]
    ) -> Iterator[list[tuple[object, ...]]]:
        """See `port.Mailbox.fetch`."""
        with self._box.lock:
            messages = _pick(self._box.folders.find(folder), uids)
        for message in messages:
            values = [_read_column(message, column) for column in columns]
            yield [(message.uid, message.flags, message.modseq, *values)]

    def search(self, folder: str, uids: Ranges, query: Query) -> list[int]:
        """See `port.Mailbox.search`."""
        with self._box.lock:
            messages = _pick(self._box.folders.find(folder), uids)
            keywords = self._box.keywords
            return [message.uid for message in messages if matches(message, query, keywords)]

    def locate(self, receipts: Sequence[bytes]) -> list[tuple[bytes, str, int]]:
        """See `port.Mailbox.locate`."""
        wanted = set(receipts)
        with self._box.lock:
            return [
                (message.key, folder.name, message.uid)
                for folder in self._box.folders.sorted()
                for message in folder.messages.values()
                if message.key in wanted and message.ordinal != APPENDED_ORDINAL
            ]

    def change(self, folder: str, uids: Ranges, change: Change) -> Changed:
        """See `port.Mailbox.change`."""
        with self._box.lock:
            source = self._box.folders.find(folder)
            messages = _pick(source, uids)
            match change:
                case SetFlags():
                    return self._set_flags(source, messages, change)
                case Copy():
                    return self._copy(source, messages, change)
                case Expunge(whatever_flags):
                    gone = [m for m in messages if whatever_flags or m.flags & DELETED]
                    return self._remove(source, gone)

    def append(
        self, folder: str, content: bytes, flags: int, keywords: Sequence[str], at_us: int
    ) -> Appended:
        """See `port.Mailbox.append`."""
        with self._box.lock:
            folders = self._box.folders
            target = folders.find(folder)
            self._check_quota(len(content))
            flags |= self._take_keywords(keywords)
            message = make_message(make_key(self._entropy), APPENDED_ORDINAL, content, flags, at_us)
            placed = target.add(message, folders.take_modseq())
            return Appended(target.uid_validity, placed.uid, placed.modseq)

    def arrange(self, change: Arrange) -> None:
        """See `port.Mailbox.arrange`."""
        with self._box.lock:
            self._box.folders.arrange(change)

    def _set_flags(
        self, folder: MemoryFolder, messages: list[MemoryMessage], change: SetFlags
    ) -> Changed:
        folders = self._box.folders
        if change.change is FlagChange.REMOVE:
            known = [name for name in change.keywords if self._bit(name) is not None]
            mask = change.flags | self._take_keywords(known)
        else:
            mask = change.flags | self._take_keywords(change.keywords)
        limit = change.unchanged_since
        refused = [m.uid for m in messages if limit is not None and m.modseq > limit]
        modseq = 0
        rows = []
        for message in messages:
            flags = _combine(message.flags, change.change, mask)
            if message.uid in refused or flags == message.flags:
                continue
            modseq = modseq or folders.take_modseq()
            folder.replace(replace(message, flags=flags, modseq=modseq))
            rows.append((message.uid, flags, modseq))
        return Changed(folders.modseq, rows=rows, refused=refused)

    def _copy(self, source: MemoryFolder, messages: list[MemoryMessage], change: Copy) -> Changed:
        folders = self._box.folders
        target = folders.find(change.target)
        if not change.move:
            self._check_quota(sum(len(message.content) for message in messages))
        if not messages:
            return Changed(folders.modseq, target_uid_validity=target.uid_validity)
        modseq = folders.take_modseq()
        vanished = []
        if change.move:
            vanished = [message.uid for message in messages]
            for uid in vanished:
                source.remove(uid, modseq)
        copied = [(message.uid, target.add(message, modseq).uid) for message in messages]
        return Changed(
            modseq, vanished=vanished, copied=copied, target_uid_validity=target.uid_validity
        )

    def _remove(self, folder: MemoryFolder, messages: list[MemoryMessage]) -> Changed:
        folders = self._box.folders
        if messages:
            modseq = folders.take_modseq()
            for message in messages:
                folder.remove(message.uid, modseq)
        return Changed(folders.modseq, vanished=[message.uid for message in messages])

    def _check_quota(self, size_bytes: int) -> None:
        quota_bytes = self._ref.quota_bytes
        if quota_bytes and self._box.folders.used_bytes() + size_bytes > quota_bytes:
            raise OverQuota(f"{size_bytes} bytes more than the quota of {quota_bytes} allows")

    def _bit(self, name: str) -> int | None:
        known = [keyword.lower() for keyword in self._box.keywords]
        return len(SYSTEM_FLAGS) + known.index(name.lower()) if name.lower() in known else None

    def _take_keywords(self, names: Sequence[str]) -> int:
        new = {name.lower(): name for name in reversed(names) if self._bit(name) is None}
        if len(self._box.keywords) + len(new) > KEYWORDS_MAX:
            raise TooManyKeywords(f"a mailbox has at most {KEYWORDS_MAX} keywords")
        mask = 0
        for name in names:
            if self._bit(name) is None:
                self._box.keywords.append(name)
            bit = self._bit(name)
            assert bit is not None
            mask |= 1 << bit
        return mask


def _deliver(box: _Box, ref: MailboxRef, delivery: Delivery) -> Outcome:
    key = delivery.receipt, delivery.ordinal
    folders = box.folders
    if key in box.arrivals:
        token, placed = box.arrivals[key]
        folder = next((each for each in folders.sorted() if each.token == token), None)
        if folder is None:
            return replace(placed, folder=INBOX, uid_validity=0, fresh=False)
        return replace(placed, folder=folder.name, uid_validity=folder.uid_validity, fresh=False)
    used_bytes = folders.used_bytes()
    if ref.quota_bytes and used_bytes + len(delivery.content) > ref.quota_bytes:
        return Overfull(used_bytes, ref.quota_bytes)
    folder = _choose_folder(folders, delivery.folder)
    message = make_message(*key, delivery.content, delivery.flags, delivery.at_us)
    message = folder.add(message, folders.take_modseq(), delivery.uid)
    placed = Placed(folder.name, message.uid, folder.uid_validity, message.modseq, True)
    box.arrivals[key] = folder.token, placed
    return placed


def _choose_folder(folders: MemoryFolders, name: str) -> MemoryFolder:
    selectable = [folder for folder in folders.sorted() if folder.selectable]
    for folder in selectable:
        if folder.name == name:
            return folder
    for folder in selectable:
        if name in SPECIAL_FOLDERS and folder.special_use == SPECIAL_FOLDERS[name]:
            return folder
    return folders.find(INBOX)


def _combine(flags: int, change: FlagChange, mask: int) -> int:
    match change:
        case FlagChange.REPLACE:
            return mask
        case FlagChange.ADD:
            return flags | mask
        case FlagChange.REMOVE:
            return flags & ~mask


def _pick(folder: MemoryFolder, uids: Ranges) -> list[MemoryMessage]:
    return [
        message
        for uid, message in sorted(folder.messages.items())
        if any(low <= uid <= high for low, high in uids)
    ]


def _read_column(message: MemoryMessage, column: Column) -> object:
    match column:
        case Column.ENVELOPE:
            return message.ready.envelope
        case Column.BODYSTRUCTURE:
            return message.ready.bodystructure
        case Column.BODY:
            return body(message.content, scan(message.content))
        case Column.SIZE:
            return len(message.content)
        case Column.AT_US:
            return message.at_us
        case Column.HEADER:
            return message.content[: message.ready.header_bytes]
        case Column.CONTENT:
            return message.content
        case Column.EMAIL_ID:
            return format_email_id(message.key, message.ordinal)
        case Column.RECEIPT:
            return b"" if message.ordinal == APPENDED_ORDINAL else message.key
