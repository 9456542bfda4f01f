"""Who gets mail for an address: the answers, and the port that gives them.

Accepting, delivering and signing in see the directory through `Recipients` alone. Its one
implementation is `directory.replica.RecipientTable`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from staffetta.directory.records import MailboxState

ALIAS_DEPTH_MAX = 8  # aliases of aliases
ALIAS_TARGETS_MAX = 1_000  # addresses on the way, the mailboxes at its end included


@dataclass(frozen=True, slots=True)
class Target:
    """One mailbox that an address leads to, as it is now."""

    mailbox: int
    address: str  # its primary address
    brand: str
    plan: str  # the one in force, upgrades for a time included
    cell: str
    uid_validity: int
    quota_bytes: int  # 0: no limit
    size_bytes_max: int  # of one message
    state: MailboxState


@dataclass(frozen=True, slots=True)
class Credential:
    """A mailbox and its password hash, empty where nobody may sign in."""

    target: Target
    password_hash: str


@dataclass(frozen=True, slots=True)
class Known:
    """The address is ours. `targets` has at least one mailbox, each once, in a fixed order.

    A closed mailbox is among them with its state: whether to refuse is for the caller to say
    (for a single closed target RFC 3463 X.2.1 fits; of several, the others still get the mail).
    `address` is the stored address that matched, folded and without tag.
    """

    address: str
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class NoSuchUser:
    """The domain is ours, the user does not exist, and the table is fit to say so."""


@dataclass(frozen=True, slots=True)
class NotOurs:
    """The domain is none of ours."""


class Doubt(StrEnum):
    """Why the table cannot say no."""

    LOADING = "loading"  # the copy is not complete yet
    STALE = "stale"  # the authority has not been read for too long
    DAMAGED = "damaged"  # the copy is not what was written; it is being made again
    UNREADABLE = "unreadable"  # the copy cannot be read now
    DIVERGED = "diverged"  # the authority is not the one of which this is a copy
    DANGLING = "dangling"  # the address leads to something that is not there


@dataclass(frozen=True, slots=True)
class Unsure:
    """Neither yes nor no: never answer with a permanent refusal (design §4)."""

    reason: Doubt


Resolution = Known | NoSuchUser | NotOurs | Unsure


class Recipients(Protocol):
    """The local recipient table. Safe to call from any thread; never waits for the network."""

    def resolve(self, local_part: str, domain: str) -> Resolution:
        """Who gets mail for this forward-path, given as it stood in RCPT.

        Never raises for a broken disk: the answer is then `Unsure`. An empty domain is
        answered for `postmaster` only (RFC 5321 4.5.1).
        """
        ...

    def by_mailbox(self, mailbox: int) -> Target | None:
        """That mailbox as it is now; None where the table has none of that number.

        Raises `runtime.faults.VolumeFault` when the table cannot be read.
        """
        ...
