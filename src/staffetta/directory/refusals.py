"""Every no that the directory says to those who change it.

The words for people, and what to do next, are in the command line's texts under the same code.
"""

from __future__ import annotations

from enum import StrEnum


class RefusalCode(StrEnum):
    """Why a change was refused. Nothing was changed."""

    ADDRESS_INVALID = "address-invalid"  # address
    ADDRESS_TAKEN = "address-taken"  # address
    ALIAS_IN_USE = "alias-in-use"  # address, other
    ALIAS_LOOP = "alias-loop"  # address, target
    ALIAS_TARGET_UNKNOWN = "alias-target-unknown"  # address, target
    ALIAS_TOO_LARGE = "alias-too-large"  # address, targets_max
    ALIAS_UNKNOWN = "alias-unknown"  # address
    BRAND_EXISTS = "brand-exists"  # brand
    BRAND_UNKNOWN = "brand-unknown"  # brand
    CELLS_FULL = "cells-full"
    CELL_CLOSED = "cell-closed"  # cell
    CELL_EXISTS = "cell-exists"  # cell
    CELL_FULL = "cell-full"  # cell, mailboxes_max
    CELL_UNKNOWN = "cell-unknown"  # cell
    DOMAIN_EXISTS = "domain-exists"  # domain, brand
    DOMAIN_INVALID = "domain-invalid"  # domain
    DOMAIN_UNKNOWN = "domain-unknown"  # domain
    HASH_INVALID = "hash-invalid"  # address
    HEADING_INVALID = "heading-invalid"  # found
    KEY_INVALID = "key-invalid"  # key
    LEDGER_ENTRY_INVALID = "ledger-entry-invalid"  # entry
    MAILBOX_CLOSED = "mailbox-closed"  # address
    MAILBOX_UNKNOWN = "mailbox-unknown"  # address
    PASSWORD_INVALID = "password-invalid"  # noqa: S105 # bytes_min, bytes_max
    PLAN_EXISTS = "plan-exists"  # plan, brand
    PLAN_UNKNOWN = "plan-unknown"  # plan, brand
    ROW_INVALID = "row-invalid"  # line, detail


class DirectoryRefusal(Exception):
    """A change that the directory does not make. `values` are what the texts mention."""

    def __init__(self, code: RefusalCode, **values: str | int) -> None:
        detail = ", ".join(f"{name}={value}" for name, value in values.items())
        super().__init__(f"{code.value} ({detail})" if detail else code.value)
        self.code = code
        self.values = values
