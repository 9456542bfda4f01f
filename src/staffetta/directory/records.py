"""What the directory knows: brands, domains, plans, cells, mailboxes.

All records are immutable; a change is a new record under the same key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

GIB = 1 << 30
MIB = 1 << 20
TIB = 1 << 40


class MailboxState(StrEnum):
    """Whether a mailbox is in use."""

    ACTIVE = "active"
    SUSPENDED = "suspended"  # mail still comes in; its owner may not sign in
    CLOSED = "closed"  # neither; the address stays reserved, so that nobody inherits its mail


class CellState(StrEnum):
    """Whether a cell takes new mailboxes. Says nothing about whether it works."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Contact:
    """A way to reach a brand. Nothing else is ever shown as one."""

    kind: str  # phone, web, mail, post
    value: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Brand:
    """What a customer sees.

    `look` maps design tokens (`accent`, `logo` …) to values. `role_address` is the address of
    the mailbox that gets the mail of `postmaster@` and `abuse@` in all domains of the brand.
    """

    key: str
    name: str
    language: str = "it"  # BCP 47
    look: dict[str, str] = field(default_factory=dict)
    contacts: tuple[Contact, ...] = ()
    notice_address: str = ""  # where official notices come from
    role_address: str = ""


@dataclass(frozen=True, slots=True)
class Domain:
    """A mail domain, in lower-case A-labels."""

    name: str
    brand: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a mailbox may have. `quota_bytes` 0 means no limit; price and term are optional."""

    brand: str
    key: str
    name: str
    quota_bytes: int
    message_bytes_max: int = 50 * MIB
    price_cents: int | None = None  # per term, in cents of a euro
    term_months: int | None = None


@dataclass(frozen=True, slots=True)
class CellRecord:
    """One failure domain of mailbox storage. `path` is relative to the data directory."""

    name: str
    path: str
    mailboxes_max: int = 50_000
    state: CellState = CellState.OPEN


@dataclass(frozen=True, slots=True)
class MailboxRecord:
    """A mailbox. `plan` is the key of a plan of its brand."""

    mailbox: int
    address: str
    brand: str
    plan: str
    cell: str
    uid_validity: int
    state: MailboxState
    created_us: int


@dataclass(frozen=True, slots=True)
class Alias:
    """An address whose mail goes to other addresses of this directory."""

    address: str
    targets: tuple[str, ...]


CatalogueRecord = Brand | Domain | Plan | CellRecord
