"""Postfix in front of Dovecot: accepted with a sync, handed on by LMTP, stored with a sync."""

from __future__ import annotations

from benchmarks.peers.dovecot import Dovecot, DovecotChoices
from benchmarks.peers.port import Door
from benchmarks.peers.postfix import Fate, Postfix, PostfixLimits
from benchmarks.peers.processes import Workplace

LMTP_CONCURRENCY = 20
LMTP_SPARE = 10


class PostfixDovecot:
    """The usual pair, as one mail store."""

    name = "postfix → dovecot"

    def __init__(self, workplace: Workplace, users: list[str]) -> None:
        choices = DovecotChoices(lmtp_processes=LMTP_CONCURRENCY + LMTP_SPARE)
        self._dovecot = Dovecot(workplace, users, choices)
        limits = PostfixLimits(lmtp_concurrency=LMTP_CONCURRENCY)
        self._postfix = Postfix(workplace, Fate.DELIVER, users, self._dovecot.lmtp, limits)
        self.password = self._dovecot.password

    @property
    def smtp(self) -> Door:
        """Postfix's."""
        return self._postfix.smtp

    @property
    def imap(self) -> Door:
        """Dovecot's."""
        return self._dovecot.imap

    def start(self) -> None:
        """Dovecot first, so that no delivery is deferred."""
        self._dovecot.start()
        self._postfix.start()

    def stop(self) -> None:
        """Both."""
        self._postfix.stop()
        self._dovecot.stop()

    def list_roots(self) -> list[int]:
        """Both masters."""
        return [*self._postfix.list_roots(), *self._dovecot.list_roots()]

    def describe(self) -> dict[str, str]:
        """The settings of both."""
        return {**self._postfix.describe(), **self._dovecot.describe()}
