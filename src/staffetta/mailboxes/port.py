"""The mailbox store, as the rest of the system sees it.

A `Cell` is one failure domain with a bounded number of mailboxes. All methods block, may raise
`runtime.faults.VolumeFault` (the cell is broken: temporary) or `MailboxDamaged` (this one
mailbox is: it goes to quarantine and is rebuilt), and are called on the cell's own threads,
never on an event loop. Two processes use the same cell: one delivers, one serves people.

Delivery is idempotent per (receipt, ordinal) and durable after `sync`. What a person does is
durable when the method returns.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

# Flags are bits of one integer. The first five are RFC 3501's system flags (2.3.2); the rest
# are the mailbox's keywords, in the order in which they were first used.
SEEN, ANSWERED, FLAGGED, DELETED, DRAFT = 1, 2, 4, 8, 16
SYSTEM_FLAGS = (r"\Seen", r"\Answered", r"\Flagged", r"\Deleted", r"\Draft")
KEYWORDS_MAX = 57  # 62 bits of a signed integer in all
FOLDER_NAME_BYTES_MAX = 1024
FOLDERS_MAX = 2_000
INBOX = "INBOX"
SEPARATOR = "/"
SPECIAL_FOLDERS = {  # RFC 6154, made with every mailbox
    "Drafts": r"\Drafts",
    "Sent": r"\Sent",
    "Junk": r"\Junk",
    "Trash": r"\Trash",
    "Archive": r"\Archive",
}


class MailboxDamaged(Exception):
    """The file of this mailbox is not what was written; other mailboxes are not concerned."""

    def __init__(self, mailbox: int, detail: str) -> None:
        super().__init__(f"mailbox {mailbox}: {detail}")
        self.mailbox = mailbox
        self.detail = detail


class MailboxIncomplete(Exception):
    """The mailbox is being rebuilt or moved: it must not be shown emptier than it was."""


class NoSuchFolder(Exception):
    """There is no folder of that name."""


class FolderExists(Exception):
    """There is one already."""


class FolderRefused(Exception):
    """The folder cannot be made, renamed or deleted; the text says why."""


class TooManyKeywords(Exception):
    """The mailbox has `KEYWORDS_MAX` keywords already."""


class OverQuota(Exception):
    """What a person wants to add does not fit."""


@dataclass(frozen=True, slots=True)
class MailboxRef:
    """A mailbox and what the directory says of it. `quota_bytes` 0 means no limit."""

    mailbox: int
    uid_validity: int
    quota_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one mailbox. `uid` is set only when a rebuild knows the old one."""

    receipt: bytes
    ordinal: int
    at_us: int
    content: bytes
    folder: str = INBOX
    flags: int = 0
    uid: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """The message is there; `fresh` is False when it was there before this call."""

    folder: str
    uid: int
    uid_validity: int
    modseq: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class Overfull:
    """It did not fit: it stays held in the log."""

    used_bytes: int
    quota_bytes: int


@dataclass(frozen=True, slots=True)
class Damaged:
    """This mailbox is damaged; the others of the batch are not concerned.

    `incomplete`: it is in good hands already (set aside, rebuilt or moved): only wait.
    """

    detail: str
    incomplete: bool = False


Outcome = Placed | Overfull | Damaged


@dataclass(frozen=True, slots=True)
class MailboxBatch:
    """Everything that is to be delivered to one mailbox now, in log order."""

    ref: MailboxRef
    deliveries: Sequence[Delivery]


class FlagChange(IntEnum):
    """RFC 3501 6.4.6: FLAGS, +FLAGS, -FLAGS."""

    REPLACE = 0
    ADD = 1
    REMOVE = 2


@dataclass(frozen=True, slots=True)
class SetFlags:
    """`keywords` are added to or looked up in the mailbox's own; RFC 7162 UNCHANGEDSINCE."""

    change: FlagChange
    flags: int
    keywords: tuple[str, ...] = ()
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy to another folder; with `move`, RFC 6851: out of this one in the same step."""

    target: str
    move: bool = False


@dataclass(frozen=True, slots=True)
class Expunge:
    """Remove for ever those of the given messages that have `\\Deleted`.

    With `whatever_flags`, all of the given messages.
    """

    whatever_flags: bool = False


Change = SetFlags | Copy | Expunge


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change did.

    `rows`: (uid, flags, modseq) of messages whose flags changed; `refused`: uids that
    UNCHANGEDSINCE spared; `vanished`: uids that are gone; `copied`: (uid, uid in target).
    """

    modseq: int
    rows: list[tuple[int, int, int]] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    vanished: list[int] = field(default_factory=list)
    copied: list[tuple[int, int]] = field(default_factory=list)
    target_uid_validity: int = 0


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder and its counts (RFC 3501 STATUS, RFC 8438 SIZE, RFC 8474 MAILBOXID)."""

    name: str
    folder_id: str  # RFC 8474: survives renames
    special_use: str  # e.g. \\Sent; empty for ordinary folders
    subscribed: bool
    uid_validity: int
    uid_next: int
    highest_modseq: int
    messages: int
    unseen: int
    deleted: int
    recent: int
    size_bytes: int
    selectable: bool = True


@dataclass(frozen=True, slots=True)
class Overview:
    """The whole mailbox at a glance."""

    folders: list[Folder]
    used_bytes: int
    messages: int
    modseq: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A folder as one session sees it.

    `rows`: (uid, flags, modseq), by uid, of all messages, or of those changed or added after
    the asked modseq; `vanished`: uids removed after it. `recent_from`: messages with this uid
    or above are \\Recent for the session that claimed them.
    """

    folder: Folder
    rows: list[tuple[int, int, int]]
    vanished: list[int]
    keywords: tuple[str, ...]
    modseq: int
    recent_from: int


class Column(IntEnum):
    """What can be fetched of a message. Each has one Python type in the rows."""

    ENVELOPE = 1  # bytes, ready for the wire
    BODYSTRUCTURE = 2  # bytes, ready for the wire
    BODY = 3  # bytes, ready for the wire: the non-extensible form
    SIZE = 4  # int, RFC822.SIZE
    AT_US = 5  # int, INTERNALDATE
    HEADER = 6  # bytes: the header block with its empty line
    CONTENT = 7  # bytes: the whole message
    EMAIL_ID = 8  # str, RFC 8474
    RECEIPT = 9  # bytes, empty for messages that were put in by a person


@dataclass(frozen=True, slots=True)
class Arrange:
    """A change to the folders: one of create, delete, rename, subscribe, unsubscribe."""

    verb: str
    name: str
    new_name: str = ""
    special_use: str = ""


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an appended message went (RFC 4315 APPENDUID)."""

    uid_validity: int
    uid: int
    modseq: int


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What `check` found; an empty list is a healthy mailbox."""

    mailbox: int
    messages: int
    size_bytes: int
    problems: list[str]


class Mailbox(Protocol):
    """One open mailbox. `abandoned`, once set, keeps what hangs from being done late."""

    abandoned: threading.Event | None

    def overview(self) -> Overview:
        """Folders with counts, and the space used."""
        ...

    def snapshot(self, folder: str, since_modseq: int = 0, claim_recent: bool = False) -> Snapshot:
        """The folder, whole (since 0) or what changed after a modseq. Raises `NoSuchFolder`."""
        ...

    def fetch(
        self, folder: str, uids: Sequence[tuple[int, int]], columns: Sequence[Column]
    ) -> Iterator[list[tuple[object, ...]]]:
        """Rows (uid, flags, modseq, *columns) in uid order, in chunks of bounded bytes.

        `uids` are inclusive ranges, ascending. Messages that are gone are left out.
        """
        ...

    def search(self, folder: str, uids: Sequence[tuple[int, int]], query: Query) -> list[int]:
        """The uids, ascending, of the messages within `uids` that match."""
        ...

    def locate(self, receipts: Sequence[bytes]) -> list[tuple[bytes, str, int]]:
        """Where messages with these receipts are now: (receipt, folder, uid).

        Messages that are gone are left out; one that was copied appears once for each copy.
        """
        ...

    def change(self, folder: str, uids: Sequence[tuple[int, int]], change: Change) -> Changed:
        """Change messages; durable on return. Raises `NoSuchFolder`, `TooManyKeywords`,
        `OverQuota` (copy)."""
        ...

    def append(
        self, folder: str, content: bytes, flags: int, keywords: Sequence[str], at_us: int
    ) -> Appended:
        """Put a message in; durable on return. Raises `NoSuchFolder`, `OverQuota`,
        `TooManyKeywords`."""
        ...

    def arrange(self, change: Arrange) -> None:
        """Change the folders; durable on return. Raises `NoSuchFolder`, `FolderExists`,
        `FolderRefused`."""
        ...


class Cell(Protocol):
    """The mailboxes of one failure domain."""

    name: str

    def deliver(self, batches: Sequence[MailboxBatch]) -> list[list[Outcome]]:
        """Put messages in: outcomes in the same shape as the input. Durable after `sync`.

        Idempotent per (receipt, ordinal). Raises `VolumeFault` when the cell as a whole
        cannot take them; what was placed before is found again by the next attempt.
        """
        ...

    def sync(self) -> None:
        """Make every delivery since the last sync durable. Raises `VolumeFault`."""
        ...

    def open(self, ref: MailboxRef) -> Mailbox:
        """The mailbox, made if it is not there yet. Raises `MailboxDamaged`,
        `MailboxIncomplete`, `VolumeFault`. Cheap when recently used."""
        ...

    def probe(self) -> None:
        """Write, sync and read back something small. Raises `VolumeFault`."""
        ...

    def check(self, ref: MailboxRef) -> CheckReport:
        """Read everything of one mailbox and compare it with itself."""
        ...

    def quarantine(self, ref: MailboxRef) -> str:
        """Set a damaged mailbox aside, mark it incomplete, and return where it now lies."""
        ...

    def index_pending(self, limit: int) -> int:
        """Make up to `limit` delivered messages ready for SEARCH; for idle time. How many.

        A search does for itself what has not been done.
        """
        ...

    def close(self) -> None:
        """Let go of all files."""
        ...


@dataclass(frozen=True, slots=True)
class Query:
    """A search: `key` and its operands; a tree for AND, OR and NOT.

    Keys: ALL; HAS (flags: all bits set); LACKS (flags: no bit set); KEYWORD (text);
    UNKEYWORD (text); BEFORE, ON, SINCE (number: days since 1970-01-01 of INTERNALDATE in the
    asker's zone); SENTBEFORE, SENTON, SENTSINCE (number: days, of the Date field);
    LARGER, SMALLER (number, bytes); HEADER (name, text; empty text: has the field);
    BODY, TEXT (text); UID (ranges); MODSEQ (number); EMAILID (text); RECENT and the sequence
    numbers are the session's business and are turned into UID before they come here;
    AND, OR, NOT (queries).
    """

    key: str
    text: str = ""
    name: str = ""
    number: int = 0
    flags: int = 0
    ranges: tuple[tuple[int, int], ...] = ()
    queries: tuple[Query, ...] = ()
