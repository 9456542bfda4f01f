"""Signing in: is this the password of that address?

Answered from the role's own recipient table, never from a cell and never from the authority.
`verify` blocks for as long as Argon2id takes (design: on a thread, and a bounded number of
them, each with the memory of one guess). Counting failures is for screening.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from staffetta.directory.passwords import (
    PASSWORD_BYTES_MAX,
    HashParameters,
    PasswordHasher,
    password_bytes,
)
from staffetta.directory.recent import Recent
from staffetta.directory.recipients import Credential, NoSuchUser, Target, Unsure
from staffetta.directory.records import MailboxState
from staffetta.runtime.clock import Clock
from staffetta.runtime.entropy import Entropy
from staffetta.runtime.faults import VolumeFault


class Denial(StrEnum):
    """Why not. Only the first may be guessed at: the others need the right password."""

    WRONG = "wrong"  # no such address, or not its password: never say which
    SUSPENDED = "suspended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """It is, and the mailbox is in use."""

    target: Target


@dataclass(frozen=True, slots=True)
class Denied:
    """It is not, for certain."""

    reason: Denial


@dataclass(frozen=True, slots=True)
class CannotSay:
    """The table is not fit to say no: temporary, and never to be told as a wrong password.

    IMAP: `NO [UNAVAILABLE]` (RFC 5530 3), SMTP: `454 4.7.0` (RFC 4954 4.7).
    """

    reason: str


SignIn = SignedIn | Denied | CannotSay


class CredentialSource(Protocol):
    """Where credentials are looked up: the recipient table."""

    def credential(self, address: str) -> Credential | NoSuchUser | Unsure:
        """The credential of a primary address."""
        ...

    def doubt(self) -> Unsure | None:
        """Why the source could not say no now; None when it could."""
        ...


@dataclass(frozen=True, slots=True)
class SignInSettings:
    """A mail program signs in many times an hour: the same password is not hashed each time."""

    parameters: HashParameters = field(default_factory=HashParameters)
    remembered_s: float = 300.0
    remembered_max: int = 10_000


@dataclass(frozen=True, slots=True)
class _Proof:
    """A password that matched, as a keyed digest that is worthless outside this process."""

    digest: bytes
    until_s: float


class Credentials:
    """Checks passwords. Safe to call from several threads.

    `renew(mailbox, old_hash, new_hash)` is told when a hash was made with other parameters than
    are asked for now; a `VolumeFault` of it does not keep anybody out.
    """

    def __init__(
        self,
        source: CredentialSource,
        clock: Clock,
        entropy: Entropy,
        settings: SignInSettings | None = None,
        renew: Callable[[int, str, str], object] | None = None,
    ) -> None:
        """Takes the time of one guess: makes the hash that unknown users are checked against."""
        self._source = source
        self._clock = clock
        self._settings = settings or SignInSettings()
        self._hasher = PasswordHasher(self._settings.parameters)
        self._renew = renew
        self._key = entropy.token(32)
        self._nobodys_hash = self._hasher.make(entropy.token(16).hex())
        self._proofs: Recent[int, _Proof] = Recent(self._settings.remembered_max)

    def verify(self, address: str, password: str) -> SignIn:
        """Is this the password of that primary address? Blocks.

        An unknown address takes as long as a wrong password. Where the table is stale or
        damaged a mismatch is `CannotSay`: the password may have been changed meanwhile.
        """
        if len(password_bytes(password)) > PASSWORD_BYTES_MAX:
            return Denied(Denial.WRONG)
        found = self._source.credential(address)
        if not isinstance(found, Credential) or not found.password_hash:
            self._hasher.matches(self._nobodys_hash, password)
            return CannotSay(found.reason) if isinstance(found, Unsure) else self._deny()
        if not self._matches(found, password):
            return self._deny()
        match found.target.state:
            case MailboxState.ACTIVE:
                return SignedIn(found.target)
            case MailboxState.SUSPENDED:
                return Denied(Denial.SUSPENDED)
            case MailboxState.CLOSED:
                return Denied(Denial.CLOSED)

    def _deny(self) -> Denied | CannotSay:
        unsure = self._source.doubt()
        return CannotSay(unsure.reason) if unsure else Denied(Denial.WRONG)

    def _matches(self, found: Credential, password: str) -> bool:
        mailbox, password_hash = found.target.mailbox, found.password_hash
        # The hash is part of the digest: a changed password makes the old proof worthless.
        content = b"%d\0%b\0%b" % (mailbox, password_hash.encode(), password_bytes(password))
        digest = hmac.digest(self._key, content, "sha256")
        proof = self._proofs.get(mailbox)
        now_s = self._clock.monotonic_s()
        if proof and proof.until_s > now_s and hmac.compare_digest(proof.digest, digest):
            return True
        epoch = self._proofs.epoch
        if not self._hasher.matches(password_hash, password):
            return False
        self._proofs.put(mailbox, _Proof(digest, now_s + self._settings.remembered_s), epoch)
        if self._renew is not None and self._hasher.is_outdated(password_hash):
            try:
                self._renew(mailbox, password_hash, self._hasher.make(password))
            except VolumeFault:  # the directory can be down while people sign in: another time
                return True
        return True
