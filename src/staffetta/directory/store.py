"""The directory, for those who change it: one object over the authoritative database."""

from __future__ import annotations

from dataclasses import dataclass

from staffetta.directory.accounts import Accounts
from staffetta.directory.aliases import Aliases
from staffetta.directory.authority import Authority, open_authority
from staffetta.directory.catalogue import CatalogueStore
from staffetta.runtime.clock import Clock
from staffetta.runtime.disk import Volume
from staffetta.runtime.entropy import Entropy


@dataclass(frozen=True, slots=True)
class Directory:
    """The authoritative directory. One thread at a time; several processes may have it open.

    Every method of its parts that changes something is one durable transaction: it raises
    `DirectoryRefusal` (nothing changed; the code says why) or `VolumeFault` (temporary).
    """

    authority: Authority
    catalogue: CatalogueStore
    accounts: Accounts
    aliases: Aliases

    def version(self) -> int:
        """Grows with every change that replicas have to know of."""
        return self.authority.version()

    def close(self) -> None:
        """Let go of the database."""
        self.authority.database.close()


def open_directory(volume: Volume, clock: Clock, entropy: Entropy) -> Directory:
    """Open the directory on its volume (<data>/directory), made where there is none.

    Raises `VolumeFault`.
    """
    authority = open_authority(volume, clock, entropy)
    catalogue = CatalogueStore(authority)
    accounts = Accounts(authority, catalogue)
    return Directory(authority, catalogue, accounts, Aliases(authority, catalogue, accounts))
