"""What a mailbox has now: always a fold over its ledger, never a stored figure.

The ledger only grows. An entry takes effect at its moment, some for a time; a correction is a
later entry that revokes an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class EntryKind(StrEnum):
    """What a ledger entry does."""

    PLAN = "plan"  # puts the mailbox on a plan, for ever or (an upgrade) until `until_us`
    BYTES = "bytes"  # adds `amount` bytes of quota
    PERCENT = "percent"  # adds `amount` percent of the quota of the plan in force
    REVOKE = "revoke"  # takes back the entry `revokes`, from this moment on


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be appended. `until_us` 0 means for ever."""

    kind: EntryKind
    amount: int = 0
    plan: str = ""
    until_us: int = 0
    revokes: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """An entry as it stands in the ledger; `entry` numbers grow with time."""

    entry: int
    at_us: int
    kind: EntryKind
    amount: int = 0
    plan: str = ""
    until_us: int = 0
    revokes: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a mailbox has at one moment.

    `changes_us` is the next moment at which the same ledger gives something else; 0: never.
    """

    plan: str
    quota_bytes: int
    changes_us: int


def fold(
    entries: Iterable[LedgerEntry], at_us: int, quota_bytes_of: Callable[[str], int]
) -> Entitlement:
    """The entitlement at that moment, from all entries of one mailbox in any order.

    `quota_bytes_of` gives the quota of a plan (0: no limit). Of several plans in force the
    latest upgrade wins over the latest permanent one. Percentages add up, they do not compound.
    """
    ordered = sorted(entries, key=lambda entry: entry.entry)
    revoked_us = {
        entry.revokes: entry.at_us for entry in reversed(ordered) if entry.kind is EntryKind.REVOKE
    }
    plan, upgrade, added_bytes, percent = "", "", 0, 0
    moments_us: list[int] = []
    for entry in ordered:
        ends_us = min(
            (us for us in (entry.until_us, revoked_us.get(entry.entry, 0)) if us), default=0
        )
        moments_us += (entry.at_us, ends_us)
        if entry.at_us > at_us or (ends_us and ends_us <= at_us):
            continue
        match entry.kind:
            case EntryKind.PLAN if entry.until_us:
                upgrade = entry.plan
            case EntryKind.PLAN:
                plan = entry.plan
            case EntryKind.BYTES:
                added_bytes += entry.amount
            case EntryKind.PERCENT:
                percent += entry.amount
            case EntryKind.REVOKE:
                pass
    in_force = upgrade or plan
    plan_bytes = quota_bytes_of(in_force)
    quota_bytes = plan_bytes * (100 + percent) // 100 + added_bytes if plan_bytes else 0
    changes_us = min((us for us in moments_us if us > at_us), default=0)
    return Entitlement(in_force, quota_bytes, changes_us)
