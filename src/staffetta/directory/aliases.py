"""Addresses that lead to other addresses of the directory, in the authority."""

from __future__ import annotations

from collections.abc import Sequence

from staffetta.directory.accounts import Accounts, parsed
from staffetta.directory.authority import Authority, ChangeKind
from staffetta.directory.catalogue import CatalogueStore
from staffetta.directory.recipients import ALIAS_DEPTH_MAX, ALIAS_TARGETS_MAX
from staffetta.directory.records import Alias
from staffetta.directory.refusals import DirectoryRefusal, RefusalCode


class Aliases:
    """Reads and changes aliases. Refusals are `DirectoryRefusal`, faults `VolumeFault`."""

    __slots__ = ("_accounts", "_authority", "_catalogue")

    def __init__(self, authority: Authority, catalogue: CatalogueStore, accounts: Accounts) -> None:
        self._authority = authority
        self._catalogue = catalogue
        self._accounts = accounts

    def add(self, address: str, targets: Sequence[str]) -> Alias:
        """Make an alias, or add targets to one. A target is a mailbox's or an alias's address.

        Refused where it would lead back to itself, too deep, or to too many mailboxes.
        """
        source = parsed(address)
        key = str(source)
        with self._authority.database.transaction():
            if source.domain not in self._catalogue.read().domains:
                raise DirectoryRefusal(RefusalCode.DOMAIN_UNKNOWN, domain=source.domain)
            old = self._targets(key)
            if not old:
                self._accounts.check_free(key)
            for target in targets:
                self._add_target(key, str(parsed(target)))
            self._check_size(key)
            self._authority.record_change(ChangeKind.ALIAS, key)
            return Alias(key, self._targets(key))

    def remove(self, address: str, target: str = "") -> Alias:
        """Remove one target, or all; returns what is left. Without targets there is no alias."""
        key = str(parsed(address))
        with self._authority.database.transaction():
            old = self._targets(key)
            gone = (str(parsed(target)),) if target else old
            if not old or not set(gone) <= set(old):
                raise DirectoryRefusal(RefusalCode.ALIAS_UNKNOWN, address=target or key)
            left = tuple(one for one in old if one not in gone)
            if not left:
                self._check_unused(key)
            self._authority.database.many(
                "DELETE FROM alias WHERE address = ? AND target = ?", [(key, one) for one in gone]
            )
            self._authority.record_change(ChangeKind.ALIAS, key)
        return Alias(key, left)

    def entries(self, address: str = "") -> list[Alias]:
        """All aliases by address, or the one of that address (none: an empty list)."""
        key = str(parsed(address)) if address else ""
        found: dict[str, list[str]] = {}
        for source, target in self._authority.database.rows(
            "SELECT address, target FROM alias WHERE ?1 = '' OR address = ?1"
            " ORDER BY address, target",
            (key,),
        ):
            found.setdefault(source, []).append(target)
        return [Alias(source, tuple(targets)) for source, targets in found.items()]

    def leading_to(self, address: str) -> list[str]:
        """The aliases of which that address is a target, by address."""
        rows = self._authority.database.rows(
            "SELECT address FROM alias WHERE target = ? ORDER BY address", (address,)
        )
        return [row[0] for row in rows]

    def _add_target(self, key: str, target: str) -> None:
        found = self._authority.database.row(
            "SELECT 1 FROM mailbox WHERE address = ?1"
            " UNION ALL SELECT 1 FROM alias WHERE address = ?1",
            (target,),
        )
        if target == key or key in self._reach(target):
            raise DirectoryRefusal(RefusalCode.ALIAS_LOOP, address=key, target=target)
        if found is None:
            raise DirectoryRefusal(RefusalCode.ALIAS_TARGET_UNKNOWN, address=key, target=target)
        self._authority.database.run("INSERT OR IGNORE INTO alias VALUES (?, ?)", (key, target))

    def _check_size(self, key: str) -> None:
        """An alias and every one that leads to it must stay within what replicas follow."""
        layer, seen = [key], {key}
        while layer:
            for one in layer:
                if max(self._reach(one).values()) > ALIAS_DEPTH_MAX:
                    self._refuse_size(one)
            layer = sorted({source for one in layer for source in self.leading_to(one)} - seen)
            seen.update(layer)

    def _reach(self, address: str) -> dict[str, int]:
        """Every address that one leads to, itself included, with its greatest known distance."""
        distances = {address: 0}
        layer = [address]
        distance = 0
        while layer and distance <= ALIAS_DEPTH_MAX:
            distance += 1
            layer = sorted({target for one in layer for target in self._targets(one)})
            distances.update(dict.fromkeys(layer, distance))
            if len(distances) > ALIAS_TARGETS_MAX:
                self._refuse_size(address)
        return distances

    def _check_unused(self, key: str) -> None:
        others = self.leading_to(key)
        if others:
            raise DirectoryRefusal(RefusalCode.ALIAS_IN_USE, address=key, other=others[0])

    def _targets(self, key: str) -> tuple[str, ...]:
        rows = self._authority.database.rows(
            "SELECT target FROM alias WHERE address = ? ORDER BY target", (key,)
        )
        return tuple(row[0] for row in rows)

    def _refuse_size(self, address: str) -> None:
        raise DirectoryRefusal(
            RefusalCode.ALIAS_TOO_LARGE, address=address, targets_max=ALIAS_TARGETS_MAX
        )
