"""What every measured server can do, whoever wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Door:
    """An address on which a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class PeerFault(Exception):
    """A server did not start, answer or stop as it should; the text says which and what."""


class Peer(Protocol):
    """A server that is started from a private directory and stopped by process id."""

    @property
    def name(self) -> str:
        """What tables call it."""

    def start(self) -> None:
        """Start and return when it answers. Raises :class:`PeerFault`."""

    def stop(self) -> None:
        """Stop everything that :meth:`start` started. Does nothing if not running."""

    def list_roots(self) -> list[int]:
        """Process ids from which all its processes descend."""

    def describe(self) -> dict[str, str]:
        """Every setting that matters for what is measured."""


class MailStore(Peer, Protocol):
    """A server whose mailboxes can be read by IMAP."""

    @property
    def imap(self) -> Door:
        """Plain IMAP."""

    @property
    def smtp(self) -> Door:
        """SMTP for mail that is to be delivered into the mailboxes."""

    @property
    def password(self) -> str:
        """The password of every account."""
