"""One client's session: who it is, what it has selected, how it wants to be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from staffetta.doors.imap.accounts import Account
from staffetta.doors.imap.announcements import Telling
from staffetta.doors.imap.hall import Hall
from staffetta.doors.imap.looking import Looker
from staffetta.doors.imap.view import View
from staffetta.mailboxes.access import CellAccess
from staffetta.mailboxes.port import Mailbox
from staffetta.protocols.imap.commands import Command
from staffetta.protocols.imap.states import SessionState, may_announce_expunge

T = TypeVar("T")

_BEFORE_LOGIN = (b"IMAP4rev1", b"LITERAL+", b"SASL-IR", b"ID", b"ENABLE", b"IDLE")
_AFTER_LOGIN = (
    b"IMAP4rev1", b"LITERAL+", b"ID", b"ENABLE", b"IDLE", b"NAMESPACE", b"CHILDREN", b"UNSELECT",
    b"UIDPLUS", b"MOVE", b"SPECIAL-USE", b"CREATE-SPECIAL-USE", b"LIST-EXTENDED", b"LIST-STATUS",
    b"STATUS=SIZE", b"ESEARCH", b"WITHIN", b"CONDSTORE", b"OBJECTID", b"QUOTA",
    b"QUOTA=RES-STORAGE",
)  # fmt: skip


class Output(Protocol):
    """The client's end of the connection, as commands need it."""

    __slots__ = ()

    def send(self, octets: bytes) -> None:
        """Write; what the client does not take yet is kept."""
        ...

    async def drain(self) -> None:
        """Wait until the client has taken most of what was written.

        Raises `ConnectionError` once it is gone.
        """
        ...

    async def ask(self, octets: bytes) -> bytes:
        """Write, and wait for the client's next line (without its end)."""
        ...

    async def start_tls(self, octets: bytes) -> None:
        """Write, then go on under TLS."""
        ...

    def welcome(self, account: Account) -> bool:
        """The client has signed in: count it among those of its mailbox, let it send more.

        False where the mailbox has too many sessions already.
        """
        ...

    def end(self) -> None:
        """Close the connection once everything has been written."""
        ...


class Session:
    """What the door knows of one client."""

    __slots__ = (
        "account",
        "condstore",
        "hall",
        "is_secure",
        "output",
        "peer",
        "sign_in_failures",
        "view",
    )

    def __init__(self, hall: Hall, output: Output, peer: str, is_secure: bool) -> None:
        self.hall = hall
        self.output = output
        self.peer = peer
        self.is_secure = is_secure
        self.account: Account | None = None
        self.view: View | None = None
        self.condstore = False
        self.sign_in_failures = 0

    @property
    def state(self) -> SessionState:
        """RFC 3501 §3."""
        if self.account is None:
            return SessionState.NOT_AUTHENTICATED
        return SessionState.AUTHENTICATED if self.view is None else SessionState.SELECTED

    @property
    def may_send_password(self) -> bool:
        """Whether nobody else can hear a password: TLS, or the machine itself."""
        return self.is_secure or _is_loopback(self.peer)

    @property
    def signed_in(self) -> Account:
        """The account, in commands that are only allowed with one."""
        assert self.account is not None
        return self.account

    @property
    def selected(self) -> View:
        """The view, in commands that are only allowed with one."""
        assert self.view is not None
        return self.view

    @property
    def cell(self) -> CellAccess:
        """The way to the mailbox's cell."""
        return self.hall.cells.of(self.signed_in.cell)

    def list_capabilities(self) -> list[bytes]:
        """What CAPABILITY says now."""
        if self.account is not None:
            limit = b"APPENDLIMIT=%d" % self.account.append_bytes_max
            return [*_AFTER_LOGIN, limit]
        found = list(_BEFORE_LOGIN)
        if not self.is_secure and self.hall.tls is not None:
            found.append(b"STARTTLS")
        found.append(b"AUTH=PLAIN" if self.may_send_password else b"LOGINDISABLED")
        return found

    async def visit(
        self, job: Callable[[Mailbox], T], writes: bool = False, deadline_s: float | None = None
    ) -> T:
        """Run a job on the mailbox, on a thread of its cell (`CellAccess.run`)."""
        return await self.cell.run(self.signed_in.ref, job, writes, deadline_s)

    def send(self, octets: bytes) -> None:
        """Write, if there is anything."""
        if octets:
            self.output.send(octets)

    def adopt(self, view: View) -> None:
        """The client has been, or is being, told so far."""
        self.view = self.hall.images.share(self.signed_in.ref.mailbox, view)

    def looker(self, command: Command) -> Looker:
        """How `command` looks at the selected folder."""
        by_uid = bool(getattr(command, "by_uid", False))
        return Looker(
            Telling(self.hall.tables, by_uid, self.condstore),
            may_announce_expunge(command),
            not self.selected.read_only and not self.cell.refuses_writes,
        )

    def note_change(self) -> None:
        """This session has changed its mailbox: others should look."""
        self.hall.note_change(self.signed_in.ref.mailbox)


def _is_loopback(peer: str) -> bool:
    return peer in ("::1", "") or peer.removeprefix("::ffff:").startswith("127.")
