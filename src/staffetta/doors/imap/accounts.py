"""Who has signed in, and the port by which the door asks whether they may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from staffetta.mailboxes.port import MailboxRef


@dataclass(frozen=True, slots=True)
class Account:
    """A person's mailbox, as the directory has it at sign-in. `language` is the brand's."""

    address: str
    brand: str
    language: str
    cell: str
    ref: MailboxRef
    append_bytes_max: int


class SignInRefusal(Enum):
    """Why not; never because a cell is broken."""

    WRONG = "wrong"  # no such address, or not its password: not told apart
    SUSPENDED = "suspended"  # the right password of a mailbox whose owner may not sign in
    CLOSED = "closed"  # the right password of a mailbox that is no more in use
    UNSURE = "unsure"  # the directory cannot be read now: neither yes nor no


class Verifier(Protocol):
    """The directory, as the door needs it."""

    async def verify(self, address: str, password: str) -> Account | SignInRefusal:
        """Whose mailbox this is. Takes as long for a wrong address as for a wrong password."""
        ...
