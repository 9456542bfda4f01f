"""Signing in, for every door: patience with those who fail, threads for the hashing.

The same desk stands behind all doors of a process, so that a guesser who is slowed down at one
is slowed down at the others.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from staffetta.directory.credentials import CannotSay, Denial, Denied, SignedIn, SignIn
from staffetta.runtime.faults import VolumeFault
from staffetta.runtime.tasks import DeadlineMissed, Pool, PoolBusy
from staffetta.screening.attempts import Attempts

ADDRESS_CHARS_MAX = 1_024


@dataclass(frozen=True, slots=True)
class SignInLimits:
    """How many guesses are worked on at once, each some 19 MiB and 20 ms of one core."""

    threads_max: int = 2
    waiting_max: int = 1_000
    deadline_s: float = 20.0


@dataclass(frozen=True, slots=True)
class TooManyAttempts:
    """The password was not even looked at: too many wrong ones came from there before."""


class PasswordCheck(Protocol):
    """What knows the passwords: `directory.credentials.Credentials`."""

    def verify(self, address: str, password: str) -> SignIn:
        """Is this the password of that address? Blocks."""
        ...


class SignInDesk:
    """Checks passwords for all doors of a process. Lives on its event loop."""

    def __init__(
        self, credentials: PasswordCheck, attempts: Attempts, limits: SignInLimits | None = None
    ) -> None:
        limits = limits or SignInLimits()
        self._credentials = credentials
        self._attempts = attempts
        self._deadline_s = limits.deadline_s
        self._pool = Pool("sign-in", limits.threads_max, limits.waiting_max)

    async def check(self, address: str, password: str, peer: str) -> SignIn | TooManyAttempts:
        """Is this the password of that address? Takes longer after each failure of that peer.

        `password` is decoded with `surrogateescape`. Nothing that is broken makes a password
        wrong: the answer is then `CannotSay`.
        """
        if len(address) > ADDRESS_CHARS_MAX:
            return Denied(Denial.WRONG)
        patience = self._attempts.judge(peer, address)
        if patience.delay_s:
            await asyncio.sleep(patience.delay_s)
        if patience.refuse:
            return TooManyAttempts()
        try:
            outcome = await self._pool.run(
                lambda abandoned: self._credentials.verify(address, password), self._deadline_s
            )
        except (VolumeFault, DeadlineMissed, PoolBusy) as fault:
            return CannotSay(str(fault))
        if isinstance(outcome, SignedIn):
            self._attempts.note_success(peer, address)
        elif isinstance(outcome, Denied) and outcome.reason is Denial.WRONG:
            octets = password.encode("utf-8", "surrogateescape")
            self._attempts.note_failure(peer, address, octets)
        return outcome
