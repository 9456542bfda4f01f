"""Who has signed in, as the sessions need it."""

from __future__ import annotations

from dataclasses import dataclass

from staffetta.directory.catalogue import Catalogue
from staffetta.directory.recipients import Target
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


def open_account(target: Target, catalogue: Catalogue, append_bytes_max: int) -> Account:
    """The account of a mailbox; what may be appended is bounded by plan and door."""
    brand = catalogue.brands.get(target.brand)
    return Account(
        target.address,
        target.brand,
        brand.language if brand is not None else "",
        target.cell,
        MailboxRef(target.mailbox, target.uid_validity, target.quota_bytes),
        min(append_bytes_max, target.size_bytes_max),
    )
