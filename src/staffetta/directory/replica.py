"""The recipient table: a local, versioned copy of the directory that every role keeps.

Each role has a SQLite file of its own, filled from the authority's feed by `catch_up`, and a
bounded memory of recent answers. The copy knows how fit it is. It says `NoSuchUser` only while
it is complete, was found whole, and follows an authority that was read within `stale_after_s`;
otherwise an unknown address gives `Unsure`. Known addresses resolve in any case.

Threads: `resolve` and `by_mailbox` may be called from any; `catch_up` blocks (disk, and in a
cluster net) and belongs on a worker thread, about once a second.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from staffetta.directory.addresses import ROLES, TAG_SEPARATOR, fold_domain, fold_local_part
from staffetta.directory.authority import Feed, FeedPage
from staffetta.directory.catalogue import Catalogue
from staffetta.directory.entitlements import EntryKind, LedgerEntry, fold
from staffetta.directory.recent import Recent
from staffetta.directory.recipients import (
    ALIAS_DEPTH_MAX,
    ALIAS_TARGETS_MAX,
    Credential,
    Doubt,
    Known,
    NoSuchUser,
    NotOurs,
    Resolution,
    Target,
    Unsure,
)
from staffetta.directory.records import MailboxState
from staffetta.directory.table import TableFile
from staffetta.runtime.clock import Clock
from staffetta.runtime.disk import Volume
from staffetta.runtime.faults import FaultMode, VolumeFault

_NO_SUCH_USER = NoSuchUser()
_NOT_OURS = NotOurs()
_UNSURE = {doubt: Unsure(doubt) for doubt in Doubt}
_STATES = {state.value: state for state in MailboxState}
_LedgerRow = tuple[int, int, EntryKind, int, str, int, int]


@dataclass(frozen=True, slots=True)
class TableSettings:
    """How a recipient table behaves.

    `cached_max`: addresses, and as many mailboxes, kept in memory, per generation of two.
    `with_credentials`: copy password hashes too; only where people sign in.
    """

    stale_after_s: float = 300.0
    cached_max: int = 50_000
    with_credentials: bool = False


@dataclass(frozen=True, slots=True)
class TableHealth:
    """How fit the table is to say no.

    `doubt` is None when it is. `fresh_until_s` is on the monotonic clock; 0 before the first
    complete copy. `age_s`: since the authority was last read to its end; 0 before that.
    `version` and `head`: of the copy, and of the authority when last read. `detail` says in
    English what went wrong last, for the operator.
    """

    doubt: Doubt | None
    fresh_until_s: float
    age_s: float
    version: int
    head: int
    addresses: int
    detail: str


class RecipientTable:
    """`Recipients` over a file of this role's own. Raises `VolumeFault` when it cannot be made."""

    def __init__(
        self,
        volume: Volume,
        path: str,
        feed: Feed,
        clock: Clock,
        settings: TableSettings | None = None,
    ) -> None:
        """`path` is relative to the volume of replicas, for example `accept-1.db`."""
        self._volume_name = volume.name
        self._feed = feed
        self._clock = clock
        self._settings = settings or TableSettings()
        self._known: Recent[str, Known] = Recent(self._settings.cached_max)
        self._targets: Recent[int, Target] = Recent(self._settings.cached_max)
        self._copying = threading.Lock()
        self._expecting = threading.Lock()
        self._file = TableFile(volume, path)
        self._doubt: Doubt | None = Doubt.LOADING
        self._damaged = False
        self._checked = False
        self._fresh_until_s = 0.0
        self._head = 0
        self._detail = ""
        self._changes_us = 0  # when the next entitlement among those remembered changes; 0: never
        self._condition = self._file.condition()
        self._catalogue = self._file.catalogue()
        self._domains_complete = self._condition.complete

    @property
    def catalogue(self) -> Catalogue:
        """Brands, domains, plans and cells as this table knows them."""
        return self._catalogue

    def resolve(self, local_part: str, domain: str) -> Resolution:
        """See `Recipients.resolve`."""
        local = fold_local_part(local_part)
        if TAG_SEPARATOR in local:
            local = local.partition(TAG_SEPARATOR)[0]
        name = domain.lower() if domain.isascii() else (fold_domain(domain) or domain)
        known = self._known.get(f"{local}@{name}")
        return known if known is not None else self._look_up(local, name)

    def by_mailbox(self, mailbox: int) -> Target | None:
        """See `Recipients.by_mailbox`."""
        target = self._targets.get(mailbox)
        if target is not None:
            return target
        epoch = self._targets.epoch
        try:
            row = self._file.mailbox(mailbox)
            if row is None:
                return None
            target = self._target(row)
        except VolumeFault as fault:
            self._note(fault)
            raise
        self._targets.put(mailbox, target, epoch)
        return target

    def credential(self, address: str) -> Credential | NoSuchUser | Unsure:
        """The credential of a primary address, given in any case; for `directory.credentials`.

        Neither tags nor aliases lead anywhere here: people sign in with their own address.
        """
        local_part, _, domain = address.strip().rpartition("@")
        key = f"{fold_local_part(local_part)}@{fold_domain(domain)}"
        if not _is_storable(key):
            return _NO_SUCH_USER
        try:
            found = self._file.credential(key)
            target = self.by_mailbox(found[0]) if found else None
        except VolumeFault as fault:
            self._note(fault)
            return _UNSURE[Doubt.UNREADABLE]
        if found is None or target is None:
            return self._unknown()
        return Credential(target, found[1] or "")

    def doubt(self) -> Unsure | None:
        """Why an unknown address would not be refused now; None when it would be."""
        answer = self._unknown()
        return answer if isinstance(answer, Unsure) else None

    def health(self) -> TableHealth:
        """How fit the table is to say no."""
        unsure = self.doubt()
        condition, fresh_until_s = self._condition, self._fresh_until_s
        read_s = fresh_until_s - self._settings.stale_after_s
        return TableHealth(
            unsure.reason if unsure else None,
            fresh_until_s,
            self._clock.monotonic_s() - read_s if fresh_until_s else 0.0,
            condition.version,
            self._head,
            condition.addresses,
            self._detail,
        )

    def catch_up(self, limit: int = 2_000) -> int:
        """Copy at most `limit` changes from the authority; returns how many there were.

        As many as `limit` mean that there may be more: call again at once. Never raises for a
        broken disk or an authority that cannot be read: `health` tells. The first call also
        checks the whole file (some seconds for millions of addresses).
        """
        with self._copying:
            self._expire()
            try:
                return self._copy(limit)
            except VolumeFault as fault:
                self._detail = str(fault)
                if fault.volume == self._volume_name:
                    self._note(fault)
                return 0

    def verify(self) -> bool:
        """Check the whole file; a damaged one is made again by the next `catch_up`.

        Raises `VolumeFault` where it cannot be read now.
        """
        with self._copying:
            self._check()
            return not self._damaged

    def close(self) -> None:
        """Let go of the file."""
        with self._copying:
            self._file.close()

    def _look_up(self, local: str, name: str) -> Resolution:
        catalogue = self._catalogue
        if not name and local == "postmaster":  # RFC 5321 4.5.1
            name = next(iter(catalogue.domains), "")
        domain = catalogue.domains.get(name)
        if domain is None:
            return _NOT_OURS if self._domains_complete else _UNSURE[Doubt.LOADING]
        address = f"{local}@{name}"
        if not _is_storable(address):
            return _NO_SUCH_USER
        epoch = self._known.epoch
        try:
            targets = self._expand(address)
            if targets is None and local in ROLES:
                brand = catalogue.brands.get(domain.brand)
                targets = (self._expand(brand.role_address) if brand else None) or ()
        except VolumeFault as fault:
            self._note(fault)
            return _UNSURE[Doubt.UNREADABLE]
        if targets is None:
            return self._unknown()
        if not targets:
            return _UNSURE[Doubt.DANGLING]
        known = Known(address, targets)
        self._known.put(address, known, epoch)
        return known

    def _expand(self, address: str) -> tuple[Target, ...] | None:
        """The mailboxes behind an address; None: there is no such address; (): it dangles."""
        targets: dict[int, Target] = {}
        seen = {address}
        layer = [address]
        for depth in range(ALIAS_DEPTH_MAX + 1):
            following: list[str] = []
            for one in layer:
                row = self._file.find(one)
                if row is None:
                    return () if depth else None
                if row[0]:
                    following += (name for name in self._decode(row[0]) if name not in seen)
                    seen.update(following)
                elif row[1] is None:
                    return ()
                else:
                    targets[row[1]] = self._target(row[1:])
            if not following:
                return tuple(targets.values())
            if len(seen) > ALIAS_TARGETS_MAX:
                return ()
            layer = following
        return ()

    def _target(self, row: tuple[Any, ...]) -> Target:
        mailbox, address, brand, plan_key, cell, uid_validity, state, ledger = row
        plans = self._catalogue.plans
        plan = plans.get((brand, plan_key))
        quota_bytes = plan.quota_bytes if plan else 0
        if ledger:

            def quota_bytes_of(key: str) -> int:
                found = plans.get((brand, key))
                return found.quota_bytes if found else quota_bytes

            now_us = self._clock.now_us()
            entitlement = fold(self._decode_ledger(ledger), now_us, quota_bytes_of)
            quota_bytes = entitlement.quota_bytes
            plan = plans.get((brand, entitlement.plan), plan)
            self._expect_change(entitlement.changes_us)
        if plan is None:
            detail = f"no plan {plan_key} of {brand} for mailbox {mailbox} yet"
            raise VolumeFault(self._volume_name, FaultMode.ERROR, detail)
        return Target(
            mailbox,
            address,
            brand,
            plan.key,
            cell,
            uid_validity,
            quota_bytes,
            plan.message_bytes_max,
            _STATES.get(state, MailboxState.SUSPENDED),
        )

    def _decode(self, targets: str) -> list[str]:
        try:
            return msgspec.json.decode(targets, type=list[str])
        except msgspec.DecodeError as error:
            raise VolumeFault(self._volume_name, FaultMode.CORRUPT, str(error)) from error

    def _decode_ledger(self, ledger: str) -> list[LedgerEntry]:
        try:
            rows = msgspec.json.decode(ledger, type=list[_LedgerRow])
        except msgspec.DecodeError as error:
            raise VolumeFault(self._volume_name, FaultMode.CORRUPT, str(error)) from error
        return [LedgerEntry(*row) for row in rows]

    def _unknown(self) -> NoSuchUser | Unsure:
        if self._damaged:
            return _UNSURE[Doubt.DAMAGED]
        if self._doubt is not None:
            return _UNSURE[self._doubt]
        if self._clock.monotonic_s() > self._fresh_until_s:
            return _UNSURE[Doubt.STALE]
        return _NO_SUCH_USER

    def _note(self, fault: VolumeFault) -> None:
        self._detail = str(fault)
        if fault.mode is FaultMode.CORRUPT and fault.volume == self._volume_name:
            self._damaged = True

    def _expect_change(self, changes_us: int) -> None:
        with self._expecting:
            if changes_us and (not self._changes_us or changes_us < self._changes_us):
                self._changes_us = changes_us

    def _expire(self) -> None:
        with self._expecting:
            if not self._changes_us or self._changes_us > self._clock.now_us():
                return
            self._changes_us = 0
            self._known.clear()
            self._targets.clear()

    def _check(self) -> None:
        found = self._file.check()
        self._checked = True
        if found:
            self._damaged = True
            self._detail = f"damaged: {found}"

    def _copy(self, limit: int) -> int:
        if not self._checked:
            self._check()
        settings = self._settings
        before = self._condition
        anew = self._damaged or bool(
            before.version and before.with_credentials != settings.with_credentials
        )
        asked_s = self._clock.monotonic_s()
        after = 0 if anew else before.version
        page = self._feed.read(after, limit, settings.with_credentials)
        self._head = page.head
        if before.version and (page.origin != before.origin or page.head < before.version):
            # A directory that lost its memory must not turn people into unknown users.
            self._doubt = Doubt.DIVERGED
            self._detail = "the authority is another one, or older than this copy"
            return 0
        if anew:  # only now: until the authority answers, a poor copy is better than none
            self._start_over()
        reached_end = len(page.rows) < limit
        self._write(page, reached_end)
        if reached_end:
            self._doubt = None
            self._fresh_until_s = asked_s + settings.stale_after_s
            self._detail = ""
        return len(page.rows)

    def _write(self, page: FeedPage, reached_end: bool) -> None:
        before = self._condition
        completes = reached_end and not before.complete
        if not page.rows and not completes:
            return
        after = replace(
            before,
            origin=page.origin,
            version=page.rows[-1][0] if page.rows else before.version,
            complete=before.complete or reached_end,
            with_credentials=self._settings.with_credentials,
        )
        applied = self._file.apply(page, after)
        self._condition = self._file.condition()
        if self._domains_complete and not after.complete:
            return  # the file is made again: what memory still holds is better than half a file
        if applied.catalogue or completes:
            self._catalogue = self._file.catalogue()
            self._domains_complete = after.complete
        if applied.widely or completes:
            self._known.clear()
            self._targets.clear()
        elif applied.mailboxes:
            changed = applied.mailboxes
            self._targets.forget(lambda mailbox, _: mailbox in changed)
            self._known.forget(
                lambda _, known: any(target.mailbox in changed for target in known.targets)
            )

    def _start_over(self) -> None:
        self._doubt = Doubt.LOADING
        self._file.start_over()
        self._condition = self._file.condition()
        self._damaged = False


def _is_storable(address: str) -> bool:
    """Could it be in the file at all? Bytes that were no UTF-8 come as lone surrogates."""
    if address.isascii():
        return True
    try:
        address.encode()
    except UnicodeEncodeError:
        return False
    return True
