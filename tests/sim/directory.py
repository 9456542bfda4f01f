"""A recipient table for the simulated world: few people, written down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from staffetta.directory.recipients import (
    Doubt,
    Known,
    NoSuchUser,
    NotOurs,
    Resolution,
    Target,
    Unsure,
)
from staffetta.directory.records import MailboxState

DOMAIN = "libero.example"
SIZE_BYTES_MAX = 1 << 20
UID_VALIDITY = 1_700_000_000


@dataclass
class FixedRecipients:
    """`directory.recipients.Recipients` from a list. `doubt`: what it says of everybody."""

    mailboxes: dict[int, Target] = field(default_factory=dict)
    aliases: dict[str, tuple[int, ...]] = field(default_factory=dict)
    doubt: Doubt | None = None

    def add(self, mailbox: int, cell: str, quota_bytes: int = 0) -> str:
        """A mailbox; returns its address."""
        address = f"u{mailbox}@{DOMAIN}"
        self.mailboxes[mailbox] = Target(
            mailbox, address, "libero", "free", cell, UID_VALIDITY + mailbox,
            quota_bytes, SIZE_BYTES_MAX, MailboxState.ACTIVE,
        )  # fmt: skip
        self.aliases[f"u{mailbox}"] = (mailbox,)
        return address

    def lift_quotas(self) -> None:
        """Everybody has room without end."""
        for mailbox, target in self.mailboxes.items():
            self.mailboxes[mailbox] = replace(target, quota_bytes=0)

    def resolve(self, local_part: str, domain: str) -> Resolution:
        """See the protocol."""
        if domain != DOMAIN:
            return NotOurs()
        if self.doubt is not None:
            return Unsure(self.doubt)
        found = self.aliases.get(local_part)
        if found is None:
            return NoSuchUser()
        return Known(f"{local_part}@{domain}", tuple(self.mailboxes[n] for n in found))

    def by_mailbox(self, mailbox: int) -> Target | None:
        """See the protocol."""
        return self.mailboxes.get(mailbox)
