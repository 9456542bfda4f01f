"""The `Verifier` on the directory: passwords are checked on a few threads of their own."""

from __future__ import annotations

from collections.abc import Callable

from staffetta.directory.catalogue import Catalogue
from staffetta.directory.credentials import CannotSay, Credentials, Denial, Denied, SignedIn
from staffetta.directory.recipients import Target
from staffetta.doors.imap.accounts import Account, SignInRefusal
from staffetta.mailboxes.port import MailboxRef
from staffetta.runtime.faults import VolumeFault
from staffetta.runtime.tasks import DeadlineMissed, Pool, PoolBusy

THREADS_MAX = 2  # a guess takes some 19 MiB and 20 ms of one core
WAITING_MAX = 1_000
DEADLINE_S = 20.0

_REFUSALS = {
    Denial.WRONG: SignInRefusal.WRONG,
    Denial.SUSPENDED: SignInRefusal.SUSPENDED,
    Denial.CLOSED: SignInRefusal.CLOSED,
}


class DirectoryVerifier:
    """Asks `Credentials`; `catalogue` is where a brand's language is looked up."""

    def __init__(
        self,
        credentials: Credentials,
        catalogue: Callable[[], Catalogue],
        append_bytes_max: int,
    ) -> None:
        self._credentials = credentials
        self._catalogue = catalogue
        self._append_bytes_max = append_bytes_max
        self._pool = Pool("sign-in", THREADS_MAX, WAITING_MAX)

    async def verify(self, address: str, password: str) -> Account | SignInRefusal:
        """See `accounts.Verifier`."""
        try:
            outcome = await self._pool.run(
                lambda abandoned: self._credentials.verify(address, password), DEADLINE_S
            )
        except (VolumeFault, DeadlineMissed, PoolBusy):
            return SignInRefusal.UNSURE
        match outcome:
            case SignedIn(target):
                return self._describe(target)
            case Denied(reason):
                return _REFUSALS[reason]
            case CannotSay():
                return SignInRefusal.UNSURE

    def _describe(self, target: Target) -> Account:
        brand = self._catalogue().brands.get(target.brand)
        return Account(
            target.address,
            target.brand,
            brand.language if brand is not None else "",
            target.cell,
            MailboxRef(target.mailbox, target.uid_validity, target.quota_bytes),
            min(self._append_bytes_max, target.size_bytes_max),
        )
