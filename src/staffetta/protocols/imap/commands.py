"""The commands of an IMAP server, as `parser.parse_command` hands them out.

Every command is a frozen dataclass whose first field is the client's `tag`, to be repeated in the
answer. Mailbox names are text, already decoded from modified UTF-7, with INBOX spelled INBOX.
Commands with a UID form (FETCH, STORE, SEARCH, COPY, MOVE) carry `by_uid`: it says how the set is
meant and that answers name UIDs (RFC 3501 §6.4.8). What cannot be parsed is a `BadCommand`, ready
to be answered with `responses.refusal`.

    match parse_command(frame):
        case BadCommand() as bad: ...
        case Select(mailbox=name, read_only=read_only): ...
        case Fetch(by_uid=by_uid, numbers=numbers, items=items, sections=sections): ...
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Literal

from staffetta.protocols.imap.attributes import BodySection, FetchItem
from staffetta.protocols.imap.criteria import SearchKey, SearchReturn
from staffetta.protocols.imap.sequence import SequenceSet


@dataclass(frozen=True, slots=True)
class BadCommand:
    """A command that is not answered OK whatever the state: the reply it gets.

    `tag` is empty where none could be read (the reply is then untagged). `status` is BAD for
    broken syntax, NO where the syntax is right and the thing cannot be (a name that is no mailbox
    name: CANNOT; a charset nobody knows: BADCHARSET). `code` goes between brackets.
    """

    tag: bytes
    text: str
    status: Literal["BAD", "NO"] = "BAD"
    code: bytes | None = None


# Any state (RFC 3501 §6.1, RFC 2971).


@dataclass(frozen=True, slots=True)
class Capability:
    """CAPABILITY."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class Noop:
    """NOOP."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class Logout:
    """LOGOUT."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class Id:
    """ID (RFC 2971): what the client says of itself, keys in lower case; empty for NIL."""

    tag: bytes
    parameters: tuple[tuple[str, str | None], ...]


# Not authenticated (RFC 3501 §6.2).


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS. Whatever is in the receiver after it must be dropped: `ImapReceiver.discard`."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class Authenticate:
    """AUTHENTICATE; `mechanism` in upper case.

    `initial_response` is the decoded bytes of SASL-IR (RFC 4959), b"" where the client sent `=`,
    None where it sent nothing and waits for a challenge.
    """

    tag: bytes
    mechanism: str
    initial_response: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Login:
    """LOGIN; the password is the client's octets (UTF-8 in practice)."""

    tag: bytes
    user: str
    password: bytes = field(repr=False)


# Authenticated (RFC 3501 §6.3 and extensions).


@dataclass(frozen=True, slots=True)
class Enable:
    """ENABLE (RFC 5161): names in upper case; unknown ones are not an error."""

    tag: bytes
    capabilities: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class QResync:
    """What a client remembers of a mailbox (RFC 7162 §3.2.5)."""

    uid_validity: int
    modseq: int
    known_uids: SequenceSet | None = None
    known_numbers: SequenceSet | None = None
    known_number_uids: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class Select:
    """SELECT, or EXAMINE where `read_only`."""

    tag: bytes
    mailbox: str
    read_only: bool = False
    condstore: bool = False
    qresync: QResync | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """CREATE; a separator at the end of the name has been taken off (RFC 3501 §6.3.3).

    `special_use` holds the attributes of USE (RFC 6154 §3), each in its usual spelling.
    """

    tag: bytes
    mailbox: str
    special_use: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE."""

    tag: bytes
    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename:
    """RENAME."""

    tag: bytes
    mailbox: str
    new_name: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    """SUBSCRIBE."""

    tag: bytes
    mailbox: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """UNSUBSCRIBE."""

    tag: bytes
    mailbox: str


class StatusItem(Enum):
    """What STATUS may ask for (RFC 3501, 7162, 8438, 8474, 9051 for DELETED, 7889)."""

    MESSAGES = b"MESSAGES"
    RECENT = b"RECENT"
    UIDNEXT = b"UIDNEXT"
    UIDVALIDITY = b"UIDVALIDITY"
    UNSEEN = b"UNSEEN"
    HIGHESTMODSEQ = b"HIGHESTMODSEQ"
    SIZE = b"SIZE"
    DELETED = b"DELETED"
    MAILBOXID = b"MAILBOXID"
    APPENDLIMIT = b"APPENDLIMIT"

    # As in `FetchItem`.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class List:
    """LIST (RFC 3501 §6.3.8, extended by RFC 5258, 6154 and 5819).

    `reference` + each of `patterns` is the pattern: see `mailbox_names.ListPattern`. A single ""
    pattern in the basic form asks for the separator and the root (`is_separator_query`).
    """

    tag: bytes
    reference: str
    patterns: tuple[str, ...]
    select_subscribed: bool = False
    select_remote: bool = False
    select_special_use: bool = False
    recursive_match: bool = False
    return_subscribed: bool = False
    return_children: bool = False
    return_special_use: bool = False
    return_status: tuple[StatusItem, ...] = ()
    is_extended: bool = False

    @property
    def is_separator_query(self) -> bool:
        """Whether this is `LIST x ""`, to be answered with \\Noselect, separator and root."""
        return not self.is_extended and self.patterns == ("",)


@dataclass(frozen=True, slots=True)
class Lsub:
    """LSUB."""

    tag: bytes
    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Status:
    """STATUS; each item once, in the order asked for."""

    tag: bytes
    mailbox: str
    items: tuple[StatusItem, ...]


@dataclass(frozen=True, slots=True)
class Append:
    """APPEND. `flags` never hold \\Recent; `internal_date` has a zone; None means now."""

    tag: bytes
    mailbox: str
    message: bytes = field(repr=False)
    flags: tuple[str, ...] = ()
    internal_date: datetime | None = None


@dataclass(frozen=True, slots=True)
class Namespace:
    """NAMESPACE (RFC 2342)."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class Idle:
    """IDLE (RFC 2177): call `ImapReceiver.expect_line` and wait for DONE."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class GetQuota:
    """GETQUOTA (RFC 9208)."""

    tag: bytes
    root: str


@dataclass(frozen=True, slots=True)
class GetQuotaRoot:
    """GETQUOTAROOT (RFC 9208)."""

    tag: bytes
    mailbox: str


# Selected (RFC 3501 §6.4 and extensions).


@dataclass(frozen=True, slots=True)
class Check:
    """CHECK."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """CLOSE: expunges silently unless the mailbox is read-only."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class Unselect:
    """UNSELECT (RFC 3691): leaves without expunging."""

    tag: bytes


@dataclass(frozen=True, slots=True)
class Expunge:
    """EXPUNGE, or UID EXPUNGE (RFC 4315) where `uids` is given."""

    tag: bytes
    uids: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """SEARCH. `returns` is None for the plain `* SEARCH` answer, a set for `* ESEARCH`.

    An empty RETURN () has become ALL (RFC 4731 §3.1). `has_modseq` says that the tree asks for
    MODSEQ, so that the answer names the highest one found (RFC 7162 §3.1.5).
    """

    tag: bytes
    key: SearchKey
    by_uid: bool = False
    returns: frozenset[SearchReturn] | None = None
    has_modseq: bool = False


@dataclass(frozen=True, slots=True)
class Fetch:
    """FETCH.

    `items` and `sections` together are what is wanted; UID is in `items` whenever `by_uid`,
    MODSEQ whenever `changed_since` is given (RFC 7162 §3.1.4.1). `changed_since` may be 0: iOS
    asks that, and it means everything. `vanished` is only parsed (RFC 7162 §3.2.6).
    """

    tag: bytes
    numbers: SequenceSet
    items: frozenset[FetchItem]
    sections: tuple[BodySection, ...] = ()
    by_uid: bool = False
    changed_since: int | None = None
    vanished: bool = False

    @property
    def sets_seen(self) -> bool:
        """Whether answering sets \\Seen (RFC 3501 §6.4.5)."""
        return any(not section.peek for section in self.sections)


class StoreMode(Enum):
    """What STORE does with the flags it names."""

    REPLACE = b"FLAGS"
    ADD = b"+FLAGS"
    REMOVE = b"-FLAGS"


@dataclass(frozen=True, slots=True)
class Store:
    """STORE; `unchanged_since` as in RFC 7162 §3.1.3."""

    tag: bytes
    numbers: SequenceSet
    mode: StoreMode
    flags: tuple[str, ...]
    silent: bool = False
    by_uid: bool = False
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY."""

    tag: bytes
    numbers: SequenceSet
    mailbox: str
    by_uid: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    """MOVE (RFC 6851)."""

    tag: bytes
    numbers: SequenceSet
    mailbox: str
    by_uid: bool = False


AnyStateCommand = Capability | Noop | Logout | Id
NotAuthenticatedCommand = StartTls | Authenticate | Login
AuthenticatedCommand = (
    Enable
    | Select
    | Create
    | Delete
    | Rename
    | Subscribe
    | Unsubscribe
    | List
    | Lsub
    | Status
    | Append
    | Namespace
    | Idle
    | GetQuota
    | GetQuotaRoot
)
SelectedCommand = Check | Close | Unselect | Expunge | Search | Fetch | Store | Copy | Move
Command = AnyStateCommand | NotAuthenticatedCommand | AuthenticatedCommand | SelectedCommand
