"""Mailboxes, their aliases, passwords and ledgers, in the authority.

A mailbox is never removed and never changes its address: a closed one keeps both, so that no
stranger inherits the mail that still comes for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from staffetta.directory.addresses import Address, BadAddress, parse_address
from staffetta.directory.authority import Authority, ChangeKind
from staffetta.directory.catalogue import Catalogue, CatalogueStore
from staffetta.directory.entitlements import (
    Entitlement,
    EntryKind,
    LedgerEntry,
    NewEntry,
    fold,
)
from staffetta.directory.passwords import is_password_hash
from staffetta.directory.placement import Placement
from staffetta.directory.records import CellRecord, CellState, MailboxRecord, MailboxState
from staffetta.directory.refusals import DirectoryRefusal, RefusalCode

DEFAULT_PLAN = "free"
PAGE_ROWS_MAX = 10_000

_COLUMNS = "id, address, brand, plan, cell, uid_validity, state, created_us"


@dataclass(frozen=True, slots=True)
class NewMailbox:
    """A mailbox to be made. Without `cell` it is placed; without hash nobody can sign in."""

    address: str
    plan: str = DEFAULT_PLAN
    password_hash: str = ""
    cell: str = ""


class Accounts:
    """Reads and changes mailboxes. Refusals are `DirectoryRefusal`, faults `VolumeFault`."""

    __slots__ = ("_authority", "_catalogue")

    def __init__(self, authority: Authority, catalogue: CatalogueStore) -> None:
        self._authority = authority
        self._catalogue = catalogue

    def add(self, new: NewMailbox) -> MailboxRecord:
        """Make one mailbox; it is found by every replica within moments."""
        match self.add_many([new])[0]:
            case MailboxRecord() as record:
                return record
            case DirectoryRefusal() as refusal:
                raise refusal

    def add_many(self, new: Sequence[NewMailbox]) -> list[MailboxRecord | DirectoryRefusal]:
        """Make mailboxes in one transaction; what is refused does not keep the others out.

        Returns an outcome for each, in the same order.
        """
        with self._authority.database.transaction():
            batch = _Batch(
                self._catalogue.read(),
                self._catalogue.placement(),
                self._authority.clock.now_us(),
                self._newest_uid_validity(),
            )
            outcomes: list[MailboxRecord | DirectoryRefusal] = []
            for one in new:
                try:
                    outcomes.append(self._add(one, batch))
                except DirectoryRefusal as refusal:
                    outcomes.append(refusal)
        return outcomes

    def get(self, address: str | int) -> MailboxRecord:
        """The mailbox of that primary address, or of that number."""
        column = "id" if isinstance(address, int) else "address"
        value = address if isinstance(address, int) else str(parsed(address))
        row = self._authority.database.row(
            f"SELECT {_COLUMNS} FROM mailbox WHERE {column} = ?", (value,)
        )
        if row is None:
            raise DirectoryRefusal(RefusalCode.MAILBOX_UNKNOWN, address=address)
        return _record(row)

    def page(
        self, after: int = 0, limit: int = PAGE_ROWS_MAX, brand: str = "", cell: str = ""
    ) -> list[MailboxRecord]:
        """At most `limit` mailboxes numbered beyond `after`, by number."""
        rows = self._authority.database.rows(
            f"SELECT {_COLUMNS} FROM mailbox WHERE id > ?1"
            " AND (?2 = '' OR brand = ?2) AND (?3 = '' OR cell = ?3) ORDER BY id LIMIT ?4",
            (after, brand, cell, min(limit, PAGE_ROWS_MAX)),
        )
        return [_record(row) for row in rows]

    def each(self, brand: str = "", cell: str = "") -> Iterator[MailboxRecord]:
        """All mailboxes, read in pages, by number."""
        after = 0
        while page := self.page(after, PAGE_ROWS_MAX, brand, cell):
            yield from page
            after = page[-1].mailbox

    def set_state(self, address: str | int, state: MailboxState) -> MailboxRecord:
        """Suspend, resume or close. A closed mailbox may be made active again."""
        with self._authority.database.transaction():
            record = self.get(address)
            self._update(record, "state", state.value)
        return self.get(record.mailbox)

    def set_password_hash(self, address: str | int, password_hash: str) -> MailboxRecord:
        """Put a new Argon2id hash in the place of the old one."""
        with self._authority.database.transaction():
            record = self.get(address)
            if record.state is MailboxState.CLOSED:
                raise DirectoryRefusal(RefusalCode.MAILBOX_CLOSED, address=record.address)
            self._write_hash(record.mailbox, record.address, password_hash)
            self._authority.record_change(ChangeKind.MAILBOX, record.mailbox)
        return record

    def renew_password_hash(self, mailbox: int, old: str, new: str) -> bool:
        """The same password under newer parameters; False if it was changed meanwhile."""
        with self._authority.database.transaction():
            changed = self._authority.database.run(
                "UPDATE credential SET hash = ?, changed_us = ? WHERE mailbox = ? AND hash = ?",
                (new, self._authority.clock.now_us(), mailbox, old),
            )
            if changed:
                self._authority.record_change(ChangeKind.MAILBOX, mailbox)
        return changed == 1

    def move(self, address: str | int, cell: str) -> MailboxRecord:
        """Say that a mailbox is in another cell now. Moving its mail is somebody else's work."""
        database = self._authority.database
        with database.transaction():
            record = self.get(address)
            placement = self._catalogue.placement()
            target = _place(placement, cell)
            self._update(record, "cell", target.name)
            database.run(
                "UPDATE occupancy SET mailboxes = mailboxes - 1 WHERE cell = ?", (record.cell,)
            )
            self._occupy(target.name)
        return self.get(record.mailbox)

    def append_entry(self, address: str | int, new: NewEntry) -> LedgerEntry:
        """Add to a mailbox's ledger: the only way to another plan or quota."""
        with self._authority.database.transaction():
            record = self.get(address)
            self._check_entry(record, new)
            entry = self._append_entry(record.mailbox, self._authority.clock.now_us(), new)
            if new.kind is EntryKind.PLAN and not new.until_us:
                self._update(record, "plan", new.plan)
            self._authority.record_change(ChangeKind.MAILBOX, record.mailbox)
        return entry

    def ledger(self, mailbox: int) -> list[LedgerEntry]:
        """Everything that was ever entered for a mailbox, oldest first."""
        rows = self._authority.database.rows(
            "SELECT id, at_us, kind, amount, plan, until_us, revokes, reason FROM ledger"
            " WHERE mailbox = ? ORDER BY id",
            (mailbox,),
        )
        return [LedgerEntry(row[0], row[1], EntryKind(row[2]), *row[3:]) for row in rows]

    def entitlement(self, record: MailboxRecord, at_us: int | None = None) -> Entitlement:
        """What a mailbox had, has or will have at a moment; now without one."""
        plans = self._catalogue.read().plans

        def quota_bytes_of(key: str) -> int:
            plan = plans.get((record.brand, key))
            return plan.quota_bytes if plan else 0

        moment_us = self._authority.clock.now_us() if at_us is None else at_us
        return fold(self.ledger(record.mailbox), moment_us, quota_bytes_of)

    def _add(self, new: NewMailbox, batch: _Batch) -> MailboxRecord:
        address = parsed(new.address)
        key = str(address)
        domain = batch.catalogue.domains.get(address.domain)
        if domain is None:
            raise DirectoryRefusal(RefusalCode.DOMAIN_UNKNOWN, domain=address.domain)
        if (domain.brand, new.plan) not in batch.catalogue.plans:
            raise DirectoryRefusal(RefusalCode.PLAN_UNKNOWN, plan=new.plan, brand=domain.brand)
        if new.password_hash and not is_password_hash(new.password_hash):
            raise DirectoryRefusal(RefusalCode.HASH_INVALID, address=key)
        self.check_free(key)
        cell = _place(batch.placement, new.cell)
        database = self._authority.database
        values = (
            key,
            domain.brand,
            new.plan,
            cell.name,
            batch.uid_validity,
            MailboxState.ACTIVE.value,
            batch.now_us,
        )
        database.run(
            "INSERT INTO mailbox (address, brand, plan, cell, uid_validity, state, created_us)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        mailbox = database.rowid()
        if new.password_hash:
            self._write_hash(mailbox, key, new.password_hash)
        self._append_entry(mailbox, batch.now_us, NewEntry(EntryKind.PLAN, plan=new.plan))
        self._occupy(cell.name)
        batch.placement.count_in(cell)
        self._authority.record_change(ChangeKind.MAILBOX, mailbox)
        return _record((mailbox, *values))

    def check_free(self, address: str) -> None:
        """Refuse an address that a mailbox or an alias has."""
        taken = self._authority.database.row(
            "SELECT 1 FROM mailbox WHERE address = ?1"
            " UNION ALL SELECT 1 FROM alias WHERE address = ?1",
            (address,),
        )
        if taken:
            raise DirectoryRefusal(RefusalCode.ADDRESS_TAKEN, address=address)

    def _check_entry(self, record: MailboxRecord, new: NewEntry) -> None:
        match new.kind:
            case EntryKind.PLAN:
                plans = self._catalogue.read().plans
                if (record.brand, new.plan) not in plans:
                    raise DirectoryRefusal(
                        RefusalCode.PLAN_UNKNOWN, plan=new.plan, brand=record.brand
                    )
            case EntryKind.REVOKE:
                known = {entry.entry: entry.kind for entry in self.ledger(record.mailbox)}
                # The first entry is the plan the mailbox began with: it needs one.
                if new.revokes == min(known) or known.get(new.revokes) in (None, EntryKind.REVOKE):
                    raise DirectoryRefusal(RefusalCode.LEDGER_ENTRY_INVALID, entry=new.revokes)
            case EntryKind.BYTES | EntryKind.PERCENT:
                pass

    def _append_entry(self, mailbox: int, at_us: int, new: NewEntry) -> LedgerEntry:
        values = (new.amount, new.plan, new.until_us, new.revokes, new.reason)
        self._authority.database.run(
            "INSERT INTO ledger (mailbox, at_us, kind, amount, plan, until_us, revokes, reason)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (mailbox, at_us, new.kind.value, *values),
        )
        return LedgerEntry(self._authority.database.rowid(), at_us, new.kind, *values)

    def _write_hash(self, mailbox: int, address: str, password_hash: str) -> None:
        if not is_password_hash(password_hash):
            raise DirectoryRefusal(RefusalCode.HASH_INVALID, address=address)
        self._authority.database.run(
            "INSERT OR REPLACE INTO credential (mailbox, hash, changed_us) VALUES (?, ?, ?)",
            (mailbox, password_hash, self._authority.clock.now_us()),
        )

    def _update(self, record: MailboxRecord, column: str, value: str) -> None:
        self._authority.database.run(
            f"UPDATE mailbox SET {column} = ? WHERE id = ?",
            (value, record.mailbox),
        )
        self._authority.record_change(ChangeKind.MAILBOX, record.mailbox)

    def _occupy(self, cell: str) -> None:
        self._authority.database.run(
            "INSERT INTO occupancy (cell, mailboxes) VALUES (?, 1)"
            " ON CONFLICT (cell) DO UPDATE SET mailboxes = mailboxes + 1",
            (cell,),
        )

    def _newest_uid_validity(self) -> int:
        """RFC 3501 2.3.1.1: 32 bits that grow; the seconds of creation, never going back."""
        found = self._authority.database.row(
            "SELECT uid_validity FROM mailbox ORDER BY id DESC LIMIT 1"
        )
        return max(found[0] if found else 1, self._authority.clock.now_us() // 1_000_000)


@dataclass(slots=True)
class _Batch:
    catalogue: Catalogue
    placement: Placement
    now_us: int
    uid_validity: int


def parsed(address: str) -> Address:
    """The folded address; a `DirectoryRefusal` where it cannot be one."""
    try:
        return parse_address(address)
    except BadAddress as error:
        raise DirectoryRefusal(RefusalCode.ADDRESS_INVALID, address=address) from error


def _place(placement: Placement, name: str) -> CellRecord:
    if not name:
        cell = placement.choose()
        if cell is None:
            raise DirectoryRefusal(RefusalCode.CELLS_FULL)
        return cell
    cell = placement.named(name)
    if cell is None:
        raise DirectoryRefusal(RefusalCode.CELL_UNKNOWN, cell=name)
    if cell.state is not CellState.OPEN:
        raise DirectoryRefusal(RefusalCode.CELL_CLOSED, cell=name)
    if not placement.has_room(cell):
        raise DirectoryRefusal(RefusalCode.CELL_FULL, cell=name, mailboxes_max=cell.mailboxes_max)
    return cell


def _record(row: tuple[Any, ...]) -> MailboxRecord:
    mailbox, address, brand, plan, cell, uid_validity, state, created_us = row
    return MailboxRecord(
        mailbox, address, brand, plan, cell, uid_validity, MailboxState(state), created_us
    )
